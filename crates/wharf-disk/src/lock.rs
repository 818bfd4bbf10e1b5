//! One process per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::{Error, atomic};

/// Holds a data directory until it is dropped or the process ends, however that happens (flock(2) on `DIR/lock`).
///
/// The lock file stays when the lock is released: removing it would let two processes lock two files of one name.
#[derive(Debug)]
pub struct DirLock {
    path: PathBuf,
    _file: File,
}

impl DirLock {
    /// Creates `directory` if need be and locks it.
    ///
    /// Errors: `Locked` names the process that has it.
    pub fn acquire(directory: &Path) -> Result<DirLock, Error> {
        atomic::create_directory(directory)?;
        let path = directory.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: directory.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        // For people and for the message above; the lock itself doesn't depend on it.
        let write_pid = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid(&mut file).map_err(Error::io("write", &path))?;
        Ok(DirLock { path: directory.to_owned(), _file: file })
    }

    /// The directory that is held.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_refused_and_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let first = DirLock::acquire(&data).unwrap();
        assert_eq!(first.path(), data);
        match DirLock::acquire(&data).unwrap_err() {
            Error::Locked { pid, .. } => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other}"),
        }
        drop(first);
        DirLock::acquire(&data).unwrap();
    }
}
