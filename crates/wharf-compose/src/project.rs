//! The typed result of loading Compose files: what a deploy works with.
//!
//! Everything here is plain data that travels as JSON from the command line to the server, so the loader's
//! positions are gone: whatever is wrong with a file was said while loading. Maps are sorted, durations are
//! [`std::time::Duration`] (stored as Go durations), sizes are bytes. A field that the user did not set is `None`
//! or empty, never a default: defaults belong to whoever carries it out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One application: the resolved and merged content of its Compose files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// `name:`, else the directory's name, normalised as Compose does (`[a-z0-9][a-z0-9_-]*`).
    pub name: String,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Networks that services refer to, by their key; `default` is there when any service uses it.
    #[serde(default)]
    pub networks: BTreeMap<String, Network>,
    /// Named volumes by their key.
    #[serde(default)]
    pub volumes: BTreeMap<String, Volume>,
}

/// One service of an application (compose-spec `05-services.md`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Image reference as written. With `build` it is the name of the result.
    pub image: Option<String>,
    /// How to build the image.
    pub build: Option<Build>,
    /// Overrides CMD. A string in the file was split as a shell would (compose-spec, `command`).
    pub command: Option<Vec<String>>,
    /// Overrides ENTRYPOINT; an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// env_file contents first, then `environment`; a key without a value that the shell doesn't set is absent.
    pub environment: BTreeMap<String, String>,
    /// Ports to publish on the host.
    pub ports: Vec<Port>,
    /// Ports that other services may reach: (port, protocol).
    pub expose: Vec<ExposedPort>,
    /// Mounts.
    pub volumes: Vec<Mount>,
    /// Networks by key; `{"default": …}` when the file names none; empty only with `network_mode`.
    pub networks: BTreeMap<String, ServiceNetwork>,
    /// Health check of the container.
    pub healthcheck: Option<Healthcheck>,
    /// `restart`.
    pub restart: Option<Restart>,
    /// Services that must be up first, with the condition.
    pub depends_on: BTreeMap<String, Dependency>,
    /// `deploy`.
    pub deploy: Deploy,
    /// Time from the stop signal to SIGKILL.
    #[serde(with = "optional_duration")]
    pub stop_grace_period: Option<Duration>,
    /// Signal that stops the container, `SIGTERM` or a number.
    pub stop_signal: Option<String>,
    /// Fixed name of the container; such a service runs once.
    pub container_name: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `user`.
    pub user: Option<String>,
    /// `working_dir`.
    pub working_dir: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `init`.
    pub init: Option<bool>,
    /// `x-wharf`.
    pub x_wharf: XWharf,
}

impl Service {
    /// Why two releases of this service can't run side by side on one host, or `None` if they can.
    ///
    /// A fixed container name, a fixed host port, or a mount that is written: such a service is stopped, then
    /// started (design section 8). The text completes "…, but ".
    pub fn runs_once_because(&self) -> Option<&'static str> {
        let writes = |mount: &Mount| mount.source.is_some() && !mount.read_only;
        if self.container_name.is_some() {
            Some("it has a `container_name`")
        } else if self.ports.iter().any(|port| port.published.is_some()) {
            Some("it publishes a fixed host port")
        } else if self.volumes.iter().any(writes) {
            Some("it writes to a volume")
        } else {
            None
        }
    }
}

/// `build` (compose-spec `build.md`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// Context directory, absolute or relative to the project directory, as resolved by the loader.
    pub context: String,
    /// Dockerfile, relative to the context; `None` is `Dockerfile`.
    pub dockerfile: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Stage to build.
    pub target: Option<String>,
    /// Labels for the image.
    pub labels: BTreeMap<String, String>,
}

/// One published port after expanding ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Address of the host to bind; `None` is all.
    pub host_ip: Option<String>,
    /// Port of the host; `None` is any free one.
    pub published: Option<u16>,
    /// Port of the container.
    pub target: u16,
    /// `tcp` or `udp`.
    pub protocol: Protocol,
}

/// A port of the container that is not published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExposedPort {
    /// Port of the container.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: Protocol,
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// One entry of `volumes`, long or short form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Volume key or host path (absolute, or relative to the project directory); `None` is an anonymous volume
    /// or a tmpfs.
    pub source: Option<String>,
    /// Path in the container.
    pub target: String,
    /// `ro`.
    pub read_only: bool,
}

/// Kinds of mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// Named or anonymous volume.
    Volume,
    /// Host path.
    Bind,
    /// Memory.
    Tmpfs,
}

/// How a service takes part in a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceNetwork {
    /// Further names by which others find the service there.
    pub aliases: Vec<String>,
}

/// Top-level `networks` entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Exists already and is not ours.
    pub external: bool,
    /// Real name instead of `<project>_<key>`.
    pub name: Option<String>,
    /// `driver`; `None` is the Engine's default, `bridge`.
    pub driver: Option<String>,
    /// `internal`: no way out.
    pub internal: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Top-level `volumes` entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Volume {
    /// Exists already and is not ours.
    pub external: bool,
    /// Real name instead of `<project>_<key>`.
    pub name: Option<String>,
    /// `driver`.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// `healthcheck`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", …]` or `["NONE"]`; `None` keeps the image's test. A string is CMD-SHELL.
    pub test: Option<Vec<String>>,
    /// Time between checks.
    #[serde(with = "optional_duration")]
    pub interval: Option<Duration>,
    /// Time for one check.
    #[serde(with = "optional_duration")]
    pub timeout: Option<Duration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
    /// Time after the start in which failures don't count.
    #[serde(with = "optional_duration")]
    pub start_period: Option<Duration>,
    /// `disable: true`.
    pub disable: bool,
}

/// `restart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// `no`.
    No,
    /// `always`.
    Always,
    /// `on-failure[:n]`.
    OnFailure(Option<u32>),
    /// `unless-stopped`.
    UnlessStopped,
}

/// One entry of `depends_on`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// When the dependency counts as up.
    pub condition: Condition,
    /// `required: false` tolerates that it is missing.
    pub required: bool,
}

/// `depends_on.condition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its container runs.
    ServiceStarted,
    /// Its health check passes.
    ServiceHealthy,
    /// It ended with status 0.
    ServiceCompletedSuccessfully,
}

/// `deploy`, as far as one Engine can carry it out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deploy {
    /// Number of containers; `None` is 1.
    pub replicas: Option<u32>,
    /// `resources.limits`.
    pub limits: Resources,
    /// `resources.reservations`.
    pub reservations: Resources,
    /// `deploy.labels`.
    pub labels: BTreeMap<String, String>,
}

/// CPU, memory and pids of a limit or reservation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// CPUs, 0.5 is half of one.
    pub cpus: Option<f64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Number of processes.
    pub pids: Option<i64>,
}

/// `x-wharf` on a service: what Compose has no words for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct XWharf {
    /// Which hosts may run it.
    pub hosts: Option<HostSelector>,
    /// How requests from outside reach it.
    pub route: Option<Route>,
    /// HTTP (or TCP) health as seen from outside of the container.
    pub health: Option<Health>,
    /// How a new release takes over.
    pub rollout: Option<Rollout>,
    /// What is done when somebody changes its containers by hand; `None` puts them right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftPolicy>,
}

/// `drift: repair` or `report`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftPolicy {
    /// The container is put right.
    Repair,
    /// It is left as it is; an event and `wharf plan` tell.
    Report,
}

/// `hosts: pool(web)`, `label(key=value)`, `host(name)` or `any`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostSelector {
    /// Every host.
    Any,
    /// Hosts with label `pool=<name>`.
    Pool(String),
    /// Hosts with this label (key, value).
    Label(String, String),
    /// This one host.
    Host(String),
}

/// `route`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Host name to match, `*.example.com` for one level; `None` matches every name.
    pub host: Option<String>,
    /// Path prefix to match, on segment borders; `/` by default.
    pub path: String,
    /// Port of the container.
    pub port: u16,
    /// Policy.
    pub balance: Balance,
    /// Longest time for one request, response included, that the balancer waits.
    #[serde(with = "optional_duration")]
    pub timeout: Option<Duration>,
}

/// `route.balance`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In turn.
    #[default]
    RoundRobin,
    /// Fewest requests in flight.
    LeastConn,
}

/// `health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Path to GET; `None` only connects.
    pub path: Option<String>,
    /// Port of the container; `None` is the route's.
    pub port: Option<u16>,
    /// Time between checks.
    #[serde(with = "wharf_base::duration")]
    pub interval: Duration,
    /// Time for one check.
    #[serde(with = "wharf_base::duration")]
    pub timeout: Duration,
    /// Successes in a row that make it healthy.
    pub rise: u32,
    /// Failures in a row that make it unhealthy.
    pub fall: u32,
    /// Time after the start in which it may be unhealthy before the deploy gives up.
    #[serde(with = "wharf_base::duration")]
    pub start_period: Duration,
}

/// `rollout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// How.
    pub strategy: Strategy,
    /// Longest time that old containers get to finish the requests in flight.
    #[serde(with = "wharf_base::duration")]
    pub drain: Duration,
}

/// `rollout.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// New beside old, switch, drain.
    BlueGreen,
    /// Stop, then start.
    Recreate,
}

/// Serde form of `Option<Duration>`: a Go duration or null.
mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => wharf_base::duration::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) => wharf_base::duration::parse(&text).map(Some).map_err(serde::de::Error::custom),
            None => Ok(None),
        }
    }
}
