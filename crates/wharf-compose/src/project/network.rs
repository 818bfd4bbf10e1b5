//! Networks: the top-level element and a service's part in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a service takes part in a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceNetwork {
    /// Further names by which others find the service there.
    pub aliases: Vec<String>,
    /// Fixed address; such a service runs once per network.
    pub ipv4_address: Option<String>,
    /// Fixed address.
    pub ipv6_address: Option<String>,
    /// Further link-local addresses.
    pub link_local_ips: Vec<String>,
    /// Address of the interface.
    pub mac_address: Option<String>,
    /// Networks are joined from the highest to the lowest; `None` is 0.
    pub priority: Option<i32>,
    /// Options for the network's driver.
    pub driver_opts: BTreeMap<String, String>,
}

impl ServiceNetwork {
    /// Whether a second container would clash with the first.
    pub fn has_fixed_address(&self) -> bool {
        self.ipv4_address.is_some() || self.ipv6_address.is_some() || self.mac_address.is_some()
    }
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
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// `internal`: no way out.
    pub internal: bool,
    /// `attachable`: means something to Swarm's drivers only, the Engine stores it.
    pub attachable: bool,
    /// `enable_ipv6`.
    pub enable_ipv6: bool,
    /// `ipam`.
    pub ipam: Ipam,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// `ipam`: where a network's addresses come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ipam {
    /// `driver`; `None` is the Engine's default.
    pub driver: Option<String>,
    /// Ranges.
    pub config: Vec<IpamPool>,
    /// `options` of the driver.
    pub options: BTreeMap<String, String>,
}

/// One range of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
