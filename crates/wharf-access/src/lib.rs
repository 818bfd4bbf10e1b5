//! Who may do what: API tokens, sessions of the console, the layer in front of the API, and the event routes.
//!
//! A token (`wharf_<id>_<secret>`) has a name and a [`wharf_http::Role`]; only the SHA-256 of its secret is kept. The console
//! exchanges a token for a session cookie. [`authenticate`] checks either, in memory, and tells handlers who calls
//! ([`wharf_http::Caller`]). The registry asks [`Handle::check_registry`]. The first start makes an admin token in
//! `<data>/token` (mode 0600), which the CLI on the same machine reads.
//!
//! Bounds: tokens, sessions, wrong tokens per address and minute, event streams (all in [`Config`]).

mod authenticate;
mod book;
mod config;
mod error;
mod events;
mod failures;
mod handle;
mod operations;
mod role;
mod routes;
mod secret;
mod store;

pub use authenticate::authenticate;
pub use config::Config;
pub use error::Error;
pub use handle::{Deps, Handle, Stats, TokenView, start};
pub use operations::operations;
pub use routes::routes;
