//! The fleet: hosts, their certificates, numbered generations of desired state, and the agent that converges to them.
//!
//! - [`server`]: joining, generations, what is observed, the balancers' table; fills the port
//!   [`wharf_model::ports::Hosts`].
//! - [`agent`]: the same code inside of the server's process and as `wharf agent`.
//! - [`protocol`]: the records between both.
//!
//! Decisions: docs/decisions/0007 (one mTLS HTTP/2 connection) and 0008 (generations in SQLite).

pub mod agent;
mod config;
mod error;
mod hello;
mod labels;
pub mod protocol;
pub mod server;
mod spec;
#[cfg(test)]
mod testing;
mod token;
mod unknown;

pub use config::{AgentConfig, Config, DriftPolicy};
pub use error::Error;
pub use hello::Mismatch;
pub use protocol::RegistryAccount;
pub use server::{Deps, Handle, join_routes, operations, routes, start};
pub use spec::spec_hash;
pub use token::{JoinToken, JoinTokenError};

/// Runs `work` on tokio's blocking threads. A panic in it goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("blocking work is never aborted, and the runtime outlives its callers"),
        },
    }
}
