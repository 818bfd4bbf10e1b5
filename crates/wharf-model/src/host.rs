//! What is known of the hosts: who they are and what their agents report.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::UnixMillis;

use crate::Name;

/// A host as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostView {
    /// Unique name.
    pub name: Name,
    /// Labels given when it joined: `pool=web`, `colour=green`.
    pub labels: BTreeMap<String, String>,
    /// Whether its agent is connected.
    pub liveness: Liveness,
    /// An operator drains it: it gets no new instances.
    pub draining: bool,
    /// When the agent was last heard.
    pub last_seen: UnixMillis,
    /// Private address at which balancers reach its containers; `None` for the server's own host.
    pub address: Option<String>,
    /// Version of the Engine, as the agent reported it.
    pub engine_version: Option<String>,
    /// Version of the agent.
    pub agent_version: Option<String>,
    /// Number of CPUs.
    pub cpus: Option<u32>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Last generation to which it has converged.
    pub generation: u64,
    /// Instances that the desired state puts there.
    pub instances_desired: u32,
    /// Instances that it reports as healthy.
    pub instances_healthy: u32,
    /// Bytes of image layers that it has pulled since its agent started.
    #[serde(default)]
    pub pulled_bytes: u64,
    /// When the liveness became what it is, as far as this server process has seen it.
    #[serde(default)]
    pub since: Option<UnixMillis>,
    /// What keeps the whole host from converging, in words.
    #[serde(default)]
    pub problem: Option<String>,
    /// The generation that it works on now.
    #[serde(default)]
    pub generation_seen: u64,
    /// Architecture in the Engine's words: `x86_64`, `aarch64`.
    #[serde(default)]
    pub architecture: Option<String>,
    /// Operating system and its version.
    #[serde(default)]
    pub operating_system: Option<String>,
    /// Version of the kernel.
    #[serde(default)]
    pub kernel: Option<String>,
    /// How much of it is in use; `None` before a report, and of agents that don't tell.
    #[serde(default)]
    pub resources: Option<HostResources>,
    /// When its newest certificate ends; it gets the next one long before. `None` for the server's own host.
    #[serde(default)]
    pub certificate_expires: Option<UnixMillis>,
    /// Milliseconds by which its clock is ahead of the server's, less the time of the report's way; negative when it is
    /// behind. `None` before a report, and of agents that don't tell.
    #[serde(default)]
    pub clock_skew_ms: Option<i64>,
}

impl HostView {
    /// A host that has joined and of which nothing else is known yet.
    pub fn new(name: Name, liveness: Liveness) -> HostView {
        HostView {
            name,
            labels: BTreeMap::new(),
            liveness,
            draining: false,
            last_seen: UnixMillis(0),
            address: None,
            engine_version: None,
            agent_version: None,
            cpus: None,
            memory_bytes: None,
            generation: 0,
            instances_desired: 0,
            instances_healthy: 0,
            pulled_bytes: 0,
            since: None,
            problem: None,
            generation_seen: 0,
            architecture: None,
            operating_system: None,
            kernel: None,
            resources: None,
            certificate_expires: None,
            clock_skew_ms: None,
        }
    }
}

/// How much of a host is in use, when its last report was made. What could not be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostResources {
    /// Runnable and uninterruptible tasks, means of the last 1, 5 and 15 minutes (`/proc/loadavg`).
    pub load: Option<[f64; 3]>,
    /// Share of all CPUs' time that was neither idle nor waiting for disks, since the sample before; 0 to 1.
    pub cpu_busy: Option<f64>,
    /// Bytes that programs can still get without swapping (`MemAvailable`).
    pub memory_available_bytes: Option<u64>,
    /// Directory of the Engine's images and containers; the next two are of its file system.
    pub disk_path: Option<String>,
    /// Bytes of that file system.
    pub disk_bytes: Option<u64>,
    /// Bytes that unprivileged processes may still write there.
    pub disk_free_bytes: Option<u64>,
}

/// Whether a host's agent is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// Joined, but never connected.
    #[default]
    Never,
    /// Its connection is up.
    Up,
    /// Its connection was lost, or it answered no ping in time.
    Lost,
}

/// What an agent reports, whole, after every change and every 10 s.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostReport {
    /// Last generation that it has converged to completely; 0 before the first.
    pub generation: u64,
    /// The generation that it works on now.
    pub generation_seen: u64,
    /// Its instances.
    pub instances: Vec<InstanceReport>,
    /// Images that it is to have: [`crate::AppDesired::images`].
    pub images: Vec<ImageReport>,
    /// Version of the agent.
    pub agent_version: String,
    /// Version of the Engine; empty when the Engine does not answer.
    pub engine_version: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of image layers that it has pulled since the agent started.
    pub pulled_bytes: u64,
    /// What keeps the whole host from converging (Engine down, disk full), in words.
    pub problem: Option<String>,
    /// Architecture in the Engine's words; empty when not known.
    pub architecture: String,
    /// Operating system and its version; empty when not known.
    pub operating_system: String,
    /// Version of the kernel; empty when not known.
    pub kernel: String,
    /// Directory of the Engine's images and containers; empty when not known.
    pub docker_root: String,
    /// How much of the host is in use.
    pub resources: Option<HostResources>,
    /// Its clock when this was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<UnixMillis>,
    /// What was changed by hand, the newest last (at most 50).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drifts: Vec<Drift>,
    /// What carries a label of ours (or, of containers, of an application's Compose project) and no generation names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
}

/// A container or network that somebody changed behind Wharf's back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// When it was found.
    pub at: UnixMillis,
    /// Application.
    pub app: Name,
    /// [`crate::Instance::id`].
    pub instance: String,
    /// What is not as desired, in words: `paused`, `memory is 64 MiB instead of 128 MiB`.
    pub what: String,
    /// What was done about it.
    pub outcome: DriftOutcome,
}

/// What was done about a drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftOutcome {
    /// It is being put right.
    Repairing,
    /// It was put right.
    Repaired,
    /// The policy is to report it only; it is still so.
    Reported,
    /// It was only reported, and is as desired again.
    Resolved,
}

impl DriftOutcome {
    /// One word for tables.
    pub fn word(self) -> &'static str {
        match self {
            DriftOutcome::Repairing => "repairing",
            DriftOutcome::Repaired => "repaired",
            DriftOutcome::Reported => "reported",
            DriftOutcome::Resolved => "resolved",
        }
    }

    /// Whether it is still so.
    pub fn is_open(self) -> bool {
        matches!(self, DriftOutcome::Repairing | DriftOutcome::Reported)
    }
}

/// Something on a host that no generation names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Orphan {
    /// What it is.
    pub kind: OrphanKind,
    /// The Engine's name of it.
    pub name: String,
    /// The Engine's id; of a volume, its name.
    pub id: String,
    /// Application, as its labels say.
    pub app: String,
    /// Whose it is.
    pub owner: OrphanOwner,
    /// More for people: `exited`.
    pub detail: String,
    /// Why it could not be removed when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whose an orphan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrphanOwner {
    /// Made by this agent.
    ThisAgent,
    /// Made by an agent with another data directory: an earlier one, or another installation on the same Engine.
    OtherAgent,
    /// Not made by Wharf: never removed.
    Foreign,
}

impl OrphanOwner {
    /// The words in tables.
    pub fn words(self) -> &'static str {
        match self {
            OrphanOwner::ThisAgent => "ours",
            OrphanOwner::OtherAgent => "of another agent",
            OrphanOwner::Foreign => "not ours",
        }
    }
}

/// An orphan that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrphanTarget {
    /// What it is.
    pub kind: OrphanKind,
    /// [`Orphan::id`].
    pub id: String,
}

/// What an orphan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrphanKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume: it may hold data.
    Volume,
}

impl OrphanKind {
    /// The word in tables and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            OrphanKind::Container => "container",
            OrphanKind::Network => "network",
            OrphanKind::Volume => "volume",
        }
    }
}

/// An image that a host is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReport {
    /// Reference.
    pub image: String,
    /// State.
    pub state: ImageState,
}

/// Whether an image is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ImageState {
    /// It is being pulled.
    Pulling,
    /// The Engine has it.
    Present,
    /// It can't be pulled.
    Failed {
        /// What was tried and what went wrong.
        reason: String,
    },
}

/// One instance as its agent sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceReport {
    /// [`crate::Instance::id`].
    pub id: String,
    /// Application.
    pub app: Name,
    /// Service.
    pub service: Name,
    /// Release.
    pub release: u32,
    /// Slot.
    pub slot: u32,
    /// State.
    pub state: InstanceState,
    /// Where balancers connect to: the container's own address on the server's host, a published port elsewhere.
    pub address: Option<std::net::SocketAddr>,
    /// The Engine's id of the container.
    pub container_id: Option<String>,
    /// When this state began.
    pub since: UnixMillis,
    /// How often the Engine restarted it.
    pub restarts: u32,
    /// Last lines of its log (at most 20), when it is unhealthy, exited or failed.
    pub log_tail: Vec<String>,
}

/// State of an instance, in the order of a normal life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum InstanceState {
    /// Waits for what it depends on.
    Waiting,
    /// Its image is being pulled.
    Pulling,
    /// It runs and no check has passed yet.
    Starting,
    /// It runs and every check passes (or it has none).
    Healthy,
    /// It runs and a check fails.
    Unhealthy {
        /// What the check saw, in words.
        reason: String,
    },
    /// It is being stopped.
    Stopping,
    /// It ended.
    Exited {
        /// Exit status.
        code: i64,
    },
    /// It can't be made or started.
    Failed {
        /// What was tried and what went wrong.
        reason: String,
    },
}

impl InstanceState {
    /// Whether balancers may send requests to it.
    pub fn is_healthy(&self) -> bool {
        matches!(self, InstanceState::Healthy)
    }

    /// One word for tables.
    pub fn word(&self) -> &'static str {
        match self {
            InstanceState::Waiting => "waiting",
            InstanceState::Pulling => "pulling",
            InstanceState::Starting => "starting",
            InstanceState::Healthy => "healthy",
            InstanceState::Unhealthy { .. } => "unhealthy",
            InstanceState::Stopping => "stopping",
            InstanceState::Exited { .. } => "exited",
            InstanceState::Failed { .. } => "failed",
        }
    }
}

/// Everything that the agents last said, with who is alive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Newest generation of the server.
    pub generation: u64,
    /// By host.
    pub hosts: BTreeMap<Name, (Liveness, HostReport)>,
}

impl Observed {
    /// The report on one instance, if its host is up and mentions it.
    pub fn instance(&self, host: &Name, id: &str) -> Option<&InstanceReport> {
        let (liveness, report) = self.hosts.get(host)?;
        if *liveness != Liveness::Up {
            return None;
        }
        report.instances.iter().find(|instance| instance.id == id)
    }
}
