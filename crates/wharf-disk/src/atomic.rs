//! Replaces a file whole or not at all.
//!
//! A write goes to a temporary file beside the target, is fsynced, renamed over the target, and then the directory
//! is fsynced. A reader sees the old bytes or the new ones, whatever happens in between, power loss included.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// Ending of temporary files; see [`remove_temporary`].
const TEMPORARY: &str = ".wharf-tmp";

/// Replaces `path` with `bytes`, readable by all (mode 0644). Durable once it returns.
///
/// The directory must exist. Blocks: call it from async code through [`write_async`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_with_mode(path, bytes, 0o644)
}

/// Replaces `path` with `bytes`, readable by the owner only (mode 0600): keys, tokens, state of an agent.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_with_mode(path, bytes, 0o600)
}

/// As [`write()`], off the async threads.
pub async fn write_async(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
    let (path, bytes) = (path.into(), bytes.into());
    blocking(move || write(&path, &bytes)).await
}

/// The bytes of `path`, or `None` if there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Removes `path`, durably. A file that is not there is fine.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// Creates `path` and its missing parents, each durably: a directory that is not synced into its parent may be gone
/// after a power loss, with all that was synced below it.
pub fn create_directory(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    create_directory(above)?;
    match fs::create_dir(path) {
        Ok(()) => sync_directory(above),
        // Somebody else was faster and may not have synced it yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_directory(above),
        Err(error) => Err(Error::io("create directory", path)(error)),
    }
}

/// Writes a directory's entries to disk.
pub fn sync_directory(path: &Path) -> Result<(), Error> {
    let directory = File::open(path).map_err(Error::io("open directory", path))?;
    directory.sync_all().map_err(Error::io("fsync directory", path))
}

/// Removes temporary files that a killed process left in `directory`; returns how many. Call it under a
/// [`crate::DirLock`] only: it can't tell them from those of a write in progress.
pub fn remove_temporary(directory: &Path) -> Result<usize, Error> {
    let mut removed = 0;
    for entry in fs::read_dir(directory).map_err(Error::io("list", directory))? {
        let entry = entry.map_err(Error::io("list", directory))?;
        if entry.file_name().to_string_lossy().ends_with(TEMPORARY) {
            fs::remove_file(entry.path()).map_err(Error::io("remove", &entry.path()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent(path).join(format!(".{name}.{}{TEMPORARY}", uuid::Uuid::new_v4().simple()));
    let written = write_and_rename(&temporary, path, bytes, mode);
    if written.is_err() {
        // The write has failed already and says why; a leftover is removed at the next start.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temporary)
        .map_err(Error::io("create", temporary))?;
    file.write_all(bytes).map_err(Error::io("write", temporary))?;
    file.sync_all().map_err(Error::io("fsync", temporary))?;
    fs::rename(temporary, path).map_err(Error::io("replace", path))?;
    sync_directory(parent(path))
}

/// The directory that holds `path`; `.` for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// Runs `work` on tokio's blocking threads. A panic in it goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("blocking work is never aborted, and the runtime outlives its callers"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_the_file_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn private_files_are_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_failed_write_keeps_the_old_bytes_and_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/state.json");
        let error = write(&path, b"x").unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");

        // The target is a directory with something in it: rename refuses.
        let path = dir.path().join("taken");
        create_directory(&path.join("inside")).unwrap();
        write(&path, b"x").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary file is gone");
    }

    #[test]
    fn leftovers_of_a_killed_process_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".state.json.0123.wharf-tmp"), b"half").unwrap();
        write(&dir.path().join("state.json"), b"whole").unwrap();
        assert_eq!(remove_temporary(dir.path()).unwrap(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn write_async_does_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_async(&path, *b"x").await.unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"x");
    }
}
