//! How much room a file system has.

use std::path::Path;

use crate::Error;

/// The room of one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the whole file system (statvfs(3), `f_blocks`).
    pub total_bytes: u64,
    /// Bytes that unprivileged processes may still write (`f_bavail`).
    pub free_bytes: u64,
}

/// The room of the file system that `path` is on.
pub fn space(path: &Path) -> Result<Space, Error> {
    let stat = rustix::fs::statvfs(path).map_err(|errno| Error::io("statvfs", path)(errno.into()))?;
    Ok(Space {
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// Bytes that unprivileged processes may still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64, Error> {
    Ok(space(path)?.free_bytes)
}
