//! Blobs: GET, HEAD, DELETE (ids 2 and 10).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{Method, StatusCode};
use hyper::body::{Frame, SizeHint};
use wharf_base::Digest;
use wharf_disk::cas::BlobReader;

use super::{Answer, Call, answer};
use crate::metadata::BlobDeletion;
use crate::name::RepositoryName;
use crate::range::{self, Wanted};
use crate::refusal::{Code, Refusal};

pub(super) async fn get(call: &Call<'_>, name: &RepositoryName, digest: &str) -> Answer {
    // What is no digest names no blob.
    let digest: Digest = digest
        .parse()
        .map_err(|error: wharf_base::DigestError| Refusal::new(Code::BlobUnknown, error.to_string()))?;
    let registry = call.registry;
    let Some(size) = registry.metadata.link(name, &digest).await? else {
        return Err(unknown(name, &digest));
    };
    let etag = format!("\"{digest}\"");
    if call.header(IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag)) {
        let mut response = answer::empty(StatusCode::NOT_MODIFIED);
        response.headers_mut().remove(CONTENT_LENGTH);
        return Ok(described(response, &digest, &etag));
    }
    // HEAD looks at the file as well: a client that is told of a blob doesn't push it, so damage would stay for ever.
    let blob = registry.store.open_blob(&digest).await?.filter(|blob| blob.size() == size);
    let Some(blob) = blob else {
        tracing::error!(%name, %digest, "bytes of a blob are missing on the disk");
        return Err(unknown(name, &digest));
    };
    if call.method == Method::HEAD {
        let mut response = answer::empty(StatusCode::OK);
        answer::set(&mut response, CONTENT_LENGTH, size.to_string());
        return Ok(described(response, &digest, &etag));
    }
    // A range of another version of the blob: there is none, but the client can't know.
    let is_same = call.header(IF_RANGE).is_none_or(|tag| tag == etag);
    let wanted =
        call.header(RANGE).filter(|_| is_same).map_or(Wanted::Whole, |range| range::parse(range, size));
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => {
            let total = HeaderValue::from_str(&format!("bytes */{size}")).expect("digits");
            return Err(Refusal::new(Code::SizeInvalid, format!("the blob has {size} bytes"))
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header(CONTENT_RANGE, total));
        }
    };
    registry.counters.pulls.fetch_add(1, Ordering::Relaxed);
    let mut response = answer::empty(status);
    answer::set(&mut response, CONTENT_LENGTH, (range.end - range.start).to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        answer::set(&mut response, CONTENT_RANGE, content_range);
    }
    let body = BlobBody { reader: blob.reader(range), sent: Arc::clone(&registry.counters.bytes_out) };
    *response.body_mut() = Body::new(body);
    Ok(described(response, &digest, &etag))
}

pub(super) async fn delete(call: &Call<'_>, name: RepositoryName, digest: &str) -> Answer {
    let digest = super::digest(digest)?;
    let registry = Arc::clone(call.registry);
    let complete = async move {
        match registry.metadata.delete_link(&name, &digest).await? {
            BlobDeletion::Deleted => Ok(answer::empty(StatusCode::ACCEPTED)),
            BlobDeletion::Unknown => Err(unknown(&name, &digest)),
            BlobDeletion::Needed { by } => {
                Err(Refusal::new(Code::Unsupported, format!("manifest {by} of {name} needs this blob"))
                    .with_detail(serde_json::json!({ "manifest": by })))
            }
        }
    };
    call.registry.complete(complete).await
}

fn unknown(name: &RepositoryName, digest: &Digest) -> Refusal {
    Refusal::new(Code::BlobUnknown, format!("{name} has no blob {digest}"))
}

fn described(mut response: Response, digest: &Digest, etag: &str) -> Response {
    answer::set_digest(&mut response, digest);
    answer::set(&mut response, ETAG, etag);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A digest's content never changes; caches between us and the client may keep it for a year.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=31536000, immutable"));
    response
}

/// The bytes of a blob as a body.
struct BlobBody {
    reader: BlobReader,
    sent: Arc<AtomicU64>,
}

impl hyper::body::Body for BlobBody {
    type Data = Bytes;
    type Error = wharf_disk::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, wharf_disk::Error>>> {
        let chunk = ready!(self.reader.poll_next(context));
        if let Some(Ok(bytes)) = &chunk {
            self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.reader.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.reader.left())
    }
}
