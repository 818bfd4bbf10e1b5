//! What an agent is to create: one container, as the user described it, with an image by digest.
//!
//! The names of the fields are those of the Compose specification where it has one. A field that came after the first
//! release is left out of the JSON while it has its default: the hash of containers that exist stays as it is, and an
//! older agent understands every message that does not use it (docs/decisions/0013).

mod device;
mod mount;
mod network;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::default::is_default;
use crate::{SecretFile, SecretRef, SecretVariable};

pub use device::{Device, DeviceRequest};
pub use mount::{FileOwner, MountOptions, MountSource, MountSpec};
pub use network::{NetworkAttachment, SharedPlace};
pub use resources::{Blkio, ResourceLimits, Ulimit};

/// One container. Only what the user (or Wharf on their behalf) set is set here; the Engine's defaults fill the rest.
///
/// The hash of this record's canonical JSON is the label `wharf.spec`: equal means nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Reference by digest, `10.77.0.1:5000/shop/web@sha256:…`, or a tag for images that aren't ours.
    pub image: String,
    /// CMD.
    pub command: Option<Vec<String>>,
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// The user's labels; `wharf.*` is added by the agent.
    pub labels: BTreeMap<String, String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Run Docker's init as process 1.
    pub init: Option<bool>,
    /// Ports that are reachable without being published: `8000/tcp`.
    pub expose: Vec<(u16, Transport)>,
    /// Ports published on the host by the user's wish.
    pub ports: Vec<PublishedPort>,
    /// Mounts.
    pub mounts: Vec<MountSpec>,
    /// Networks; the first one is given at creation.
    pub networks: Vec<NetworkAttachment>,
    /// Health check run by the Engine.
    pub healthcheck: Option<Healthcheck>,
    /// Restart policy.
    pub restart: RestartPolicy,
    /// Stop signal.
    pub stop_signal: Option<String>,
    /// Milliseconds from the stop signal to SIGKILL; `None` is Docker's 10 s.
    pub stop_grace_ms: Option<u64>,
    /// Limits and reservations.
    pub resources: ResourceLimits,
    /// The user's `container_name`; `None` lets the agent name it.
    pub container_name: Option<String>,
    /// Domain inside.
    #[serde(skip_serializing_if = "is_default")]
    pub domainname: Option<String>,
    /// Address of the interface in the first network.
    #[serde(skip_serializing_if = "is_default")]
    pub mac_address: Option<String>,
    /// Standard streams are a terminal.
    #[serde(skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Standard input stays open.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin_open: bool,
    /// Whose interfaces it has, instead of a part in `networks`.
    #[serde(skip_serializing_if = "is_default")]
    pub network_mode: Option<SharedPlace>,
    /// Further names for others on its networks: `db:database`.
    #[serde(skip_serializing_if = "is_default")]
    pub links: BTreeSet<String>,
    /// Lines of `/etc/hosts`: `name:address`, the address may be `host-gateway`.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_hosts: Vec<String>,
    /// Name servers.
    #[serde(skip_serializing_if = "is_default")]
    pub dns: Vec<String>,
    /// Options of resolv.conf.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_opt: Vec<String>,
    /// Domains in which short names are looked up.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_search: Vec<String>,
    /// Whose shared memory it has.
    #[serde(skip_serializing_if = "is_default")]
    pub ipc: Option<SharedPlace>,
    /// Whose processes it sees.
    #[serde(skip_serializing_if = "is_default")]
    pub pid: Option<SharedPlace>,
    /// Whose host name it has.
    #[serde(skip_serializing_if = "is_default")]
    pub uts: Option<SharedPlace>,
    /// Whose user ids it has.
    #[serde(skip_serializing_if = "is_default")]
    pub userns_mode: Option<SharedPlace>,
    /// Whose control groups it sees.
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup: Option<SharedPlace>,
    /// Control group below which its own is made.
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup_parent: Option<String>,
    /// Capabilities beyond the Engine's default.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_add: BTreeSet<String>,
    /// Capabilities that it lacks.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_drop: BTreeSet<String>,
    /// No isolation from the host's devices and kernel.
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// The root file system can't be written.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Options of the kernel's security modules; a seccomp profile is here with its content.
    #[serde(skip_serializing_if = "is_default")]
    pub security_opt: BTreeSet<String>,
    /// Further groups of its user.
    #[serde(skip_serializing_if = "is_default")]
    pub group_add: BTreeSet<String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<Device>,
    /// Rules of the device control group: `c 1:3 mr`.
    #[serde(skip_serializing_if = "is_default")]
    pub device_cgroup_rules: BTreeSet<String>,
    /// Devices that the Engine picks, such as GPUs.
    #[serde(skip_serializing_if = "is_default")]
    pub device_requests: Vec<DeviceRequest>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "is_default")]
    pub logging: Option<Logging>,
    /// The kernel does not kill it when memory is short.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_kill_disable: bool,
    /// How readily the kernel kills it, -1000 to 1000.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_score_adj: Option<i64>,
    /// OCI runtime.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime: Option<String>,
    /// Kind of isolation (Windows).
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: Option<String>,
    /// Platform of the image: `linux/arm64`.
    #[serde(skip_serializing_if = "is_default")]
    pub platform: Option<String>,
    /// When the image is pulled. No property of the container: a change replaces nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub pull_policy: PullPolicy,
    /// Size of `/dev/shm`.
    #[serde(skip_serializing_if = "is_default")]
    pub shm_size_bytes: Option<u64>,
    /// Options of the storage driver.
    #[serde(skip_serializing_if = "is_default")]
    pub storage_opt: BTreeMap<String, String>,
    /// Kernel parameters of its namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: BTreeMap<String, String>,
    /// Annotations for the OCI runtime (API 1.43).
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Memory file systems: path to options of mount(8).
    #[serde(skip_serializing_if = "is_default")]
    pub tmpfs: BTreeMap<String, String>,
    /// Limits of its processes by name.
    #[serde(skip_serializing_if = "is_default")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Containers all of whose volumes it mounts.
    #[serde(skip_serializing_if = "is_default")]
    pub volumes_from: Vec<SharedVolumes>,
    /// Services whose container on this host it uses ([`SharedPlace::Service`], `volumes_from`), with a digest of what
    /// theirs is to be: a new one of theirs needs a new one here.
    #[serde(skip_serializing_if = "is_default")]
    pub shares: BTreeMap<Name, String>,
    /// Secrets that are files in it.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: Vec<SecretFile>,
    /// Variables whose values hold secrets, besides those of `environment`.
    #[serde(skip_serializing_if = "is_default")]
    pub secret_environment: BTreeMap<String, SecretVariable>,
}

impl ContainerSpec {
    /// Every secret that a container of this specification needs; some may be named twice.
    pub fn secret_refs(&self) -> impl Iterator<Item = &SecretRef> {
        let files = self.secrets.iter().map(|file| &file.secret);
        files.chain(self.secret_environment.values().flat_map(|variable| &variable.secrets))
    }
}

/// Where a container's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    /// Driver; `None` is the Engine's own default.
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When the Engine lacks it.
    #[default]
    Missing,
    /// Each time that a container is created from it.
    Always,
    /// Never: it is there, or the container can't be created.
    Never,
}

/// One entry of `volumes_from`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedVolumes {
    /// Whose.
    pub from: SharedPlace,
    /// All of them read-only.
    pub read_only: bool,
}

/// A port published on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address to bind; `None` is all.
    pub host_ip: Option<String>,
    /// Port of the host; `None` is any free one.
    pub host_port: Option<u16>,
    /// Port of the container.
    pub container_port: u16,
    /// Protocol.
    pub transport: Transport,
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
        }
    }
}

/// Health check run by the Engine inside the container. Times in milliseconds; `None` is the image's or Docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", …]`, `["NONE"]`; empty keeps the image's.
    pub test: Vec<String>,
    /// Between checks.
    pub interval_ms: Option<u64>,
    /// For one check.
    pub timeout_ms: Option<u64>,
    /// Failures in a row.
    pub retries: Option<u32>,
    /// Grace after the start.
    pub start_period_ms: Option<u64>,
    /// Between checks within that grace (API 1.44).
    #[serde(skip_serializing_if = "is_default")]
    pub start_interval_ms: Option<u64>,
}

/// Restart policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Always.
    Always,
    /// When it fails, at most so often.
    OnFailure(Option<u32>),
    /// Always but when an operator stopped it.
    UnlessStopped,
}
