//! The agent's one connection to the server: HTTP/2, mutual TLS over the network, plain inside of the process.
//!
//! [`keep_connected`] dials, runs a session, and dials again with growing waits when either ends. The session gets a
//! [`Server`], which is a handle on the connection; it can be cloned, calls run side by side as streams. A connection
//! with a renewed certificate is made before the one before is left, whose calls go on to their ends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use wharf_base::{Backoff, Clock, ErrorCode, Tasks};
use wharf_http::{ApiError, Body, ErrorBody, Peer, Ping, ServerOptions};
use wharf_model::Name;

use super::servers::Servers;
use crate::{Error, hello};

/// First and longest wait between tries to connect.
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The same where several servers are known.
const WAIT_SEVERAL_MAX: Duration = Duration::from_secs(1);
/// A server that does not know us won't soon: an operator has to act.
const WAIT_REFUSED: Duration = Duration::from_secs(30);
/// How long a new connection is held as one that stands while its session begins.
const HOLD: Duration = Duration::from_secs(10);
/// LIMIT: bytes of one line of a stream, and of one answer.
const LINE_BYTES_MAX: usize = 64 << 20;
/// LIMIT: bytes in flight inside of the process.
const INSIDE_BYTES: usize = 256 << 10;

/// How an agent reaches its server.
#[derive(Clone)]
pub enum Connector {
    /// Over the network, with the host's certificate.
    Network {
        /// Where, and whom to trust.
        servers: Arc<Servers>,
        /// Pings from our side: a server that is gone without a word is noticed.
        ping: Ping,
    },
    /// Inside of the server's process.
    Inside {
        /// The server's side of the protocol.
        router: axum::Router,
        /// Who we are.
        host: Name,
    },
}

/// A connection to the server.
#[derive(Clone)]
pub(crate) struct Server {
    sender: SendRequest<Body>,
    authority: String,
}

/// A connection that was made beside the one that stands, and what makes the host count as connected on it.
struct Successor {
    server: Server,
    driver: Driver,
    hold: Lines,
}

/// How a connection ends.
enum Ended {
    /// It, or its session.
    By(Result<(), Error>),
    /// There is one with a newer certificate.
    Succeeded(Box<Successor>),
}

type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

impl Connector {
    /// With the identity of a host that has joined, which is in `data`.
    pub(crate) fn network(
        identity: &super::data::Identity,
        data: &std::path::Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Connector, Error> {
        let servers = Arc::new(Servers::load(identity, data, clock)?);
        // The server pings every second; ours only has to notice a server that lost power.
        let ping = Ping { interval: Duration::from_secs(3), timeout: Duration::from_secs(5) };
        Ok(Connector::Network { servers, ping })
    }

    async fn connect(&self, tasks: &Tasks) -> Result<(Server, Driver), Error> {
        match self {
            Connector::Network { servers, ping } => {
                let endpoint = servers.current()?;
                let (sender, driver) =
                    wharf_http::connect_h2(&endpoint, Some(*ping), Some(crate::server::WINDOWS)).await?;
                Ok((Server { sender, authority: endpoint.authority() }, Box::pin(driver)))
            }
            Connector::Inside { router, host } => {
                let (ours, theirs) = tokio::io::duplex(INSIDE_BYTES);
                let peer =
                    Peer { address: None, is_tls: false, certificate: None, inside: Some(host.to_string()) };
                let options =
                    ServerOptions { windows: Some(crate::server::WINDOWS), ..ServerOptions::default() };
                let served =
                    wharf_http::serve_stream(theirs, peer, router.clone(), options, tasks.shutdown());
                tasks.spawn("agent connection inside", served);
                let authority = "the server".to_owned();
                let windows = crate::server::WINDOWS;
                let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
                builder
                    .initial_stream_window_size(windows.stream)
                    .initial_connection_window_size(windows.connection)
                    .max_send_buf_size(windows.stream as usize);
                let (sender, driver) = builder
                    .handshake(TokioIo::new(ours))
                    .await
                    .map_err(|source| wharf_http::Error::Exchange { peer: authority.clone(), source })?;
                Ok((Server { sender, authority }, Box::pin(driver)))
            }
        }
    }
}

impl Connector {
    /// Learns where else the server may be found; without end.
    async fn follow_servers(&self, server: &Server) {
        match self {
            Connector::Network { servers, .. } => servers.follow(server).await,
            Connector::Inside { .. } => std::future::pending().await,
        }
    }

    /// Gets the host's next certificate when it is time, and connects with it.
    async fn succeed(&self, server: &Server, tasks: &Tasks) -> Successor {
        match self {
            Connector::Network { servers, .. } => servers.renewal.next(server).await,
            Connector::Inside { .. } => std::future::pending().await,
        }
        loop {
            match self.connect_beside(tasks).await {
                Ok(successor) => return successor,
                Err(error) => tracing::warn!(%error, "the new certificate can't be used yet"),
            }
            tokio::time::sleep(WAIT_MAX).await;
        }
    }

    async fn connect_beside(&self, tasks: &Tasks) -> Result<Successor, Error> {
        let (server, mut driver) = self.connect(tasks).await?;
        let hold = tokio::select! {
            hold = server.lines("/agent/v1/watch") => hold?,
            ended = &mut driver => {
                ended.map_err(|source| server.broken(source))?;
                return Err(Error::Offline);
            }
        };
        Ok(Successor { server, driver, hold })
    }

    /// Why the server refuses, if it is for the certificate's age.
    fn expired(&self) -> Option<Error> {
        match self {
            Connector::Network { servers, .. } => servers.renewal.expired(),
            Connector::Inside { .. } => None,
        }
    }

    /// Goes on to the next server; returns how many there are.
    fn turn(&self) -> usize {
        match self {
            Connector::Network { servers, .. } => servers.turn(),
            Connector::Inside { .. } => 1,
        }
    }
}

/// Keeps a connection until `tasks` stops, and runs `session` on each. `online` shows the current one.
pub(crate) async fn keep_connected(
    connector: Connector,
    tasks: Tasks,
    seed: u64,
    online: watch::Sender<Option<Server>>,
    mut session: impl AsyncFnMut(Server) -> Result<(), Error>,
) {
    let shutdown = tasks.shutdown();
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX, seed);
    // Servers that were tried since the last wait.
    let mut tried = 0;
    let mut successor: Option<Box<Successor>> = None;
    loop {
        let begun = Instant::now();
        let one = async {
            let (server, mut driver, hold) = match successor.take() {
                Some(made) => (made.server, made.driver, Some(made.hold)),
                None => match connector.connect(&tasks).await {
                    Ok((server, driver)) => (server, driver, None),
                    Err(error) => return Ended::By(Err(error)),
                },
            };
            online.send_replace(Some(server.clone()));
            let ended = tokio::select! {
                ended = &mut driver => Ended::By(ended.map_err(|source| server.broken(source))),
                result = session(server.clone()) => Ended::By(result),
                () = connector.follow_servers(&server) => Ended::By(Ok(())),
                successor = connector.succeed(&server, &tasks) => Ended::Succeeded(Box::new(successor)),
                () = let_go(hold) => Ended::By(Ok(())),
            };
            match &ended {
                Ended::By(_) => drop(online.send_replace(None)),
                Ended::Succeeded(_) => finish(&tasks, driver),
            }
            ended
        };
        let ended = tokio::select! {
            ended = one => ended,
            () = shutdown.cancelled() => return,
        };
        let result = match ended {
            Ended::By(result) => result,
            Ended::Succeeded(next) => {
                successor = Some(next);
                continue;
            }
        };
        // A session that held has shown that the server is well.
        if begun.elapsed() > WAIT_MAX {
            backoff.reset();
        }
        tried += 1;
        let servers = connector.turn();
        let mut wait = match tried < servers {
            true => WAIT_FIRST,
            // One of several is likely to take over: hosts should not be lost for longer than that takes.
            false if servers > 1 => backoff.next_wait().min(WAIT_SEVERAL_MAX),
            false => backoff.next_wait(),
        };
        if wait > WAIT_FIRST {
            tried = 0;
        }
        match result {
            Ok(()) => tracing::info!("the server ended the connection"),
            Err(error) if matches!(error.code(), ErrorCode::Unauthenticated | ErrorCode::Unsupported) => {
                tracing::error!(%error, "the server refuses this host");
                wait = WAIT_REFUSED;
            }
            Err(error) => match connector.expired() {
                // In the handshake a server can't say more than that it ends.
                Some(expired) => {
                    tracing::error!(error = %expired, cause = %error, "the server refuses this host");
                    wait = WAIT_REFUSED;
                }
                None => tracing::warn!(%error, wait_ms = wait.as_millis(), "no connection to the server"),
            },
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Lets what goes on over a connection that was succeeded come to its end.
fn finish(tasks: &Tasks, driver: Driver) {
    let shutdown = tasks.shutdown();
    tasks.spawn("agent former connection", async move {
        tokio::select! {
            // It is closed when the last call on it has ended.
            _ = driver => {}
            () = shutdown.cancelled() => {}
        }
    });
}

/// Keeps `hold` for a while, and never ends.
async fn let_go(hold: Option<Lines>) {
    if hold.is_some() {
        tokio::time::sleep(HOLD).await;
        drop(hold);
    }
    std::future::pending().await
}

impl Server {
    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Response<Incoming>, Error> {
        let uri = format!("https://{}{path}", self.authority.replace(' ', "-"));
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(hello::HEADER, hello::OURS.header())
            .body(body)
            .map_err(|error| wharf_http::Error::Url { url: path.to_owned(), reason: error.to_string() })?;
        let mut sender = self.sender.clone();
        let response = sender.send_request(request).await.map_err(|source| self.broken(source))?;
        if response.status().is_success() {
            hello::check_answer(response.headers())?;
            return Ok(response);
        }
        let status = response.status();
        let bytes = self.collect(response.into_body()).await?;
        Err(Error::Http(match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => wharf_http::Error::Api(body.error),
            Err(_) => wharf_http::Error::Api(ApiError::new(
                ErrorCode::Unavailable,
                format!("{} answered {path} with status {status}", self.authority),
            )),
        }))
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, Error> {
        let collected = Limited::new(body, LINE_BYTES_MAX).collect().await;
        let answer = |reason: String| wharf_http::Error::Answer { peer: self.authority.clone(), reason };
        Ok(collected.map_err(|error| answer(error.to_string()))?.to_bytes())
    }

    /// GET of a JSON document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let response = self.send(Method::GET, path, wharf_http::empty()).await?;
        let bytes = self.collect(response.into_body()).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.unexpected(path, &error))
    }

    /// POST of a JSON document; the answer is only waited for.
    pub(crate) async fn post(&self, path: &str, value: &impl Serialize) -> Result<(), Error> {
        let body = serde_json::to_vec(value).expect("plain records are JSON");
        let response = self.send(Method::POST, path, wharf_http::full(body)).await?;
        self.collect(response.into_body()).await.map(drop)
    }

    /// POST of a JSON document, answered with one.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(value).expect("plain records are JSON");
        let response = self.send(Method::POST, path, wharf_http::full(body)).await?;
        let bytes = self.collect(response.into_body()).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.unexpected(path, &error))
    }

    /// GET of a body that the caller reads.
    pub(crate) async fn body(&self, path: &str) -> Result<Incoming, Error> {
        Ok(self.send(Method::GET, path, wharf_http::empty()).await?.into_body())
    }

    /// POST of a body that goes on while the answer's is read.
    pub(crate) async fn exchange(&self, path: &str, body: Body) -> Result<Incoming, Error> {
        Ok(self.send(Method::POST, path, body).await?.into_body())
    }

    /// GET of an endless stream of JSON lines.
    pub(crate) async fn lines(&self, path: &str) -> Result<Lines, Error> {
        let body = self.body(path).await?;
        Ok(Lines { server: self.clone(), path: path.to_owned(), body, buffer: BytesMut::new(), searched: 0 })
    }

    fn broken(&self, source: hyper::Error) -> Error {
        Error::Http(wharf_http::Error::Exchange { peer: self.authority.clone(), source })
    }

    fn unexpected(&self, path: &str, error: &serde_json::Error) -> Error {
        let reason = format!("{path}: {error}");
        Error::Http(wharf_http::Error::Answer { peer: self.authority.clone(), reason })
    }
}

/// JSON lines as they arrive.
pub(crate) struct Lines {
    server: Server,
    path: String,
    body: Incoming,
    buffer: BytesMut,
    searched: usize,
}

impl Lines {
    /// The next line's document; `None` at the end of the stream. May be dropped and called again at any point.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(offset) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(self.searched + offset + 1);
                self.searched = 0;
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|error| self.server.unexpected(&self.path, &error));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_BYTES_MAX {
                let error = serde_json::Error::io(std::io::Error::other("the line is too long"));
                return Err(self.server.unexpected(&self.path, &error));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|source| self.server.broken(source))?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
