//! Settings of a container beyond its command, mounts and ports: what `docker run` has a flag for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `ipc`, `pid`, `uts`, `userns_mode`, `cgroup`: whose namespace the container lives in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// `host`.
    Host,
    /// `private`: its own.
    Private,
    /// `shareable`: its own, which others may join (`ipc` only).
    Shareable,
    /// `none`: its own, without `/dev/shm` (`ipc` only).
    None,
    /// `service:NAME`: that of this service's container on the same host; `depends_on` holds the service too.
    Service(String),
    /// `container:NAME`: that of this container, which need not be ours.
    Container(String),
}

/// `network_mode`. A service that has one takes part in no network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// `none`: only loopback.
    None,
    /// `host`: the host's interfaces.
    Host,
    /// `bridge`: the Engine's default bridge, on which names are not resolved.
    Bridge,
    /// `service:NAME`: the interfaces of this service's container; `depends_on` holds the service too.
    Service(String),
    /// `container:NAME`: the interfaces of this container, which need not be ours.
    Container(String),
}

/// `logging`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// `driver`; `None` is the Engine's own default.
    pub driver: Option<String>,
    /// `options` of the driver.
    pub options: BTreeMap<String, String>,
}

/// One entry of `devices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Some of `rwm`.
    pub permissions: String,
}

/// `gpus` and `deploy.resources.reservations.devices`: devices that the Engine picks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceRequest {
    /// `driver`, such as `nvidia`; `None` lets the Engine choose.
    pub driver: Option<String>,
    /// How many; -1 is all. 0 where `device_ids` names them.
    pub count: i64,
    /// Which ones.
    pub device_ids: Vec<String>,
    /// All of these are needed, such as `gpu`.
    pub capabilities: Vec<String>,
    /// `options` of the driver.
    pub options: BTreeMap<String, String>,
}

/// One entry of `extra_hosts`: a line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraHost {
    /// The name.
    pub host: String,
    /// IP address, or `host-gateway`. IPv6 addresses have no brackets.
    pub address: String,
}

impl ExtraHost {
    /// `host:address`, the form of the Engine's API.
    pub fn to_engine(&self) -> String {
        format!("{}:{}", self.host, self.address)
    }
}

/// One entry of `ulimits`; -1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// What the process gets.
    pub soft: i64,
    /// What it may raise that to.
    pub hard: i64,
}

/// `blkio_config`: shares and rates of block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlkioConfig {
    /// Share among containers, 10 to 1000.
    pub weight: Option<u16>,
    /// Shares by path of the device.
    pub weight_device: BTreeMap<String, u16>,
    /// Bytes read per second, by path of the device.
    pub device_read_bps: BTreeMap<String, u64>,
    /// Reads per second, by path of the device.
    pub device_read_iops: BTreeMap<String, u64>,
    /// Bytes written per second, by path of the device.
    pub device_write_bps: BTreeMap<String, u64>,
    /// Writes per second, by path of the device.
    pub device_write_iops: BTreeMap<String, u64>,
}

/// `pull_policy`, as far as it says something other than "when it is missing".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// `always`: ask the registry at each deploy.
    Always,
    /// `missing` or `if_not_present`.
    Missing,
    /// `never`: the image is on the hosts already.
    Never,
    /// `build`: build it even if the image exists.
    Build,
}

/// One entry of `secrets` or `configs` of a service: a file in the container, read-only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileMount {
    /// Key of the top-level `secrets` or `configs`.
    pub source: String,
    /// Absolute path in the container: `/run/secrets/<source>` for a secret and `/<source>` for a config, unless
    /// the file says otherwise.
    pub target: String,
    /// Owner's number or name; `None` is root.
    pub uid: Option<String>,
    /// Group's number or name; `None` is root.
    pub gid: Option<String>,
    /// Permission bits; `None` is 0444.
    pub mode: Option<u32>,
}
