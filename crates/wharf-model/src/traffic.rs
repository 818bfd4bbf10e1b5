//! What balancers count and report.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Requests of one release of one service since the balancer started, and over the last second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReleaseTraffic {
    /// Application, or empty for a route from wharf.yaml.
    pub app: String,
    /// Service.
    pub service: String,
    /// Release.
    pub release: u32,
    /// Requests answered, by anyone, since the start.
    pub requests: u64,
    /// Of these: status 500 or more, ours included.
    pub errors: u64,
    /// Requests that clients gave up on.
    pub client_aborts: u64,
    /// Requests in flight now.
    pub in_flight: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// Requests answered in the last whole second.
    pub rate: f64,
    /// Errors in the last whole second.
    pub error_rate: f64,
    /// Milliseconds, over the last whole second; `None` without requests.
    pub p50_ms: Option<f64>,
    /// The same.
    pub p99_ms: Option<f64>,
    /// Whether the current table sends requests to it.
    pub is_active: bool,
}

/// What one balancer has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BalancerView {
    /// `local`, or the name under which it joined.
    pub name: String,
    /// Version of the table that it uses.
    pub table_version: u64,
    /// Generation of that table.
    pub generation: u64,
    /// Traffic of every release that it has served.
    pub traffic: Vec<ReleaseTraffic>,
    /// Requests in flight to each target of the table that is [`crate::TargetState::Draining`], by target id. A
    /// draining target is listed even at 0: absent means not known.
    pub draining: BTreeMap<String, u64>,
    /// It has joined and may still serve by an old table, but has not connected since the server's start. It is listed
    /// so until it reports or its time to reconnect is over; then it is listed no more.
    pub is_awaited: bool,
}

/// Every balancer that is connected, and those that are awaited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolsObserved {
    /// One each.
    pub balancers: Vec<BalancerView>,
}

impl PoolsObserved {
    /// Whether every balancer uses a table of `generation` or a later one. True when there is none.
    pub fn have_applied(&self, generation: u64) -> bool {
        self.balancers.iter().all(|balancer| balancer.generation >= generation)
    }

    /// Requests in flight to one release, over all balancers.
    pub fn in_flight(&self, app: &str, release: u32) -> u64 {
        let of_release = |traffic: &&ReleaseTraffic| traffic.app == app && traffic.release == release;
        self.balancers
            .iter()
            .flat_map(|balancer| balancer.traffic.iter().filter(of_release))
            .map(|traffic| traffic.in_flight)
            .sum()
    }
}
