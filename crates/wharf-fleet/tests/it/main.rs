//! The fleet against the real Docker Engine of this machine: server and agents in one process, over mTLS and inside.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod api;
mod converge;
mod drift;
mod engine;
mod faults;
mod image;
mod joining;
mod orphans;
mod renewal;
mod simulated;
mod states;
mod versions;
mod world;
