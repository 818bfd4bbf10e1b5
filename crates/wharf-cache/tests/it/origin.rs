//! An upstream that does what a test tells it to: serves files, and goes wrong in known ways.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each of two test binaries uses some of them")]
pub(crate) enum Fault {
    /// None.
    Fine,
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// Nothing more comes after so many bytes; the connection stays open.
    StallAfter(usize),
    /// One byte is another one.
    WrongByteAt(usize),
    /// The head promises other bytes than the file has, and they come.
    WrongLength,
    /// A range is answered by another range.
    WrongRange,
    /// A range is answered by the whole.
    IgnoreRange,
    /// A status, with `Retry-After: 0` where it is 429.
    Status(u16),
    /// The connection ends in the middle of the head.
    HalfHead,
    /// A redirect to itself, for ever.
    RedirectLoop,
}

/// The running upstream; it ends with the value.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<Vec<String>>,
    /// With a gate, everything but the first `.0` bytes of each body waits for a permit.
    gate: Mutex<Option<(usize, Arc<Semaphore>)>>,
}

impl Origin {
    pub(crate) async fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let task_shared = Arc::clone(&shared);
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&task_shared);
                connections.spawn(async move {
                    // A client that goes away is no failure of the test.
                    let _ = connection(stream, shared).await;
                });
            }
        });
        Origin { address, shared, task }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.files.lock().unwrap().insert(path.to_owned(), Arc::new(bytes.into()));
    }

    #[allow(dead_code, reason = "this file serves two test binaries")]
    pub(crate) fn remove(&self, path: &str) {
        self.shared.files.lock().unwrap().remove(path);
    }

    /// Goes wrong in these ways, one per request, then not any more.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults.lock().unwrap().extend(faults);
    }

    /// Requests so far, `GET /path range`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Holds each body back after its first `bytes`, until the semaphore has a permit for it.
    #[allow(dead_code, reason = "this file serves two test binaries")]
    pub(crate) fn hold(&self, bytes: usize) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.shared.gate.lock().unwrap() = Some((bytes, Arc::clone(&gate)));
        gate
    }

    /// Stops answering: connections are refused from now on.
    #[allow(dead_code, reason = "this file serves two test binaries")]
    pub(crate) async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        let fault = shared.faults.lock().unwrap().pop_front().unwrap_or(Fault::Fine);
        if !answer(&mut stream, &shared, &text, fault).await? {
            return Ok(());
        }
    }
}

/// Whether the connection goes on.
async fn answer(stream: &mut TcpStream, shared: &Shared, head: &str, fault: Fault) -> std::io::Result<bool> {
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let range = header("range");
    let note = format!("GET {path} {}", range.clone().unwrap_or_default());
    shared.requests.lock().unwrap().push(note.trim_end().to_owned());
    let plain = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{more}\r\n");
    match fault {
        Fault::Status(429) => {
            stream.write_all(plain("429 Slow", "retry-after: 0\r\n").as_bytes()).await?;
            return Ok(true);
        }
        Fault::Status(status) => {
            stream.write_all(plain(&format!("{status} Broken"), "").as_bytes()).await?;
            return Ok(true);
        }
        Fault::HalfHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await?;
            return Ok(false);
        }
        Fault::RedirectLoop => {
            stream.write_all(plain("302 Found", &format!("location: {path}\r\n")).as_bytes()).await?;
            return Ok(true);
        }
        _ => {}
    }
    let file = shared.files.lock().unwrap().get(&path).cloned();
    let Some(file) = file else {
        stream.write_all(plain("404 Not Found", "").as_bytes()).await?;
        return Ok(true);
    };
    let etag =
        format!("\"{:x}\"", file.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)));
    if header("if-none-match").is_some_and(|tag| tag == etag) {
        stream.write_all(format!("HTTP/1.1 304 Same\r\netag: {etag}\r\n\r\n").as_bytes()).await?;
        return Ok(true);
    }
    let start =
        range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let start = start.filter(|_| header("if-range").is_none_or(|tag| tag == etag));
    let start: Option<usize> = start.filter(|_| fault != Fault::IgnoreRange);
    let mut body = file[start.unwrap_or(0).min(file.len())..].to_vec();
    if fault == Fault::WrongLength {
        body.push(b'x');
    }
    let mut answer = match start {
        Some(start) if start >= file.len() => {
            stream
                .write_all(plain("416 No", &format!("content-range: bytes */{}\r\n", file.len())).as_bytes())
                .await?;
            return Ok(true);
        }
        Some(start) => {
            let start = if fault == Fault::WrongRange { start + 1 } else { start };
            format!("HTTP/1.1 206 Part\r\ncontent-range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len())
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    answer += &format!("etag: {etag}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(answer.as_bytes()).await?;
    let gate = shared.gate.lock().unwrap().clone();
    if let Some((bytes, gate)) = gate {
        let first = bytes.min(body.len());
        stream.write_all(&body[..first]).await?;
        body.drain(..first);
        gate.acquire().await.unwrap().forget();
    }
    match fault {
        Fault::CutAfter(bytes) => {
            stream.write_all(&body[..bytes.min(body.len())]).await?;
            stream.flush().await?;
            Ok(false)
        }
        Fault::StallAfter(bytes) => {
            stream.write_all(&body[..bytes.min(body.len())]).await?;
            // The other side gives up first.
            std::future::pending().await
        }
        Fault::WrongByteAt(index) => {
            let index = index % body.len().max(1);
            if let Some(byte) = body.get_mut(index) {
                *byte ^= 0x55;
            }
            stream.write_all(&body).await?;
            Ok(true)
        }
        _ => {
            stream.write_all(&body).await?;
            Ok(true)
        }
    }
}
