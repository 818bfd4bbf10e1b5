//! The version of an on-disk layout, in a file of its own.

use std::path::Path;

use crate::{Error, atomic};

/// Reads the layout's version from `directory/format`, and writes `current` there if the file is missing.
///
/// Returns the version that was found, so that the caller can bring old files up to date and then call
/// [`set`]. Errors: `Format` if it is newer than `current` or no number.
pub fn ensure(directory: &Path, current: u32) -> Result<u32, Error> {
    let path = directory.join("format");
    let Some(bytes) = atomic::read(&path)? else {
        set(directory, current)?;
        return Ok(current);
    };
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    match text.parse::<u32>() {
        Ok(found) if found <= current => Ok(found),
        _ => Err(Error::Format { path, found: text.chars().take(40).collect(), known: current }),
    }
}

/// Records that the files of `directory` have the layout `version`.
pub fn set(directory: &Path, version: u32) -> Result<(), Error> {
    atomic::write(&directory.join("format"), format!("{version}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_is_read_and_newer_or_broken_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ensure(dir.path(), 2).unwrap(), 2);
        assert_eq!(ensure(dir.path(), 3).unwrap(), 2);
        set(dir.path(), 3).unwrap();
        assert_eq!(ensure(dir.path(), 3).unwrap(), 3);
        assert!(matches!(ensure(dir.path(), 2), Err(Error::Format { known: 2, .. })));
        atomic::write(&dir.path().join("format"), b"what").unwrap();
        assert!(matches!(ensure(dir.path(), 2), Err(Error::Format { .. })));
    }
}
