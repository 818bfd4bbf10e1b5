//! The smallest HTTP client: one request per connection, so that each sees the present state.

use std::io::{Error, Read as _, Write as _};
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
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Some(length) = length(head)
            && body.len() >= length
        {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return Ok((
                status.ok_or_else(|| Error::other(format!("an odd answer: {text}")))?,
                body.to_owned(),
            ));
        }
        match stream.read(&mut part)? {
            0 => return Err(Error::other(format!("the answer was cut: {text:?}"))),
            count => bytes.extend_from_slice(&part[..count]),
        }
    }
}

fn length(head: &str) -> Option<usize> {
    let mut lines = head.lines().map(str::to_lowercase);
    lines.find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}
