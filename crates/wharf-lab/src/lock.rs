//! One command at a time changes a lab.
//!
//! The lock is an flock(2) on a file beside the lab's directory. Each short command that the lab runs (`ip`,
//! `unshare`, `ssh-keygen`) has the same open file as its stdin, so the lock is free only when the last of them has
//! ended, even if the lab itself was killed: whoever gets the lock next sees a world that stands still.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Error;
use crate::error::At as _;
use crate::layout::Layout;

/// Long enough for an `up` of many hosts in another terminal.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// flock(2) can't be waited for with a deadline, so it is tried this often.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// The right to change a lab, until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock.
    pub(crate) async fn take(layout: &Layout) -> Result<Lock, Error> {
        let path = &layout.lock;
        let dir = path.parent().expect("a lock has a directory");
        let start = Instant::now();
        while start.elapsed() < WAIT_MAX {
            std::fs::create_dir_all(dir).at("create", dir)?;
            let file = match OpenOptions::new().read(true).append(true).create(true).open(path) {
                // The directory went away in between, with a `down` of its last lab.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                opened => opened.at("open", path)?,
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_still(&file, path) => return Ok(Lock { file }),
                // A `down` removed the file before we had it.
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => tokio::time::sleep(TRY_EVERY).await,
                Err(error) => return Err(error).at("lock", path),
            }
        }
        Err(Error::Busy { name: layout.name.clone(), waited: start.elapsed() })
    }

    /// The open file, for the stdin of a command.
    pub(crate) fn share(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }
}

fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), path.metadata()) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[tokio::test]
    async fn a_command_of_a_dead_lab_keeps_the_lock_until_it_ends() {
        let dir = wharf_test_support::temp_dir();
        let layout = Layout::new(&Config { run_dir: dir.path().to_owned(), ..Config::default() }).unwrap();
        let lock = Lock::take(&layout).await.unwrap();
        let mut child =
            std::process::Command::new("sleep").arg("60").stdin(lock.share().unwrap()).spawn().unwrap();
        drop(lock);
        let other = OpenOptions::new().read(true).open(&layout.lock).unwrap();
        assert_eq!(flock(&other, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
        child.kill().unwrap();
        child.wait().unwrap();
        Lock::take(&layout).await.unwrap();
    }
}
