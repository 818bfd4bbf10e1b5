//! Bodies on their way through: counted, bounded, never kept.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::exchange::Exchange;
use crate::failure::TERM_SERVER_DATA;
use crate::pool::Sender;
use crate::record::{BodyFault, Phase, Record};
use crate::worker::Worker;

/// Errors of bodies only end connections, so their text is enough.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body on its way to a target.
pub(crate) enum RequestBody {
    Empty,
    Stream { incoming: Incoming, record: Rc<Record>, worker: Rc<Worker> },
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let RequestBody::Stream { incoming, record, worker } = self.get_mut() else {
            return Poll::Ready(None);
        };
        record.waits_for_client.set(true);
        let frame = ready!(Pin::new(incoming).poll_frame(context));
        record.waits_for_client.set(false);
        let settings = &worker.settings;
        let is_waiting = record.phase.get() == Phase::Waiting;
        let ticks = if is_waiting { record.response_ticks.get() } else { settings.idle };
        record.deadline.set(worker.deadline(ticks));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let size = frame.data_ref().map_or(0, |data| data.len() as u64);
                record.bytes_in.set(record.bytes_in.get() + size);
                if record.bytes_in.get() > settings.body_bytes {
                    record.body_fault.set(BodyFault::TooLarge);
                    Some(Err("the body is too large".into()))
                } else {
                    Some(Ok(frame))
                }
            }
            Some(Err(error)) => {
                record.body_fault.set(BodyFault::Malformed);
                Some(Err(error.into()))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Stream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Stream { incoming, .. } => incoming.size_hint(),
        }
    }
}

/// A response's body on its way to the client. Its end is the exchange's end.
pub(crate) struct ResponseBody {
    source: Source,
    exchange: Option<Box<Exchange>>,
}

enum Source {
    Empty,
    Text(Bytes),
    /// With the connection, which goes back to the pool at the body's end.
    Target {
        incoming: Incoming,
        sender: Option<Sender>,
    },
}

impl ResponseBody {
    pub(crate) fn text(text: String, exchange: Box<Exchange>) -> ResponseBody {
        ResponseBody { source: Source::Text(Bytes::from(text)), exchange: Some(exchange) }
    }

    pub(crate) fn target(incoming: Incoming, sender: Sender, exchange: Box<Exchange>) -> ResponseBody {
        ResponseBody { source: Source::Target { incoming, sender: Some(sender) }, exchange: Some(exchange) }
    }

    /// For a response whose exchange lives elsewhere (a tunnel).
    pub(crate) fn none() -> ResponseBody {
        ResponseBody { source: Source::Empty, exchange: None }
    }

    /// All of it was handed over: the connection goes back to its pool, then the exchange ends.
    fn complete(&mut self) {
        let Some(mut exchange) = self.exchange.take() else { return };
        exchange.complete();
        if let Source::Target { sender, .. } = &mut self.source
            && let Some(sender) = sender.take()
            && let Some(claim) = &*exchange.record.claim.borrow()
        {
            exchange.worker.pool.borrow_mut().put(&claim.backend, sender, exchange.worker.now.get());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(exchange) = &this.exchange {
            exchange.record.waits_for_target.set(true);
        }
        let frame = match &mut this.source {
            Source::Empty => None,
            Source::Text(text) if text.is_empty() => None,
            Source::Text(text) => Some(Ok(Frame::data(std::mem::take(text)))),
            Source::Target { incoming, .. } => ready!(Pin::new(incoming).poll_frame(context)),
        };
        let Some(exchange) = &mut this.exchange else { return Poll::Ready(None) };
        exchange.record.waits_for_target.set(false);
        match frame {
            Some(Ok(frame)) => {
                exchange.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                let idle = exchange.worker.settings.idle;
                exchange.record.deadline.set(exchange.worker.deadline(idle));
                if this.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                exchange.end_with(TERM_SERVER_DATA);
                this.exchange = None;
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                this.complete();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Text(text) => text.is_empty(),
            Source::Target { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Text(text) => SizeHint::with_exact(text.len() as u64),
            Source::Target { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // hyper drops a body of known length, and one that it need not send, without asking for its end.
        if self.is_end_stream() || self.exchange.as_ref().is_some_and(|exchange| exchange.is_head()) {
            self.complete();
        }
    }
}
