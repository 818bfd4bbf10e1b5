//! Restoring a backup into a data directory.
//!
//! The archive is read to its end and compared before anything is changed. A file `restoring` is there from the first
//! change to the last, so that `wharf up` does not begin with half of it. What was there is moved aside, not removed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wharf_base::UnixMillis;
use wharf_disk::archive::{self, Manifest};
use wharf_disk::{DirLock, atomic};

use super::STATE;
use crate::data_dir;
use crate::failure::usage;

/// There while a restore is under way, or after it was cut off.
const MARKER: &str = "restoring";

/// What a restore did.
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    /// Where the files are that were there before, if there were any.
    pub(crate) aside: Option<PathBuf>,
}

/// Restores `from` into `data`. Blocks.
///
/// Errors: the archive is damaged (nothing is changed), a server runs there, or `data` is not empty and `force` is not
/// given.
pub(crate) fn restore(from: &Path, data: &Path, force: bool, now: UnixMillis) -> anyhow::Result<Restored> {
    let manifest = archive::verify(from)?;
    anyhow::ensure!(
        manifest.files.iter().any(|file| file.path == STATE),
        "{} is a backup, but not of a server's state",
        from.display()
    );
    data_dir::make_private(data)?;
    let _lock = DirLock::acquire(data)?;
    let was_cut_off = data.join(MARKER).exists();
    if !force && !was_cut_off && !is_empty(data)? {
        return Err(usage(format!(
            "{} is not empty\n  hint: --force restores all the same; what is there is moved aside, not removed",
            data.display()
        )));
    }
    atomic::write_private(&data.join(MARKER), format!("{}\n", from.display()).as_bytes())?;
    let aside = move_aside(data, &manifest, now)?;
    archive::unpack(from, data)?;
    atomic::remove(&data.join(MARKER))?;
    Ok(Restored { manifest, aside })
}

/// Refuses to start on a directory that a restore has left half done.
pub(crate) fn refuse_half_restored(data: &Path) -> anyhow::Result<()> {
    let Some(from) = atomic::read(&data.join(MARKER))? else { return Ok(()) };
    let (from, data) = (String::from_utf8_lossy(&from).trim().to_owned(), data.display());
    anyhow::bail!(
        "a restore into {data} was cut off\n  hint: run it again: wharf restore {from} --data {data}"
    )
}

/// Whether there is nothing but our lock and backups.
fn is_empty(data: &Path) -> anyhow::Result<bool> {
    for entry in std::fs::read_dir(data).with_context(|| format!("cannot list {}", data.display()))? {
        if !["lock", "backups"].map(std::ffi::OsStr::new).contains(&entry?.file_name().as_os_str()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Moves what the archive has, and the database's log, to `replaced-<time>`. Other files stay where they are: containers
/// may have some of them mounted.
fn move_aside(data: &Path, manifest: &Manifest, now: UnixMillis) -> anyhow::Result<Option<PathBuf>> {
    let logs = ["state.db-wal", "state.db-shm"].map(str::to_owned);
    let names = manifest.files.iter().map(|file| file.path.clone()).chain(logs);
    let aside = data.join(format!("replaced-{}", now.0));
    let mut moved = false;
    for name in names {
        let (from, to) = (data.join(&name), aside.join(&name));
        if !from.exists() {
            continue;
        }
        let folder = to.parent().unwrap_or(&aside);
        atomic::create_directory(folder)?;
        std::fs::rename(&from, &to).with_context(|| format!("cannot move {} aside", from.display()))?;
        atomic::sync_directory(folder)?;
        atomic::sync_directory(from.parent().unwrap_or(data))?;
        moved = true;
    }
    Ok(moved.then_some(aside))
}
