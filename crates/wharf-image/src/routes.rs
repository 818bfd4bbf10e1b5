//! The part of the control API that shows builds.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::{BuildsView, Handle};

/// `GET /builds`, relative to `/api/v1`.
pub fn routes(handle: Handle) -> Router {
    Router::new().route("/builds", get(list)).with_state(handle)
}

async fn list(State(handle): State<Handle>) -> Json<BuildsView> {
    Json(handle.builds())
}
