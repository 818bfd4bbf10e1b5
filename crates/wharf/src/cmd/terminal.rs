//! This terminal (or pipe) as the input and output of a command elsewhere.

use std::os::fd::AsFd as _;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use wharf_deploy::api::CommandRequest;
use wharf_http::{ApiError, Client, WebSocketMessage};
use wharf_model::Frame;
use wharf_model::frame::{Size, Status};

use crate::failure::Exited;
use crate::output::ClosedPipe;

/// LIMIT: bytes of input in one frame.
const READ_SIZE: usize = 16 << 10;

/// The size of the terminal at standard output.
pub(super) fn size() -> Size {
    tcgetwinsize(std::io::stdout())
        .map_or(Size { rows: 24, columns: 80 }, |size| Size { rows: size.ws_row, columns: size.ws_col })
}

/// Runs the request to its end. The command's exit status, unless 0, is the error [`Exited`].
pub(super) async fn attend(client: &Client, path: &str, request: CommandRequest) -> anyhow::Result<()> {
    let socket = client.websocket(path).await?;
    let (mut sink, mut messages) = socket.split();
    let first = serde_json::to_string(&request)?;
    sink.send(WebSocketMessage::text(first)).await?;
    let raw = request.terminal.map(|_| Raw::begin()).transpose()?;
    let (sender, mut frames) = mpsc::channel::<Frame>(4);
    let input = read_input(sender, request.terminal.is_some());
    let outwards = async {
        while let Some(frame) = frames.recv().await {
            if sink.send(WebSocketMessage::binary(frame.encode())).await.is_err() {
                break;
            }
        }
        // What ends it is the other direction.
        std::future::pending::<()>().await;
    };
    let inwards = async {
        loop {
            let message = match messages.next().await {
                Some(Ok(WebSocketMessage::Binary(bytes))) => bytes,
                Some(Ok(WebSocketMessage::Close(_))) | None => break,
                Some(Ok(_)) => continue,
                Some(Err(error)) => {
                    tracing::debug!(%error, "the connection broke");
                    break;
                }
            };
            match Frame::decode(message)? {
                Some(Frame::Stdout(bytes)) => print(std::io::stdout(), &bytes)?,
                Some(Frame::Stderr(bytes)) => print(std::io::stderr(), &bytes)?,
                Some(Frame::Status(Status::Exited { code })) => return Ok(code),
                Some(Frame::Status(Status::Failed { code, message })) => {
                    return Err(wharf_http::Error::Api(ApiError::new(code, message)).into());
                }
                _ => {}
            }
        }
        anyhow::bail!("the connection to {} has ended before the command did", client.authority())
    };
    let ended: anyhow::Result<i64> = tokio::select! {
        ended = inwards => ended,
        () = outwards => unreachable!("it never ends"),
        error = input => Err(error),
    };
    drop(raw);
    match ended? {
        0 => Ok(()),
        // As shells have it: what is no status of theirs is a failure.
        code => Err(Exited(u8::try_from(code).unwrap_or(1)).into()),
    }
}

fn print(mut to: impl std::io::Write, bytes: &[u8]) -> anyhow::Result<()> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
        other => Ok(other?),
    }
}

/// Sends standard input, sizes and signals; ends only with what ends the command here.
async fn read_input(sender: mpsc::Sender<Frame>, is_terminal: bool) -> anyhow::Error {
    let stdin_sender = sender.clone();
    let read = async move {
        let mut stdin = tokio::io::stdin();
        let mut buffer = vec![0; READ_SIZE];
        loop {
            match stdin.read(&mut buffer).await {
                Ok(0) | Err(_) => {
                    let _ = stdin_sender.send(Frame::StdinEnd).await;
                    return;
                }
                Ok(count) => {
                    let bytes = bytes::Bytes::copy_from_slice(&buffer[..count]);
                    if stdin_sender.send(Frame::Stdin(bytes)).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let signals = async {
        let mut resized = signal(SignalKind::window_change())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let mut count = 0;
        loop {
            let frame = tokio::select! {
                _ = resized.recv(), if is_terminal => Frame::Resize(size()),
                _ = interrupted.recv() => {
                    count += 1;
                    if count > 1 {
                        anyhow::bail!("interrupted twice: no longer waiting for the command");
                    }
                    Frame::Signal("INT".to_owned())
                }
                _ = terminated.recv() => Frame::Signal("TERM".to_owned()),
            };
            let _ = sender.send(frame).await;
        }
    };
    let (_, ended): ((), anyhow::Result<std::convert::Infallible>) = tokio::join!(read, signals);
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// The terminal hands every key over at once and prints nothing by itself, until this is dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn begin() -> anyhow::Result<Raw> {
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw)?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no setting.
        let _ = tcsetattr(std::io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}
