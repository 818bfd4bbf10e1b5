//! Taking a lab down, in any state, with nothing left behind.
//!
//! The order is what makes it safe after a `kill -9` of an `up`: the lock is free once that `up`'s last command has
//! ended; a host that was just being started needs its network namespace's file, which goes away after the first
//! round of killing, so the second round ends the last one there can be. The directories, by which everything is
//! found, go last, and their markers last of all.

use std::fs;
use std::io;
use std::path::Path;

use crate::Error;
use crate::command::Runner;
use crate::error::At as _;
use crate::layout::{Layout, marker};
use crate::lock::Lock;
use crate::prepare::{absent_is_fine, check_ours};
use crate::{cgroup, mounts, network, process};

/// Removes everything that has the lab's name.
pub(crate) async fn down(layout: &Layout) -> Result<(), Error> {
    let lock = Lock::take(layout).await?;
    check_ours(layout)?;
    process::kill_all(layout).await?;
    network::remove_switch(layout, Runner::under(&lock)).await?;
    mounts::unmount_below(&layout.run)?;
    process::kill_all(layout).await?;
    cgroup::remove_all(layout).await?;
    for dir in [&layout.data, &layout.run] {
        remove_dir(dir)?;
    }
    fs::remove_file(&layout.lock).at("remove", &layout.lock)?;
    // Shared with other labs, which may still be there.
    for dir in [layout.run.parent(), layout.data.parent()].into_iter().flatten() {
        let _ = fs::remove_dir(dir);
    }
    Ok(())
}

fn remove_dir(dir: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at("read", dir)?,
    };
    let marker = marker(dir);
    for entry in entries {
        let path = entry.at("read", dir)?.path();
        if path == marker {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path).at("remove", &path)?;
        } else {
            fs::remove_file(&path).at("remove", &path)?;
        }
    }
    fs::remove_file(&marker).or_else(absent_is_fine).at("remove", marker)?;
    fs::remove_dir(dir).at("remove", dir)
}
