//! Builds images on a Docker Engine and pushes them to our registry.
//!
//! Two halves. [`pack_context`] runs where the user's files are (the command line): it walks the folder, leaves out
//! what `.dockerignore` says, and writes one tar archive, the same bytes for the same folder. [`Handle`] runs in the
//! server and is the port `ImageBuilder`: it has the Engine build that archive, pushes the result, and returns the
//! reference by the digest that the registry gave. Builds wait in line when too many run ([`Config`]).

mod builder;
mod config;
mod context;
mod error;
mod records;
mod routes;

pub use builder::{Deps, Handle, start};
pub use config::{BuilderChoice, Config};
pub use context::{ContextLimits, PackedContext, pack_context};
pub use error::Error;
pub use records::{BuildView, BuildsView};
pub use routes::{operations, routes};
pub use wharf_docker::Credentials;
