//! What a server that stands by answers: where the leader is.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;
use wharf_base::{ErrorCode, Tasks};
use wharf_http::pki::{Authority, ClientAuth};
use wharf_http::{ApiError, ServerOptions};
use wharf_state::postgres::Leader;

use crate::assemble::names;
use crate::config::Config;

/// Listens on `api.listen` until `tasks` stops. False when that needs a CA and there is none yet.
pub(super) async fn answer(
    config: &Config,
    authority: Option<Arc<Authority>>,
    leader: watch::Receiver<Option<Leader>>,
    tasks: &Tasks,
) -> anyhow::Result<bool> {
    let is_plain = |address: SocketAddr| config.api.insecure || address.ip().is_loopback();
    let all_plain = config.api.listen.iter().all(|address| is_plain(*address));
    let tls = match authority {
        Some(authority) => Some(authority.server_config(&names(config), ClientAuth::None)?),
        None if all_plain => None,
        None => return Ok(false),
    };
    for listener in wharf_http::bind("api.listen", &config.api.listen).await? {
        let router = Router::new().fallback(point).with_state(leader.clone());
        let tls = if is_plain(listener.local_addr()?) { None } else { tls.clone() };
        wharf_http::serve("standby", listener, tls, router, ServerOptions::default(), tasks);
    }
    Ok(true)
}

/// A browser follows to the leader; everybody else is told.
async fn point(State(leader): State<watch::Receiver<Option<Leader>>>, uri: Uri) -> Response {
    let leader = leader.borrow().clone();
    let Some(Leader { api, .. }) = leader else {
        let message = "this server stands by, and no other one leads yet\n  hint: try again in some seconds";
        return ApiError::new(ErrorCode::Unavailable, message).into_response();
    };
    let message = format!("this server stands by; {api} leads\n  hint: --server {api}");
    let mut response = ApiError::new(ErrorCode::Unavailable, message).into_response();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // Not for programs: who asks whether this server is well wants to hear of this server.
    if !path.starts_with("/api/")
        && path != "/healthz"
        && let Ok(location) = HeaderValue::from_str(&format!("{api}{path}"))
    {
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
