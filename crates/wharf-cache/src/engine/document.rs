//! What upstreams change under one address: indexes and lists. Freshness by RFC 9111 (http-cache-semantics), but nothing
//! is guessed fresh: an InRelease of last year would count as fresh for weeks by the usual tenth of its age.
//!
//! A changed document is a [`Candidate`] first: who asked decides whether it becomes the current one, so that what belongs
//! together can be switched at once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LAST_MODIFIED};
use http::{Method, Request, Response, StatusCode, Uri};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use wharf_base::{Digest, UnixMillis};
use wharf_disk::cas::{Algorithm, digest_of};
use wharf_state::rusqlite::{OptionalExtension as _, params};

use super::Engine;
use crate::store::{blocking, disk};
use crate::upstream::{SharedUpstream, retry_after};
use crate::{Ecosystem, Error};

/// LIMIT: bytes of a document, which is read into memory; the largest that are in use have some 10 MB.
const DOCUMENT_MAX: usize = 32 << 20;
/// When to come again, where the upstream doesn't say.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Where a document is.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) ecosystem: Ecosystem,
    pub(crate) upstream: SharedUpstream,
    pub(crate) path: String,
    /// What kind of answer is wanted, where the upstream has several; part of the key.
    pub(crate) accept: Option<HeaderValue>,
}

impl Look {
    fn key(&self) -> String {
        let accept =
            self.accept.as_ref().map(|accept| String::from_utf8_lossy(accept.as_bytes()).into_owned());
        format!("{}{} {}", self.upstream, self.path, accept.unwrap_or_default())
    }
}

/// A document as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    /// Headers of the upstream's answer that say something about the bytes.
    pub(crate) headers: HeaderMap,
    /// The upstream could not be asked.
    pub(crate) is_stale: bool,
}

/// What a look gave.
pub(crate) enum Looked {
    /// The current document.
    Current(Document),
    /// The upstream has another one now.
    Changed(Box<Candidate>),
}

/// A document that is not the current one yet.
pub(crate) struct Candidate {
    look: Look,
    pub(crate) bytes: Bytes,
    /// What is current until now.
    pub(crate) old: Option<Document>,
    kept: Kept,
    _asking: OwnedMutexGuard<()>,
}

struct Row {
    digest: Digest,
    kept: Kept,
    checked: UnixMillis,
}

/// What is remembered of the upstream's answer, beside the bytes.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    policy: CachePolicy,
    content_type: Option<String>,
    last_modified: Option<String>,
    /// The upstream could not be asked the last time, or had something that did not fit.
    #[serde(default)]
    is_stale: bool,
}

impl Kept {
    fn new(policy: CachePolicy, headers: &HeaderMap) -> Kept {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Kept { policy, content_type: text(CONTENT_TYPE), last_modified: text(LAST_MODIFIED), is_stale: false }
    }

    fn headers(&self) -> HeaderMap {
        let pairs = [(CONTENT_TYPE, &self.content_type), (LAST_MODIFIED, &self.last_modified)];
        let value = |text: &Option<String>| HeaderValue::from_str(text.as_deref()?).ok();
        pairs.into_iter().filter_map(|(name, text)| Some((name, value(text)?))).collect()
    }
}

impl Engine {
    /// The newest document, accepted as it comes.
    pub(crate) async fn document(self: &Arc<Engine>, look: Look) -> Result<Document, Error> {
        match self.look(look).await? {
            Looked::Current(document) => Ok(document),
            Looked::Changed(candidate) => self.accept(*candidate).await,
        }
    }

    /// The stored document, however old. `None`: there is none.
    pub(crate) async fn stored(self: &Arc<Engine>, look: &Look) -> Result<Option<Document>, Error> {
        match self.row(&look.key()).await? {
            Some(row) => self.load(&row).await,
            None => Ok(None),
        }
    }

    /// Looks whether the stored document is still the newest, asking the upstream where it has to.
    ///
    /// Errors: `Upstream` when it can't be asked and nothing is stored; `Refused` when it says that there is none.
    pub(crate) async fn look(self: &Arc<Engine>, look: Look) -> Result<Looked, Error> {
        let key = look.key();
        let counters = self.counters(look.ecosystem);
        if let Some(document) = self.fresh(&key).await? {
            counters.hit();
            return Ok(Looked::Current(document));
        }
        let asking = self.asking(&key).lock_owned().await;
        // Somebody else may have asked while we waited.
        if let Some(document) = self.fresh(&key).await? {
            counters.joined();
            return Ok(Looked::Current(document));
        }
        let row = self.row(&key).await?;
        let old = match &row {
            Some(row) => self.load(row).await?,
            None => None,
        };
        let row = row.filter(|_| old.is_some());
        let answer = match self.down(&look.upstream) {
            Ok(()) => self.ask(&look, row.as_ref()).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(None) => {
                counters.hit();
                let old = old.expect("only what is stored is asked for with conditions");
                Ok(Looked::Current(Document { is_stale: false, ..old }))
            }
            Ok(Some((bytes, kept))) => {
                counters.miss();
                Ok(Looked::Changed(Box::new(Candidate { look, bytes, old, kept, _asking: asking })))
            }
            Err(error @ Error::Upstream { .. }) => match old {
                Some(old) => {
                    tracing::warn!(key, %error, "serving what is stored");
                    counters.stale();
                    // Not asked again for a moment: a hundred clients must not wait for a hundred time-outs.
                    if let Some(row) = row {
                        let kept = Kept { is_stale: true, ..row.kept };
                        self.keep(&look, &row.digest, &kept).await?;
                    }
                    Ok(Looked::Current(Document { is_stale: true, ..old }))
                }
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Makes a candidate the current document.
    pub(crate) async fn accept(self: &Arc<Engine>, candidate: Candidate) -> Result<Document, Error> {
        let Candidate { look, bytes, kept, .. } = &candidate;
        let hashed = bytes.clone();
        let digest = blocking(move || digest_of(Algorithm::Sha256, &hashed)).await;
        if !self.store.has(&digest) {
            let mut draft = self.store.draft().await?;
            let size = bytes.len() as u64;
            draft.reserve(size)?;
            let (file, content) = (Arc::clone(draft.file()), bytes.clone());
            blocking(move || {
                use std::os::unix::fs::FileExt as _;
                file.write_all_at(&content, 0)
                    .map_err(|source| disk("write", std::path::Path::new("a document"), source))
            })
            .await?;
            let source = format!("{}{}", look.upstream, look.path);
            self.store.commit(draft, &digest, size, look.ecosystem, &source).await?;
        }
        self.keep(look, &digest, kept).await?;
        Ok(Document { bytes: bytes.clone(), digest, headers: kept.headers(), is_stale: false })
    }

    /// Leaves the old document current; the upstream is not asked again for `fresh_min`.
    pub(crate) async fn reject(self: &Arc<Engine>, candidate: Candidate) -> Result<Option<Document>, Error> {
        let Candidate { look, old, .. } = &candidate;
        if old.is_some()
            && let Some(row) = self.row(&look.key()).await?
        {
            let kept = Kept { is_stale: true, ..row.kept };
            self.keep(look, &row.digest, &kept).await?;
        }
        self.counters(look.ecosystem).stale();
        Ok(candidate.old.map(|old| Document { is_stale: true, ..old }))
    }

    async fn fresh(self: &Arc<Engine>, key: &str) -> Result<Option<Document>, Error> {
        let Some(row) = self.row(key).await? else { return Ok(None) };
        let now = self.store.clock().now();
        let is_fresh = now.since(row.checked) < self.fresh_min && now >= row.checked
            || matches!(
                row.kept.policy.before_request(&request(None), system_time(now)),
                BeforeRequest::Fresh(_)
            );
        if is_fresh { self.load(&row).await } else { Ok(None) }
    }

    /// `None`: not modified.
    async fn ask(&self, look: &Look, row: Option<&Row>) -> Result<Option<(Bytes, Kept)>, Error> {
        let now = || system_time(self.store.clock().now());
        let plain = request(look.accept.as_ref());
        let mut headers = plain.headers().clone();
        if let Some(row) = row
            && let BeforeRequest::Stale { request, .. } = row.kept.policy.before_request(&plain, now())
        {
            headers = request.headers;
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.counters(look.ecosystem).fetch();
        let failed = |reason: String| Error::Upstream {
            upstream: look.upstream.name().to_owned(),
            reason,
            retry_after: RETRY_AFTER,
        };
        let uri = look.upstream.uri(&look.path)?;
        let _permit = self.documents.acquire().await.map_err(|_| Error::Stopped)?;
        let response = self.client.send(Method::GET, uri, &headers).await;
        let response = response.map_err(|failure| failed(failure.to_string()))?;
        let (parts, body) = response.into_parts();
        match parts.status {
            StatusCode::OK => {
                let bytes = self.client.collect(body, DOCUMENT_MAX).await;
                let bytes = bytes.map_err(|failure| failed(failure.to_string()))?;
                self.counters(look.ecosystem).bytes_in(bytes.len() as u64);
                let policy = policy(&plain, &parts.status, &parts.headers, now());
                Ok(Some((Bytes::from(bytes), Kept::new(policy, &parts.headers))))
            }
            StatusCode::NOT_MODIFIED if row.is_some() => {
                let Some(row) = row else { return Ok(None) };
                let response = Response::from_parts(parts, ());
                let renewed = match row.kept.policy.after_response(&plain, &response, now()) {
                    AfterResponse::NotModified(policy, _) => policy,
                    // It says "not modified" to a condition that we didn't send: what is stored stays what it is.
                    AfterResponse::Modified(..) => row.kept.policy.clone(),
                };
                let kept = Kept { policy: renewed, is_stale: false, ..row.kept.clone() };
                self.keep(look, &row.digest, &kept).await?;
                Ok(None)
            }
            status if status == 429 || status == 503 => {
                let wait = retry_after(&parts.headers, RETRY_AFTER);
                if status == 429 || parts.headers.contains_key(http::header::RETRY_AFTER) {
                    self.set_down(&look.upstream, wait);
                }
                let upstream = look.upstream.name().to_owned();
                Err(Error::Upstream { upstream, reason: status.to_string(), retry_after: wait })
            }
            status if status.is_client_error() => {
                Err(Error::Refused { upstream: look.upstream.name().to_owned(), status })
            }
            status => Err(failed(format!("it answered {status}"))),
        }
    }

    async fn row(&self, key: &str) -> Result<Option<Row>, Error> {
        let key = key.to_owned();
        let found = self
            .store
            .database()
            .read(move |connection| {
                let sql = "SELECT digest, policy, checked_ms FROM document WHERE key = ?1";
                connection
                    .prepare_cached(sql)?
                    .query_row([key], |row| {
                        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
                    })
                    .optional()
            })
            .await?;
        // What can't be read is as good as not there: it is fetched again.
        Ok(found.and_then(|(digest, policy, checked)| {
            let kept = serde_json::from_str(&policy).ok()?;
            Some(Row { digest: digest.parse().ok()?, kept, checked: UnixMillis(checked) })
        }))
    }

    async fn load(self: &Arc<Engine>, row: &Row) -> Result<Option<Document>, Error> {
        let Some((file, size)) = self.store.read(&row.digest).await? else { return Ok(None) };
        let mut reader = super::Reader::of_file(file, 0, size);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(DOCUMENT_MAX));
        while let Some(chunk) = reader.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        let headers = row.kept.headers();
        Ok(Some(Document {
            bytes: bytes.into(),
            digest: row.digest.clone(),
            headers,
            is_stale: row.kept.is_stale,
        }))
    }

    async fn keep(&self, look: &Look, digest: &Digest, kept: &Kept) -> Result<(), Error> {
        let (key, digest) = (look.key(), digest.to_string());
        let policy = serde_json::to_string(kept).expect("plain records are JSON");
        let now = self.store.clock().now().0;
        self.store
            .database()
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO document (key, digest, policy, checked_ms) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (key) DO UPDATE SET
                     digest = excluded.digest, policy = excluded.policy, checked_ms = excluded.checked_ms",
                    params![key, digest, policy, now],
                )
            })
            .await?;
        Ok(())
    }

    fn asking(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut asking = self.asking.lock().expect("no holder panics");
        // What nobody waits for any more goes, so that the list is as long as there are requests.
        asking.retain(|_, mutex| Arc::strong_count(mutex) > 1);
        Arc::clone(asking.entry(key.to_owned()).or_default())
    }
}

/// The request as policies know it. Their key is in the row, so the address doesn't matter here.
fn request(accept: Option<&HeaderValue>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("http://upstream/");
    if let Some(accept) = accept {
        request.headers_mut().insert(ACCEPT, accept.clone());
    }
    request
}

fn policy(request: &Request<()>, status: &StatusCode, headers: &HeaderMap, now: SystemTime) -> CachePolicy {
    let mut response = Response::new(());
    *response.status_mut() = *status;
    *response.headers_mut() = headers.clone();
    // `Vary` is answered by the key: it has all of the request that makes a difference.
    response.headers_mut().remove(http::header::VARY);
    let options = CacheOptions { cache_heuristic: 0.0, ..CacheOptions::default() };
    CachePolicy::new_options(request, &response, now, options)
}

fn system_time(now: UnixMillis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(now.0.unsigned_abs())
}
