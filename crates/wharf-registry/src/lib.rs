//! OCI registry: push and pull, content-addressed and crash-safe.
//!
//! ```text
//! request → api (who may, which route) → route::parse → api::{blobs, uploads, manifests, lists}
//!              bytes:  wharf_disk::cas  (blobs/, uploads/)      file first,
//!              facts:  metadata         (registry.db, SQLite)   row second
//!              reads:  cache            (manifests, tags, links in memory)
//! ```
//!
//! What must always hold: whatever was answered with 201 is on disk and is there after a kill -9; a row in
//! `registry.db` never names bytes that aren't there; a repository serves only blobs that were pushed to it or
//! mounted into it; the bytes of a manifest are served as they were pushed.
//!
//! Source: OCI distribution-spec 1.1 and what 1.1+dev adds; table 2.1 of the area page gives each request an id.

mod api;
mod auth;
mod cache;
mod config;
mod console;
mod error;
mod manifest;
mod metadata;
mod name;
mod operations;
mod platforms;
mod query;
mod range;
mod refusal;
mod registry;
mod route;
mod schema;
mod sweep;

pub use config::Config;
pub use console::routes;
pub use error::Error;
pub use operations::operations;
pub use registry::{Deps, Exposure, Handle, RepositoryView, Stats, TagView, router, start};

/// Entry points for fuzzing: parsers of what strangers send. They never panic.
pub mod fuzz {
    /// Path, query, Range and Content-Range of a request.
    pub fn request(path: &str, query: &str, range: &str) {
        let _ = crate::route::parse(path);
        let _ = crate::query::Query::parse(query);
        let _ = crate::range::parse(range, 2_048);
        let _ = crate::range::parse_content_range(range);
    }

    /// A manifest.
    pub fn manifest(content_type: &str, bytes: &[u8]) {
        let _ = crate::manifest::Manifest::parse(content_type, bytes);
    }
}
