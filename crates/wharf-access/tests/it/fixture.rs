//! One server part on a directory of its own, called without a socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use wharf_access::{Config, Deps, Handle, authenticate, routes, start};
use wharf_base::{ManualClock, Tasks, UnixMillis};
use wharf_http::{Caller, Peer};
use wharf_state::{Database, EventLog};

pub(crate) struct Fixture {
    pub(crate) handle: Handle,
    pub(crate) events: EventLog,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) tasks: Tasks,
    pub(crate) api: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) cookie: Option<String>,
    pub(crate) json: Value,
}

impl Fixture {
    pub(crate) async fn start(data: &Path, config: Config) -> Fixture {
        let tasks = Tasks::new();
        let clock = Arc::new(ManualClock::at(UnixMillis(1_000_000)));
        let database = Database::open(&data.join("state.db")).unwrap();
        let events = EventLog::open(database.clone(), clock.clone(), &tasks).await.unwrap();
        let deps = Deps { database, events: events.clone(), clock: clock.clone(), data: data.to_owned() };
        let handle = start(config, deps, &tasks).await.unwrap();
        let other = Router::new()
            .route("/apps", get(|Extension(caller): Extension<Caller>| async move { caller.name }))
            .route(
                "/apps/shop/scale",
                post(|Extension(caller): Extension<Caller>| async move { caller.name }),
            )
            .route("/join", post(|| async { "joined" }));
        let api = authenticate(&handle, other.merge(Router::from(routes(handle.clone()))));
        // As the binary mounts it.
        let api = Router::new().nest("/api/v1", api);
        Fixture { handle, events, clock, tasks, api }
    }

    /// Ends the tasks, so that what they had to write is written.
    pub(crate) async fn stop(self) {
        assert_eq!(self.tasks.stop(Duration::from_secs(10)).await.aborted, [""; 0]);
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.api.clone().oneshot(request).await.unwrap()
    }

    /// `headers` are `name: value` lines; a body is JSON.
    pub(crate) async fn call(&self, line: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let response = self.send(request(line, headers, body)).await;
        let status = response.status();
        let cookie = response.headers().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status, cookie, json: serde_json::from_slice(&bytes).unwrap_or(Value::String(text)) }
    }

    pub(crate) async fn as_token(&self, line: &str, token: &str, body: Option<Value>) -> Answer {
        self.call(line, &[("authorization", &format!("Bearer {token}"))], body).await
    }
}

pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: Option<Value>) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(format!("/api/v1{path}")).extension(peer());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    match body {
        Some(body) => {
            builder.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
        }
        None => builder.body(Body::empty()).unwrap(),
    }
}

fn peer() -> Peer {
    let address: SocketAddr = "127.0.0.1:40000".parse().unwrap();
    Peer { address: Some(address), is_tls: false, certificate: None, inside: None }
}

pub(crate) fn first_token(data: &Path) -> String {
    std::fs::read_to_string(data.join("token")).unwrap().trim().to_owned()
}
