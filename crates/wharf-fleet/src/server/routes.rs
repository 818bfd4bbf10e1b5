//! The fleet's part of `/api/v1`. The caller's role has been checked before these are reached.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post};
use axum::{Extension, Json};
use http::StatusCode;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wharf_http::api::ApiRouter;
use wharf_http::{ApiError, Caller};
use wharf_model::{Generation, HostView, InstanceReport, Liveness, Name};

use super::Handle;
use super::fleet::Fleet;
use super::join::{NewToken, TokenMade};
use super::orphans::{self, OrphanList, OrphansRemoved, RemoveOrphans};
use super::store::GenerationLine;
use crate::Error;

/// LIMIT: lines of the list of generations in one answer.
const GENERATIONS_MAX: u32 = 1_000;

/// All of the fleet's routes but `/join`, to be nested under `/api/v1`. A new one is described in
/// [`super::operations`].
pub fn routes(handle: &Handle) -> ApiRouter {
    ApiRouter::new(super::operations())
        .route("/hosts", get(hosts))
        .route("/hosts/{name}", delete(remove_host))
        .route("/hosts/{name}/drain", post(drain_host))
        .route("/join-tokens", post(make_token))
        .route("/instances", get(instances))
        .route("/orphans", get(list_orphans))
        .route("/orphans/remove", post(remove_orphans))
        .route("/generations", get(generations))
        .route("/generations/{number}", get(generation))
        .with_state(Arc::clone(&handle.fleet))
}

#[derive(Serialize, JsonSchema)]
pub(super) struct HostList {
    hosts: Vec<HostView>,
}

async fn hosts(State(fleet): State<Arc<Fleet>>) -> Json<HostList> {
    Json(HostList { hosts: fleet.views() })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    /// Whether it is to have no containers.
    draining: bool,
}

async fn drain_host(
    State(fleet): State<Arc<Fleet>>,
    caller: Option<Extension<Caller>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let Drain { draining } = parse("the request", &body)?;
    fleet.drain(&name, draining, &by(caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Remove {
    /// Even if containers are to run there: they leave the desired state.
    force: bool,
}

async fn remove_host(
    State(fleet): State<Arc<Fleet>>,
    caller: Option<Extension<Caller>>,
    Path(name): Path<String>,
    Query(Remove { force }): Query<Remove>,
) -> Result<StatusCode, ApiError> {
    fleet.remove(&name, force, &by(caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn make_token(
    State(fleet): State<Arc<Fleet>>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<Json<TokenMade>, ApiError> {
    let request: NewToken = parse("the request", &body)?;
    Ok(Json(fleet.make_token(request, &by(caller)).await?))
}

#[derive(Serialize, JsonSchema)]
pub(super) struct InstanceList {
    instances: Vec<InstanceLine>,
}

/// An instance with its host, and whether what is shown is current.
#[derive(Serialize, JsonSchema)]
struct InstanceLine {
    host: Name,
    host_liveness: Liveness,
    #[serde(flatten)]
    report: InstanceReport,
}

async fn instances(State(fleet): State<Arc<Fleet>>) -> Json<InstanceList> {
    let state = fleet.state();
    let lines = state.hosts.iter().flat_map(|(name, host)| {
        host.report.instances.iter().map(|report| InstanceLine {
            host: name.clone(),
            host_liveness: host.liveness,
            report: report.clone(),
        })
    });
    Json(InstanceList { instances: lines.collect() })
}

async fn list_orphans(State(fleet): State<Arc<Fleet>>) -> Json<OrphanList> {
    Json(orphans::list(&fleet))
}

async fn remove_orphans(
    State(fleet): State<Arc<Fleet>>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<Json<OrphansRemoved>, ApiError> {
    let request: RemoveOrphans = parse("the request", &body)?;
    Ok(Json(orphans::remove(&fleet, request, &by(caller)).await?))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limit {
    /// How many at most; 50 without it.
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct GenerationList {
    generations: Vec<GenerationLine>,
}

async fn generations(
    State(fleet): State<Arc<Fleet>>,
    Query(Limit { limit }): Query<Limit>,
) -> Result<Json<GenerationList>, ApiError> {
    let limit = limit.unwrap_or(50).min(GENERATIONS_MAX);
    Ok(Json(GenerationList { generations: fleet.store.generations(limit).await? }))
}

async fn generation(
    State(fleet): State<Arc<Fleet>>,
    Path(number): Path<u64>,
) -> Result<Json<Generation>, ApiError> {
    Ok(Json(fleet.store.generation(number).await?))
}

fn by(caller: Option<Extension<Caller>>) -> String {
    caller.map_or_else(|| "unknown".to_owned(), |Extension(caller)| caller.name)
}

/// Reads a JSON body; an empty one is `{}`.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, Error> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Error::Invalid(format!("cannot read {what}: {error}")))
}
