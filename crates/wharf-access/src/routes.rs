//! `/session` and `/tokens`.

use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wharf_base::UnixMillis;
use wharf_http::api::ApiRouter;
use wharf_http::{ApiError, Peer, Role};

use crate::authenticate::{address, cookie, cookie_name, is_same_origin};
use crate::book::Identity;
use crate::operations::operations;
use crate::{Error, Handle, TokenView, events, role};

/// The routes of access, relative to `/api/v1`. They expect [`crate::authenticate`] in front of them.
pub fn routes(handle: Handle) -> ApiRouter {
    ApiRouter::new(operations())
        .route("/session", get(show_session).post(open_session).delete(close_session))
        .route("/tokens", get(list_tokens).post(create_token))
        .route("/tokens/{id}", delete(remove_token))
        .route("/events", get(events::list))
        .route("/events/stream", get(events::stream))
        .with_state(handle)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    token: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct SessionView {
    name: String,
    role: Role,
    /// When the token expires; null: never.
    expires: Option<UnixMillis>,
}

impl From<Identity> for SessionView {
    fn from(identity: Identity) -> SessionView {
        SessionView { name: identity.name, role: identity.role, expires: identity.expires }
    }
}

async fn show_session(Extension(identity): Extension<Identity>) -> Json<SessionView> {
    Json(identity.into())
}

async fn open_session(State(handle): State<Handle>, request: Request) -> Result<Response, ApiError> {
    let address = address(&request);
    let is_tls = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_tls);
    // A page of another site must not log the browser in as somebody else. No header at all is a command.
    let is_browser = ["sec-fetch-site", "origin"].iter().any(|name| request.headers().contains_key(*name));
    if is_browser && !is_same_origin(request.headers(), request.uri()) {
        return Err(Error::CrossSite.into());
    }
    let name = cookie_name(request.headers(), request.uri());
    let Json(login) = Json::<Login>::from_request(request, &())
        .await
        .map_err(|error| ApiError::new(wharf_base::ErrorCode::InvalidArgument, error.body_text()))?;
    let identity = handle.check_token(login.token.trim(), address)?;
    let secret = handle.open_session(&identity).await?;
    let cookie = set_cookie(&name, &secret, handle.session_max().as_secs(), is_tls);
    Ok(([(header::SET_COOKIE, cookie)], Json(SessionView::from(identity))).into_response())
}

async fn close_session(
    State(handle): State<Handle>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    if let Some(secret) = cookie(&headers, &uri) {
        handle.close_session(secret).await?;
    }
    let cookie = set_cookie(&cookie_name(&headers, &uri), "", 0, false);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

fn set_cookie(name: &str, secret: &str, seconds: u64, is_tls: bool) -> HeaderValue {
    let secure = if is_tls { "; Secure" } else { "" };
    let text = format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).expect("hex digits, a port and fixed words are a header value")
}

async fn list_tokens(State(handle): State<Handle>) -> Json<serde_json::Value> {
    Json(json!({ "tokens": handle.tokens() }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    name: String,
    /// `viewer`, `deployer` or `admin`.
    role: String,
    /// How long it is valid, such as `30d`; without it, until it is removed.
    ttl: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct CreatedToken {
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

async fn create_token(
    State(handle): State<Handle>,
    Extension(caller): Extension<Identity>,
    request: Request,
) -> Result<Response, ApiError> {
    let Json(wanted) = Json::<NewToken>::from_request(request, &())
        .await
        .map_err(|error| ApiError::new(wharf_base::ErrorCode::InvalidArgument, error.body_text()))?;
    let role =
        role::parse(&wanted.role).ok_or_else(|| Error::BadRole(wanted.role.chars().take(63).collect()))?;
    let ttl = wanted.ttl.as_deref().map(wharf_base::duration::parse).transpose();
    let ttl =
        ttl.map_err(|error| ApiError::new(wharf_base::ErrorCode::InvalidArgument, format!("ttl: {error}")))?;
    let (view, token) = handle.create_token(&wanted.name, role, ttl, &caller.name).await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { token, view })).into_response())
}

async fn remove_token(
    State(handle): State<Handle>,
    Extension(caller): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    handle.remove_token(&id, &caller.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
