//! The cache as a part: start it, serve it, ask it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode};
use wharf_base::{ByteSize, Clock, Digest, Shutdown, Tasks};
use wharf_http::ServerOptions;

use crate::apt::Apt;
use crate::engine::{Counts, Engine};
use crate::serve::{self, Ask};
use crate::store::{Limits, Store};
use crate::views::{CacheStats, EcosystemView, EntryView, Purged};
use crate::{Config, Ecosystem, Error};

/// Time between two flushes of what was last used.
const FLUSH_EVERY: Duration = Duration::from_secs(30);
/// LIMIT: entries that one answer lists.
const ENTRIES_MAX: usize = 1_000;

/// What the cache needs of others.
pub struct Deps {
    /// The server's data directory; the cache's files are in `cache/` below it.
    pub data: PathBuf,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A running cache; clones share it.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
    addresses: Arc<[SocketAddr]>,
}

struct Inner {
    engine: Arc<Engine>,
    apt: Arc<Apt>,
    size_max: ByteSize,
}

/// Opens the files and starts the listeners.
///
/// Errors: `Config` for settings that can't work, `Disk` with `Locked` when another process has the files, `Listen` for a
/// port that is taken.
pub async fn start(config: Config, deps: Deps, tasks: &Tasks) -> Result<Handle, Error> {
    config.check()?;
    let listeners = wharf_http::bind("cache.listen", &config.listen).await?;
    let limits = Limits { cap: config.size_max.0, keep_free: config.disk_free_min.0 };
    let store = Store::open(&deps.data.join("cache"), limits, deps.clock).await?;
    let engine = Engine::new(&config, Arc::clone(&store), tasks)?;
    let apt = Apt::new(Arc::clone(&engine), config.apt.upstreams.as_deref(), tasks)?;
    let inner = Arc::new(Inner { engine, apt, size_max: config.size_max });
    tasks.spawn("cache-flush", flush(store, tasks.shutdown()));
    let options = ServerOptions { connections_max: config.connections_max, ..ServerOptions::default() };
    let mut addresses = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let address = listener.local_addr().map_err(|source| wharf_disk::Error::Io {
            what: "ask the address of",
            path: "cache.listen".into(),
            source,
        })?;
        tracing::info!(%address, "package cache listens");
        addresses.push(address);
        wharf_http::serve("cache", listener, None, router(&inner), options.clone(), tasks);
    }
    Ok(Handle { inner, addresses: addresses.into() })
}

/// One handler for all: a proxy's requests name another host, which routes can't express.
fn router(inner: &Arc<Inner>) -> Router {
    let inner = Arc::clone(inner);
    Router::new().fallback(move |request: Request| {
        let inner = Arc::clone(&inner);
        let (head, _) = request.into_parts();
        async move { answer(&inner, &head).await }
    })
}

async fn answer(inner: &Inner, request: &Parts) -> Response {
    let method = &request.method;
    if method == Method::CONNECT {
        return serve::text(
            StatusCode::FORBIDDEN,
            "this proxy tunnels nothing\n  hint: for https archives write http://THIS-HOST:PORT/apt/HOST/… in sources.list",
        );
    }
    if method != Method::GET && method != Method::HEAD {
        return serve::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here");
    }
    let ask = Ask { method, headers: &request.headers };
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    let answered = match request.uri.authority() {
        Some(authority) => match inner.apt.proxied(authority) {
            Some(upstream) => inner.apt.answer(upstream, path, ask).await,
            None => return unknown(authority.as_str()),
        },
        None => {
            match path.strip_prefix("/apt/").map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len()))) {
                Some((host, rest)) => match inner.apt.named(host) {
                    Some(upstream) => {
                        inner.apt.answer(upstream, if rest.is_empty() { "/" } else { rest }, ask).await
                    }
                    None => return unknown(host),
                },
                None => return serve::text(StatusCode::NOT_FOUND, &help(inner)),
            }
        }
    };
    answered.unwrap_or_else(|error| {
        tracing::debug!(path, %error, "request refused");
        serve::error(&error)
    })
}

fn unknown(host: &str) -> Response {
    let host: String = host.chars().take(200).collect();
    serve::text(
        StatusCode::FORBIDDEN,
        &format!(
            "{host} is no archive of this cache\n  hint: add http://{host} to cache.apt.upstreams in wharf.yaml"
        ),
    )
}

fn help(inner: &Inner) -> String {
    let archives: Vec<String> = inner.apt.upstreams().collect();
    format!(
        "This is a package cache. `wharf cache env` prints how clients use it.\napt archives: {}",
        if archives.is_empty() { "none (set cache.apt.upstreams)".to_owned() } else { archives.join(", ") }
    )
}

async fn flush(store: Arc<Store>, shutdown: Shutdown) {
    loop {
        let is_last = tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => false,
            () = shutdown.cancelled() => true,
        };
        if let Err(error) = store.flush().await {
            tracing::warn!(%error, "cannot write down what was last used");
        }
        if is_last {
            return;
        }
    }
}

impl Handle {
    /// The addresses that are listened on, with the ports that the system chose for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How the cache is.
    pub async fn stats(&self) -> Result<CacheStats, Error> {
        let Inner { engine, apt, size_max } = &*self.inner;
        let (bytes, bytes_reserved, files, evicted) = engine.store.usage();
        let stored = engine.store.by_ecosystem().await?;
        let ecosystems = Ecosystem::ALL.map(|ecosystem| {
            let (files, bytes) = stored.get(ecosystem.as_str()).copied().unwrap_or_default();
            let upstreams = match ecosystem {
                Ecosystem::Apt => apt.upstreams().collect(),
            };
            let counts: Counts = engine.counters(ecosystem).counts();
            EcosystemView { ecosystem, upstreams, files, bytes, counts }
        });
        Ok(CacheStats {
            listens: self.addresses.iter().map(SocketAddr::to_string).collect(),
            bytes,
            bytes_max: size_max.0,
            bytes_reserved,
            files: files as u64,
            evicted,
            transfers: engine.fills_open() as u64,
            refuses_writes: engine.store.refuses_writes(),
            ecosystems: ecosystems.to_vec(),
        })
    }

    /// The largest stored files, at most `limit` and 1,000.
    pub async fn entries(&self, ecosystem: Option<Ecosystem>, limit: usize) -> Result<Vec<EntryView>, Error> {
        let rows = self.inner.engine.store.rows(ecosystem, limit.min(ENTRIES_MAX)).await?;
        let view = |row: crate::store::Row| EntryView {
            ecosystem: row.ecosystem,
            source: row.source,
            digest: row.digest,
            bytes: row.size,
            used_ms: row.used_ms,
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// Removes what is stored, or what is stored of one ecosystem. Clients that are reading it read on.
    pub async fn purge(&self, ecosystem: Option<Ecosystem>) -> Result<Purged, Error> {
        let store = &self.inner.engine.store;
        let mut purged = Purged::default();
        for row in store.rows(ecosystem, usize::MAX).await? {
            if let Ok(digest) = row.digest.parse::<Digest>()
                && store.remove(&digest)
            {
                purged.files += 1;
                purged.bytes += row.size;
            }
        }
        store.flush().await?;
        Ok(purged)
    }
}
