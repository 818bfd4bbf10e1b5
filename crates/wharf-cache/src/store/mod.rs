//! The cache's files: named by the digest of their bytes, least recently used removed first under a hard byte cap.
//!
//! ```text
//! <data>/cache/ format, lock       version of the layout; the process that has the directory
//!               blobs/<alg>/ab/D   immutable, mode 0444; the bytes have the digest D
//!               fills/<id>         bytes on their way in; removed at the next start
//!               cache.db           what is stored and since when (SQLite)
//! ```
//!
//! Flow: [`Store::draft`] makes a file in `fills/` → [`Draft::reserve`] makes room for its bytes (LRU) → somebody writes
//! them and checks their digest → [`Store::commit`]: fsync, rename, fsync the directory, row.
//!
//! What must always hold: stored and reserved bytes together stay within the cap; a file under `blobs/` has the bytes
//! that its name says and was fsynced before it got that name; a row without a file and a file without a row go at the
//! next start. After a failed fsync nothing more is stored. Readers that have a file open read on when it is removed.

mod ledger;
mod schema;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use wharf_base::{Clock, Digest};
use wharf_disk::{DirLock, atomic, format};
use wharf_state::rusqlite::params;
use wharf_state::sqlite::Database;

use crate::{Ecosystem, Error};
use ledger::Ledger;

/// Version of the files below `<data>/cache`; docs/decisions/0030 describes them.
const FORMAT: u32 = 1;

/// Bounds of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes stored and on their way in, together.
    pub(crate) cap: u64,
    /// Bytes that stay free on the disk.
    pub(crate) keep_free: u64,
}

/// The files of a cache. Shared by all its parts.
pub(crate) struct Store {
    root: PathBuf,
    limits: Limits,
    clock: Arc<dyn Clock>,
    database: Database,
    ledger: Mutex<Ledger>,
    /// Removed files whose rows are still there.
    gone: Mutex<Vec<Digest>>,
    next_draft: AtomicU64,
    evicted: AtomicU64,
    refused: OnceLock<String>,
    _lock: DirLock,
}

/// A file on its way in. Dropping it removes the file and gives its room back.
pub(crate) struct Draft {
    store: Arc<Store>,
    path: PathBuf,
    file: Arc<File>,
    reserved: u64,
    is_committed: bool,
}

/// A row of `wharf cache ls`.
pub(crate) struct Row {
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) ecosystem: String,
    pub(crate) source: String,
    pub(crate) used_ms: i64,
}

impl Store {
    /// Opens the files below `root`, and makes files and rows agree.
    ///
    /// Errors: `Locked` when another process has them.
    pub(crate) async fn open(
        root: &Path,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Store>, Error> {
        let (lock, root) = blocking({
            let root = root.to_owned();
            move || -> Result<_, wharf_disk::Error> {
                atomic::create_directory(&root)?;
                let lock = DirLock::acquire(&root)?;
                format::ensure(&root, FORMAT)?;
                make_directories(&root)?;
                Ok((lock, root))
            }
        })
        .await?;
        let database = Database::open(&root.join("cache.db"))?;
        database.migrate("cache", schema::MIGRATIONS).await?;
        let rows = database
            .read(|connection| {
                let mut statement = connection.prepare("SELECT digest, size, used_ms FROM blob")?;
                let rows = statement.query_map([], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })?;
                rows.collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let (mut ledger, gone) = blocking({
            let root = root.clone();
            move || reconcile(&root, rows, limits.cap)
        })
        .await?;
        let over = ledger.shrink(limits.cap);
        let store = Arc::new(Store {
            root,
            limits,
            clock,
            database,
            ledger: Mutex::new(ledger),
            gone: Mutex::new(gone),
            next_draft: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            refused: OnceLock::new(),
            _lock: lock,
        });
        store.unlink(over);
        store.flush().await?;
        Ok(store)
    }

    /// The index, for parts that keep rows of their own in it.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Whether it is stored.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.ledger().get(digest).is_some()
    }

    /// Opens stored content for reading. `None`: not there.
    pub(crate) async fn read(self: &Arc<Store>, digest: &Digest) -> Result<Option<(Arc<File>, u64)>, Error> {
        let now = self.clock.now().0;
        let Some(size) = self.ledger().touch(digest, now) else { return Ok(None) };
        let (store, digest) = (Arc::clone(self), digest.clone());
        blocking(move || {
            let path = store.blob(&digest);
            let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
            match opened {
                Ok((found, file)) if found == size => Ok(Some((Arc::new(file), size))),
                Ok(_) => {
                    tracing::error!(%digest, "a stored file has another size than its row says; it was removed");
                    store.remove(&digest);
                    Ok(None)
                }
                // Removed in between, or by somebody else's hand: as good as never stored.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    store.remove(&digest);
                    Ok(None)
                }
                Err(source) => Err(disk("open", &path, source)),
            }
        })
        .await
    }

    /// A new file, without room yet.
    pub(crate) async fn draft(self: &Arc<Store>) -> Result<Draft, Error> {
        if let Some(reason) = self.refused.get() {
            let reason = reason.clone();
            return Err(wharf_disk::Error::Refused { path: self.root.clone(), reason }.into());
        }
        let number = self.next_draft.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("fills").join(number.to_string());
        let store = Arc::clone(self);
        blocking(move || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
                .map_err(|source| disk("create", &path, source))?;
            Ok(Draft { store, path, file: Arc::new(file), reserved: 0, is_committed: false })
        })
        .await
    }

    /// Stores the first `size` bytes of a draft, whose digest the caller has checked. Durable once it returns.
    pub(crate) async fn commit(
        self: &Arc<Store>,
        mut draft: Draft,
        digest: &Digest,
        size: u64,
        ecosystem: Ecosystem,
        source: &str,
    ) -> Result<(), Error> {
        assert!(size <= draft.reserved, "{size} bytes were written and {} reserved", draft.reserved);
        let (store, target) = (Arc::clone(self), self.blob(digest));
        draft = blocking(move || {
            let result = store.install(&draft, size, &target);
            draft.is_committed = result.is_ok();
            result.map(|()| draft)
        })
        .await?;
        let now = self.clock.now().0;
        let reserved = std::mem::take(&mut draft.reserved);
        self.ledger().store(digest.clone(), size, reserved, now);
        let (digest, source, bytes) = (digest.to_string(), source.to_owned(), size as i64);
        // A file that was removed in this moment leaves a row, which the next flush or start removes.
        self.gone.lock().expect("no holder panics").retain(|gone| gone.as_str() != digest);
        self.database
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO blob (digest, size, ecosystem, source, stored_ms, used_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                     ON CONFLICT (digest) DO UPDATE SET size = excluded.size, used_ms = excluded.used_ms",
                    params![digest, bytes, ecosystem.as_str(), source, now],
                )
            })
            .await?;
        Ok(())
    }

    /// Removes content. Whether it was there.
    pub(crate) fn remove(&self, digest: &Digest) -> bool {
        let was_there = self.ledger().forget(digest);
        if was_there {
            self.unlink(vec![digest.clone()]);
        }
        was_there
    }

    /// Writes down when what was last used, and forgets the rows of removed files.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let gone: Vec<String> = {
            let mut gone = self.gone.lock().expect("no holder panics");
            std::mem::take(&mut *gone).iter().map(Digest::to_string).collect()
        };
        let used: Vec<(String, i64)> =
            self.ledger().all().map(|(digest, held)| (digest.to_string(), held.used_ms)).collect();
        self.database
            .write(move |tx| {
                let mut forget = tx.prepare_cached("DELETE FROM blob WHERE digest = ?1")?;
                let mut documents = tx.prepare_cached("DELETE FROM document WHERE digest = ?1")?;
                for digest in gone {
                    forget.execute([&digest])?;
                    documents.execute([&digest])?;
                }
                let mut update =
                    tx.prepare_cached("UPDATE blob SET used_ms = ?2 WHERE digest = ?1 AND used_ms < ?2")?;
                for (digest, used_ms) in used {
                    update.execute(params![digest, used_ms])?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    /// What is stored, the largest first, `limit` at most.
    pub(crate) async fn rows(&self, ecosystem: Option<Ecosystem>, limit: usize) -> Result<Vec<Row>, Error> {
        self.flush().await?;
        let rows = self
            .database
            .read(move |connection| {
                let sql = "SELECT digest, size, ecosystem, source, used_ms FROM blob
                           WHERE ?1 IS NULL OR ecosystem = ?1 ORDER BY size DESC, digest LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(
                    params![ecosystem.map(Ecosystem::as_str), i64::try_from(limit).unwrap_or(i64::MAX)],
                    |row| {
                        Ok(Row {
                            digest: row.get(0)?,
                            size: row.get::<_, i64>(1)?.unsigned_abs(),
                            ecosystem: row.get(2)?,
                            source: row.get(3)?,
                            used_ms: row.get(4)?,
                        })
                    },
                )?;
                rows.collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(rows)
    }

    /// Files and bytes stored of each ecosystem.
    pub(crate) async fn by_ecosystem(&self) -> Result<HashMap<String, (u64, u64)>, Error> {
        self.flush().await?;
        let rows = self
            .database
            .read(|connection| {
                let sql = "SELECT ecosystem, count(*), sum(size) FROM blob GROUP BY ecosystem";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map([], |row| {
                    let (count, bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
                    Ok((row.get(0)?, (count.unsigned_abs(), bytes.unsigned_abs())))
                })?;
                rows.collect::<Result<HashMap<_, _>, _>>()
            })
            .await?;
        Ok(rows)
    }

    /// Bytes stored, bytes reserved for fills, files, files removed to make room.
    pub(crate) fn usage(&self) -> (u64, u64, usize, u64) {
        let ledger = self.ledger();
        let (stored, reserved) = ledger.bytes();
        (stored, reserved, ledger.count(), self.evicted.load(Ordering::Relaxed))
    }

    /// Why nothing is stored any more, after a failed fsync.
    pub(crate) fn refuses_writes(&self) -> Option<String> {
        self.refused.get().cloned()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no holder panics")
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.root.join("blobs");
        path.push(digest.algorithm());
        path.push(&digest.hex()[..2]);
        path.push(digest.hex());
        path
    }

    /// Removes the files of content that is off the books.
    fn unlink(&self, digests: Vec<Digest>) {
        for digest in &digests {
            let path = self.blob(digest);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove a cached file; the next start tries again");
            }
        }
        self.gone.lock().expect("no holder panics").extend(digests);
    }

    fn install(&self, draft: &Draft, size: u64, target: &Path) -> Result<(), Error> {
        let changed = draft
            .file
            .set_len(size)
            .and_then(|()| draft.file.set_permissions(fs::Permissions::from_mode(0o444)));
        changed.map_err(|source| disk("finish", &draft.path, source))?;
        self.sync(&draft.file, &draft.path)?;
        fs::rename(&draft.path, target).map_err(|source| disk("rename", target, source))?;
        let directory = target.parent().expect("a blob has a directory");
        let opened = File::open(directory).map_err(|source| disk("open directory", directory, source))?;
        self.sync(&opened, directory)
    }

    /// fsync; the first failure closes the store for writing.
    fn sync(&self, file: &File, path: &Path) -> Result<(), Error> {
        file.sync_all().map_err(|source| {
            let reason = format!("{source} at {}", path.display());
            if self.refused.set(reason.clone()).is_ok() {
                tracing::error!(path = %path.display(), error = %source, "fsync failed, the cache stores nothing more");
            }
            wharf_disk::Error::Refused { path: self.root.clone(), reason }.into()
        })
    }
}

impl Draft {
    /// The file, open for reading and writing.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Makes sure that there is room for `size` bytes in all. Content that was used least recently goes for it.
    ///
    /// Errors: `TooLarge`, `NoRoom`, `DiskFull`.
    pub(crate) fn reserve(&mut self, size: u64) -> Result<(), Error> {
        if size <= self.reserved {
            return Ok(());
        }
        let more = size - self.reserved;
        let removed = self.store.ledger().reserve(more, size)?;
        self.reserved = size;
        self.store.evicted.fetch_add(removed.len() as u64, Ordering::Relaxed);
        self.store.unlink(removed);
        let (free, keep) = (wharf_disk::free_bytes(&self.store.root)?, self.store.limits.keep_free);
        if free < keep.saturating_add(more) {
            return Err(wharf_disk::Error::DiskFull { path: self.store.root.clone(), free, keep }.into());
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.store.ledger().give_back(self.reserved);
        if !self.is_committed
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "a draft stays until the next start");
        }
    }
}

fn make_directories(root: &Path) -> Result<(), wharf_disk::Error> {
    let fills = root.join("fills");
    atomic::create_directory(&fills)?;
    for entry in fs::read_dir(&fills).map_err(io_error("list", &fills))? {
        let path = entry.map_err(io_error("list", &fills))?.path();
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
    }
    for algorithm in ["sha256", "sha512"] {
        let above = root.join("blobs").join(algorithm);
        atomic::create_directory(&above)?;
        for first in 0..=255u8 {
            let path = above.join(format!("{first:02x}"));
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(io_error("create directory", &path)(error));
                }
                _ => {}
            }
        }
        atomic::sync_directory(&above)?;
    }
    Ok(())
}

/// Takes into the books what has both a row and a file of the same size, and removes files that have no such row.
/// Returns the digests whose rows have no file as well.
fn reconcile(root: &Path, rows: Vec<(String, i64, i64)>, cap: u64) -> Result<(Ledger, Vec<Digest>), Error> {
    let mut rows: HashMap<Digest, (u64, i64)> = rows
        .into_iter()
        .filter_map(|(digest, size, used)| Some((digest.parse().ok()?, (size.unsigned_abs(), used))))
        .collect();
    let mut ledger = Ledger::new(cap);
    for algorithm in ["sha256", "sha512"] {
        let above = root.join("blobs").join(algorithm);
        for first in 0..=255u8 {
            let shard = above.join(format!("{first:02x}"));
            for entry in fs::read_dir(&shard).map_err(io_error("list", &shard))? {
                let entry = entry.map_err(io_error("list", &shard))?;
                let size = entry.metadata().map_err(io_error("stat", &shard))?.len();
                let name = format!("{algorithm}:{}", entry.file_name().to_string_lossy());
                let digest: Option<Digest> = name.parse().ok();
                let row = digest.as_ref().and_then(|digest| rows.get(digest).copied());
                match (digest, row) {
                    (Some(digest), Some((row_size, used))) if row_size == size => {
                        rows.remove(&digest);
                        ledger.found(digest, size, used);
                    }
                    _ => fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?,
                }
            }
        }
    }
    Ok((ledger, rows.into_keys().collect()))
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> wharf_disk::Error {
    move |source| wharf_disk::Error::Io { what, path: path.to_owned(), source }
}

pub(crate) fn disk(what: &'static str, path: &Path, source: io::Error) -> Error {
    wharf_disk::Error::Io { what, path: path.to_owned(), source }.into()
}

/// Runs `work` on tokio's blocking threads. A panic in it goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
