//! Dialling: one request per connection for commands, HTTP/2 with pings for agents.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wharf_base::ErrorCode;

use crate::listener::{Ping, Windows};
use crate::{ApiError, Error, ErrorBody};

/// A request body of any kind.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// A body in memory.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// LIMIT: bytes of an answer that is read into memory.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// LIMIT: bytes of a WebSocket message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How long connecting (TCP and TLS) may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a server listens, and how to trust it.
#[derive(Clone)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Endpoint {
    /// Reads `http://HOST:PORT` or `https://HOST:PORT` (IPv6 in brackets; a path of `/` is fine). `tls` says how to
    /// trust an `https` server and is needed for it.
    pub fn parse(url: &str, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Endpoint, Error> {
        let error = |reason: &str| Error::Url { url: url.to_owned(), reason: reason.to_owned() };
        let uri: http::Uri = url.parse().map_err(|_| error("it cannot be parsed"))?;
        let host = uri.host().ok_or_else(|| error("it names no host"))?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(error("it must not have a path"));
        }
        let (default_port, tls) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => (443, Some(tls.ok_or_else(|| error("https needs a CA to trust"))?)),
            _ => return Err(error("the scheme is neither http nor https")),
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Endpoint { host, port, tls })
    }

    /// `HOST:PORT`, for messages and the `Host` header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    async fn dial(&self, protocol: &'static [u8]) -> Result<Box<dyn Stream>, Error> {
        let connect = async {
            let connect_error = |source| Error::Connect { peer: self.authority(), source };
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(connect_error)?;
            stream.set_nodelay(true).map_err(connect_error)?;
            let Some(tls) = &self.tls else {
                return Ok(Box::new(stream) as Box<dyn Stream>);
            };
            let tls_error = |reason: String| Error::Tls { peer: self.authority(), reason };
            let name =
                ServerName::try_from(self.host.clone()).map_err(|error| tls_error(error.to_string()))?;
            let mut tls = rustls::ClientConfig::clone(tls);
            tls.alpn_protocols = vec![protocol.to_vec()];
            let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
            let stream =
                connector.connect(name, stream).await.map_err(|error| tls_error(error.to_string()))?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| Error::Timeout { peer: self.authority(), seconds: CONNECT_TIMEOUT.as_secs() })?
    }
}

/// Opens an HTTP/2 connection to `endpoint`. The second value must be awaited in a task of its own: it drives the
/// connection and ends when it does. With `ping`, a server that does not answer in time ends the connection. `windows`
/// bound what it may send ahead.
pub async fn connect_h2(
    endpoint: &Endpoint,
    ping: Option<Ping>,
    windows: Option<Windows>,
) -> Result<
    (
        hyper::client::conn::http2::SendRequest<Body>,
        impl Future<Output = Result<(), hyper::Error>> + Send + 'static,
    ),
    Error,
> {
    let stream = endpoint.dial(b"h2").await?;
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    if let Some(ping) = ping {
        builder
            .keep_alive_interval(ping.interval)
            .keep_alive_timeout(ping.timeout)
            .keep_alive_while_idle(true);
    }
    if let Some(windows) = windows {
        let stream_bytes = windows.stream as usize;
        builder
            .initial_stream_window_size(windows.stream)
            .initial_connection_window_size(windows.connection)
            .max_send_buf_size(stream_bytes);
    }
    let (sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|source| Error::Exchange { peer: endpoint.authority(), source })?;
    Ok((sender, connection))
}

/// A connection that has become a WebSocket (RFC 6455).
pub type WebSocket = tokio_tungstenite::WebSocketStream<Box<dyn Stream>>;

/// A client of one server's API for commands: every request has a connection of its own.
#[derive(Clone)]
pub struct Client {
    endpoint: Endpoint,
    token: Option<String>,
}

impl Client {
    /// A client without credentials.
    pub fn new(endpoint: Endpoint) -> Client {
        Client { endpoint, token: None }
    }

    /// The same with a bearer token (RFC 6750).
    #[must_use]
    pub fn with_token(mut self, token: Option<String>) -> Client {
        self.token = token;
        self
    }

    /// The server's address, for messages.
    pub fn authority(&self) -> String {
        self.endpoint.authority()
    }

    /// Sends one request and returns the answer's head; the body streams. Only an `Err` of the exchange is an
    /// error here, not a status.
    pub async fn send(&self, method: Method, path: &str, body: Body) -> Result<Response<Incoming>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.endpoint.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| Error::Url { url: path.to_owned(), reason: error.to_string() })?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(header::AUTHORIZATION, bearer(token)?);
        }
        self.exchange(request).await
    }

    /// Sends a request that the caller has built; `Host` must be set.
    async fn exchange(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        let exchange_error = |source| Error::Exchange { peer: self.authority(), source };
        let stream = self.endpoint.dial(b"http/1.1").await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(exchange_error)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the response body or the client, whichever is first"
        )]
        tokio::spawn(async move {
            // An error here reaches the caller through the response.
            let _ = connection.await;
        });
        sender.send_request(request).await.map_err(exchange_error)
    }

    /// GET of a JSON document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.json(Method::GET, path, empty()).await
    }

    /// GET of a text.
    pub async fn get_text(&self, path: &str) -> Result<String, Error> {
        let bytes = self.bytes(Method::GET, path, empty()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// POST of a JSON document, answered by another.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, value: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_vec(value).expect("plain records are JSON");
        self.json(Method::POST, path, full(body)).await
    }

    /// DELETE, answered by a JSON document or by nothing.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.bytes(Method::DELETE, path, empty()).await.map(|_| ())
    }

    /// Any request that is answered by JSON. An empty answer reads as `null`.
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, Error> {
        let bytes = self.bytes(method, path, body).await?;
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text)
            .map_err(|error| Error::Answer { peer: self.authority(), reason: format!("{path}: {error}") })
    }

    /// GET of a stream of server-sent events.
    pub async fn events(&self, path: &str) -> Result<EventStream, Error> {
        let response = self.send(Method::GET, path, empty()).await?;
        let response = self.checked(response).await?;
        Ok(EventStream {
            body: response.into_body(),
            parser: crate::sse::Parser::default(),
            ready: Vec::new(),
        })
    }

    /// Opens a WebSocket at `path`.
    ///
    /// Errors: `Api` when the server refuses, as for any other request.
    pub async fn websocket(&self, path: &str) -> Result<WebSocket, Error> {
        use tokio_tungstenite::tungstenite;
        let url = format!("ws://{}{path}", self.endpoint.authority());
        let mut request = tungstenite::client::IntoClientRequest::into_client_request(url.as_str())
            .map_err(|error| Error::Url { url: url.clone(), reason: error.to_string() })?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(header::AUTHORIZATION, bearer(token)?);
        }
        let stream = self.endpoint.dial(b"http/1.1").await?;
        let answer = |reason: String| Error::Answer { peer: self.authority(), reason };
        let limits = tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        match tokio_tungstenite::client_async_with_config(request, stream, Some(limits)).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => {
                let status = response.status();
                let bytes = response.into_body().unwrap_or_default();
                Err(self.refusal(status, &bytes))
            }
            Err(error) => Err(answer(error.to_string())),
        }
    }

    fn refusal(&self, status: http::StatusCode, bytes: &[u8]) -> Error {
        match serde_json::from_slice::<ErrorBody>(bytes) {
            Ok(body) => Error::Api(body.error),
            Err(_) => Error::Answer {
                peer: self.authority(),
                reason: format!("{status}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)])),
            },
        }
    }

    async fn bytes(&self, method: Method, path: &str, body: Body) -> Result<Bytes, Error> {
        let response = self.send(method, path, body).await?;
        let response = self.checked(response).await?;
        self.collect(response).await
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, Error> {
        let limited = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let collected = limited.collect().await;
        collected
            .map(|body| body.to_bytes())
            .map_err(|error| Error::Answer { peer: self.authority(), reason: error.to_string() })
    }

    /// Turns an error status into `Error::Api`.
    async fn checked(&self, response: Response<Incoming>) -> Result<Response<Incoming>, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.collect(response).await?;
        Err(self.refusal(status, &bytes))
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        let message = "the token has characters that no token has";
        Error::Api(ApiError::new(ErrorCode::Unauthenticated, message))
    })
}

/// Server-sent events as they arrive.
pub struct EventStream {
    body: Incoming,
    parser: crate::sse::Parser,
    ready: Vec<crate::sse::Event>,
}

impl EventStream {
    /// The next event; `None` at the end of the stream or when the connection breaks.
    pub async fn next(&mut self) -> Option<crate::sse::Event> {
        loop {
            if !self.ready.is_empty() {
                return Some(self.ready.remove(0));
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(bytes) = frame.data_ref() {
                self.ready = self.parser.push(bytes);
            }
        }
    }
}
