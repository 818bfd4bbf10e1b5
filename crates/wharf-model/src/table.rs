//! The balancer's table: an immutable snapshot of every route and its targets.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All routes. A balancer reads one snapshot per request and never looks anything up elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Grows with every change, whatever caused it.
    pub version: u64,
    /// Generation from which it was computed.
    pub generation: u64,
    /// Routes; the longest host and path win, not the order.
    pub routes: Vec<Route>,
}

/// One route and the targets of the release that it sends requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Application, or empty for a route from wharf.yaml.
    pub app: String,
    /// Service, or the route's name.
    pub service: String,
    /// Release, or 0.
    pub release: u32,
    /// Host name, `*.example.com` for one level, `None` for every name.
    pub host: Option<String>,
    /// Path prefix on segment borders, `/` for all.
    pub path: String,
    /// Policy.
    pub balance: Balance,
    /// Milliseconds for one request; `None` is the balancer's default.
    pub timeout_ms: Option<u64>,
    /// How the balancer itself checks targets.
    pub health: Option<HealthCheck>,
    /// Targets.
    pub targets: Vec<Target>,
}

/// How to pick a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In turn.
    #[default]
    RoundRobin,
    /// Fewest requests in flight; in turn among equals.
    LeastConn,
}

/// Active check by the balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Path to GET (2xx or 3xx passes); `None` only connects.
    pub path: Option<String>,
    /// Milliseconds between checks.
    pub interval_ms: u64,
    /// Milliseconds for one check.
    pub timeout_ms: u64,
    /// Successes in a row to come back.
    pub rise: u32,
    /// Failures in a row to go out.
    pub fall: u32,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Instance id, or the address for a route from wharf.yaml. Together with `address` it is the identity: counters
    /// and connections of a target survive a new table that still has it.
    pub id: String,
    /// Where to connect.
    pub address: SocketAddr,
    /// Host that runs it, for logs.
    pub host: String,
    /// What the control plane knows of it.
    pub state: TargetState,
}

/// What the control plane knows of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Gets requests.
    #[default]
    Active,
    /// Gets no new requests; those in flight finish.
    Draining,
    /// Its host is gone: no new requests, and requests in flight that may be repeated are tried elsewhere at once.
    Lost,
}
