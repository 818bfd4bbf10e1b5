//! Settings of both sides.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Section `agents` of wharf.yaml: the server's side of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where agents connect to. Always TLS with client certificates, so any address is fine.
    #[serde(with = "wharf_base::addresses")]
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddr>,
    /// Time between pings on each agent's connection.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub ping_interval: Duration,
    /// Longest wait for the answer to a ping; then the host is lost.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub ping_timeout: Duration,
    /// How long the targets of a lost host stay in the balancers' table, marked as lost.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub lost_targets_kept: Duration,
    /// How long after the server's start a host may take to connect before it counts as lost.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub reconnect_grace: Duration,
    /// Most agent connections.
    pub connections_max: usize,
    /// Most hosts that may join.
    pub hosts_max: usize,
    /// Most calls (logs, exec, run, restart) that a host has at a time.
    pub calls_max: usize,
    /// Newest generations that are kept whole; of older ones only the line in the list stays.
    pub generations_kept: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 7701))],
            // A lost host is to be noticed within three seconds; measured, the sum of both (with 1 s and 2 s: 3.002 s).
            ping_interval: Duration::from_secs(1),
            ping_timeout: Duration::from_millis(1_800),
            lost_targets_kept: Duration::from_secs(60),
            // Agents wait at most 5 s between tries.
            reconnect_grace: Duration::from_secs(10),
            connections_max: 4_096,
            hosts_max: 2_000,
            // Times `server::WINDOWS.stream`, half of the window of the connection.
            calls_max: 64,
            generations_kept: 1_000,
        }
    }
}

/// Section `agent` of wharf.yaml: how an agent works on its host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// Docker Engine's socket; `None` is `$DOCKER_HOST` or /var/run/docker.sock.
    pub engine: Option<String>,
    /// How often containers are compared with the desired state even when nothing happened.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub converge_interval: Duration,
    /// How often a report is sent even when nothing changed.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub report_interval: Duration,
    /// How many instances are created or replaced at a time.
    pub starts_max: usize,
    /// How many instances are stopped and removed at a time.
    pub stops_max: usize,
    /// How long a container without any check must run before it counts as healthy.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub settle: Duration,
    /// Longest wait before a failed instance is tried again.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub retry_wait_max: Duration,
    /// Directory in memory for the secrets of containers; `None` is /run/wharf/secrets for root, else below
    /// $XDG_RUNTIME_DIR. Where it is on a disk, the agent mounts a tmpfs there.
    pub secrets: Option<std::path::PathBuf>,
    /// What is done about a container that somebody changed by hand. `report` holds for all containers of the host;
    /// with `repair` a service may still ask for `report` (`x-wharf.drift`).
    pub drift: DriftPolicy,
    /// How often what no generation names is looked for, besides after every change.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub orphans_interval: Duration,
}

/// What is done about a container that somebody changed by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftPolicy {
    /// It is put right.
    #[default]
    Repair,
    /// It is left as it is; an event and `wharf plan` tell.
    Report,
}

impl Default for AgentConfig {
    fn default() -> AgentConfig {
        AgentConfig {
            engine: None,
            converge_interval: Duration::from_secs(10),
            report_interval: Duration::from_secs(10),
            // Engine 20.10 starts a container in 0.36 s with one core busy; more at a time only queue inside of it.
            starts_max: 4,
            // Stopping is waiting for the application, not work.
            stops_max: 16,
            settle: Duration::from_millis(500),
            retry_wait_max: Duration::from_secs(30),
            drift: DriftPolicy::Repair,
            // Only people make orphans, and only people ask for them.
            orphans_interval: Duration::from_secs(60),
            secrets: None,
        }
    }
}
