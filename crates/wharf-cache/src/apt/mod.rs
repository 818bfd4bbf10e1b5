//! apt: archives of Debian packages, as a proxy (`http://HOST/path`) and by address (`/apt/HOST/path`).
//!
//! ```text
//! InRelease, Release   a document; a changed one becomes current when the indexes that clients use are here as well
//! by-hash/SHA256/D     content D
//! other files of dists content, by what the current release file says
//! pool                 content, by what the indexes say (`promises`)
//! anything else        passed on, not stored: nothing says what it should be
//! ```
//!
//! What must always hold: nothing is stored whose digest no index names, but the release files themselves; the release
//! file that is served and the indexes that it names belong together. Only archives that are configured are asked.
//!
//! Source: the Debian wiki's repository format, apt-transport-http(1), and apt's own requests.

mod packages;
mod path;
mod promises;
mod release;
mod sources;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use http::header::{HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, USER_AGENT};
use http::uri::Authority;
use http::{Method, StatusCode};
use wharf_base::{Digest, Tasks};

use crate::engine::{Engine, Look, Looked, Served, Wanted};
use crate::serve::{self, Ask};
use crate::upstream::{SharedUpstream, Upstream};
use crate::{Ecosystem, Error};
use packages::Packing;
use path::Kind;
use promises::{Index, Promises};
use release::Release;

/// LIMIT: release files that are kept parsed; a machine has a handful of suites.
const RELEASES_MAX: usize = 64;
const APT: Ecosystem = Ecosystem::Apt;

/// Entry points for fuzzing.
pub(crate) mod fuzz {
    pub(crate) fn index(bytes: &[u8]) {
        for packing in [super::Packing::Plain, super::Packing::Gzip, super::Packing::Xz] {
            let _ = super::packages::read(packing, bytes, |_| Ok(()));
        }
        let _ = super::Release::parse(bytes);
    }

    pub(crate) fn path(text: &str) {
        let _ = super::path::decode(text).and_then(|path| super::path::kind(&path));
    }
}

/// The part of the cache that speaks to apt.
pub(crate) struct Apt {
    engine: Arc<Engine>,
    upstreams: Vec<SharedUpstream>,
    promises: Arc<Promises>,
    /// By upstream and directory.
    releases: Mutex<HashMap<(String, String), Arc<Release>>>,
    tasks: Tasks,
}

impl Apt {
    /// With the archives in `upstreams`, or those of this machine's own apt.
    pub(crate) fn new(
        engine: Arc<Engine>,
        upstreams: Option<&[String]>,
        tasks: &Tasks,
    ) -> Result<Arc<Apt>, Error> {
        let origins = match upstreams {
            Some(origins) => origins.to_vec(),
            None => sources::of_machine(Path::new("/etc/apt")),
        };
        let upstreams = origins.iter().map(|origin| Upstream::parse(origin).map(Arc::new));
        let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
        let promises = Promises::new(Arc::clone(&engine));
        Ok(Arc::new(Apt { engine, upstreams, promises, releases: Mutex::default(), tasks: tasks.clone() }))
    }

    /// The archives, for people.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = String> {
        self.upstreams.iter().map(|upstream| upstream.to_string())
    }

    /// The archive that a request to `authority` through the proxy means.
    pub(crate) fn proxied(&self, authority: &Authority) -> Option<SharedUpstream> {
        self.upstreams.iter().find(|upstream| upstream.is_http_at(authority)).cloned()
    }

    /// The archive that is named in an address, whatever its scheme.
    pub(crate) fn named(&self, host: &str) -> Option<SharedUpstream> {
        self.upstreams.iter().find(|upstream| upstream.name().eq_ignore_ascii_case(host)).cloned()
    }

    /// Answers a request for `path` (as sent, with its query) on an archive.
    pub(crate) async fn answer(
        self: &Arc<Apt>,
        upstream: SharedUpstream,
        path_and_query: &str,
        ask: Ask<'_>,
    ) -> Result<Response, Error> {
        let decoded = path::decode(path_and_query);
        let Some((path, kind)) = decoded.and_then(|path| Some((path.clone(), path::kind(&path)?))) else {
            return Ok(serve::text(StatusCode::BAD_REQUEST, "this is no path in an archive"));
        };
        if path_and_query.contains('?') {
            return self.pass(&upstream, path_and_query, ask).await;
        }
        match kind {
            Kind::Release { root, file } => self.release(upstream, &root, file, ask).await,
            Kind::ByHash { directory, digest } => {
                let name = self.name_by_hash(&upstream, &directory, &digest).await?;
                let size = name.as_ref().map(|(_, _, size)| *size);
                let index = name.and_then(|(root, name, _)| index(&upstream, &root, &name, &digest));
                let wanted = self.wanted(&upstream, path_and_query, digest, size);
                self.content(wanted, index, ask).await
            }
            Kind::File => match self.expected(&upstream, &path).await? {
                Some((digest, size, index)) => {
                    let wanted = self.wanted(&upstream, path_and_query, digest, Some(size));
                    self.content(wanted, index, ask).await
                }
                None => self.pass(&upstream, path_and_query, ask).await,
            },
        }
    }

    fn wanted(&self, upstream: &SharedUpstream, path: &str, digest: Digest, size: Option<u64>) -> Wanted {
        Wanted {
            ecosystem: APT,
            upstream: Arc::clone(upstream),
            path: path.to_owned(),
            headers: agent(),
            digest,
            size,
        }
    }

    async fn content(
        self: &Arc<Apt>,
        wanted: Wanted,
        index: Option<Index>,
        ask: Ask<'_>,
    ) -> Result<Response, Error> {
        let digest = wanted.digest.clone();
        // Before the fill begins: who asks for a file of this index from now on waits for it.
        let reading = index.as_ref().and_then(|index| self.promises.begin(&index.digest));
        let served = self.engine.content(wanted).await?;
        if let (Some(index), Some(reading)) = (index, reading) {
            let served = match &served {
                Served::Stored { file, size } => Served::Stored { file: Arc::clone(file), size: *size },
                Served::Filling(fill) => Served::Filling(Arc::clone(fill)),
            };
            let promises = Arc::clone(&self.promises);
            self.tasks.spawn("cache-apt-index", async move {
                let _reading = reading;
                if Promises::stored(&served).await
                    && let Err(error) = promises.read(&index).await
                {
                    tracing::warn!(%error, "an index cannot be read; its files are passed on uncached");
                }
            });
        }
        serve::content(&self.engine, APT, &digest, served, ask).await
    }

    /// What the release files and indexes say of a file.
    async fn expected(
        &self,
        upstream: &SharedUpstream,
        path: &str,
    ) -> Result<Option<(Digest, u64, Option<Index>)>, Error> {
        if let Some((digest, size)) = self.promises.find(upstream, path).await? {
            return Ok(Some((digest, size, None)));
        }
        for root in path::above(path) {
            let Some(release) = self.current(upstream, root).await? else { continue };
            let name = path[root.len()..].trim_start_matches('/');
            if let Some((digest, size)) = release.files.get(name) {
                return Ok(Some((digest.clone(), *size, index(upstream, root, name, digest))));
            }
        }
        Ok(None)
    }

    /// Release directory, name and size of a file that was asked for by its digest.
    async fn name_by_hash(
        &self,
        upstream: &SharedUpstream,
        directory: &str,
        digest: &Digest,
    ) -> Result<Option<(String, String, u64)>, Error> {
        let with_itself = std::iter::once(directory).chain(path::above(directory));
        for root in with_itself {
            let Some(release) = self.current(upstream, root).await? else { continue };
            let below = directory[root.len()..].trim_start_matches('/');
            if let Some(name) = release.name_of(below, digest) {
                let size = release.files[name].1;
                return Ok(Some((root.to_owned(), name.to_owned(), size)));
            }
        }
        Ok(None)
    }

    /// The release file that is current in `root`, if clients have asked for one there.
    async fn current(&self, upstream: &SharedUpstream, root: &str) -> Result<Option<Arc<Release>>, Error> {
        let key = (upstream.to_string(), root.to_owned());
        if let Some(release) = self.releases.lock().expect("no holder panics").get(&key) {
            return Ok(Some(Arc::clone(release)));
        }
        for file in ["InRelease", "Release"] {
            let look = look(upstream, root, file);
            if let Some(document) = self.engine.stored(&look).await?
                && let Some(release) = Release::parse(&document.bytes)
            {
                return Ok(Some(self.remember(upstream, root, release)));
            }
        }
        Ok(None)
    }

    fn remember(&self, upstream: &SharedUpstream, root: &str, release: Release) -> Arc<Release> {
        let release = Arc::new(release);
        let mut releases = self.releases.lock().expect("no holder panics");
        if releases.len() >= RELEASES_MAX {
            releases.clear();
        }
        releases.insert((upstream.to_string(), root.to_owned()), Arc::clone(&release));
        release
    }

    async fn release(
        self: &Arc<Apt>,
        upstream: SharedUpstream,
        root: &str,
        file: &'static str,
        ask: Ask<'_>,
    ) -> Result<Response, Error> {
        if file == "Release.gpg" {
            let document = self.engine.document(look(&upstream, root, file)).await?;
            return Ok(serve::document(&self.engine, APT, &document, &ask));
        }
        let document = match self.engine.look(look(&upstream, root, file)).await? {
            Looked::Current(document) => document,
            Looked::Changed(candidate) => {
                let old = candidate.old.as_ref().map(|old| old.bytes.clone());
                match self.complete(&upstream, root, &candidate.bytes, old.as_deref()).await {
                    Ok(release) => {
                        let document = self.engine.accept(*candidate).await?;
                        self.remember(&upstream, root, release);
                        document
                    }
                    Err(error) => {
                        tracing::warn!(upstream = upstream.name(), root, %error, "a new release is not whole yet; the old one is served");
                        self.engine.reject(*candidate).await?.ok_or(error)?
                    }
                }
            }
        };
        Ok(serve::document(&self.engine, APT, &document, &ask))
    }

    /// Fetches what clients of the old release have used, in the new form. Then both can be switched at once.
    async fn complete(
        self: &Arc<Apt>,
        upstream: &SharedUpstream,
        root: &str,
        new: &[u8],
        old: Option<&[u8]>,
    ) -> Result<Release, Error> {
        let wrong = || Error::Wrong {
            upstream: upstream.name().to_owned(),
            reason: format!("{root} has no release file with SHA-256"),
        };
        let release = Release::parse(new).ok_or_else(wrong)?;
        let old = old.and_then(Release::parse).unwrap_or_default();
        for (name, (digest, _)) in &old.files {
            if !self.engine.store.has(digest) {
                continue;
            }
            let Some((digest, size)) = release.files.get(name) else { continue };
            let path = format!("{root}/{}", release.place(name, digest));
            self.engine.ensure(self.wanted(upstream, &path, digest.clone(), Some(*size))).await?;
            if let Some(index) = index(upstream, root, name, digest)
                && let Some(_reading) = self.promises.begin(digest)
            {
                self.promises.read(&index).await?;
            }
        }
        Ok(release)
    }

    /// Hands a request on and the answer back; nothing is stored.
    async fn pass(
        &self,
        upstream: &SharedUpstream,
        path_and_query: &str,
        ask: Ask<'_>,
    ) -> Result<Response, Error> {
        self.engine.down(upstream)?;
        self.engine.counters(APT).passed();
        self.engine.counters(APT).fetch();
        let mut headers = agent();
        for name in [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE] {
            if let Some(value) = ask.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let method = if ask.method == Method::HEAD { Method::HEAD } else { Method::GET };
        let response = self.engine.client.send(method, upstream.uri(path_and_query)?, &headers).await;
        let response = response.map_err(|failure| Error::Upstream {
            upstream: upstream.name().to_owned(),
            reason: failure.to_string(),
            retry_after: std::time::Duration::from_secs(10),
        })?;
        let (parts, body) = response.into_parts();
        let mut answer = Response::new(Body::new(body));
        *answer.status_mut() = parts.status;
        for (name, value) in &parts.headers {
            if !is_hop_by_hop(name.as_str()) {
                answer.headers_mut().append(name.clone(), value.clone());
            }
        }
        Ok(answer)
    }
}

fn look(upstream: &SharedUpstream, root: &str, file: &str) -> Look {
    Look { ecosystem: APT, upstream: Arc::clone(upstream), path: format!("{root}/{file}"), accept: None }
}

/// The index that `name` below `root` is, if it is one of .debs that we can read.
fn index(upstream: &SharedUpstream, root: &str, name: &str, digest: &Digest) -> Option<Index> {
    let packing = Packing::of(name)?;
    let plain = name.trim_end_matches(".gz").trim_end_matches(".xz");
    Some(Index {
        upstream: Arc::clone(upstream),
        archive: path::archive(root).to_owned(),
        source: format!("{root}/{plain}"),
        packing,
        digest: digest.clone(),
    })
}

fn agent() -> HeaderMap {
    let agent = concat!("wharf-cache/", env!("CARGO_PKG_VERSION"));
    HeaderMap::from_iter([(USER_AGENT, http::HeaderValue::from_static(agent))])
}

/// RFC 9110 section 7.6.1.
fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.contains(&name)
}
