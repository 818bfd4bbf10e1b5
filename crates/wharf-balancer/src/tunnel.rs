//! An upgraded connection: bytes both ways until both sides have ended, in flight all the while.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::connection::ClientIo;
use crate::exchange::Exchange;
use crate::failure::{TERM_CLIENT_TIMEOUT, TERM_KILLED, TERM_SERVER_DATA};
use crate::record::{Phase, Record, Verdict};
use crate::worker::Worker;

/// LIMIT: bytes per direction that are on their way through; WebSocket messages are mostly below it.
const BUFFER_BYTES: usize = 16 << 10;

/// What is needed once the client's side has switched.
pub(crate) struct Tunnel {
    pub(crate) upstream: OnUpgrade,
    pub(crate) exchange: Box<Exchange>,
}

/// Copies until the end. `early` is what the client sent right behind its request.
pub(crate) async fn run(
    worker: &Rc<Worker>,
    record: &Rc<Record>,
    client: ClientIo,
    early: Bytes,
    tunnel: Tunnel,
) {
    let Tunnel { upstream, mut exchange } = tunnel;
    record.enter(Phase::Tunnel, worker.deadline(worker.settings.tunnel));
    // The target's 101 is here, so its side is ready or broken.
    let Ok(upstream) = upstream.await else {
        exchange.end_with(TERM_SERVER_DATA);
        return;
    };
    let (client_read, client_write) = tokio::io::split(client);
    let (target_read, target_write) = tokio::io::split(TokioIo::new(upstream));
    let (bytes_in, bytes_out) = (Cell::new(0), Cell::new(0));
    let touch = || record.deadline.set(worker.deadline(worker.settings.tunnel));
    let up = relay(early, client_read, target_write, &bytes_in, touch);
    let down = relay(Bytes::new(), target_read, client_write, &bytes_out, touch);
    let both = async { tokio::try_join!(up, down) };
    let mut both = pin!(both);
    let end = poll_fn(|context| {
        record.set_waker(context.waker());
        match record.verdict.get() {
            Verdict::Kill => Poll::Ready(None),
            _ => both.as_mut().poll(context).map(Some),
        }
    })
    .await;
    exchange.bytes_out = bytes_out.get();
    record.bytes_in.set(bytes_in.get());
    match end {
        Some(Ok(_)) => exchange.complete(),
        // Which side broke is known where it matters: the client's reset is by far the usual one.
        Some(Err(Side::Client)) => {}
        Some(Err(Side::Target)) => exchange.end_with(TERM_SERVER_DATA),
        None if worker.is_killing.get() => exchange.end_with(TERM_KILLED),
        None => exchange.end_with(TERM_CLIENT_TIMEOUT),
    }
}

/// Whose socket failed.
enum Side {
    Client,
    Target,
}

/// Copies one direction; at its end tells the writer. `first` goes before what is read.
async fn relay(
    first: Bytes,
    mut reader: impl AsyncRead + Unpin + Sided,
    mut writer: impl AsyncWrite + Unpin + Sided,
    count: &Cell<u64>,
    touch: impl Fn(),
) -> Result<(), Side> {
    let written = |result: io::Result<()>, side: Side| result.map_err(|_| side);
    if !first.is_empty() {
        written(writer.write_all(&first).await, writer.side())?;
        count.set(count.get() + first.len() as u64);
    }
    let mut buffer = vec![0u8; BUFFER_BYTES];
    loop {
        let size = reader.read(&mut buffer).await.map_err(|_| reader.side())?;
        if size == 0 {
            // The other direction may go on; a side that is gone already needs no FIN.
            let _ = writer.shutdown().await;
            return Ok(());
        }
        touch();
        written(writer.write_all(&buffer[..size]).await, writer.side())?;
        count.set(count.get() + size as u64);
    }
}

/// Says whose half it is.
trait Sided {
    fn side(&self) -> Side;
}

impl Sided for tokio::io::ReadHalf<ClientIo> {
    fn side(&self) -> Side {
        Side::Client
    }
}

impl Sided for tokio::io::WriteHalf<ClientIo> {
    fn side(&self) -> Side {
        Side::Client
    }
}

impl Sided for tokio::io::ReadHalf<TokioIo<Upgraded>> {
    fn side(&self) -> Side {
        Side::Target
    }
}

impl Sided for tokio::io::WriteHalf<TokioIo<Upgraded>> {
    fn side(&self) -> Side {
        Side::Target
    }
}
