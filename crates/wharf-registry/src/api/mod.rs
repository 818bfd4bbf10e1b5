//! The distribution API: who may, which route, which handler.

mod answer;
mod blobs;
mod lists;
mod manifests;
mod receive;
mod uploads;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use wharf_base::Digest;

use crate::auth;
use crate::name::RepositoryName;
use crate::query::Query;
use crate::refusal::{Code, Refusal};
use crate::registry::{Exposure, Registry};
use crate::route::{NoRoute, Route, parse};

/// Old clients look for it at `/v2/` to tell a registry from another server.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A request without its body, which only those get who read it.
struct Call<'a> {
    registry: &'a Arc<Registry>,
    method: Method,
    headers: HeaderMap,
    query: Query,
}

type Answer = Result<Response, Refusal>;

/// Answers one request.
pub(crate) async fn answer(registry: &Arc<Registry>, exposure: Exposure, request: Request) -> Response {
    registry.counters.requests.fetch_add(1, Ordering::Relaxed);
    let (parts, mut body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let call = Call { registry, method: parts.method, headers: parts.headers, query };
    let mut response = match dispatch(&call, &mut body, exposure, parts.uri.path()).await {
        Ok(response) => response,
        Err(refusal) => {
            registry.counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(
                method = %call.method, path = parts.uri.path(), code = refusal.code.as_str(),
                message = refusal.message, "request refused"
            );
            if refusal.status != StatusCode::REQUEST_TIMEOUT {
                receive::drain(&call, &mut body).await;
            }
            refusal.into_response()
        }
    };
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

async fn dispatch(call: &Call<'_>, body: &mut Body, exposure: Exposure, path: &str) -> Answer {
    let user =
        if exposure.needs_auth { auth::check(&*call.registry.access, &call.headers)? } else { auth::local() };
    let route = parse(path).map_err(|no_route| match no_route {
        NoRoute::Unknown => {
            Refusal::new(Code::Unsupported, "no such address").with_status(StatusCode::NOT_FOUND)
        }
        NoRoute::BadName(name) => {
            Refusal::new(Code::NameInvalid, format!("`{name}` is not a valid repository name"))
        }
    })?;
    let method = call.method.clone();
    let reads = method == Method::GET || method == Method::HEAD;
    if !reads {
        auth::may_push(&user)?;
    }
    match (route, method) {
        (Route::Ping, _) if reads => Ok(answer::json(StatusCode::OK, "{}".to_owned())),
        (Route::Catalog, _) if reads => lists::catalog(call).await,
        (Route::Tags { name }, _) if reads => lists::tags(call, &name).await,
        (Route::Referrers { name, digest }, _) if reads => lists::referrers(call, &name, &digest).await,
        (Route::Ping | Route::Catalog | Route::Tags { .. } | Route::Referrers { .. }, _) => {
            Err(Refusal::method_not_allowed("GET, HEAD"))
        }

        (Route::Blob { name, digest }, _) if reads => blobs::get(call, &name, &digest).await,
        (Route::Blob { name, digest }, Method::DELETE) => blobs::delete(call, name, &digest).await,
        (Route::Blob { .. }, _) => Err(Refusal::method_not_allowed("GET, HEAD, DELETE")),

        (Route::Uploads { name }, Method::POST) => uploads::start(call, body, name).await,
        (Route::Uploads { .. }, _) => Err(Refusal::method_not_allowed("POST")),

        (Route::Upload { name, id }, Method::PATCH) => uploads::patch(call, body, &name, &id).await,
        (Route::Upload { name, id }, Method::PUT) => uploads::put(call, body, name, &id).await,
        (Route::Upload { name, id }, Method::DELETE) => uploads::cancel(call, &name, &id).await,
        (Route::Upload { name, id }, _) if reads => uploads::status(call, &name, &id),
        (Route::Upload { .. }, _) => Err(Refusal::method_not_allowed("GET, HEAD, PATCH, PUT, DELETE")),

        (Route::Manifest { name, reference }, _) if reads => manifests::get(call, &name, &reference).await,
        (Route::Manifest { name, reference }, Method::PUT) => {
            manifests::put(call, body, name, &reference).await
        }
        (Route::Manifest { name, reference }, Method::DELETE) => {
            manifests::delete(call, name, &reference).await
        }
        (Route::Manifest { .. }, _) => Err(Refusal::method_not_allowed("GET, HEAD, PUT, DELETE")),
    }
}

impl Call<'_> {
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Reads a digest that a client sent. Errors: 400 DIGEST_INVALID.
fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse()
        .map_err(|error: wharf_base::DigestError| Refusal::new(Code::DigestInvalid, error.to_string()))
}

fn blob_location(name: &RepositoryName, digest: &Digest) -> String {
    format!("/v2/{name}/blobs/{digest}")
}
