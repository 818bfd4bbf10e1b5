//! The balancer's part of `/api/v1`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;
use wharf_http::api::ApiRouter;
use wharf_http::sse;
use wharf_model::{Balance, HealthCheck, PoolsObserved, TargetState};

use crate::Handle;

/// `GET /traffic` (what was counted per release), `GET /traffic/stream` (the same as server-sent events, one a
/// second), `GET /routes` (the table with the live state of its targets), all without the `/api/v1` before them.
pub fn routes(handle: Handle) -> ApiRouter {
    ApiRouter::new(crate::operations())
        .route("/traffic", get(traffic))
        .route("/traffic/stream", get(traffic_stream))
        .route("/routes", get(table))
        .with_state(handle)
}

async fn traffic(State(handle): State<Handle>) -> Json<PoolsObserved> {
    Json(PoolsObserved::clone(&handle.observed().borrow()))
}

async fn traffic_stream(State(handle): State<Handle>) -> Response {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let shutdown = handle.shutdown();
    let events = stream::unfold((handle.observed(), interval), |(observed, mut interval)| async move {
        interval.tick().await;
        let event = sse::Event::json("traffic", &**observed.borrow());
        Some((event, (observed, interval)))
    });
    // A stream that goes on would keep the server from stopping.
    sse::response(events.take_until(shutdown.cancelled_owned()))
}

/// The table as it is served.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TableView {
    version: u64,
    generation: u64,
    connections: usize,
    counters: Counters,
    routes: Vec<RouteView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BalancerCounters")]
struct Counters {
    connections_waited: u64,
    accept_errors: u64,
    requests_refused: u64,
    no_route: u64,
    retries: u64,
    retries_over_budget: u64,
    moved: u64,
    log_lines: u64,
    log_lines_dropped: u64,
    tables_refused: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BalancerRoute")]
struct RouteView {
    app: String,
    service: String,
    release: u32,
    host: Option<String>,
    path: String,
    balance: Balance,
    timeout_ms: Option<u64>,
    health: HealthCheck,
    targets: Vec<TargetView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BalancerTarget")]
struct TargetView {
    id: String,
    address: String,
    host: String,
    state: TargetState,
    is_healthy: bool,
    is_ejected: bool,
    in_flight: u32,
    requests: u64,
    connects: u64,
    connect_failures: u64,
    checks_failed: u64,
    ejections: u64,
}

async fn table(State(handle): State<Handle>) -> Json<TableView> {
    let shared = handle.shared();
    let table = shared.table();
    let counts = &shared.counts;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let target = |target: &crate::backend::Backend| TargetView {
        id: target.id.clone(),
        address: target.address.to_string(),
        host: target.host.clone(),
        state: target.control(),
        is_healthy: target.is_healthy(),
        is_ejected: target.is_ejected(),
        in_flight: target.in_flight(),
        requests: load(&target.counts.requests),
        connects: load(&target.counts.connects),
        connect_failures: load(&target.counts.connect_failures),
        checks_failed: load(&target.counts.checks_failed),
        ejections: load(&target.counts.ejections),
    };
    let routes = table.routes.iter().map(|route| RouteView {
        app: route.release.app.clone(),
        service: route.release.service.clone(),
        release: route.release.release,
        host: route.host.clone(),
        path: if route.path.is_empty() { "/".to_owned() } else { route.path.clone() },
        balance: route.balance,
        timeout_ms: route.timeout.map(|timeout| timeout.as_millis() as u64),
        health: route.health.clone(),
        targets: route.targets.iter().map(|backend| target(backend)).collect(),
    });
    Json(TableView {
        version: table.version,
        generation: table.generation,
        connections: counts.connections.load(Ordering::Relaxed),
        counters: Counters {
            connections_waited: load(&counts.connections_waited),
            accept_errors: load(&counts.accept_errors),
            requests_refused: load(&counts.requests_refused),
            no_route: load(&counts.no_route),
            retries: load(&counts.retries),
            retries_over_budget: load(&counts.retries_over_budget),
            moved: load(&counts.moved),
            log_lines: load(&counts.log_lines),
            log_lines_dropped: load(&counts.log_lines_dropped),
            tables_refused: load(&counts.tables_refused),
        },
        routes: routes.collect(),
    })
}
