//! `api.listen`: the control API of all parts behind one authentication layer, and the console.

use std::sync::{Arc, OnceLock};

use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use wharf_http::api::ApiRouter;

use crate::api_document::{VERSION, own_operations};

/// The parts that have routes.
pub(super) struct Parts<'a> {
    pub(super) access: &'a wharf_access::Handle,
    pub(super) fleet: wharf_fleet::Handle,
    pub(super) deploy: wharf_deploy::Handle,
    pub(super) image: wharf_image::Handle,
    pub(super) registry: Option<wharf_registry::Handle>,
    pub(super) cache: Option<wharf_cache::Handle>,
    pub(super) balancer: Option<wharf_balancer::Handle>,
}

/// Everything under `/api/v1` needs a token or session, but the two requests that bring their own; `/healthz` and the
/// console's files need none.
pub(super) fn router(parts: Parts<'_>) -> Router {
    let mut api = wharf_access::routes(parts.access.clone())
        .merge(wharf_fleet::routes(&parts.fleet))
        .merge(wharf_fleet::join_routes(&parts.fleet))
        .merge(wharf_deploy::routes(parts.deploy))
        .merge(wharf_image::routes(parts.image))
        .merge(wharf_cache::routes(parts.cache));
    if let Some(registry) = parts.registry {
        api = api.merge(wharf_registry::routes(registry));
    }
    if let Some(balancer) = parts.balancer {
        api = api.merge(wharf_balancer::routes(balancer));
    }
    let api = wharf_access::authenticate(parts.access, with_document(api).into());
    Router::new().nest("/api/v1", api).route("/healthz", get(async || "ok\n")).merge(wharf_console::routes())
}

/// Adds the document of all that is there by now, itself included.
fn with_document(api: ApiRouter) -> ApiRouter {
    let document: Arc<OnceLock<Value>> = Arc::default();
    let shown = Arc::clone(&document);
    let own = ApiRouter::new(own_operations())
        .route("/openapi.json", get(async move || Json(shown.get().cloned().unwrap_or_default())));
    let api = api.merge(own);
    document.get_or_init(|| api.served().document(VERSION));
    api
}
