//! The task of one client connection: hyper's server, then perhaps a tunnel.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::failure::{TERM_HEAD_BAD, TERM_HEAD_TIMEOUT};
use crate::log_line::Line;
use crate::record::{Phase, Record, Verdict};
use crate::worker::Worker;
use crate::{proxy, tunnel};

/// LIMIT: bytes and time that a client is listened to after it was told that its request is wrong.
const LINGER_BYTES: usize = 256 << 10;
const LINGER_TIME: Duration = Duration::from_millis(500);

/// How hyper's part ended.
enum End {
    Done(Result<(), hyper::Error>),
    /// The tick ended it.
    Killed,
}

/// Serves a connection to its end.
pub(crate) async fn run(worker: &Rc<Worker>, record: &Rc<Record>, stream: TcpStream) {
    let io = TokioIo::new(ClientIo { stream, record: Rc::clone(record), worker: Rc::clone(worker) });
    let service = {
        let (worker, record) = (Rc::clone(worker), Rc::clone(record));
        service_fn(move |request| proxy::serve(Rc::clone(&worker), Rc::clone(&record), request))
    };
    let mut connection = worker.server.serve_connection(io, service);
    let end = poll_fn(|context| {
        record.set_waker(context.waker());
        match record.verdict.get() {
            Verdict::Close => {
                record.verdict.set(Verdict::None);
                Pin::new(&mut connection).graceful_shutdown();
            }
            Verdict::Kill => return Poll::Ready(End::Killed),
            Verdict::None | Verdict::Timeout | Verdict::Move => {}
        }
        Pin::new(&mut connection).poll(context).map(End::Done)
    })
    .await;
    let tunnel = record.tunnel.take();
    match (end, tunnel) {
        (End::Done(Ok(())), Some(tunnel)) => {
            let parts = connection.into_parts();
            // The service holds the record; the tunnel's own holder is the exchange.
            drop(parts.service);
            tunnel::run(worker, record, parts.io.into_inner(), parts.read_buf, tunnel).await;
        }
        (End::Done(result), _) => {
            if let Err(error) = result {
                log_bad_head(worker, record, &error);
            }
            if record.lingers.get() {
                let mut io = connection.into_parts().io.into_inner();
                linger(&mut io).await;
            }
        }
        (End::Killed, _) => {
            if record.phase.get() == Phase::Head && !worker.is_killing.get() {
                log_refused(worker, record, 408, TERM_HEAD_TIMEOUT);
            }
            // Dropping the connection ends the exchange, which logs what became of it.
        }
    }
}

/// hyper has answered a head that it could not read; there was no request to log.
fn log_bad_head(worker: &Worker, record: &Record, error: &hyper::Error) {
    if !error.is_parse() {
        return;
    }
    // hyper keeps 414 for itself; the rest is 431 or 400.
    let status = if error.is_parse_too_large() { 431 } else { 400 };
    record.lingers.set(true);
    log_refused(worker, record, status, TERM_HEAD_BAD);
}

fn log_refused(worker: &Worker, record: &Record, status: u16, term: [u8; 2]) {
    worker.shared.counts.requests_refused.fetch_add(1, Ordering::Relaxed);
    worker.log.borrow_mut().push(&Line {
        peer: record.peer_text.to_str().unwrap_or_default(),
        at: worker.wall.get(),
        method: "",
        target: "",
        version: "",
        status,
        bytes_out: 0,
        bytes_in: 0,
        referer: b"",
        user_agent: b"",
        host: b"",
        total_us: 0,
        upstream_us: None,
        connect_us: None,
        app: "",
        service: "",
        release: 0,
        backend: "",
        attempts: 0,
        term,
        id: b"",
    });
}

/// hyper has sent its FIN. Data that is still unread when we close would turn it into a reset, which can overtake the
/// answer, so it is read for a moment.
async fn linger(io: &mut ClientIo) {
    let reading = async {
        let mut buffer = [0u8; 4096];
        let mut total = 0;
        while let Ok(size) = io.stream.read(&mut buffer).await {
            total += size;
            if size == 0 || total > LINGER_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME, pin!(reading)).await;
}

/// The client's socket; what is read passes the framer first.
pub(crate) struct ClientIo {
    stream: TcpStream,
    record: Rc<Record>,
    worker: Rc<Worker>,
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(context, buffer);
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() && !this.record.is_tunnel.get() {
            let mut framer = this.record.framer.borrow_mut();
            framer.feed(bytes);
            if this.record.phase.get() == Phase::Idle && framer.is_in_head() {
                this.record.enter(Phase::Head, this.worker.deadline(this.worker.settings.header));
            }
        }
        result
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
