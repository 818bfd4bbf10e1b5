//! The typed result of loading Compose files: what a deploy works with.
//!
//! Everything here is plain data that travels as JSON from the command line to the server, so the loader's
//! positions are gone: whatever is wrong with a file was said while loading. Maps are sorted, durations are
//! [`std::time::Duration`] (stored as Go durations), sizes are bytes. A field that the user did not set is `None`
//! or empty, never a default: defaults belong to whoever carries it out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod build;
mod container;
mod mount;
mod network;

pub use build::Build;
pub use container::{
    BlkioConfig, Device, DeviceRequest, ExtraHost, FileMount, Logging, Namespace, NetworkMode, PullPolicy,
    Ulimit,
};
pub use mount::{FileSource, Mount, MountKind, MountOptions, Propagation, Selinux, Volume};
pub use network::{Ipam, IpamPool, Network, ServiceNetwork};

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
    /// Secrets by their key.
    #[serde(default)]
    pub secrets: BTreeMap<String, FileSource>,
    /// Configs by their key.
    #[serde(default)]
    pub configs: BTreeMap<String, FileSource>,
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
    /// `blkio_config`.
    pub blkio_config: BlkioConfig,
    /// `cap_add`, such as `SYS_TIME`, as written.
    pub cap_add: Vec<String>,
    /// `cap_drop`.
    pub cap_drop: Vec<String>,
    /// `cgroup`: host or private.
    pub cgroup: Option<Namespace>,
    /// `cgroup_parent`.
    pub cgroup_parent: Option<String>,
    /// `configs`.
    pub configs: Vec<FileMount>,
    /// `cpu_period` in microseconds.
    pub cpu_period: Option<i64>,
    /// `cpu_quota` in microseconds.
    pub cpu_quota: Option<i64>,
    /// `cpu_rt_period` in microseconds.
    pub cpu_rt_period: Option<i64>,
    /// `cpu_rt_runtime` in microseconds.
    pub cpu_rt_runtime: Option<i64>,
    /// `cpu_shares`: weight among containers, 1024 is usual.
    pub cpu_shares: Option<i64>,
    /// `cpuset`: `0-3` or `0,1`.
    pub cpuset: Option<String>,
    /// `device_cgroup_rules`, such as `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
    /// `gpus` and `deploy.resources.reservations.devices`.
    pub device_requests: Vec<DeviceRequest>,
    /// `devices`.
    pub devices: Vec<Device>,
    /// `dns`: addresses of servers.
    pub dns: Vec<String>,
    /// `dns_opt`: options of resolv.conf.
    pub dns_opt: Vec<String>,
    /// `dns_search`: domains.
    pub dns_search: Vec<String>,
    /// `domainname`.
    pub domainname: Option<String>,
    /// `extra_hosts`.
    pub extra_hosts: Vec<ExtraHost>,
    /// `group_add`: names or numbers.
    pub group_add: Vec<String>,
    /// `ipc`.
    pub ipc: Option<Namespace>,
    /// `logging`.
    pub logging: Option<Logging>,
    /// `mac_address`.
    pub mac_address: Option<String>,
    /// `mem_swappiness`, 0 to 100.
    pub mem_swappiness: Option<i64>,
    /// `memswap_limit`: memory and swap together in bytes; -1 is no limit.
    pub memswap_limit_bytes: Option<i64>,
    /// `network_mode`; with it `networks` is empty.
    pub network_mode: Option<NetworkMode>,
    /// `oom_kill_disable`.
    pub oom_kill_disable: bool,
    /// `oom_score_adj`, -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// `pid`: host, service or container.
    pub pid: Option<Namespace>,
    /// `platform`: `os[/arch[/variant]]`.
    pub platform: Option<String>,
    /// `privileged`.
    pub privileged: bool,
    /// `pull_policy`.
    pub pull_policy: Option<PullPolicy>,
    /// `read_only`: the root file system.
    pub read_only: bool,
    /// `runtime`, such as `runsc`.
    pub runtime: Option<String>,
    /// `secrets`.
    pub secrets: Vec<FileMount>,
    /// `security_opt`, as written.
    pub security_opt: Vec<String>,
    /// `shm_size` in bytes.
    pub shm_size_bytes: Option<u64>,
    /// `stdin_open`.
    pub stdin_open: bool,
    /// `storage_opt`.
    pub storage_opt: BTreeMap<String, String>,
    /// `sysctls`.
    pub sysctls: BTreeMap<String, String>,
    /// `tmpfs`: options of mount(8) by path in the container, perhaps empty.
    pub tmpfs: BTreeMap<String, String>,
    /// `tty`.
    pub tty: bool,
    /// `ulimits` by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// `userns_mode`: host.
    pub userns_mode: Option<Namespace>,
    /// `uts`: host.
    pub uts: Option<Namespace>,
    /// `x-wharf`.
    pub x_wharf: XWharf,
}

impl Service {
    /// Why two releases of this service can't run side by side on one host, or `None` if they can.
    ///
    /// A fixed container name, host port or address, the host's network, or a mount that is written: such a service is stopped, then
    /// started (design section 8). The text completes "…, but ".
    pub fn runs_once_because(&self) -> Option<&'static str> {
        let writes = |mount: &Mount| mount.source.is_some() && !mount.read_only;
        if self.container_name.is_some() {
            Some("it has a `container_name`")
        } else if self.ports.iter().any(|port| port.published.is_some()) {
            Some("it publishes a fixed host port")
        } else if self.volumes.iter().any(writes) {
            Some("it writes to a volume")
        } else if self.networks.values().any(|network| network.has_fixed_address())
            || self.mac_address.is_some()
        {
            Some("it has a fixed address")
        } else if matches!(self.network_mode, Some(NetworkMode::Host)) {
            Some("it uses the host's network")
        } else {
            None
        }
    }
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
    /// Time between checks in the start period (Engine 25, API 1.44).
    #[serde(with = "optional_duration")]
    pub start_interval: Option<Duration>,
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
    /// Commands that are run once, in the new image, before requests go to a new release; in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before_switch: Vec<BeforeSwitch>,
    /// What is done when somebody changes its containers by hand; `None` puts them right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftPolicy>,
    /// What happens to its containers when their host is lost; `None` leaves it to the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reschedule: Option<Reschedule>,
}

/// One command of `before_switch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeforeSwitch {
    /// Program and arguments, as `command` of a service.
    pub command: Vec<String>,
    /// The command is ended, and the deploy refused, when it takes longer.
    #[serde(with = "wharf_base::duration")]
    pub timeout: Duration,
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

/// `reschedule`: whether containers are started elsewhere when their host is lost. A lost host may still run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reschedule {
    /// Yes, although two may then run at the same time.
    Always,
    /// No.
    Never,
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
