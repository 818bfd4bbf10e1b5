//! The smallest HTTP client: one request per connection, so that each sees the present state.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Status and body of an answer.
pub(crate) type Answer = (u16, String);

/// Asks `127.0.0.1:port` as a browser would ask `host`. `Err` says what went wrong before a whole answer was there.
pub(crate) fn get(port: u16, host: &str, path: &str) -> Result<Answer, String> {
    get_at(SocketAddr::from(([127, 0, 0, 1], port)), host, path)
}

pub(crate) fn get_at(address: SocketAddr, host: &str, path: &str) -> Result<Answer, String> {
    exchange(address, host, path).map_err(|error| error.to_string())
}

/// The body of an answer with status 200.
#[track_caller]
pub(crate) fn body(port: u16, host: &str, path: &str) -> String {
    match get(port, host, path) {
        Ok((200, body)) => body,
        other => panic!("GET {path} of {host}: {other:?}"),
    }
}

fn exchange(address: SocketAddr, host: &str, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let odd = || std::io::Error::other(format!("a cut or odd answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(odd)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(odd)?;
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let is_whole = length.is_none_or(|length| length.trim() == body.len().to_string());
    if is_whole { Ok((status, body.to_owned())) } else { Err(odd()) }
}
