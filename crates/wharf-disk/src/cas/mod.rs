//! A content-addressed store: files named by the digest of their bytes.
//!
//! ```text
//! <root>/blobs/<algorithm>/ab/<hex>    immutable, mode 0444
//!        uploads/<id>-<scope>          an upload session; outlives a restart
//!        uploads/put-<id>              a small file on its way in; removed at the next start
//! ```
//!
//! Flow of an upload: [`Store::create_session`] makes the file → [`Session::writer`] appends and hashes what
//! arrives, in batches on the blocking threads → [`Session::commit`] compares digests, fsyncs the file, renames it
//! into `blobs/` and fsyncs that directory. Only then is the blob there, for readers and after a power loss.
//!
//! What must always hold: a file under `blobs/` has the bytes that its name says and was fsynced before it got that
//! name. A session file holds a prefix of the upload; its length is the offset, there is no second record of it.
//! Sessions survive the end of the process; a power loss may shorten them, the client then resumes further back.
//!
//! Limits: open sessions, bytes that stay free on the disk. After a failed fsync every write is refused.

mod blob;
mod hash;
mod layout;
mod session;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use wharf_base::{Clock, Digest};

pub use blob::{Blob, BlobReader};
pub use hash::{Algorithm, digest_of};
pub use session::Session;
pub use writer::Writer;

use crate::{Error, atomic, free_bytes};
use layout::Layout;
use session::Shared;

/// Limits of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that must stay free on the disk; writes that would go below are refused.
    pub keep_free: u64,
    /// Upload sessions that may be open at once.
    pub sessions_max: usize,
}

/// What a store has done since it was opened, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Upload sessions that are open.
    pub sessions_open: usize,
    /// Sessions refused because `sessions_max` were open.
    pub sessions_refused: u64,
    /// Writes refused because the disk is full or nearly so.
    pub disk_refused: u64,
    /// Bytes written to sessions and files.
    pub bytes_written: u64,
    /// Blobs committed that were not there before.
    pub blobs_committed: u64,
    /// Why writes are refused, after a failed fsync.
    pub refuses_writes: Option<String>,
}

/// One of the 512 directories of blobs, so that a walk over millions of them holds few in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    algorithm: &'static str,
    first: u8,
}

impl Shard {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Shard> + Send {
        let of = |algorithm| (0..=255u8).map(move |first| Shard { algorithm, first });
        of("sha256").chain(of("sha512"))
    }
}

/// A file of the store, as [`Store::list`] tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// The store. Clones share one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    limits: Limits,
    clock: Arc<dyn Clock>,
    /// fsync(2), which a test replaces by one that fails.
    sync: fn(&File) -> io::Result<()>,
    sessions: Mutex<HashMap<String, Arc<Shared>>>,
    sessions_refused: AtomicU64,
    disk_refused: AtomicU64,
    bytes_written: AtomicU64,
    blobs_committed: AtomicU64,
    refused: OnceLock<String>,
}

impl Store {
    /// Opens the store below `root`, creating what is missing, and finds the sessions that an earlier process left.
    ///
    /// The caller holds a [`crate::DirLock`] above `root`.
    pub async fn open(root: &Path, limits: Limits, clock: Arc<dyn Clock>) -> Result<Store, Error> {
        let root = root.to_owned();
        atomic::blocking(move || Store::open_blocking(&root, limits, clock, File::sync_all)).await
    }

    fn open_blocking(
        root: &Path,
        limits: Limits,
        clock: Arc<dyn Clock>,
        sync: fn(&File) -> io::Result<()>,
    ) -> Result<Store, Error> {
        let layout = Layout::create(root)?;
        let sessions = session::find(&layout)?;
        let inner = Inner {
            layout,
            limits,
            clock,
            sync,
            sessions: Mutex::new(sessions),
            sessions_refused: AtomicU64::new(0),
            disk_refused: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            blobs_committed: AtomicU64::new(0),
            refused: OnceLock::new(),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Opens a blob for reading. `None`: not there.
    pub async fn open_blob(&self, digest: &Digest) -> Result<Option<Blob>, Error> {
        let path = self.inner.layout.blob(digest);
        atomic::blocking(move || Blob::open(path)).await
    }

    /// All bytes of a small blob. `None`: not there.
    pub async fn read(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let path = self.inner.layout.blob(digest);
        Ok(atomic::blocking(move || atomic::read(&path)).await?.map(Bytes::from))
    }

    /// Stores small content whole, under a digest that the caller has computed of it. Durable once it returns.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), Error> {
        let (inner, digest) = (Arc::clone(&self.inner), digest.clone());
        atomic::blocking(move || inner.put(&digest, &bytes)).await
    }

    /// Removes a blob. Whether it was there. Readers that have it open read on.
    pub async fn delete(&self, digest: &Digest) -> Result<bool, Error> {
        let path = self.inner.layout.blob(digest);
        atomic::blocking(move || match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", &path)(error)),
        })
        .await
    }

    /// Every blob of one shard, in no order. For maintenance, which goes through all [`Shard`]s.
    pub async fn list(&self, shard: Shard) -> Result<Vec<Entry>, Error> {
        let inner = Arc::clone(&self.inner);
        atomic::blocking(move || inner.layout.list(shard)).await
    }

    /// Opens an upload session. `scope` is who may continue it (a repository); it hashes with `algorithm` while
    /// bytes arrive.
    ///
    /// Errors: `TooManySessions`, `DiskFull`, `Refused`.
    pub async fn create_session(&self, scope: &str, algorithm: Algorithm) -> Result<Session, Error> {
        let (inner, scope) = (Arc::clone(&self.inner), scope.to_owned());
        atomic::blocking(move || Session::create(inner, &scope, algorithm)).await
    }

    /// Finds an open session, also one of an earlier process.
    ///
    /// Errors: `SessionUnknown`, also when it belongs to another scope.
    pub fn session(&self, scope: &str, id: &str) -> Result<Session, Error> {
        Session::find(&self.inner, scope, id)
    }

    /// Removes sessions that nobody has written to for `idle`. Returns how many.
    pub async fn expire_sessions(&self, idle: Duration) -> Result<usize, Error> {
        let inner = Arc::clone(&self.inner);
        atomic::blocking(move || session::expire(&inner, idle)).await
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        Stats {
            sessions_open: inner.sessions.lock().expect("no holder panics").len(),
            sessions_refused: inner.sessions_refused.load(Ordering::Relaxed),
            disk_refused: inner.disk_refused.load(Ordering::Relaxed),
            bytes_written: inner.bytes_written.load(Ordering::Relaxed),
            blobs_committed: inner.blobs_committed.load(Ordering::Relaxed),
            refuses_writes: inner.refused.get().cloned(),
        }
    }
}

impl Inner {
    /// Whether writing is allowed now: no fsync has failed, and enough of the disk is free.
    fn check_writable(&self, more: u64) -> Result<(), Error> {
        let path = self.layout.root();
        if let Some(reason) = self.refused.get() {
            return Err(Error::Refused { path: path.to_owned(), reason: reason.clone() });
        }
        let free = free_bytes(path)?;
        let keep = self.limits.keep_free;
        if free < keep.saturating_add(more) {
            self.disk_refused.fetch_add(1, Ordering::Relaxed);
            return Err(Error::DiskFull { path: path.to_owned(), free, keep });
        }
        Ok(())
    }

    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        self.check_writable(bytes.len() as u64)?;
        let target = self.layout.blob(digest);
        if self.has(&target, bytes.len() as u64) {
            // Whoever renamed it may not have synced the directory yet, and we are about to say that it is there.
            return self.sync_path(layout::parent(&target));
        }
        let temporary = self.layout.temporary();
        let written = File::create_new(&temporary)
            .map_err(Error::io("create", &temporary))
            .and_then(|mut file| {
                file.write_all(bytes).map_err(Error::io("write", &temporary))?;
                Ok(file)
            })
            .and_then(|file| self.install(&file, &temporary, &target));
        match written {
            Ok(()) => {
                self.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                // Best effort: what stays is removed at the next start.
                let _ = fs::remove_file(&temporary);
                Err(self.counted(error))
            }
        }
    }

    /// Whether `target` is there with that size. Another size means damage, and it is replaced.
    fn has(&self, target: &Path, size: u64) -> bool {
        fs::metadata(target).is_ok_and(|metadata| metadata.len() == size)
    }

    /// Makes a complete file immutable and durable, and gives it its name: file first, name second.
    fn install(&self, file: &File, from: &Path, target: &Path) -> Result<(), Error> {
        rustix::fs::fchmod(file, rustix::fs::Mode::from_raw_mode(0o444))
            .map_err(|errno| Error::io("chmod", from)(errno.into()))?;
        self.sync_file(file, from)?;
        fs::rename(from, target).map_err(Error::io("rename", target))?;
        self.sync_path(layout::parent(target))?;
        self.blobs_committed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn sync_path(&self, directory: &Path) -> Result<(), Error> {
        let file = File::open(directory).map_err(Error::io("open directory", directory))?;
        self.sync_file(&file, directory)
    }

    /// fsync; the first failure closes the store for writing.
    fn sync_file(&self, file: &File, path: &Path) -> Result<(), Error> {
        (self.sync)(file).map_err(|source| {
            let reason = format!("{} at {}", source, path.display());
            if self.refused.set(reason.clone()).is_ok() {
                tracing::error!(path = %path.display(), error = %source, "fsync failed, the store refuses writes");
            }
            Error::Refused { path: self.layout.root().to_owned(), reason }
        })
    }

    fn counted(&self, error: Error) -> Error {
        if error.is_disk_full() && !matches!(error, Error::DiskFull { .. }) {
            self.disk_refused.fetch_add(1, Ordering::Relaxed);
        }
        error
    }

    fn forget(&self, name: &str) {
        self.sessions.lock().expect("no holder panics").remove(name);
    }

    fn upload_path(&self, name: &str) -> PathBuf {
        self.layout.upload(name)
    }
}
