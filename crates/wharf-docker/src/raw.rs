//! One HTTP/1.1 exchange on the Engine's socket, without a task of its own.
//!
//! The connection is polled together with whatever the caller waits for, so dropping a [`Call`] closes it at once,
//! and the Engine, which watches for that, ends the work.

use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use crate::Error;
use crate::error::tidy;

/// A connect to a unix socket is immediate unless the listener's backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// 64 KiB: one read(2) of the context per chunk.
const CHUNK_SIZE: usize = 64 * 1024;

/// LIMIT: of an error's body that we show.
const ERROR_BODY_SIZE_MAX: usize = 64 * 1024;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(crate) fn empty_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// What is in memory already.
pub(crate) fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Streams a file.
pub(crate) async fn file_body(path: &Path) -> Result<Body, Error> {
    let file = tokio::fs::File::open(path).await.map_err(|source| Error::File {
        doing: "read",
        path: path.to_path_buf(),
        source,
    })?;
    let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK_SIZE);
        let count = (&mut file).take(CHUNK_SIZE as u64).read_to_end(&mut chunk).await?;
        Ok::<_, io::Error>((count > 0).then(|| (Bytes::from(chunk), file)))
    });
    Ok(StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync())
}

/// Connects to the Engine.
pub(crate) async fn connect(socket: &Path) -> Result<UnixStream, Error> {
    let unreachable = |source| Error::Unreachable { socket: socket.to_path_buf(), source };
    tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(socket))
        .await
        .map_err(|_| unreachable(io::ErrorKind::TimedOut.into()))?
        .map_err(unreachable)
}

/// Connects, sends `request` and waits for the head of the answer.
pub(crate) async fn send(socket: &Path, doing: &str, request: Request<Body>) -> Result<Call, Error> {
    let stream = connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::broken(doing, error))?;
    let mut connection = Connection(Some(Box::pin(connection)));
    let answer = connection.drive(sender.send_request(request)).await;
    let response = answer.map_err(|error| Error::broken(doing, error))?;
    Ok(Call { connection, response })
}

/// An answer whose body is still to be read.
pub(crate) struct Call {
    connection: Connection,
    response: Response<Incoming>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.response.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        loop {
            let frame = poll_fn(|context| {
                self.connection.poll(context);
                Pin::new(self.response.body_mut()).poll_frame(context)
            });
            match frame.await {
                Some(frame) => match frame?.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    // Trailers.
                    Err(_) => continue,
                },
                None => return Ok(None),
            }
        }
    }

    /// Turns an answer that is not 2xx into an error with the Engine's message.
    pub(crate) async fn refuse_failure(&mut self, doing: &str) -> Result<(), Error> {
        let status = self.response.status();
        if status.is_success() {
            return Ok(());
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await.map_err(|error| Error::broken(doing, error))? {
            let room = ERROR_BODY_SIZE_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ERROR_BODY_SIZE_MAX {
                break;
            }
        }
        Err(refused(doing, status.as_u16(), &body))
    }
}

/// The Engine's own words, which are JSON.
pub(crate) fn refused(doing: &str, status: u16, body: &[u8]) -> Error {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    let message = match serde_json::from_slice::<Message>(body) {
        Ok(body) => body.message,
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(ERROR_BODY_SIZE_MAX)]).into_owned(),
    };
    Error::Refused { doing: doing.to_owned(), status, message: tidy(&message) }
}

/// hyper's connection; what it fails with reaches the caller through the answer or the body.
pub(crate) struct Connection(pub(crate) Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

impl Connection {
    /// Waits for `work`, and drives the connection meanwhile.
    pub(crate) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        poll_fn(|context| {
            self.poll(context);
            work.as_mut().poll(context)
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && let Poll::Ready(ended) = connection.as_mut().poll(context)
        {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection to the docker engine ended with an error");
            }
            self.0 = None;
        }
    }
}
