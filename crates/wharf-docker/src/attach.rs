//! A process's input and output over one connection to the Engine: exec and attach (Engine API, "hijacking").
//!
//! The Engine switches the connection from HTTP to bytes. Without a terminal each piece of output comes after a header
//! of eight bytes: stream, three zeros, length (big-endian). With one there are no headers, and a byte that looks
//! like one (Ctrl-A is 1) is the program's. bollard guesses which it is from the first byte, hence this module.

use std::io;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::{Engine, Error, raw};

/// LIMIT: bytes read at a time. The Engine copies 32 KiB at a time.
const READ_SIZE: usize = 32 << 10;
/// LIMIT: bytes of one piece that the Engine announces; more is no header.
const PIECE_SIZE_MAX: usize = 16 << 20;
/// LIMIT: bytes of a refusal.
const ERROR_BODY_SIZE_MAX: usize = 64 << 10;

/// Both ways to a process.
pub struct Attached {
    /// What it prints.
    pub output: Pieces,
    /// What it reads.
    pub input: Stdin,
}

/// A piece of what a process prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Of its standard output, or of its terminal.
    Stdout(Bytes),
    /// Of its standard error.
    Stderr(Bytes),
}

/// The reading half.
pub struct Pieces {
    stream: OwnedReadHalf,
    buffer: BytesMut,
    is_terminal: bool,
    /// Stream and bytes left of the piece that is being read.
    piece: Option<(u8, usize)>,
}

/// The writing half.
pub struct Stdin {
    stream: OwnedWriteHalf,
}

/// Starts an exec that was made with `create_exec`, with its input and output.
pub async fn start_exec(engine: &Engine, exec: &str, is_terminal: bool) -> Result<Attached, Error> {
    let body = serde_json::json!({ "Detach": false, "Tty": is_terminal });
    let doing = "start the command".to_owned();
    hijack(engine, &doing, &format!("/exec/{exec}/start"), body.to_string(), is_terminal).await
}

/// Attaches to a container, best before it is started: then nothing of its output is missed.
pub async fn attach(
    engine: &Engine,
    container: &str,
    has_stdin: bool,
    is_terminal: bool,
) -> Result<Attached, Error> {
    let path =
        format!("/containers/{container}/attach?stream=1&stdout=1&stderr=1&stdin={}", u8::from(has_stdin));
    hijack(engine, &format!("attach to {container}"), &path, String::new(), is_terminal).await
}

async fn hijack(
    engine: &Engine,
    doing: &str,
    path: &str,
    body: String,
    is_terminal: bool,
) -> Result<Attached, Error> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v{}{path}", engine.api_version()))
        .header("host", "docker")
        .header("connection", "Upgrade")
        .header("upgrade", "tcp")
        .header("content-type", "application/json")
        .body(body)
        .map_err(|error| Error::broken(doing, error))?;
    let stream = raw::connect(engine.socket()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::broken(doing, error))?;
    let mut connection = raw::Connection(Some(Box::pin(connection.with_upgrades())));
    let answer = connection.drive(sender.send_request(request)).await;
    let mut response = answer.map_err(|error| Error::broken(doing, error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ERROR_BODY_SIZE_MAX).collect();
        let bytes = connection.drive(body).await.map(Collected::to_bytes).unwrap_or_default();
        return Err(raw::refused(doing, status, &bytes));
    }
    let upgraded = connection.drive(hyper::upgrade::on(&mut response)).await;
    let upgraded = upgraded.map_err(|error| Error::broken(doing, error))?;
    let parts = upgraded.downcast::<TokioIo<UnixStream>>().map_err(|_| {
        Error::broken(doing, io::Error::other("the connection is of another kind than it was made"))
    })?;
    let (reader, writer) = parts.io.into_inner().into_split();
    let buffer = BytesMut::from(&parts.read_buf[..]);
    Ok(Attached {
        output: Pieces { stream: reader, buffer, is_terminal, piece: None },
        input: Stdin { stream: writer },
    })
}

impl Pieces {
    /// The next piece, at most 32 KiB; `None` when the process has closed its output. May be dropped and called again.
    pub async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.take()? {
                return Ok(Some(piece));
            }
            self.buffer.reserve(READ_SIZE);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// A piece of what has been read.
    fn take(&mut self) -> io::Result<Option<Piece>> {
        if self.is_terminal {
            let size = self.buffer.len().min(READ_SIZE);
            return Ok((size > 0).then(|| Piece::Stdout(self.buffer.split_to(size).freeze())));
        }
        loop {
            match self.piece {
                None => {
                    let Some((head, _)) = self.buffer.split_first_chunk::<8>() else { return Ok(None) };
                    let (stream, [a, b, c, d]) = (head[0], [head[4], head[5], head[6], head[7]]);
                    let size = u32::from_be_bytes([a, b, c, d]) as usize;
                    if stream > 2 || size > PIECE_SIZE_MAX {
                        return Err(io::Error::other("the Engine sent no header where one is due"));
                    }
                    let _ = self.buffer.split_to(8);
                    self.piece = (size > 0).then_some((stream, size));
                }
                Some((stream, left)) => {
                    let size = self.buffer.len().min(left).min(READ_SIZE);
                    if size == 0 {
                        return Ok(None);
                    }
                    self.piece = (left > size).then_some((stream, left - size));
                    let bytes = self.buffer.split_to(size).freeze();
                    return Ok(Some(if stream == 2 { Piece::Stderr(bytes) } else { Piece::Stdout(bytes) }));
                }
            }
        }
    }
}

impl Stdin {
    /// Writes everything; waits while the process does not read.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends the process's standard input.
    pub async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}
