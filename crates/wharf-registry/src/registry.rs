//! The registry as a part: start it, ask it, serve it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{RwLock, oneshot};
use wharf_base::{Clock, Digest, Tasks};
use wharf_disk::cas::{Limits, Session, Store};
use wharf_disk::{DirLock, format};
use wharf_http::ServerOptions;
use wharf_model::ports::{EventSink, ImagePlatforms, RegistryAccess};
use wharf_model::{Event, Platform};
use wharf_state::sqlite::Database;

use crate::metadata::Metadata;
pub use crate::metadata::{RepositoryView, TagView};
use crate::refusal::{Code, Refusal};
use crate::{Config, Error, api, platforms, sweep};

/// Version of the files under `<data>/registry`; docs/decisions/0005 describes them.
const FORMAT: u32 = 1;

/// What the registry needs of others.
pub struct Deps {
    /// The server's data directory; the registry's files are in `registry/` below it.
    pub data: PathBuf,
    /// Who may use it from addresses off loopback.
    pub access: Arc<dyn RegistryAccess>,
    /// Certificate for addresses off loopback.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where warnings go.
    pub events: Arc<dyn EventSink>,
}

/// How a listener is exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Whether requests need a login.
    pub needs_auth: bool,
}

/// A running registry; clones share it.
#[derive(Clone)]
pub struct Handle {
    pub(crate) registry: Arc<Registry>,
    addresses: Arc<[SocketAddr]>,
}

/// What the registry has done since it was started, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stats {
    /// Requests.
    pub requests: u64,
    /// Requests answered with 400 or more.
    pub refused: u64,
    /// Blobs and manifests pushed (mounts included).
    pub pushes: u64,
    /// Blobs and manifests sent.
    pub pulls: u64,
    /// Bytes of blobs sent.
    pub bytes_out: u64,
    /// Bytes written.
    pub bytes_in: u64,
    /// Uploads that are open.
    pub uploads_open: usize,
    /// Uploads refused because too many were open.
    pub uploads_refused: u64,
    /// Uploads removed because nobody went on with them.
    pub uploads_expired: u64,
    /// Writes refused because the disk is full or nearly so.
    pub disk_refused: u64,
    /// Blobs removed because nothing referred to them.
    pub blobs_swept: u64,
    /// Lookups that memory answered.
    pub cache_hits: u64,
    /// Lookups that went to SQLite.
    pub cache_misses: u64,
    /// Why writes are refused, after a failed fsync.
    pub refuses_writes: Option<String>,
}

/// What all requests share.
pub(crate) struct Registry {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) metadata: Metadata,
    pub(crate) access: Arc<dyn RegistryAccess>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    /// One of each first byte of a digest, so that the sweep of one file doesn't hold up the pushes of others.
    arriving: [RwLock<()>; 256],
    events: Arc<dyn EventSink>,
    tasks: Tasks,
    _lock: DirLock,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) pushes: AtomicU64,
    pub(crate) pulls: AtomicU64,
    pub(crate) bytes_out: Arc<AtomicU64>,
    pub(crate) uploads_expired: AtomicU64,
    pub(crate) blobs_swept: AtomicU64,
}

/// Opens the store, starts the listeners and the maintenance.
///
/// Errors: `Config` for settings that can't work, `Locked` when another process has the files, `Bind` for a port that
/// is taken.
pub async fn start(config: Config, deps: Deps, tasks: &Tasks) -> Result<Handle, Error> {
    config.check(deps.tls.is_some())?;
    let tls = deps.tls.clone();
    let listeners = wharf_http::bind("registry.listen", &config.listen).await?;
    let options = ServerOptions { connections_max: config.connections_max, ..ServerOptions::default() };
    let insecure = config.insecure;
    let mut handle = open(config, deps, tasks).await?;
    let mut addresses = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let address = listener.local_addr().map_err(|source| wharf_disk::Error::Io {
            what: "ask the address of",
            path: "registry.listen".into(),
            source,
        })?;
        addresses.push(address);
        let is_local = address.ip().is_loopback();
        let tls = tls.clone().filter(|_| !is_local && !insecure);
        tracing::info!(%address, tls = tls.is_some(), "registry listens");
        let router = router(&handle, Exposure { needs_auth: !is_local });
        wharf_http::serve("registry", listener, tls, router, options.clone(), tasks);
    }
    handle.addresses = addresses.into();
    Ok(handle)
}

/// Opens the store and starts the maintenance, without listeners.
async fn open(config: Config, deps: Deps, tasks: &Tasks) -> Result<Handle, Error> {
    let root = deps.data.join("registry");
    let lock = DirLock::acquire(&root)?;
    format::ensure(&root, FORMAT)?;
    let limits = Limits { keep_free: config.disk_free_min.0, sessions_max: config.uploads_max };
    let store = Store::open(&root, limits, Arc::clone(&deps.clock)).await?;
    let database = Database::open(&root.join("registry.db"))?;
    let cache_bytes = usize::try_from(config.cache_size.0).unwrap_or(usize::MAX);
    let metadata = Metadata::open(database, cache_bytes).await?;
    let registry = Arc::new(Registry {
        config,
        store,
        metadata,
        access: deps.access,
        clock: deps.clock,
        counters: Counters::default(),
        arriving: std::array::from_fn(|_| RwLock::new(())),
        events: deps.events,
        tasks: tasks.clone(),
        _lock: lock,
    });
    tasks.spawn("registry-sweep", sweep::run(Arc::clone(&registry), tasks.shutdown()));
    Ok(Handle { registry, addresses: Arc::new([]) })
}

/// The distribution API under `/v2/`, to be served at the root of a listener.
pub fn router(handle: &Handle, exposure: Exposure) -> Router {
    let registry = Arc::clone(&handle.registry);
    // One handler for all paths: repositories have slashes in their names, which axum's routes can't express.
    Router::new().fallback(move |request: Request| {
        let registry = Arc::clone(&registry);
        async move { api::answer(&registry, exposure, request).await }
    })
}

impl Handle {
    /// The name that images carry, `HOST:PORT`: `registry.address`, else the first address that is listened on.
    pub fn image_address(&self) -> String {
        let configured = self.registry.config.address.clone();
        configured.or_else(|| self.addresses.first().map(SocketAddr::to_string)).unwrap_or_default()
    }

    /// The addresses that are listened on, with the ports that the system chose for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        let Registry { counters, store, metadata, .. } = &*self.registry;
        let store = store.stats();
        let (cache_hits, cache_misses) = metadata.cache_counts();
        Stats {
            requests: counters.requests.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            pushes: counters.pushes.load(Ordering::Relaxed),
            pulls: counters.pulls.load(Ordering::Relaxed),
            bytes_out: counters.bytes_out.load(Ordering::Relaxed),
            bytes_in: store.bytes_written,
            uploads_open: store.sessions_open,
            uploads_refused: store.sessions_refused,
            uploads_expired: counters.uploads_expired.load(Ordering::Relaxed),
            disk_refused: store.disk_refused,
            blobs_swept: counters.blobs_swept.load(Ordering::Relaxed),
            cache_hits,
            cache_misses,
            refuses_writes: store.refuses_writes,
        }
    }

    /// Every repository that has a manifest, by name.
    pub async fn repositories(&self) -> Result<Vec<RepositoryView>, Error> {
        Ok(self.registry.metadata.repositories().await?)
    }

    /// The tags of a repository, newest first.
    ///
    /// Errors: `NotFound`.
    pub async fn tags(&self, name: &str) -> Result<Vec<TagView>, Error> {
        let shown = || name.chars().take(80).collect();
        self.registry.metadata.tag_views(name).await?.ok_or_else(|| Error::UnknownRepository(shown()))
    }

    /// Removes idle uploads and unreferenced blobs now, as the maintenance does from time to time.
    pub async fn sweep(&self) -> Result<(), Error> {
        sweep::once(&self.registry).await
    }
}

#[async_trait]
impl ImagePlatforms for Handle {
    async fn platforms(&self, reference: &str) -> Vec<Platform> {
        let host = reference.split_once('/').map(|(host, _)| host).unwrap_or_default();
        let is_ours =
            host == self.image_address() || self.addresses.iter().any(|address| address.to_string() == host);
        if !is_ours {
            return Vec::new();
        }
        platforms::of(&self.registry, reference).await.unwrap_or_else(|error| {
            // The host says it as well, only later.
            tracing::warn!(reference, %error, "cannot tell for which platform an image is");
            Vec::new()
        })
    }
}

impl Registry {
    /// Read-held from before a file gets its name until its row is there; write-held by the sweep. So the sweep never
    /// takes a file whose row is about to come.
    pub(crate) fn arriving(&self, digest: &Digest) -> &RwLock<()> {
        let first = u8::from_str_radix(&digest.hex()[..2], 16).expect("a digest is hex");
        &self.arriving[usize::from(first)]
    }

    /// Runs the last part of a push or a deletion to its end, even when the client goes away meanwhile.
    pub(crate) async fn complete<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.tasks.spawn("registry-change", async move {
            // Nobody waits for it any more: the change has been made all the same.
            let _ = sender.send(work.await);
        });
        let ended = || Refusal::new(Code::Unavailable, "the registry stops");
        receiver.await.map_err(|_| ended())?
    }

    /// Ends an upload in the background.
    pub(crate) fn abandon(&self, session: Session) {
        self.tasks.spawn("registry-abandon", async move {
            if let Err(error) = session.abandon().await {
                tracing::warn!(%error, "cannot remove an upload; it ends when it has been idle long enough");
            }
        });
    }

    /// Tells the operator that a bound is full or the disk fails.
    pub(crate) fn warn(&self, message: String) {
        tracing::warn!(%message, "registry");
        self.events.emit(Event::Warning { part: "registry".to_owned(), message });
    }
}
