//! HTTP load balancer: immutable tables, pools, health, drain, access log.
//!
//! A request's way: `worker` accepts → `connection` runs hyper's server over it, with `framing` as a second opinion →
//! `proxy` checks and rewrites it (`headers`), claims a target by the table (`shared`, `table`, `pick`), takes a
//! connection (`pool`) and sends → `body` streams both ways → `exchange` logs (`log_line`, `access_log`) and counts (`release`).
//! Beside it: `health` checks targets in a thread of its own, `observe` publishes what was counted, `last_table` keeps
//! the table for a start without the control plane.
//!
//! What must always hold: a request reads one table and nothing else; after [`Handle::apply`] no request is assigned
//! by an older one; workers share no lock per request; no body is kept whole; each request is one log line.

mod access_log;
mod backend;
mod body;
mod config;
mod connection;
mod error;
mod exchange;
mod failure;
mod framing;
mod headers;
mod health;
mod last_table;
mod listen;
mod log_line;
mod network;
mod observe;
mod operations;
mod pick;
mod pool;
mod proxy;
mod record;
mod registry;
mod release;
mod routes;
mod shared;
mod start;
mod static_routes;
mod table;
mod tunnel;
mod worker;

pub use config::{Config, Health, Limits, LogFormat, Policy, StaticRoute, Timeouts};
pub use error::Error;
pub use operations::operations;
pub use routes::routes;
pub use start::{Deps, Handle, start};
