//! The languages of an image's sources: `.dockerignore`, as Docker itself reads it.
//!
//! Pure: no files, no clock, no tokio. The walk over a real folder is `wharf-image`'s.

mod ignore;

pub use ignore::{Error, Ignore};
