//! Builds answers.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use wharf_base::Digest;

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// An answer with a JSON document.
pub(super) fn json(status: StatusCode, document: String) -> Response {
    let mut response = empty(status);
    set(&mut response, CONTENT_LENGTH, document.len().to_string());
    set(&mut response, CONTENT_TYPE, "application/json");
    *response.body_mut() = Body::from(document);
    response
}

/// Sets a header to text that we have made or checked; anything that can't be in a header is left out.
pub(super) fn set(response: &mut Response, name: HeaderName, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        response.headers_mut().insert(name, value);
    }
}

/// `Docker-Content-Digest`, in the algorithm that the client used.
pub(super) fn set_digest(response: &mut Response, digest: &Digest) {
    set(response, CONTENT_DIGEST, digest.as_str());
}
