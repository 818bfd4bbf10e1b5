//! How much room a file system has.

use std::path::Path;

use crate::Error;

/// Bytes that unprivileged processes may still write on the file system of `path` (statvfs(3), `f_bavail`).
pub fn free_bytes(path: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(path).map_err(|errno| Error::io("statvfs", path)(errno.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
