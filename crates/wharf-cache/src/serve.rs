//! Answers of the cache as HTTP: whole, ranges, conditions, errors.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER, WARNING,
};
use http::{Method, StatusCode};
use wharf_base::Digest;

use crate::engine::{Document, Engine, Reader, Served};
use crate::{Ecosystem, Error};

/// What a client asked, as far as answering needs it.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
}

impl Ask<'_> {
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn has(&self, etag: &str) -> bool {
        self.header(IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag))
    }
}

/// Content, from the store or while it arrives.
pub(crate) async fn content(
    engine: &Arc<Engine>,
    ecosystem: Ecosystem,
    digest: &Digest,
    served: Served,
    ask: Ask<'_>,
) -> Result<Response, Error> {
    let etag = format!("\"{digest}\"");
    let size = match &served {
        Served::Stored { size, .. } => Some(*size),
        Served::Filling(fill) => fill.started().await?,
    };
    let mut response = Response::new(Body::empty());
    set(&mut response, ETAG, &etag);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if ask.has(&etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let is_same = ask.header(IF_RANGE).is_none_or(|tag| tag == etag);
    let range = ask.header(RANGE).filter(|_| is_same).zip(size);
    let wanted = range.map_or(Wanted::Whole, |(range, size)| parse_range(range, size));
    let (start, end) = match wanted {
        Wanted::Whole => (0, size),
        Wanted::Part(start, end) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let size = size.unwrap_or_default();
            set(&mut response, CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
            (start, Some(end))
        }
        Wanted::Unsatisfiable => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            set(&mut response, CONTENT_RANGE, &format!("bytes */{}", size.unwrap_or_default()));
            return Ok(response);
        }
    };
    if let Some(end) = end {
        set(&mut response, CONTENT_LENGTH, &(end - start).to_string());
    }
    if ask.method != Method::HEAD {
        let reader = match served {
            Served::Stored { file, size } => Reader::of_file(file, start, end.unwrap_or(size)),
            Served::Filling(fill) => Reader::of_fill(fill, start, end),
        };
        *response.body_mut() = body(Arc::clone(engine), ecosystem, reader);
    }
    Ok(response)
}

/// A document, whole.
pub(crate) fn document(
    engine: &Engine,
    ecosystem: Ecosystem,
    document: &Document,
    ask: &Ask<'_>,
) -> Response {
    let mut response = bytes(engine, ecosystem, &document.digest, document.bytes.clone(), ask);
    let headers = response.headers_mut();
    for (name, value) in &document.headers {
        headers.insert(name.clone(), value.clone());
    }
    if document.is_stale {
        // RFC 7234 section 5.5.2; obsolete, and still the only word that clients show.
        headers.insert(WARNING, HeaderValue::from_static("111 - \"the upstream cannot be asked\""));
    }
    let since = ask.header(IF_MODIFIED_SINCE);
    // Equal or not: what else would it be the same document as?
    let is_same =
        since.is_some() && since == headers.get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
    if is_same && ask.header(IF_NONE_MATCH).is_none() && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::empty();
    }
    response
}

/// Bytes in memory that have this digest.
pub(crate) fn bytes(
    engine: &Engine,
    ecosystem: Ecosystem,
    digest: &Digest,
    bytes: Bytes,
    ask: &Ask<'_>,
) -> Response {
    let etag = format!("\"{digest}\"");
    let mut response = Response::new(Body::empty());
    set(&mut response, ETAG, &etag);
    if ask.has(&etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    set(&mut response, CONTENT_LENGTH, &bytes.len().to_string());
    if ask.method != Method::HEAD {
        engine.counters(ecosystem).bytes_out(bytes.len() as u64);
        *response.body_mut() = Body::from(bytes);
    }
    response
}

/// An error, as plain text: package clients show its first line.
pub(crate) fn error(error: &Error) -> Response {
    let (status, retry_after) = error.status();
    let mut response = text(status, &error.to_string());
    if let Some(wait) = retry_after {
        set(&mut response, RETRY_AFTER, &wait.as_secs().max(1).to_string());
    }
    response
}

/// A short text.
pub(crate) fn text(status: StatusCode, message: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{message}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn body(engine: Arc<Engine>, ecosystem: Ecosystem, reader: Reader) -> Body {
    Body::from_stream(futures_util::stream::unfold(Some(reader), move |reader| {
        let engine = Arc::clone(&engine);
        async move {
            let mut reader = reader?;
            let chunk = reader.next().await?;
            match &chunk {
                Ok(bytes) => {
                    engine.counters(ecosystem).bytes_out(bytes.len() as u64);
                    Some((chunk, Some(reader)))
                }
                Err(error) => {
                    tracing::warn!(%error, "a body was cut off");
                    Some((chunk, None))
                }
            }
        }
    }))
}

fn set(response: &mut Response, name: http::HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("digits, hex and punctuation");
    response.headers_mut().insert(name, value);
}

/// What a `Range` header asks for (RFC 9110 section 14.2).
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Everything: another unit, or several ranges, which a server may ignore.
    Whole,
    /// From the first, up to but without the second; not empty.
    Part(u64, u64),
    /// Nothing of it is there.
    Unsatisfiable,
}

fn parse_range(header: &str, size: u64) -> Wanted {
    let Some(set) = header.trim().strip_prefix("bytes=").filter(|set| !set.contains(',')) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = set.split_once('-') else { return Wanted::Whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (start, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.trim().is_empty() => (first, size),
        (None, Some(suffix)) if first.trim().is_empty() => (size.saturating_sub(suffix), size),
        _ => return Wanted::Whole,
    };
    if start < end { Wanted::Part(start, end) } else { Wanted::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, expected) in [
            ("bytes=0-9", Wanted::Part(0, 10)),
            ("bytes=5-", Wanted::Part(5, 100)),
            ("bytes=-5", Wanted::Part(95, 100)),
            ("bytes=90-1000", Wanted::Part(90, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=1-2,4-5", Wanted::Whole),
            ("bytes=9-1", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(parse_range(header, 100), expected, "{header}");
        }
    }
}
