//! A client that sends bytes and reads responses, so that a test sees what is on the wire.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::DEADLINE;

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response with its body, chunks joined.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The body came in chunks.
    pub(crate) is_chunked: bool,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request and reads its response.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request).await;
        self.response().await.expect("a response")
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
    }

    /// GET that may fail: `None` if the connection broke before the response was whole.
    pub(crate) async fn try_get(&mut self, path: &str) -> Option<Response> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await.ok()?;
        self.response().await
    }

    /// The next response; `None` if the connection ends before it is whole.
    pub(crate) async fn response(&mut self) -> Option<Response> {
        tokio::time::timeout(DEADLINE, self.read_response(false)).await.expect("a response in time")
    }

    /// The next response, to a HEAD request.
    pub(crate) async fn head_response(&mut self) -> Option<Response> {
        tokio::time::timeout(DEADLINE, self.read_response(true)).await.expect("a response in time")
    }

    async fn read_response(&mut self, is_head: bool) -> Option<Response> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.get(9..12)?.parse().ok()?;
        let mut response = Response { status, head, ..Response::default() };
        if is_head || status == 101 || status == 204 || status == 304 || status < 200 {
            return Some(response);
        }
        if let Some(length) = response.header("content-length") {
            response.body = self.exactly(length.parse().unwrap()).await?;
        } else if response.header("transfer-encoding").is_some() {
            response.is_chunked = true;
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    break;
                }
                let chunk = self.exactly(size).await?;
                response.body.extend_from_slice(&chunk);
                self.line().await?;
            }
        } else {
            while self.fill().await.is_some() {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Some(response)
    }

    pub(crate) async fn exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < size {
            self.fill().await?;
        }
        Some(self.buffer.drain(..size).collect())
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.drain(..end + 2).collect::<Vec<u8>>();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill().await?;
        }
    }

    /// Whether the peer has closed, and sent nothing else before.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let reading = async { self.buffer.is_empty() && self.fill().await.is_none() };
        tokio::time::timeout(DEADLINE, reading).await.expect("an end in time")
    }

    async fn fill(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}
