//! Reads away what is left of a request that was answered early.
//!
//! A refusal (a wrong token, a body that is too long) is often written while the client still sends. A connection that is
//! closed with unread bytes is reset, and the reset throws the answer away before the client has read it: it would see a
//! broken pipe where it should see the refusal. So the rest is read and dropped, within bounds, as nginx does with
//! `lingering_close`. HTTP/2 needs none of this: a stream ends by itself (RFC 9113 section 8.1).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

/// LIMIT: bytes that are read away after an answer; a client that sends more is cut off.
const REST_BYTES_MAX: u64 = 64 << 20;
/// LIMIT: how long that may take; nginx's `lingering_timeout`.
const REST_TIME_MAX: Duration = Duration::from_secs(5);

/// The bodies of one connection that were dropped before their end. On HTTP/1.1 there is at most one at a time.
pub(crate) struct Rests {
    dropped: mpsc::Receiver<Incoming>,
}

/// Makes the bodies of one connection's requests.
#[derive(Clone)]
pub(crate) struct Bodies {
    dropped: mpsc::Sender<Incoming>,
}

/// The two ends of one connection.
pub(crate) fn bodies() -> (Bodies, Rests) {
    let (sender, dropped) = mpsc::channel(1);
    (Bodies { dropped: sender }, Rests { dropped })
}

impl Rests {
    /// Reads what was dropped, until nobody makes bodies any more.
    pub(crate) async fn read_away(mut self) {
        while let Some(mut body) = self.dropped.recv().await {
            let read = async {
                let mut count = 0;
                while let Some(Ok(frame)) = body.frame().await {
                    count += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
                    if count > REST_BYTES_MAX {
                        return;
                    }
                }
            };
            // Too slow or too long: dropped here, the connection is closed.
            let _ = tokio::time::timeout(REST_TIME_MAX, read).await;
        }
    }
}

impl Bodies {
    /// The request with a body of which the rest is read away when it is dropped.
    pub(crate) fn of(&self, request: Request<Incoming>) -> Request<RequestBody> {
        let is_one_stream = request.version() < Version::HTTP_2;
        let waits = request.headers().contains_key(EXPECT);
        let dropped = is_one_stream.then(|| self.dropped.clone());
        request.map(|body| RequestBody { body: Some(body), waits, dropped })
    }
}

/// A request's body.
pub(crate) struct RequestBody {
    /// `None` only while it is dropped.
    body: Option<Incoming>,
    /// The client waits for a go-ahead before it sends (RFC 9110 section 10.1.1): there is nothing to read away.
    waits: bool,
    dropped: Option<mpsc::Sender<Incoming>>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // The first look is the go-ahead: hyper then sends `100 Continue`.
        self.waits = false;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(body), Some(dropped)) = (self.body.take(), &self.dropped) else { return };
        if !self.waits && !body.is_end_stream() {
            // No room: another is being read away already, which HTTP/1.1 does not let happen.
            let _ = dropped.try_send(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::http::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use wharf_base::Tasks;

    use crate::{ServerOptions, bind, serve};

    const MIB: usize = 1 << 20;

    /// A server that refuses everything without a look at the body.
    async fn refusing(tasks: &Tasks) -> SocketAddr {
        let listener = bind("test", &["127.0.0.1:0".parse().unwrap()]).await.unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(|| async { StatusCode::UNAUTHORIZED });
        serve("test", listener, None, router, ServerOptions::default(), tasks);
        address
    }

    async fn connect(address: SocketAddr, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("PUT / HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    /// The head of the next answer.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_is_read_after_a_body_that_nobody_wanted() {
        let tasks = Tasks::new();
        let length = 32 * MIB;
        let mut stream = connect(refusing(&tasks).await, &format!("content-length: {length}")).await;
        stream.write_all(&vec![0; length]).await.expect("all is taken");
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401 "));
        // The connection serves on.
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401 "));
    }

    #[tokio::test]
    async fn a_client_that_does_not_stop_is_cut_off() {
        let tasks = Tasks::new();
        let mut stream = connect(refusing(&tasks).await, &format!("content-length: {}", 4_096 * MIB)).await;
        let piece = vec![0; MIB];
        let mut sent = 0;
        while stream.write_all(&piece).await.is_ok() {
            sent += 1;
            assert!(sent < 1_000, "it is read for ever");
        }
    }

    #[tokio::test]
    async fn a_client_that_waits_for_a_go_ahead_gets_the_refusal_alone() {
        let tasks = Tasks::new();
        let head = "content-length: 5\r\nexpect: 100-continue";
        let mut stream = connect(refusing(&tasks).await, head).await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401 "));
    }
}
