//! Uploads: POST, PATCH, PUT, GET, DELETE (ids 4a to 6, 11, 13, 14).
//!
//! At the end of each: bytes compared, fsynced and named by the store, then the row, then 201.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE};
use wharf_base::Digest;
use wharf_disk::cas::{Algorithm, Session};

use super::{Answer, Call, answer, blob_location, digest};
use crate::name::RepositoryName;
use crate::range::parse_content_range;
use crate::refusal::{Code, Refusal};
use crate::registry::Registry;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

pub(super) async fn start(call: &Call<'_>, body: &mut Body, name: RepositoryName) -> Answer {
    if let Some(mounted) = call.query.get("mount") {
        let mounted = digest(mounted)?;
        if let Some(response) = mount(call, &name, mounted).await? {
            return Ok(response);
        }
        // Not there: the client pushes it, into the session that follows.
        return open(call, &name, Algorithm::default()).await;
    }
    if let Some(expected) = call.query.get("digest") {
        let expected = digest(expected)?;
        let session = call.registry.store.create_session(name.as_str(), Algorithm::of(&expected)).await?;
        let unnamed = Unnamed { registry: Arc::clone(call.registry), session: session.clone() };
        call.append(body, &session, call.length().map(|length| 0..length)).await?;
        let answer = commit(call, name, session, expected).await;
        drop(unnamed);
        return answer;
    }
    let algorithm = match call.query.get("digest-algorithm") {
        None => Algorithm::default(),
        Some(word) => Algorithm::parse(word)
            .ok_or_else(|| Refusal::new(Code::DigestInvalid, "digest-algorithm must be sha256 or sha512"))?,
    };
    open(call, &name, algorithm).await
}

pub(super) async fn patch(call: &Call<'_>, body: &mut Body, name: &RepositoryName, id: &str) -> Answer {
    let session = call.registry.store.session(name.as_str(), id)?;
    append(call, body, name, &session).await?;
    let mut response = answer::empty(StatusCode::ACCEPTED);
    describe(&mut response, name, &session);
    Ok(response)
}

pub(super) async fn put(call: &Call<'_>, body: &mut Body, name: RepositoryName, id: &str) -> Answer {
    let session = call.registry.store.session(name.as_str(), id)?;
    let Some(expected) = call.query.get("digest") else {
        return Err(Refusal::new(Code::DigestInvalid, "the parameter `digest` is missing"));
    };
    let expected = digest(expected)?;
    append(call, body, &name, &session).await?;
    commit(call, name, session, expected).await
}

pub(super) fn status(call: &Call<'_>, name: &RepositoryName, id: &str) -> Answer {
    let session = call.registry.store.session(name.as_str(), id)?;
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    describe(&mut response, name, &session);
    Ok(response)
}

pub(super) async fn cancel(call: &Call<'_>, name: &RepositoryName, id: &str) -> Answer {
    call.registry.store.session(name.as_str(), id)?.cancel().await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

async fn open(call: &Call<'_>, name: &RepositoryName, algorithm: Algorithm) -> Answer {
    let session = call.registry.store.create_session(name.as_str(), algorithm).await?;
    let mut response = answer::empty(StatusCode::ACCEPTED);
    describe(&mut response, name, &session);
    Ok(response)
}

/// 201 if the blob could be mounted. `None`: there is none to mount.
async fn mount(call: &Call<'_>, name: &RepositoryName, digest: Digest) -> Result<Option<Response>, Refusal> {
    let from = match call.query.get("from") {
        None | Some("") => None,
        // A name that is none has no blobs.
        Some(from) => match RepositoryName::parse(from) {
            Some(from) => Some(from),
            None => return Ok(None),
        },
    };
    let (registry, name) = (Arc::clone(call.registry), name.clone());
    let complete = async move {
        if !registry.metadata.mount(&name, &digest, from.as_ref()).await? {
            return Ok(None);
        }
        registry.counters.pushes.fetch_add(1, Ordering::Relaxed);
        Ok(Some(created(&name, &digest)))
    };
    call.registry.complete(complete).await
}

async fn commit(call: &Call<'_>, name: RepositoryName, session: Session, expected: Digest) -> Answer {
    let registry = Arc::clone(call.registry);
    call.registry.complete(async move { link(&registry, &name, &session, &expected).await }).await
}

/// File first, row second.
async fn link(registry: &Registry, name: &RepositoryName, session: &Session, digest: &Digest) -> Answer {
    let _arriving = registry.arriving(digest).read().await;
    let size = session.commit(digest).await?;
    registry.metadata.add_link(name, digest, size).await?;
    registry.counters.pushes.fetch_add(1, Ordering::Relaxed);
    Ok(created(name, digest))
}

/// A session that the client doesn't know and can't go on with: it ends with the request, also when that is dropped
/// because the client went away.
struct Unnamed {
    registry: Arc<Registry>,
    session: Session,
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        self.registry.abandon(self.session.clone());
    }
}

/// Appends a chunk or a stream.
///
/// Errors: 416 when `Content-Range` doesn't go on where the session is; it says where, and the session lives.
async fn append(
    call: &Call<'_>,
    body: &mut Body,
    name: &RepositoryName,
    session: &Session,
) -> Result<u64, Refusal> {
    let range = announced(call)?;
    call.append(body, session, range).await.map_err(|refusal| {
        if refusal.status != StatusCode::RANGE_NOT_SATISFIABLE {
            return refusal;
        }
        refusal.with_header(RANGE, range_header(session)).with_header(LOCATION, location(name, session))
    })
}

/// The bytes of the blob that the body is said to be.
fn announced(call: &Call<'_>) -> Result<Option<Range<u64>>, Refusal> {
    let Some(header) = call.headers.get(CONTENT_RANGE) else { return Ok(None) };
    let range = header.to_str().ok().and_then(parse_content_range);
    let Some(range) = range else {
        let message = "Content-Range must be <start>-<end>, both inclusive";
        return Err(Refusal::new(Code::BlobUploadInvalid, message));
    };
    let count = range.end - range.start;
    if call.length().is_some_and(|length| length != count) {
        let message = format!("Content-Range announces {count} bytes, Content-Length others");
        return Err(Refusal::new(Code::SizeInvalid, message));
    }
    Ok(Some(range))
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    let mut response = answer::empty(StatusCode::CREATED);
    answer::set(&mut response, LOCATION, blob_location(name, digest));
    answer::set_digest(&mut response, digest);
    response
}

fn describe(response: &mut Response, name: &RepositoryName, session: &Session) {
    let headers = response.headers_mut();
    headers.insert(LOCATION, location(name, session));
    headers.insert(RANGE, range_header(session));
    answer::set(response, UPLOAD_ID, session.id());
}

fn location(name: &RepositoryName, session: &Session) -> HeaderValue {
    let location = format!("/v2/{name}/blobs/uploads/{}", session.id());
    HeaderValue::from_str(&location).expect("names and ids are ASCII")
}

/// `0-<last byte>`. The form can't tell an empty session from one with a single byte; clients know what they sent.
fn range_header(session: &Session) -> HeaderValue {
    HeaderValue::from_str(&format!("0-{}", session.size().saturating_sub(1))).expect("digits")
}
