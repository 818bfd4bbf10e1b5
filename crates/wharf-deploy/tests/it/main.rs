//! Rollouts against a model of hosts, balancers and a builder that fail on command.
//!
//! The model ([`world`]) stands for agents that converge; it is there to put failures at every point of a rollout. The
//! same stories with real Engines and balancers are told in `crates/wharf/tests/it`.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod before_switch;
mod crash;
mod failures;
mod http;
mod losses;
mod restart;
mod retention;
mod saved;
mod server;
mod story;
mod world;
