//! Desired state: what runs where, and how requests reach it, under one number for the whole installation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wharf_base::{Digest, UnixMillis};

use crate::default::is_default;
use crate::{Balance, ContainerSpec, HealthCheck, Name};

/// One numbered state of the whole installation. Numbers grow by one; a generation never changes once stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// The number, from 1; 0 is the empty state before the first change.
    pub number: u64,
    /// When it was made.
    pub created: UnixMillis,
    /// Who asked for it.
    pub author: String,
    /// Why, in words: `deploy shop release 2: start`.
    pub reason: String,
    /// Applications by name.
    pub apps: BTreeMap<Name, AppDesired>,
}

impl Generation {
    /// The first route of `desired` that another application than `app` has: host and path are the same. Returns it with
    /// that application and its service. What `app` has in this generation already is left out, so that what is
    /// wrong once can still be undone.
    pub fn taken_route<'a>(
        &'a self,
        app: &Name,
        desired: &'a AppDesired,
    ) -> Option<(&'a RouteSpec, &'a Name, &'a Name)> {
        let own = self.apps.get(app).map(|app| app.routes.as_slice()).unwrap_or_default();
        let is_new = |route: &&RouteSpec| !own.iter().any(|own| own.is_same_place(route));
        desired.routes.iter().filter(is_new).find_map(|route| {
            let mut others = self.apps.iter().filter(|(name, _)| *name != app);
            others.find_map(|(name, other)| {
                let taken = other.routes.iter().find(|other| other.is_same_place(route))?;
                Some((route, name, &taken.service))
            })
        })
    }
}

/// What one application is to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppDesired {
    /// The release that serves (or is to serve) requests.
    pub release: u32,
    /// Containers, old and new ones during a rollout.
    pub instances: Vec<Instance>,
    /// Ids of instances that run on but get no new requests, because a later generation will leave them out:
    /// [`crate::TargetState::Draining`] in the table.
    pub draining: BTreeSet<String>,
    /// Routes and the release to which each sends requests.
    pub routes: Vec<RouteSpec>,
    /// Networks to make on each host that runs an instance attached to them.
    pub networks: Vec<NetworkSpec>,
    /// Volumes to make on each host that runs an instance that mounts them. Volumes are never removed.
    pub volumes: Vec<VolumeSpec>,
    /// Files that travel with the application.
    pub files: Vec<FileBundle>,
    /// Images to have on hosts before anything needs them there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageSpec>,
    /// Services whose containers are not put right when somebody changes them by hand: that is reported only.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub reported: BTreeSet<Name>,
}

/// An image to have on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The host.
    pub host: Name,
    /// Reference.
    pub image: String,
}

/// One container on one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// `<app>-<service>-r<release>-<slot>`; unique in the installation, and the container's name unless the user
    /// set one.
    pub id: String,
    /// Service of the application.
    pub service: Name,
    /// Release whose image and settings it has.
    pub release: u32,
    /// Number of this replica, from 1.
    pub slot: u32,
    /// Host that runs it.
    pub host: Name,
    /// The container.
    pub spec: ContainerSpec,
    /// The port that balancers connect to, if the service is routed.
    pub serve: Option<Serve>,
    /// Health as probed by the agent from outside of the container, besides the Engine's own check.
    pub probe: Option<Probe>,
    /// What must be up on the same host before this one is started, by service.
    pub after: BTreeMap<Name, WaitFor>,
}

/// Condition on a service of the same application and host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// Its container runs.
    Started,
    /// It is healthy.
    Healthy,
    /// It ended with status 0.
    Completed,
}

/// How balancers reach an instance. With `peer: direct` the agent of a host other than the server's publishes
/// `port` on a free port of the host's private address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serve {
    /// TCP port of the container.
    pub port: u16,
}

/// An HTTP GET (2xx or 3xx is healthy) or, without a path, a TCP connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Port of the container.
    pub port: u16,
    /// Path to GET; `None` only connects.
    pub path: Option<String>,
    /// Milliseconds between checks.
    pub interval_ms: u64,
    /// Milliseconds for one check.
    pub timeout_ms: u64,
    /// Successes in a row that make it healthy.
    pub rise: u32,
    /// Failures in a row that make it unhealthy.
    pub fall: u32,
}

/// A route of the generation; its targets come from what agents report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSpec {
    /// Service that answers.
    pub service: Name,
    /// Release that gets the requests: the switch of a blue-green deploy changes this number.
    pub release: u32,
    /// Host name to match; `None` matches every name.
    pub host: Option<String>,
    /// Path prefix to match, on segment borders.
    pub path: String,
    /// Policy.
    pub balance: Balance,
    /// Milliseconds for one request; `None` is the balancer's default.
    pub timeout_ms: Option<u64>,
    /// Path of the balancer's own health checks; `None` only connects. Counts where `health` is `None`.
    pub health_path: Option<String>,
    /// The balancer's own health checks; `None` leaves them to the server.
    #[serde(default)]
    pub health: Option<HealthCheck>,
}

impl RouteSpec {
    /// Whether both match the same requests.
    fn is_same_place(&self, other: &RouteSpec) -> bool {
        self.is_place(other.host.as_deref(), &other.path)
    }

    /// Whether this is the route of `host` (`None`: every name) with `path`.
    pub fn is_place(&self, host: Option<&str>, path: &str) -> bool {
        let lower = |host: &str| host.to_ascii_lowercase();
        self.path == path && self.host.as_deref().map(lower) == host.map(lower)
    }

    /// Host and path for people: `shop.example.com/`, `*/api` for every host.
    pub fn place(&self) -> String {
        format!("{}{}", self.host.as_deref().unwrap_or("*"), self.path)
    }
}

/// A network to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Real name on the host.
    pub name: String,
    /// Must exist already; never made or removed by us.
    pub external: bool,
    /// Driver; `None` is `bridge`.
    pub driver: Option<String>,
    /// No way out.
    pub internal: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Containers outside of the application may join (Swarm's drivers only; others store it).
    #[serde(default, skip_serializing_if = "is_default")]
    pub attachable: bool,
    /// IPv6 addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub enable_ipv6: bool,
    /// Without IPv4 addresses (API 1.47).
    #[serde(default, skip_serializing_if = "is_default")]
    pub disable_ipv4: bool,
    /// Options of the driver.
    #[serde(default, skip_serializing_if = "is_default")]
    pub driver_opts: BTreeMap<String, String>,
    /// Where its addresses come from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ipam: Ipam,
}

/// Where a network's addresses come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipam {
    /// Driver; `None` is the Engine's default.
    pub driver: Option<String>,
    /// Ranges; none lets the Engine choose.
    pub config: Vec<IpamPool>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// One range of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IpamPool {
    /// `10.5.0.0/16`.
    pub subnet: Option<String>,
    /// The part of the subnet that containers get addresses from.
    pub ip_range: Option<String>,
    /// Address of the gateway.
    pub gateway: Option<String>,
    /// Addresses that are taken, by name of their owner.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Real name on the host.
    pub name: String,
    /// Must exist already.
    pub external: bool,
    /// Driver; `None` is `local`.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A file or directory of the user's that travels as a tar archive and is mounted read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBundle {
    /// Digest of the tar archive; the server serves it under this name.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// The archive holds one file that is mounted itself, not its directory.
    pub is_file: bool,
}

/// A change of one application in the desired state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Who.
    pub author: String,
    /// Why, in words.
    pub reason: String,
    /// Application.
    pub app: Name,
    /// Its new state; `None` removes it.
    pub desired: Option<AppDesired>,
}
