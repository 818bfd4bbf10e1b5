//! What indexes say of the files in archives, kept in `cache.db`.
//!
//! An index is read once per digest, in the background, as soon as its bytes are stored. Who asks for a file that no index
//! has named yet waits for those that are being read. What an index names no longer is remembered for a while: clients
//! may still have the one before.

use std::collections::HashSet;
use std::io::{self, BufReader};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use wharf_base::Digest;
use wharf_state::rusqlite::{OptionalExtension as _, params};

use super::packages::{self, Packing, Promise};
use crate::Error;
use crate::engine::{Engine, Served};
use crate::store::blocking;
use crate::upstream::SharedUpstream;

/// How long a file is still known that the newest index doesn't name.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Longest wait of a request for indexes that are being read.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// An index of .debs, as stored.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) upstream: SharedUpstream,
    /// The archive's root on the upstream.
    pub(super) archive: String,
    /// Path without the ending of its packing: one index in several packings is one source.
    pub(super) source: String,
    pub(super) packing: Packing,
    pub(super) digest: Digest,
}

/// Indexes being read now.
pub(super) struct Promises {
    engine: Arc<Engine>,
    reading: Mutex<HashSet<Digest>>,
    running: watch::Sender<usize>,
}

/// Counts one index as being read.
pub(super) struct Reading {
    promises: Arc<Promises>,
    digest: Digest,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.promises.reading.lock().expect("no holder panics").remove(&self.digest);
        self.promises.running.send_modify(|running| *running -= 1);
    }
}

impl Promises {
    pub(super) fn new(engine: Arc<Engine>) -> Arc<Promises> {
        Arc::new(Promises { engine, reading: Mutex::default(), running: watch::Sender::new(0) })
    }

    /// Announces that an index will be read. `None`: somebody else is at it.
    pub(super) fn begin(self: &Arc<Promises>, digest: &Digest) -> Option<Reading> {
        if !self.reading.lock().expect("no holder panics").insert(digest.clone()) {
            return None;
        }
        self.running.send_modify(|running| *running += 1);
        Some(Reading { promises: Arc::clone(self), digest: digest.clone() })
    }

    /// Reads a stored index, unless it was read before.
    pub(super) async fn read(&self, index: &Index) -> Result<(), Error> {
        if self.is_read(index).await? {
            return Ok(());
        }
        let Some((file, _)) = self.engine.store.read(&index.digest).await? else { return Ok(()) };
        let packing = index.packing;
        let found = blocking(move || {
            let mut found: Vec<Promise> = Vec::new();
            packages::read(packing, BufReader::with_capacity(64 << 10, &*file), |promise| {
                found.push(promise);
                Ok::<(), io::Error>(())
            })
            .map(|()| found)
        })
        .await;
        let found = found.map_err(|error| Error::Wrong {
            upstream: index.upstream.name().to_owned(),
            reason: format!("{}: {error}", index.source),
        })?;
        tracing::info!(
            upstream = index.upstream.name(),
            source = index.source,
            files = found.len(),
            "index read"
        );
        self.remember(index, found).await
    }

    async fn is_read(&self, index: &Index) -> Result<bool, Error> {
        let (upstream, source) = (index.upstream.to_string(), index.source.clone());
        let sql = "SELECT digest FROM read_index WHERE upstream = ?1 AND source = ?2";
        let found: Option<String> = self
            .engine
            .store
            .database()
            .read(move |connection| {
                connection.prepare_cached(sql)?.query_row([upstream, source], |row| row.get(0)).optional()
            })
            .await?;
        Ok(found.as_deref() == Some(index.digest.as_str()))
    }

    async fn remember(&self, index: &Index, found: Vec<Promise>) -> Result<(), Error> {
        let (upstream, source) = (index.upstream.to_string(), index.source.clone());
        let (archive, digest) = (index.archive.clone(), index.digest.to_string());
        let now = self.engine.store.clock().now().0;
        let old = now - i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        self.engine
            .store
            .database()
            .write(move |tx| {
                let mut insert = tx.prepare_cached(
                    "INSERT INTO promise (upstream, path, source, digest, size, seen_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (upstream, path, source) DO UPDATE SET
                     digest = excluded.digest, size = excluded.size, seen_ms = excluded.seen_ms",
                )?;
                for Promise { path, digest, size } in found {
                    let path = format!("{archive}/{path}");
                    insert.execute(params![upstream, path, source, digest.as_str(), size as i64, now])?;
                }
                tx.execute(
                    "DELETE FROM promise WHERE upstream = ?1 AND source = ?2 AND seen_ms < ?3",
                    params![upstream, source, old],
                )?;
                tx.execute(
                    "INSERT INTO read_index (upstream, source, digest) VALUES (?1, ?2, ?3)
                     ON CONFLICT (upstream, source) DO UPDATE SET digest = excluded.digest",
                    params![upstream, source, digest],
                )
            })
            .await?;
        Ok(())
    }

    /// What is known of a file: that of the index that was read last. Waits for those being read.
    pub(super) async fn find(
        &self,
        upstream: &SharedUpstream,
        path: &str,
    ) -> Result<Option<(Digest, u64)>, Error> {
        if let Some(found) = self.known(upstream, path).await? {
            return Ok(Some(found));
        }
        let mut running = self.running.subscribe();
        if *running.borrow() == 0 {
            return Ok(None);
        }
        // What takes longer than this is passed on uncached.
        let _ = tokio::time::timeout(WAIT_MAX, running.wait_for(|running| *running == 0)).await;
        self.known(upstream, path).await
    }

    async fn known(&self, upstream: &SharedUpstream, path: &str) -> Result<Option<(Digest, u64)>, Error> {
        let (upstream, path) = (upstream.to_string(), path.to_owned());
        let sql = "SELECT digest, size FROM promise WHERE upstream = ?1 AND path = ?2
                   ORDER BY seen_ms DESC LIMIT 1";
        let found: Option<(String, i64)> = self
            .engine
            .store
            .database()
            .read(move |connection| {
                connection
                    .prepare_cached(sql)?
                    .query_row([upstream, path], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .await?;
        Ok(found.and_then(|(digest, size)| Some((digest.parse().ok()?, size.unsigned_abs()))))
    }

    /// Waits until `served` is stored. Whether it is.
    pub(super) async fn stored(served: &Served) -> bool {
        match served {
            Served::Stored { .. } => true,
            Served::Filling(fill) => fill.ended().await.is_ok(),
        }
    }
}
