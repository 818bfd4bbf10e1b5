//! The registry's part of the control API, relative to `/api/v1`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use wharf_base::ErrorCode;
use wharf_http::ApiError;
use wharf_http::api::ApiRouter;

use crate::Handle;

/// Routes of the registry, relative to `/api/v1`:
///
/// - `GET /registry/repositories`: a list of [`crate::RepositoryView`].
/// - `GET /registry/repositories/{name}/tags`: a list of [`crate::TagView`]; the name may have slashes in it.
/// - `GET /registry/stats`: [`crate::Stats`].
pub fn routes(handle: Handle) -> ApiRouter {
    ApiRouter::new(crate::operations())
        .route("/registry/repositories", get(repositories))
        .route("/registry/repositories/{*name}", get(tags))
        .route("/registry/stats", get(stats))
        .with_state(handle)
}

async fn repositories(State(handle): State<Handle>) -> Response {
    match handle.repositories().await {
        Ok(repositories) => Json(repositories).into_response(),
        Err(error) => ApiError::new(error.code(), error.to_string()).into_response(),
    }
}

async fn tags(State(handle): State<Handle>, Path(path): Path<String>) -> Response {
    let Some(name) = path.strip_suffix("/tags") else {
        return ApiError::new(ErrorCode::NotFound, "no such address\n  hint: …/{name}/tags").into_response();
    };
    match handle.tags(name).await {
        Ok(tags) => Json(tags).into_response(),
        Err(error) => ApiError::new(error.code(), error.to_string()).into_response(),
    }
}

async fn stats(State(handle): State<Handle>) -> Response {
    Json(handle.stats()).into_response()
}
