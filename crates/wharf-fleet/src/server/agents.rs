//! The agent protocol, server's side. See [`crate::protocol`] for the calls.
//!
//! Every request is made by a host that is known by its certificate (or vouched for inside of the process). The two
//! streams hold a [`Connected`], whose drop is how a lost host is noticed: the listener's pings end a connection that
//! does not answer, and with it its streams.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::{Stream, stream};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio::sync::watch;
use wharf_base::{Digest, Shutdown};
use wharf_http::{ApiError, Peer};
use wharf_model::{BalancerView, ContainerSpec, HostReport, MountSource};

use super::fleet::{Connected, Fleet, Identity};
use super::parts::Parts;
use crate::protocol::{Announcement, HostDesired, Servers};
use crate::{Error, hello};

/// LIMIT: bytes of one report: 10,000 instances with 20 long lines of log each.
const REPORT_BYTES_MAX: usize = 16 << 20;

pub(crate) fn router(fleet: Arc<Fleet>) -> Router {
    Router::new()
        .route("/agent/v1/watch", get(watch_generations))
        .route("/agent/v1/desired", get(desired))
        .route("/agent/v1/report", post(report))
        .route("/agent/v1/calls", get(super::calls::announce))
        .route("/agent/v1/calls/{id}", post(super::calls::take_up))
        .route("/agent/v1/files/{digest}", get(files))
        .route("/agent/v1/secrets/{fingerprint}", get(secret))
        .route("/agent/v1/servers", get(servers))
        .route("/agent/v1/certificate", post(super::renew::renew))
        .route("/agent/v1/tables", get(watch_tables))
        .route("/agent/v1/balancer", post(balancer))
        .layer(DefaultBodyLimit::max(REPORT_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&fleet), identify))
        .with_state(fleet)
}

async fn identify(State(fleet): State<Arc<Fleet>>, mut request: Request, next: Next) -> Response {
    let identity = match request.extensions().get::<Peer>() {
        Some(Peer { inside: Some(name), .. }) => fleet.identify_inside(name).ok_or(Error::UnknownHost),
        Some(Peer { certificate: Some(certificate), .. }) => {
            fleet.identify(&wharf_http::pki::fingerprint(certificate))
        }
        _ => Err(Error::UnknownHost),
    };
    match identity {
        Ok(identity) => match hello::accept(request.headers()) {
            Ok(version) => {
                request.extensions_mut().insert(identity);
                let mut response = next.run(request).await;
                response.headers_mut().insert(hello::HEADER, HeaderValue::from(version));
                response
            }
            Err(mismatch) => {
                fleet.refuse(&identity, &mismatch);
                Error::Version(mismatch).into_response()
            }
        },
        Err(error) => error.into_response(),
    }
}

async fn watch_generations(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Error> {
    let connected = fleet.connected(identity.clone(), peer.address.map(|address| address.ip()))?;
    let shutdown = fleet.tasks.shutdown();
    let host = identity.name.clone();
    let line = move |parts: &Arc<Parts>| {
        let desired = parts.of(&host);
        Announcement { generation: desired.generation, hash: desired.hash }
    };
    Ok(ndjson(follow(fleet.parts.subscribe(), line, connected, identity, shutdown)))
}

async fn watch_tables(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Error> {
    refuse_unless_balancer(&fleet, &identity)?;
    let connected = fleet.connected(identity.clone(), peer.address.map(|address| address.ip()))?;
    fleet.expect_balancer(&identity);
    let shutdown = fleet.tasks.shutdown();
    Ok(ndjson(follow(fleet.tables.subscribe(), |table| (**table).clone(), connected, identity, shutdown)))
}

fn refuse_unless_balancer(fleet: &Fleet, identity: &Identity) -> Result<(), Error> {
    let mut state = fleet.state();
    let host = state.known(identity).ok_or(Error::UnknownHost)?;
    if super::is_balancer(&host.record.labels) {
        return Ok(());
    }
    let hint = "join it with --label role=balancer";
    Err(Error::Invalid(format!("host `{}` is no balancer\n  hint: {hint}", identity.name)))
}

/// The current value at once, then each newer one, until the host is removed or the server stops.
fn follow<T, L>(
    values: watch::Receiver<Arc<T>>,
    line: impl Fn(&Arc<T>) -> L + Send + 'static,
    connected: Connected,
    identity: Identity,
    shutdown: Shutdown,
) -> impl Stream<Item = L> + Send + 'static
where
    T: Send + Sync + 'static,
    L: Send + 'static,
{
    let start = (values, line, connected, identity, shutdown, true);
    stream::unfold(start, |(mut values, line, connected, identity, shutdown, is_first)| async move {
        if !is_first {
            let changed = tokio::select! {
                changed = values.changed() => changed.is_ok(),
                () = identity.removed.cancelled() => false,
                () = shutdown.cancelled() => false,
            };
            if !changed {
                return None;
            }
        }
        let value = values.borrow_and_update().clone();
        let item = line(&value);
        Some((item, (values, line, connected, identity, shutdown, false)))
    })
}

/// A JSON document per line (<https://github.com/ndjson/ndjson-spec>).
pub(super) fn ndjson<T: Serialize + 'static>(items: impl Stream<Item = T> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    let lines = items.map(|item| {
        let mut line = serde_json::to_vec(&item).expect("plain records are JSON");
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

async fn servers(State(fleet): State<Arc<Fleet>>) -> Json<Servers> {
    Json(fleet.servers.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
}

async fn desired(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
) -> Json<HostDesired> {
    Json(fleet.desired(&identity.name))
}

async fn report(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    body: Bytes,
) -> Result<StatusCode, Error> {
    let report: HostReport = super::routes::parse("the report", &body)?;
    fleet.report(&identity, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A bundle that the host's part of the desired state mounts, or a call to it, and no other.
async fn files(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    Path(digest): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || Error::NoSuchFiles(digest.chars().take(80).collect());
    let digest: Digest = digest.parse()?;
    let mounted = MountSource::Files(digest.to_string());
    let desired = fleet.desired(&identity.name);
    let instances = desired.apps.values().flat_map(|app| &app.instances);
    if !fleet.calls.mounts(&identity.name, &mounted)
        && !instances.flat_map(|one| &one.spec.mounts).any(|mount| mount.source == mounted)
    {
        return Err(missing().into());
    }
    let path = (fleet.deps.files)(&digest).ok_or_else(missing)?;
    let file = tokio::fs::File::open(&path).await.map_err(|error| {
        tracing::error!(path = %path.display(), %error, "cannot read a file bundle");
        missing()
    })?;
    let stream = tokio_util::io::ReaderStream::with_capacity(file, 64 << 10);
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], Body::from_stream(stream)).into_response())
}

/// The value of a secret that the host's part of the desired state needs, and no other.
async fn secret(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    Path(fingerprint): Path<String>,
) -> Result<Response, Error> {
    let missing = || Error::NoSuchSecret(fingerprint.chars().take(80).collect());
    let desired = fleet.desired(&identity.name);
    let specs = desired.apps.values().flat_map(|app| &app.instances).map(|one| &one.spec);
    let is_desired =
        specs.flat_map(ContainerSpec::secret_refs).any(|secret| secret.fingerprint == fingerprint);
    if !is_desired && !fleet.calls.needs_secret(&identity.name, &fingerprint) {
        return Err(missing());
    }
    let (vault, wanted) = (Arc::clone(&fleet.deps.secrets), fingerprint.clone());
    let value = crate::blocking(move || vault.get(&wanted)).await?.ok_or_else(missing)?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, value.expose().to_vec()).into_response())
}

async fn balancer(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    body: Bytes,
) -> Result<StatusCode, Error> {
    refuse_unless_balancer(&fleet, &identity)?;
    let mut view: BalancerView = super::routes::parse("the balancer's report", &body)?;
    view.name = identity.name.to_string();
    fleet.balancer_report(&identity, view)?;
    Ok(StatusCode::NO_CONTENT)
}
