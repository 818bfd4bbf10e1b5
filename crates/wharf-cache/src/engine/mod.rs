//! One fetch for everybody: content by its digest, and documents that upstreams change.
//!
//! ```text
//! content(digest, where):   store has it → read it
//!                           a fill runs  → read along, from byte 0
//!                           else         → start a fill, read along
//! document(where):          fresh → the stored bytes
//!                           else  → ask (If-None-Match …), one at a time; on errors the stored bytes, said to be stale
//! ```
//!
//! What must always hold: for one digest at most one transfer runs; content counts as stored only after its digest was
//! found right; a client that goes away stops nothing.
//!
//! Limits: fills at a time and waiting (`cache.fills_max`), bytes on disk (`cache.size_max`), bytes of a document.

mod counters;
mod document;
mod fill;
mod sink;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Semaphore;
use wharf_base::{Digest, Tasks, UnixMillis};

pub(crate) use counters::Counters;
pub use counters::Counts;
pub(crate) use document::{Document, Look, Looked};
pub(crate) use fill::{Fill, Reader};

use crate::store::Store;
use crate::upstream::{Client, SharedUpstream, Upstream};
use crate::{Config, Ecosystem, Error};

/// LIMIT: fills that wait for one of `fills_max` to end, per running one.
const WAITING_PER_FILL: usize = 16;
/// LIMIT: documents that are fetched at a time; each may have 32 MiB in memory.
const DOCUMENTS_MAX: usize = 4;

/// The fetching half of the cache.
pub(crate) struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) client: Client,
    fills: Mutex<HashMap<Digest, Arc<Fill>>>,
    fills_waiting_max: usize,
    transfers: Semaphore,
    documents: Semaphore,
    /// Documents that somebody asks an upstream for now.
    asking: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Upstreams that want to be left alone, and until when.
    down: Mutex<HashMap<Upstream, UnixMillis>>,
    counters: [Counters; Ecosystem::COUNT],
    fresh_min: Duration,
    retry_first: Duration,
    tasks: Tasks,
}

/// Content that is known by its digest, and where to fetch it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) ecosystem: Ecosystem,
    pub(crate) upstream: SharedUpstream,
    /// Path and query on the upstream.
    pub(crate) path: String,
    /// What the upstream needs to be told.
    pub(crate) headers: HeaderMap,
    pub(crate) digest: Digest,
    /// Its bytes, where an index says so.
    pub(crate) size: Option<u64>,
}

impl Wanted {
    fn wrong(&self, reason: String) -> Error {
        Error::Wrong { upstream: self.upstream.name().to_owned(), reason: format!("{}: {reason}", self.path) }
    }
}

/// Content that can be read.
pub(crate) enum Served {
    /// From the store.
    Stored { file: Arc<File>, size: u64 },
    /// While it arrives.
    Filling(Arc<Fill>),
}

impl Engine {
    pub(crate) fn new(config: &Config, store: Arc<Store>, tasks: &Tasks) -> Result<Arc<Engine>, Error> {
        let client = Client::new(config.timeouts())?;
        Ok(Arc::new(Engine {
            store,
            client,
            fills: Mutex::default(),
            fills_waiting_max: config.fills_max.saturating_mul(WAITING_PER_FILL),
            transfers: Semaphore::new(config.fills_max),
            documents: Semaphore::new(DOCUMENTS_MAX),
            asking: Mutex::default(),
            down: Mutex::default(),
            counters: std::array::from_fn(|_| Counters::default()),
            fresh_min: config.fresh_min,
            retry_first: config.retry_first,
            tasks: tasks.clone(),
        }))
    }

    /// Finds content, or starts fetching it.
    ///
    /// Errors: `Busy`, and those of the disk. What goes wrong with the upstream is told by the fill.
    pub(crate) async fn content(self: &Arc<Engine>, wanted: Wanted) -> Result<Served, Error> {
        let counters = self.counters(wanted.ecosystem);
        loop {
            if let Some((file, size)) = self.store.read(&wanted.digest).await? {
                counters.hit();
                return Ok(Served::Stored { file, size });
            }
            let mut fills = self.fills();
            if let Some(fill) = fills.get(&wanted.digest) {
                counters.joined();
                return Ok(Served::Filling(Arc::clone(fill)));
            }
            // Stored since we looked?
            if self.store.has(&wanted.digest) {
                continue;
            }
            if fills.len() >= self.fills_waiting_max {
                counters.refused();
                return Err(Error::Busy { fills: fills.len() });
            }
            counters.miss();
            let fill = Arc::new(Fill::new(wanted.size));
            fills.insert(wanted.digest.clone(), Arc::clone(&fill));
            let task = transfer::run(Arc::clone(self), wanted, Arc::clone(&fill), self.tasks.shutdown());
            self.tasks.spawn("cache-fill", task);
            return Ok(Served::Filling(fill));
        }
    }

    /// Fetches content unless it is stored, and waits until it is.
    pub(crate) async fn ensure(self: &Arc<Engine>, wanted: Wanted) -> Result<(), Error> {
        match self.content(wanted).await? {
            Served::Stored { .. } => Ok(()),
            Served::Filling(fill) => fill.ended().await,
        }
    }

    /// Counters of one ecosystem.
    pub(crate) fn counters(&self, ecosystem: Ecosystem) -> &Counters {
        &self.counters[ecosystem as usize]
    }

    /// Fills that run or wait.
    pub(crate) fn fills_open(&self) -> usize {
        self.fills().len()
    }

    /// Whether an upstream wants to be left alone now.
    ///
    /// Errors: `Upstream`, with the time that is left.
    pub(crate) fn down(&self, upstream: &Upstream) -> Result<(), Error> {
        let now = self.store.clock().now();
        let mut down = self.down.lock().expect("no holder panics");
        let Some(&until) = down.get(upstream) else { return Ok(()) };
        if until <= now {
            down.remove(upstream);
            return Ok(());
        }
        let retry_after = until.since(now).max(Duration::from_secs(1));
        let reason = "it has asked to be left alone".to_owned();
        Err(Error::Upstream { upstream: upstream.name().to_owned(), reason, retry_after })
    }

    fn set_down(&self, upstream: &Upstream, wait: Duration) {
        let until = self.store.clock().now().plus(wait);
        self.down.lock().expect("no holder panics").insert(upstream.clone(), until);
        tracing::warn!(%upstream, seconds = wait.as_secs(), "an upstream wants to be left alone");
    }

    fn fills(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Fill>>> {
        self.fills.lock().expect("no holder panics")
    }

    fn forget_fill(&self, digest: &Digest) {
        self.fills().remove(digest);
    }
}
