//! Rollouts against a model of hosts, balancers and a builder that fail on command.
//!
//! The model ([`world`]) stands for agents that converge; it is there to put failures at every point of a rollout. The
//! same stories with real Engines and balancers are told in `crates/wharf/tests/it`.

mod crash;
mod failures;
mod http;
mod story;
mod world;
