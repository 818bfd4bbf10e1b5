//! Caches in front of package archives: one fetch for many clients, nothing unverified stored.
//!
//! ```text
//! request → cache (proxy or address) → apt: what is it, which digest should it have?
//!             content   → engine::content  → stored, or a fill that any number of clients read along
//!             documents → engine::document → fresh, revalidated, or stale while the upstream is away
//!                         store (files by digest, LRU under a byte cap, index in SQLite) ← upstream (HTTP client)
//! ```
//!
//! What must always hold: one transfer per content at a time; content counts as stored only when its digest is what an
//! index says; bytes on disk stay within `cache.size_max`; an upstream that is away is named, never mistaken for one
//! that has nothing.

mod apt;
mod cache;
mod config;
mod ecosystem;
mod engine;
mod error;
mod routes;
mod serve;
mod store;
mod upstream;
mod views;

pub use cache::{Deps, Handle, start};
pub(crate) use config::Timeouts;
pub use config::{AptConfig, Config};
pub use ecosystem::Ecosystem;
pub use engine::Counts;
pub use error::Error;
pub use routes::{operations, routes};
pub use views::{CacheStats, EcosystemView, EntryView, Purged};

/// Entry points for fuzzing: parsers of what upstreams and clients send. They never panic.
pub mod fuzz {
    /// Indexes and release files of apt archives.
    pub fn apt_index(bytes: &[u8]) {
        crate::apt::fuzz::index(bytes);
    }

    /// Paths that clients ask for.
    pub fn apt_path(text: &str) {
        crate::apt::fuzz::path(text);
    }
}
