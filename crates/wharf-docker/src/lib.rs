//! Docker Engine API: negotiated client, builds, pushes, logs, trust in our registry.
//!
//! [`Engine`] is one Engine at a unix socket. Most calls go through bollard ([`Engine::docker`]); four are our own, on the
//! same socket, because bollard can't make them: a BuildKit build without a session, a push that returns the registry's
//! digest (docs/decisions/0006), an attached terminal, whose bytes it takes for headers, and the creation of a container
//! with what only older Engines take. Builds and pushes stream: dropping the future closes the connection, on which the
//! Engine ends the work.
//!
//! Limits: one line of the Engine's JSON streams is at most 8 MiB, a line of output 8 KiB, a log tail 256 KiB.
//! Every call that could hang has a time limit, except a build, whose length only the caller knows.

mod attach;
pub mod build;
mod create;
mod engine;
mod error;
mod images;
mod json_stream;
pub mod logs;
mod output;
mod push;
mod raw;
mod trust;

pub use attach::{Attached, Piece, attach, start_exec};
pub use engine::{DEFAULT_SOCKET, Engine};
pub use error::Error;
pub use images::{Removed, remove_image};
pub use output::Output;
pub use push::{Credentials, push};
pub use trust::trust_registry;

/// The client whose types callers need for containers, networks and volumes.
pub use bollard;
