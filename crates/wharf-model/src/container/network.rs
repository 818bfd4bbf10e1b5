//! A container's part in networks and in what others have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::default::is_default;

/// Part in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// Real name on the host.
    pub network: String,
    /// Names by which others on that network find the container.
    pub aliases: Vec<String>,
    /// Fixed address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ipv4_address: Option<String>,
    /// Fixed address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ipv6_address: Option<String>,
    /// Further link-local addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub link_local_ips: Vec<String>,
    /// Address of the interface.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mac_address: Option<String>,
    /// The network with the highest has the default route; 0 is usual (API 1.48).
    #[serde(default, skip_serializing_if = "is_default")]
    pub gw_priority: i64,
    /// Options for the network's driver.
    #[serde(default, skip_serializing_if = "is_default")]
    pub driver_opts: BTreeMap<String, String>,
    /// Digest of the network's own settings, where it has some: another one means another network, and so another
    /// container.
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: Option<String>,
}

/// Where a container lives that has no place of its own: interfaces, processes, shared memory, volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedPlace {
    /// In a kind of place that the Engine has a word for: `host`, `none`, `bridge`, `private`, `shareable`.
    Named(String),
    /// With the container of this service on the same host.
    Service(Name),
    /// With this container, whoever made it, by name or id.
    Container(String),
}
