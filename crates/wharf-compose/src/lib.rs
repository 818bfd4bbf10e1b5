//! Compose files: YAML tree with positions → interpolation → merge → typed [`project::Project`].
//!
//! [`load`] takes texts, a look-up for variables and a reader for env files, and gives a project with warnings, or
//! all errors with their places. Nothing is silently ignored: an unknown key is a warning with a suggestion, a key
//! of Compose that Wharf can't carry out is an error that names it (`schema_keys.rs` lists every key).
//!
//! ```text
//! texts ─ yaml ─▶ trees with places ─ assemble: interpolate, extends, include, merge ─▶ one tree ─ profiles, read ─▶ Project
//! ```
//!
//! The crate is pure: no files, no clock, no process environment. Limits are in [`Limits`].

pub mod document;
pub mod dotenv;
pub mod project;
pub mod render;

mod assemble;
mod diagnostic;
mod fuzz;
mod interpolate;
mod load;
mod merge;
mod name;
mod places;
mod profiles;
mod read;
mod schema;
mod schema_keys;
mod shell;
mod yaml;

pub use diagnostic::{Diagnostic, Errors, Kind};
pub use fuzz::load_bytes;
pub use load::{Limits, Loaded, Options, ReadError, Reader, SourceFile, load};
pub use name::normalize_project_name;
pub use places::Places;
pub use schema::schema;

use yaml::shorten as yaml_text;
