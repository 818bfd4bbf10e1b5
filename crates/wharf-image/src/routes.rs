//! The part of the control API that shows builds.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use wharf_http::api::{ApiRouter, Operation};

use crate::{BuildsView, Handle};

/// `GET /builds`, relative to `/api/v1`.
pub fn routes(handle: Handle) -> ApiRouter {
    ApiRouter::new(operations()).route("/builds", get(list)).with_state(handle)
}

/// What the document of the API says about them.
pub fn operations() -> Vec<Operation> {
    let builds = Operation::get("/builds", "listBuilds", "Lists builds that run, wait or have ended")
        .answers::<BuildsView>();
    Operation::tagged("images", [builds])
}

async fn list(State(handle): State<Handle>) -> Json<BuildsView> {
    Json(handle.builds())
}
