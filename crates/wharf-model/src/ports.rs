//! Ports: what one subsystem needs of another, named after the need. The binary connects them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use wharf_base::{Digest, ErrorCode};

use crate::{
    Call, Change, Event, Frame, Generation, HostView, Name, Observed, Platform, PoolsObserved, Ulimit,
};

/// What a port answers when it can't do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// How the caller may act on it.
    pub code: ErrorCode,
    /// What was tried and what went wrong; may end with `hint: …`.
    pub message: String,
}

impl PortError {
    /// An error with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> PortError {
        PortError { code, message: message.into() }
    }
}

/// Stores events, then tells everybody who listens. Filled by `state`.
pub trait EventSink: Send + Sync {
    /// Hands the event over and returns at once; order is kept. It is stored first and broadcast then. The queue is
    /// bounded: when it is full the event is counted as dropped and logged.
    fn emit(&self, event: Event);
}

/// The hosts and the desired state. Filled by `fleet`; needed by `deploy`.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// Every host that has joined, by name.
    fn hosts(&self) -> Vec<HostView>;

    /// The newest generation.
    fn generation(&self) -> Arc<Generation>;

    /// Stores a new generation with this change and tells the agents. Returns its number once it is on disk.
    ///
    /// Errors: `InvalidArgument` when it names an unknown host or the same instance twice; `Unavailable` when the
    /// disk refuses.
    async fn commit(&self, change: Change) -> Result<u64, PortError>;

    /// What the agents report, as it changes.
    fn observed(&self) -> watch::Receiver<Arc<Observed>>;

    /// Hosts whose connection was lost, and how long ago. A host that may still be about to connect because the server
    /// itself has just started is not among them, whatever its `liveness`.
    fn lost(&self) -> BTreeMap<Name, Duration>;
}

/// What containers on any host are asked to do. Filled by `fleet`; needed by `deploy`.
#[async_trait]
pub trait Calls: Send + Sync {
    /// Hands a call to the agent of `host` and returns once the agent has taken it up.
    ///
    /// Errors: `NotFound` for an unknown host; `Unavailable` when its agent is not connected or does not take calls;
    /// `ResourceExhausted` when the host has too many already. What goes wrong later is the session's last frame.
    async fn call(&self, host: &Name, call: Call) -> Result<Session, PortError>;
}

/// A call that goes on at a host. Dropping either half ends it there.
#[derive(Debug)]
pub struct Session {
    /// Input: [`Frame::Stdin`], [`Frame::StdinEnd`], [`Frame::Resize`], [`Frame::Signal`]. Waits while the other side
    /// does not read.
    pub input: mpsc::Sender<Frame>,
    /// Output. The last one is [`crate::frame::Status::Exited`] or `Failed`; without it the host is gone.
    pub output: mpsc::Receiver<Frame>,
}

/// The balancers. Filled by the binary from the local balancer and those that joined; needed by `deploy`.
pub trait Pools: Send + Sync {
    /// What the balancers report, at least four times a second while anything is in flight.
    fn observed(&self) -> watch::Receiver<Arc<PoolsObserved>>;
}

/// Builds images. Filled by `image`; needed by `deploy`.
#[async_trait]
pub trait ImageBuilder: Send + Sync {
    /// Builds, pushes to our registry and returns what was pushed. Output lines go to `output`; when nobody reads
    /// them the build goes on. Dropping the future ends the build.
    async fn build(
        &self,
        request: BuildRequest,
        output: mpsc::Sender<String>,
    ) -> Result<BuiltImage, PortError>;
}

/// For which machines images are. Filled by the binary from `registry`; needed by `deploy`.
#[async_trait]
pub trait ImagePlatforms: Send + Sync {
    /// The platforms of an image, without asking another registry than our own. Empty: not known.
    async fn platforms(&self, reference: &str) -> Vec<Platform>;
}

/// Where images of releases lie besides the hosts: the Engine that builds and the registry. Filled by the binary from `image`
/// and `registry`; needed by `deploy`.
#[async_trait]
pub trait ImageStore: Send + Sync {
    /// Removes `127.0.0.1:5000/shop/web:r3` or `…/web@sha256:…` from both. Fine where it is not; it stays on an Engine on
    /// which a container uses it.
    async fn remove(&self, reference: &str) -> Result<(), PortError>;
}

/// What to build.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Name and tag to push as: `127.0.0.1:5000/shop/web:r3`.
    pub reference: String,
    /// Tar archive of the context, already filtered by `.dockerignore`.
    pub context: PathBuf,
    /// Path of the Dockerfile in the archive.
    pub dockerfile: String,
    /// Stage to build.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// What few builds set.
    pub settings: BuildSettings,
}

/// Settings of a build that few set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// Build every step anew.
    pub no_cache: bool,
    /// Ask registries for newer base images.
    pub pull: bool,
    /// Images whose layers may be used.
    pub cache_from: Vec<String>,
    /// Lines of `/etc/hosts` for RUN, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Network for RUN: `default`, `none` or `host`.
    pub network: Option<String>,
    /// Platform of the image: `linux/arm64`.
    pub platform: Option<String>,
    /// Bytes of `/dev/shm` for RUN.
    pub shm_size_bytes: Option<u64>,
    /// Limits of processes of RUN by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Further names for the image on the Engine that builds.
    pub tags: Vec<String>,
}

/// What was built and pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// Reference by digest: `127.0.0.1:5000/shop/web@sha256:…`, the digest that the registry returned.
    pub reference: String,
    /// That digest.
    pub digest: Digest,
}

/// Who may use the registry. Filled by the binary from `access` and `fleet`; needed by `registry`.
pub trait RegistryAccess: Send + Sync {
    /// Checks a user name and password of HTTP basic authentication. `None`: wrong.
    fn check(&self, user: &str, password: &str) -> Option<RegistryUser>;
}

/// A user of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryUser {
    /// Name, for logs.
    pub name: String,
    /// May push and delete; else only pull.
    pub may_push: bool,
}
