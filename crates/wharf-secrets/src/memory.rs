//! Values as files in memory, for containers to mount read-only.
//!
//! A directory on a tmpfs that is there (as `/run` on most machines) is used as it is; elsewhere, with the rights to do
//! so, a tmpfs is mounted on it once. Files are written aside and renamed; the directory is 0700, so on the host only
//! root reaches them. A tmpfs is swapped out like any memory: where that matters, encrypt the swap; a tmpfs that
//! Wharf mounts itself asks the kernel not to swap it (Linux 6.4).

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::{Error, Secret};

/// `f_type` of tmpfs and ramfs: linux/magic.h.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// LIMIT: of a tmpfs that we mount: 1,000 values of Docker's greatest size.
const MOUNT_OPTIONS: [&std::ffi::CStr; 2] = [c"mode=0700,size=512m,noswap", c"mode=0700,size=512m"];

/// A directory of files in memory that belong to one agent.
pub struct Memory {
    directory: PathBuf,
}

/// Where values go unless the configuration says otherwise: `/run/wharf/secrets` for root, else below
/// `$XDG_RUNTIME_DIR`, or `/dev/shm`.
pub fn default_directory() -> PathBuf {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return PathBuf::from("/run/wharf/secrets");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if !directory.is_empty() => Path::new(&directory).join("wharf/secrets"),
        _ => PathBuf::from(format!("/dev/shm/wharf-{}/secrets", user.as_raw())),
    }
}

impl Memory {
    /// Makes sure that `base` is in memory and opens the directory `owner` in it.
    ///
    /// Errors: `NoMemory` when it is on a disk and no tmpfs can be mounted there; `File`.
    pub fn open(base: &Path, owner: &str) -> Result<Memory, Error> {
        let make = |path: &Path| {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| Error::file("make directory", path, error))
        };
        make(base)?;
        // Another process that mounts at the same time would hide what the first has written.
        let lock_path = base.with_extension("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(|error| Error::file("open", &lock_path, error))?;
        let locked = rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive);
        locked.map_err(|error| Error::file("lock", &lock_path, error.into()))?;
        if !is_in_memory(base)? {
            mount(base)?;
        }
        drop(lock);
        let directory = base.join(owner);
        make(&directory)?;
        Ok(Memory { directory })
    }

    /// Puts a value into the file `name`, with the owner and mode that it is to have inside of containers, and returns
    /// its path. One that is there and equal stays as it is.
    ///
    /// Errors: `File`, for example where an agent that isn't root is to give a file away.
    pub fn place(
        &self,
        name: &str,
        secret: &Secret,
        owner: (Option<u32>, Option<u32>),
        mode: u32,
    ) -> Result<PathBuf, Error> {
        let path = self.directory.join(name);
        if is_there(&path, secret) {
            return Ok(path);
        }
        let aside = self.directory.join(format!(".{name}"));
        let write = || -> std::io::Result<()> {
            match std::fs::remove_file(&aside) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
            file.write_all(secret.expose())?;
            let (user, group) = owner;
            std::os::unix::fs::fchown(&file, user, group)?;
            rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))?;
            std::fs::rename(&aside, &path)
        };
        if let Err(error) = write() {
            let _ = std::fs::remove_file(&aside);
            return Err(Error::file("write", &path, error));
        }
        Ok(path)
    }

    /// Whether the file `name` is there; it is whole if it is.
    pub fn has(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }

    /// Removes the files that are not in `kept`.
    pub fn retain(&self, kept: &BTreeSet<String>) {
        for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            if !kept.contains(entry.file_name().to_string_lossy().as_ref())
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "cannot remove a secret from memory");
            }
        }
    }
}

/// Whether the file holds exactly this; owner and mode are part of its name.
fn is_there(path: &Path, secret: &Secret) -> bool {
    use std::io::Read as _;
    let mut found = zeroize::Zeroizing::new(Vec::with_capacity(secret.expose().len() + 1));
    let read =
        File::open(path).map(|file| file.take(secret.expose().len() as u64 + 1).read_to_end(&mut found));
    matches!(read, Ok(Ok(_))) && *found == secret.expose()
}

/// Whether a directory is on a tmpfs or ramfs. Errors: `File`.
pub fn is_in_memory(path: &Path) -> Result<bool, Error> {
    let found = rustix::fs::statfs(path).map_err(|error| Error::file("look at", path, error.into()))?;
    // The type is signed, and of another width, depending on the machine.
    let kind = found.f_type as u64 & 0xffff_ffff;
    Ok(IN_MEMORY.contains(&kind))
}

fn mount(path: &Path) -> Result<(), Error> {
    use rustix::mount::MountFlags;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mut last = None;
    for options in MOUNT_OPTIONS {
        match rustix::mount::mount(c"wharf-secrets", path, c"tmpfs", flags, Some(options)) {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    let reason = last.map_or_else(String::new, |error| std::io::Error::from(error).to_string());
    let reason = format!("it is on a disk, and no tmpfs can be mounted there ({reason})");
    Err(Error::NoMemory { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn values_are_placed_with_their_mode_and_removed_when_unwanted() {
        let shm = Path::new("/dev/shm");
        assert!(is_in_memory(shm).unwrap(), "Linux has a tmpfs at /dev/shm");
        let base = tempfile::tempdir_in(shm).unwrap();
        let memory = Memory::open(&base.path().join("secrets"), "me").unwrap();
        let path = memory.place("a", &"one".into(), (None, None), 0o440).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o440);
        memory.place("a", &"one".into(), (None, None), 0o440).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), metadata.ino(), "it stays as it is");
        memory.place("a", &"two".into(), (None, None), 0o400).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        memory.place("b", &"".into(), (None, None), 0o444).unwrap();
        memory.retain(&BTreeSet::from(["b".to_owned()]));
        assert!(!memory.has("a") && memory.has("b"));
    }

    #[test]
    fn a_disk_is_no_memory() {
        assert!(!is_in_memory(Path::new("/proc")).unwrap());
        let missing = Path::new("/proc/no/such/place");
        assert!(matches!(Memory::open(missing, "me"), Err(Error::File { .. })));
    }
}
