//! Devices of a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A device of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Some of `rwm`.
    pub permissions: String,
}

/// Devices that the Engine picks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    /// `nvidia` and the like; `None` lets the Engine choose.
    pub driver: Option<String>,
    /// How many; -1 is all. 0 where `device_ids` names them.
    pub count: i64,
    /// Which ones.
    pub device_ids: Vec<String>,
    /// All of these are needed, such as `gpu`.
    pub capabilities: Vec<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}
