//! The cache's part of the control API, relative to `/api/v1`.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::ErrorCode;
use wharf_http::api::{ApiRouter, Operation};
use wharf_http::{ApiError, Role};

use crate::{CacheStats, Ecosystem, EntryView, Error, Handle, Purged};

/// Which stored files.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Which {
    /// Only this kind of packages.
    ecosystem: Option<Ecosystem>,
    /// At most so many; 50 if not given, 1,000 at most.
    limit: Option<usize>,
}

/// Routes of the cache. Without one they say how to have one.
pub fn routes(handle: Option<Handle>) -> ApiRouter {
    ApiRouter::new(operations())
        .route("/cache/stats", get(stats))
        .route("/cache/entries", get(entries))
        .route("/cache/purge", post(purge))
        .with_state(handle)
}

/// What the document of the API says about them.
pub fn operations() -> Vec<Operation> {
    let off = [ErrorCode::Conflict];
    let operations = [
        Operation::get("/cache/stats", "cacheStats", "Says how the package cache is and what it has done")
            .answers::<CacheStats>()
            .fails(&off),
        Operation::get("/cache/entries", "listCacheEntries", "Lists the largest files of the package cache")
            .query::<Which>()
            .answers::<Vec<EntryView>>()
            .fails(&off),
        Operation::post("/cache/purge", "purgeCache", "Removes files of the package cache")
            .query::<Which>()
            .answers::<Purged>()
            .role(Role::Admin)
            .fails(&off)
            .leaves_nothing("what is removed is fetched again when somebody asks for it"),
    ];
    Operation::tagged("packages", operations)
}

async fn stats(State(handle): State<Option<Handle>>) -> Response {
    match handle {
        Some(handle) => answer(handle.stats().await),
        None => off(),
    }
}

async fn entries(State(handle): State<Option<Handle>>, Query(which): Query<Which>) -> Response {
    match handle {
        Some(handle) => answer(handle.entries(which.ecosystem, which.limit.unwrap_or(50)).await),
        None => off(),
    }
}

async fn purge(State(handle): State<Option<Handle>>, Query(which): Query<Which>) -> Response {
    match handle {
        Some(handle) => answer(handle.purge(which.ecosystem).await),
        None => off(),
    }
}

fn off() -> Response {
    ApiError::new(ErrorCode::Conflict, "the package cache is off")
        .with_hint("set cache.enabled: true in wharf.yaml, or start with --set cache.enabled=true")
        .into_response()
}

fn answer<T: Serialize>(result: Result<T, Error>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => ApiError::new(error.code(), error.to_string()).into_response(),
    }
}
