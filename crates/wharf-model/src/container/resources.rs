//! Limits of a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::default::is_default;

/// Limits (`None`: no limit) and reservations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceLimits {
    /// Billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// Bytes.
    pub memory_bytes: Option<i64>,
    /// Bytes that are kept for it when memory is short.
    pub memory_reservation_bytes: Option<i64>,
    /// Processes.
    pub pids: Option<i64>,
    /// Memory and swap together in bytes; -1 is no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_swap_bytes: Option<i64>,
    /// How readily its memory is swapped out, 0 to 100.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_swappiness: Option<i64>,
    /// Weight among containers when CPUs are short; 1024 is usual.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_shares: Option<i64>,
    /// Microseconds for which `cpu_quota` is given.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_period: Option<i64>,
    /// Microseconds of CPU in each period.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_quota: Option<i64>,
    /// Microseconds for which `cpu_rt_runtime` is given.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_rt_period: Option<i64>,
    /// Microseconds of real-time CPU in each period.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_rt_runtime: Option<i64>,
    /// CPUs (Windows).
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_count: Option<i64>,
    /// Percent of the CPUs (Windows).
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_percent: Option<i64>,
    /// CPUs that it may use: `0-3`, `0,1`.
    #[serde(skip_serializing_if = "is_default")]
    pub cpuset: Option<String>,
    /// Shares and rates of block devices.
    #[serde(skip_serializing_if = "is_default")]
    pub blkio: Blkio,
}

/// Shares and rates of block devices, by path of the device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blkio {
    /// Share among containers, 10 to 1000.
    pub weight: Option<u16>,
    /// Shares of single devices.
    pub weight_device: BTreeMap<String, u16>,
    /// Bytes read per second.
    pub device_read_bps: BTreeMap<String, u64>,
    /// Reads per second.
    pub device_read_iops: BTreeMap<String, u64>,
    /// Bytes written per second.
    pub device_write_bps: BTreeMap<String, u64>,
    /// Writes per second.
    pub device_write_iops: BTreeMap<String, u64>,
}

/// Limit of a process; -1 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// What it gets.
    pub soft: i64,
    /// What it may raise that to.
    pub hard: i64,
}
