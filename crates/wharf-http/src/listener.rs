//! Listeners: bind, accept, TLS, one task per connection, drain.
//!
//! On shutdown a listener stops accepting, tells its connections to finish what is in flight (`Connection: close`,
//! GOAWAY), and ends when they have. Connections above the limit wait in the kernel's backlog.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use wharf_base::{Shutdown, Tasks};

use crate::ticks::Ticks;
use crate::{Error, Peer, linger};

/// How a listener treats its connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Most connections at a time.
    pub connections_max: usize,
    /// Longest wait for the TLS handshake, for the first request, and for a whole request head.
    pub head_timeout: Duration,
    /// At shutdown, longest wait for the requests in flight on a connection.
    pub drain_timeout: Duration,
    /// HTTP/2 pings from our side; a peer that does not answer in time is cut off.
    pub ping: Option<Ping>,
    /// HTTP/2 flow control; `None` is hyper's.
    pub windows: Option<Windows>,
}

/// How many bytes an HTTP/2 peer may send ahead of whoever reads them (RFC 9113 section 5.2).
///
/// `connection` must exceed `stream` times the streams that may stand still at a time: else those stop all others.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Bytes on one stream.
    pub stream: u32,
    /// Bytes on all streams of a connection.
    pub connection: u32,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            connections_max: 4_096,
            head_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            // A peer that has lost power says nothing; without pings its connection would stay for ever.
            ping: Some(Ping { interval: Duration::from_secs(30), timeout: Duration::from_secs(20) }),
            windows: None,
        }
    }
}

/// HTTP/2 keep-alive (RFC 9113 section 6.7).
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// Time between pings.
    pub interval: Duration,
    /// Longest wait for the answer.
    pub timeout: Duration,
}

/// Binds every address, or none. `key` is the configuration key, for the error.
pub async fn bind(key: &str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let listener = TcpListener::bind(address).await.map_err(|source| {
            let hint = match source.kind() {
                std::io::ErrorKind::AddrInUse => format!(
                    "\n  hint: another process holds the port (`ss -ltnp sport = :{}` names it); stop it or set {key}",
                    address.port()
                ),
                std::io::ErrorKind::AddrNotAvailable => {
                    format!("\n  hint: this machine has no address {}; set {key}", address.ip())
                }
                std::io::ErrorKind::PermissionDenied => {
                    format!("\n  hint: ports below 1024 need root or CAP_NET_BIND_SERVICE; set {key}")
                }
                _ => String::new(),
            };
            Error::Bind { key: key.to_owned(), address, hint, source }
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Serves `router` on `listener` in a task named `name`, until `tasks` stops.
pub fn serve(
    name: &str,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    options: ServerOptions,
    tasks: &Tasks,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let connections = Arc::new(Semaphore::new(options.connections_max));
    let shutdown = tasks.shutdown();
    let (task_tasks, connection_name) = (tasks.clone(), format!("{name} connection"));
    tasks.spawn(name, async move {
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&connections).acquire_owned() => permit.expect("the semaphore is never closed"),
                () = shutdown.cancelled() => return,
            };
            let (stream, address) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of descriptors or memory: wait a little instead of spinning.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = shutdown.cancelled() => return,
            };
            let (acceptor, router, options) = (acceptor.clone(), router.clone(), options.clone());
            let shutdown = shutdown.clone();
            task_tasks.spawn(connection_name.clone(), async move {
                accepted(stream, address, acceptor, router, options, shutdown).await;
                drop(permit);
            });
        }
    });
}

async fn accepted(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    options: ServerOptions,
    shutdown: Shutdown,
) {
    // Small answers must not wait for Nagle; an error here means that the peer is gone already.
    let _ = stream.set_nodelay(true);
    let mut peer = Peer { address: Some(address), is_tls: false, certificate: None, inside: None };
    let Some(acceptor) = acceptor else {
        return serve_stream(stream, peer, router, options, shutdown).await;
    };
    let stream = match tokio::time::timeout(options.head_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
    };
    peer.is_tls = true;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    peer.certificate = certificates.first().map(|certificate| Arc::from(certificate.as_ref()));
    serve_stream(stream, peer, router, options, shutdown).await;
}

/// Serves one connection, over any stream, until it ends. On `shutdown` what is in flight finishes.
pub async fn serve_stream<S>(
    stream: S,
    peer: Peer,
    router: Router,
    options: ServerOptions,
    shutdown: Shutdown,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (until, has_asked) = (shutdown.clone(), Arc::new(AtomicBool::new(false)));
    let asked = Arc::clone(&has_asked);
    let (bodies, rests) = linger::bodies();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let mut request = bodies.of(request).map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let (answer, until) = (router.clone().oneshot(request), until.clone());
        async move { answer.await.map(|response| end_with(response, until)) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(options.head_timeout);
    builder.http2().timer(Ticks::new());
    if let Some(ping) = options.ping {
        builder.http2().keep_alive_interval(ping.interval).keep_alive_timeout(ping.timeout);
    }
    if let Some(windows) = options.windows {
        let stream_bytes = windows.stream as usize;
        builder
            .http2()
            .initial_stream_window_size(windows.stream)
            .initial_connection_window_size(windows.connection)
            .max_send_buf_size(stream_bytes);
    }
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // Ends with the connection, which drops `bodies`.
    let read_away = async {
        rests.read_away().await;
        std::future::pending::<Infallible>().await
    };
    tokio::pin!(connection, read_away);
    // hyper's own timeout begins only once the first bytes have told which protocol it is.
    let asks_nothing = async {
        tokio::time::sleep(options.head_timeout).await;
        if has_asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        never = &mut read_away => match never {},
        () = asks_nothing => return tracing::debug!("a connection was closed: it asked for nothing"),
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection => result,
                never = read_away => match never {},
                () = tokio::time::sleep(options.drain_timeout) => {
                    return tracing::warn!("a connection was cut: its request took too long at shutdown");
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// Answers that never end by themselves (server-sent events, JSON lines of a watch) end at shutdown.
fn end_with(response: Response, shutdown: Shutdown) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if kind != b"text/event-stream" && kind != b"application/x-ndjson" {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(shutdown.cancelled_owned())))
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::routing::get;

    use super::*;
    use crate::{Client, Endpoint};

    #[tokio::test]
    async fn a_bound_port_is_named_with_its_key() {
        let first = bind("api.listen", &["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let address = first[0].local_addr().unwrap();
        let error = bind("api.listen", &[address]).await.unwrap_err().to_string();
        assert!(error.contains("api.listen") && error.contains("hint: another process"), "{error}");
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_is_closed() {
        let (_ours, theirs) = tokio::io::duplex(1_024);
        let peer = Peer { address: None, is_tls: false, certificate: None, inside: None };
        let options = ServerOptions { head_timeout: Duration::from_millis(50), ..ServerOptions::default() };
        let served = serve_stream(theirs, peer, Router::new(), options, Tasks::new().shutdown());
        tokio::time::timeout(Duration::from_secs(10), served).await.expect("it ends");
    }

    #[tokio::test]
    async fn an_endless_event_stream_ends_when_the_server_stops() {
        let tasks = Tasks::new();
        let listener = bind("test", &["127.0.0.1:0".parse().unwrap()]).await.unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let first = crate::sse::Event { data: "hello".to_owned(), ..Default::default() };
        let events = move || async {
            crate::sse::response(futures_util::stream::iter([first]).chain(futures_util::stream::pending()))
        };
        serve(
            "test",
            listener,
            None,
            Router::new().route("/", get(events)),
            ServerOptions::default(),
            &tasks,
        );
        let client = Client::new(Endpoint::parse(&format!("http://{address}"), None).unwrap());
        let mut stream = client.events("/").await.unwrap();
        assert_eq!(stream.next().await.unwrap().data, "hello");
        let (end, report) = tokio::join!(stream.next(), tasks.stop(Duration::from_secs(10)));
        assert_eq!(end, None);
        assert!(report.aborted.is_empty(), "{report:?}");
    }

    #[tokio::test]
    async fn a_request_in_flight_finishes_when_the_server_stops() {
        let tasks = Tasks::new();
        let listener = bind("test", &["127.0.0.1:0".parse().unwrap()]).await.unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let (arrived, mut has_arrived) = tokio::sync::mpsc::channel::<()>(1);
        let gate = Arc::new(tokio::sync::Notify::new());
        let inner_gate = Arc::clone(&gate);
        let handler = move |Extension(peer): Extension<Peer>| async move {
            arrived.send(()).await.unwrap();
            inner_gate.notified().await;
            format!("loopback={}", peer.is_loopback())
        };
        serve(
            "test",
            listener,
            None,
            Router::new().route("/", get(handler)),
            ServerOptions::default(),
            &tasks,
        );
        let client = Client::new(Endpoint::parse(&format!("http://{address}"), None).unwrap());
        let request = client.get_text("/");
        let stop = async {
            has_arrived.recv().await.unwrap();
            let stop = tasks.stop(Duration::from_secs(10));
            tokio::pin!(stop);
            // The stop has begun once it was polled; only then the handler may go on.
            assert!(futures_util::poll!(stop.as_mut()).is_pending());
            gate.notify_one();
            stop.await
        };
        let (text, report) = tokio::join!(request, stop);
        assert_eq!(text.unwrap(), "loopback=true");
        assert!(report.aborted.is_empty(), "{report:?}");
    }
}
