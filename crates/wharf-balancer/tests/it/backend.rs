//! Backends: one that answers like an application, and one that follows a script of bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An HTTP application: `/` says its name, `/echo` the request, `/slow?MS` waits, `/size?N` sends N bytes.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    server: Option<std::thread::JoinHandle<()>>,
}

impl App {
    pub(crate) async fn start(name: &str) -> App {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        App::start_at(name, address).await
    }

    pub(crate) async fn start_at(name: &str, address: SocketAddr) -> App {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (stop, stopped) = watch::channel(false);
        let counts = (Arc::clone(&connections), Arc::clone(&requests));
        let name = Arc::<str>::from(name);
        // A thread each: killing it breaks all of its connections at once, as killing a process does.
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, name, counts, stopped));
        });
        App { address, connections, requests, stop, server: Some(server) }
    }

    /// Closes the listener and all connections, requests in flight included.
    pub(crate) fn kill(&mut self) {
        self.stop.send_replace(true);
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(
    listener: std::net::TcpListener,
    name: Arc<str>,
    (connections, requests): (Arc<AtomicUsize>, Arc<AtomicUsize>),
    mut stopped: watch::Receiver<bool>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { return };
        stream.set_nodelay(true).unwrap();
        let (name, connections, requests) =
            (Arc::clone(&name), Arc::clone(&connections), Arc::clone(&requests));
        tasks.spawn(async move {
            let is_first = AtomicUsize::new(0);
            let service = service_fn(|request| {
                // Health checks by TCP connect are no connections of requests.
                if is_first.fetch_add(1, Ordering::Relaxed) == 0 {
                    connections.fetch_add(1, Ordering::Relaxed);
                }
                requests.fetch_add(1, Ordering::Relaxed);
                answer(Arc::clone(&name), request)
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(name: Arc<str>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let number = request.uri().query().and_then(|query| query.parse::<u64>().ok()).unwrap_or(0);
    let body = match request.uri().path() {
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            Bytes::from(name.to_string())
        }
        "/size" => Bytes::from(vec![b'x'; number as usize]),
        "/echo" => {
            let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
            let mut lines: Vec<String> = request
                .headers()
                .iter()
                .map(|(key, value)| format!("{key}: {}", value.to_str().unwrap()))
                .collect();
            lines.sort();
            text.push_str(&lines.join("\n"));
            text.push_str("\n\n");
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            text.push_str(&String::from_utf8_lossy(&body));
            Bytes::from(text)
        }
        "/count" => {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            Bytes::from(body.len().to_string())
        }
        _ => Bytes::from(name.to_string()),
    };
    Ok(Response::new(Full::new(body)))
}

/// A listener whose connections a test handles byte by byte.
pub(crate) struct Script {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Script {
    pub(crate) async fn bind() -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Script { address: listener.local_addr().unwrap(), listener }
    }

    /// The next connection that brings a request, with the request's head; those of health checks are skipped.
    pub(crate) async fn request(&self) -> (TcpStream, String) {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            if let Some(head) = read_head(&mut stream).await {
                return (stream, head);
            }
        }
    }
}

/// Reads a head byte by byte, so that nothing behind it is taken. `None`: the connection ended before it.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    use tokio::io::AsyncReadExt;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        head.push(byte);
    }
    Some(String::from_utf8(head).unwrap())
}
