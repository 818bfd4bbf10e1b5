//! What an agent is to create: one container, as the user described it, with an image by digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One container. Only what the user (or Wharf on their behalf) set is set here; the Engine's defaults fill the rest.
///
/// The hash of this record's canonical JSON is the label `wharf.spec`: equal means nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
}

/// A port published on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
}

impl Transport {
    /// `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountSpec {
    /// What.
    pub source: MountSource,
    /// Path in the container.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A named volume, by its real name on the host.
    Volume(String),
    /// An anonymous volume.
    Anonymous,
    /// An absolute path of the host.
    HostPath(String),
    /// Memory.
    Tmpfs,
    /// A read-only copy of a file or directory that travelled with the application: `<bundle digest>` of a
    /// [`crate::FileBundle`].
    Files(String),
}

/// Part in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkAttachment {
    /// Real name on the host.
    pub network: String,
    /// Names by which others on that network find the container.
    pub aliases: Vec<String>,
}

/// Health check run by the Engine inside the container. Times in milliseconds; `None` is the image's or Docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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

/// Limits (`None`: no limit) and reservations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceLimits {
    /// Billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// Bytes.
    pub memory_bytes: Option<i64>,
    /// Bytes that are kept for it when memory is short.
    pub memory_reservation_bytes: Option<i64>,
    /// Processes.
    pub pids: Option<i64>,
}
