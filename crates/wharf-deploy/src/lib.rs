//! Applications, releases and rollouts: from a Compose project to what runs and serves.
//!
//! A deploy flows through pure parts into the desired state of the hosts: [`api::DeployRequest`] → images are built →
//! `translate` (what agents are to create) → `placement` (on which hosts) → `plan` (what stays, comes, goes; the
//! desired states of each stage) → `rollout` (commits one stage after the other and waits until the world follows).
//!
//! What must always hold: one deploy at a time per application; what served before serves on until the switch, and
//! after a failure before it; after the switch it only goes forward; a server killed at any point finishes or undoes
//! what it was about when it starts again; an unchanged service keeps its containers.

pub mod api;
mod check;
mod config;
mod diff;
mod engine;
mod error;
mod fixed_routes;
mod handle;
mod host_index;
mod journal;
mod losses;
mod mover;
mod operate;
mod operations;
mod placement;
mod plan;
mod retention;
mod rollout;
mod routes;
mod run;
mod secrets;
mod store;
mod strategy;
mod translate;
mod uploads;
mod world;

pub use check::check;
pub use config::Config;
pub use engine::Deps;
pub use error::Error;
pub use fixed_routes::FixedRoutes;
pub use handle::{Handle, start};
pub use operations::operations;
pub use routes::routes;
pub use store::files_of_releases;

/// Runs `work`, which takes more than half a millisecond, on tokio's blocking threads. A panic in it goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("blocking work is never aborted, and the runtime outlives its callers"),
        },
    }
}
