//! This part of `/api/v1`. Reading needs any token; changing needs a deployer's.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wharf_base::ErrorCode;
use wharf_http::api::ApiRouter;
use wharf_http::{ApiError, Caller, Role, sse};
use wharf_model::Name;

use crate::api::{
    AppList, AppView, DeployList, DeployRequest, DeployView, PlanView, ReleaseDiff, ReleaseList,
    RestartRequest, RollbackRequest, ScaleRequest, SecretsRecipient, Started, StreamItem, Uploaded,
};
use crate::handle::Handle;
use crate::operate;
use crate::operations::operations;

/// LIMIT: bytes of a deploy request. 100 services with their environments are far below; an age file has up to 4 MiB.
const REQUEST_BYTES_MAX: usize = 8 << 20;
/// Deploys in an answer that states no limit.
const DEPLOYS_DEFAULT: u32 = 50;

type Answer<T> = Result<Json<T>, ApiError>;
type Accepted = Result<(StatusCode, Json<Started>), ApiError>;
type JsonBody<T> = Result<Json<T>, JsonRejection>;

/// Routes below `/api/v1`. Each request carries the extension [`Caller`]. A new one is described in [`operations`].
pub fn routes(handle: Handle) -> ApiRouter {
    let small = ApiRouter::new(operations())
        .route("/apps", get(apps))
        .route("/apps/{app}", get(app).delete(remove))
        .route("/apps/{app}/releases", get(releases))
        .route("/apps/{app}/releases/{from}/diff/{to}", get(release_diff))
        .route("/apps/{app}/plan", post(plan))
        .route("/apps/{app}/deploys", post(deploy))
        .route("/apps/{app}/rollback", post(rollback))
        .route("/apps/{app}/restart", post(restart))
        .route("/apps/{app}/scale", post(scale))
        .route("/apps/{app}/services/{service}/logs", get(operate::logs::route))
        .route("/apps/{app}/services/{service}/exec", get(operate::terminal::exec))
        .route("/apps/{app}/services/{service}/run", get(operate::terminal::run))
        .route("/secrets/recipient", get(secrets_recipient))
        .route("/deploys", get(deploys))
        .route("/deploys/{id}", get(deploy_view))
        .route("/deploys/{id}/stream", get(stream))
        .route("/deploys/{id}/abort", post(abort))
        .with(|router| router.layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX)));
    // Uploads have a limit of their own, counted while they stream.
    small.route("/uploads", post(upload).layer(DefaultBodyLimit::disable())).with_state(handle)
}

async fn apps(State(handle): State<Handle>) -> Answer<AppList> {
    Ok(Json(AppList { apps: handle.apps().await? }))
}

async fn app(State(handle): State<Handle>, Path(app): Path<String>) -> Answer<AppView> {
    Ok(Json(handle.app(&name(app)?).await?))
}

async fn releases(State(handle): State<Handle>, Path(app): Path<String>) -> Answer<ReleaseList> {
    Ok(Json(ReleaseList { releases: handle.releases(&name(app)?).await? }))
}

async fn release_diff(
    State(handle): State<Handle>,
    Path((app, from, to)): Path<(String, String, String)>,
) -> Answer<ReleaseDiff> {
    Ok(Json(handle.release_diff(&name(app)?, release_number(&from)?, release_number(&to)?).await?))
}

async fn secrets_recipient(State(handle): State<Handle>) -> Json<SecretsRecipient> {
    Json(SecretsRecipient { recipient: handle.secrets_recipient() })
}

async fn upload(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Answer<Uploaded> {
    changer(&caller)?;
    Ok(Json(handle.upload(body).await?))
}

async fn plan(
    State(handle): State<Handle>,
    Path(app): Path<String>,
    request: JsonBody<DeployRequest>,
) -> Answer<PlanView> {
    Ok(Json(handle.plan(&name(app)?, &json(request)?).await?))
}

async fn deploy(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    request: JsonBody<DeployRequest>,
) -> Accepted {
    changer(&caller)?;
    accepted(handle.deploy(&name(app)?, json(request)?, &caller.name).await)
}

async fn rollback(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    request: JsonBody<RollbackRequest>,
) -> Accepted {
    changer(&caller)?;
    let release = json(request)?.release;
    accepted(handle.rollback(&name(app)?, release, &caller.name).await)
}

async fn restart(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    request: JsonBody<RestartRequest>,
) -> Accepted {
    changer(&caller)?;
    let services = json(request)?.services;
    accepted(handle.restart(&name(app)?, &services, &caller.name).await)
}

async fn scale(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    request: JsonBody<ScaleRequest>,
) -> Accepted {
    changer(&caller)?;
    let services: BTreeMap<String, u32> = json(request)?.services;
    accepted(handle.scale(&name(app)?, &services, &caller.name).await)
}

async fn remove(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
) -> Accepted {
    changer(&caller)?;
    accepted(handle.remove(&name(app)?, &caller.name).await)
}

/// `?limit=&app=`.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeploysQuery {
    /// How many at most; 50 without it.
    limit: Option<u32>,
    /// Only those of this application.
    app: Option<String>,
}

async fn deploys(State(handle): State<Handle>, Query(query): Query<DeploysQuery>) -> Answer<DeployList> {
    let app = query.app.map(name).transpose()?;
    let deploys = handle.deploys(app.as_ref(), query.limit.unwrap_or(DEPLOYS_DEFAULT)).await?;
    Ok(Json(DeployList { deploys }))
}

async fn deploy_view(State(handle): State<Handle>, Path(id): Path<String>) -> Answer<DeployView> {
    Ok(Json(handle.deploy_view(deploy_id(&id)?).await?))
}

/// Events `step`, `output`, `end`; each has its position as id, so a client that reconnects misses nothing.
async fn stream(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let from = last.map_or(0, |last| last.saturating_add(1));
    let items = handle.stream(deploy_id(&id)?, from).await?;
    Ok(sse::response(items.map(|(position, item)| {
        let event = match &item {
            StreamItem::Step(step) => sse::Event::json("step", step),
            StreamItem::Output(output) => sse::Event::json("output", output),
            StreamItem::End(end) => sse::Event::json("end", end),
        };
        event.with_id(position)
    })))
}

async fn abort(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    changer(&caller)?;
    handle.abort(deploy_id(&id)?, &caller.name).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) fn changer(caller: &Caller) -> Result<(), ApiError> {
    if caller.role >= Role::Deployer {
        return Ok(());
    }
    let message = format!("the token `{}` may only read", caller.name);
    Err(ApiError::new(ErrorCode::PermissionDenied, message).with_hint("use a token with the role deployer"))
}

fn accepted(started: Result<Started, crate::Error>) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(started?)))
}

pub(crate) fn name(text: String) -> Result<Name, ApiError> {
    text.parse().map_err(|error| ApiError::new(ErrorCode::InvalidArgument, format!("{error}")))
}

fn deploy_id(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| ApiError::new(ErrorCode::NotFound, format!("`{text}` is no number of a deploy")))
}

fn release_number(text: &str) -> Result<u32, ApiError> {
    text.parse()
        .map_err(|_| ApiError::new(ErrorCode::NotFound, format!("`{text}` is no number of a release")))
}

fn json<T: DeserializeOwned>(body: JsonBody<T>) -> Result<T, ApiError> {
    match body {
        Ok(Json(value)) => Ok(value),
        Err(rejection) => {
            let code = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
                _ => ErrorCode::InvalidArgument,
            };
            Err(ApiError::new(code, rejection.body_text()))
        }
    }
}
