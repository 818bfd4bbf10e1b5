//! Private files that are there whole or not at all: written aside with mode 0600, fsynced, renamed.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::Error;

/// What a name ends with while the file is written.
const ASIDE: &str = "new";

/// Makes a directory that only its owner can look into, and gives that mode to one that is there.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Error::file("make directory", path, error))?;
    let private = std::fs::set_permissions(path, Permissions::from_mode(0o700));
    private.map_err(|error| Error::file("make private", path, error))?;
    sync_parent(path)
}

/// Replaces the file. Durable once it returns.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let aside = path.with_extension(ASIDE);
    let write = || -> std::io::Result<()> {
        remove_if_there(&aside)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)
    };
    if let Err(error) = write() {
        let _ = std::fs::remove_file(&aside);
        return Err(Error::file("write", path, error));
    }
    sync_parent(path)
}

/// The file's bytes; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path, error)),
    }
}

/// Removes the file if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    remove_if_there(path).map_err(|error| Error::file("remove", path, error))
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|error| Error::file("fsync", parent, error))
}
