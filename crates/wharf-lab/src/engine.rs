//! Waiting for a dockerd or an sshd to answer.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// No event tells that a socket begins to answer; a try costs some 50 µs.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// A service that answers at all does so within this; else the connection is given up and tried again.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Waits, for ever, until the Engine on `socket` answers.
pub(crate) async fn wait_docker(socket: &Path) {
    while !answers_docker(socket).await {
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// Waits, for ever, until `path` exists.
pub(crate) async fn wait_exists(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// Waits, for ever, until an SSH server greets.
pub(crate) async fn wait_ssh(address: Ipv4Addr) {
    while !within(greets(address)).await {
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// Whether the Engine on `socket` answers now.
pub(crate) async fn answers_docker(socket: &Path) -> bool {
    within(ping(socket)).await
}

async fn within(answer: impl Future<Output = std::io::Result<bool>>) -> bool {
    matches!(tokio::time::timeout(ANSWER_DEADLINE, answer).await, Ok(Ok(true)))
}

/// `GET /_ping` (Engine API, "System"); one request is not worth an HTTP client.
async fn ping(socket: &Path) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 200"))
}

/// RFC 4253 section 4.2: the server's first line begins with `SSH-`.
async fn greets(address: Ipv4Addr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((address, 22)).await?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).await?;
    Ok(&greeting == b"SSH-")
}
