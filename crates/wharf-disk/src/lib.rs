//! Files that survive kill -9: atomic writes and a content-addressed store.
//!
//! - [`archive`]: many files as one that tells whether it is whole; the format of backups.
//! - [`atomic`]: replaces a file whole or not at all.
//! - [`DirLock`]: one process per data directory.
//! - [`cas`]: a content-addressed store with resumable upload sessions.
//! - [`format`]: the version of an on-disk layout.
//!
//! What must always hold: a function that returns `Ok` has done its fsync; after a failed fsync a store refuses
//! writes, because the kernel may have dropped the dirty pages and a second fsync would lie (fsyncgate, 2018).

pub mod archive;
pub mod atomic;
pub mod cas;
mod error;
pub mod format;
mod lock;
mod space;

pub use error::Error;
pub use lock::DirLock;
pub use space::{Space, free_bytes, space};
