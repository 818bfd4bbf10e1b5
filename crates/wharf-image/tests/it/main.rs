//! Contexts against Docker's own client, builds against the real Engine, pushes to Debian's docker-registry.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod builder;
mod client;
mod context;
mod peers;
