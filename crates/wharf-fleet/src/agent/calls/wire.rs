//! Both bodies of a call as frames.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use wharf_base::Shutdown;
use wharf_http::Body;
use wharf_model::{Frame, frame};

/// LIMIT: frames that wait until the server takes them.
const FRAMES: usize = 8;
/// A caller that reads slowly may have this long for what is left.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(60);

/// A call's two directions.
pub(super) struct Wire {
    pub(super) output: Output,
    pub(super) input: Option<Incoming>,
    reader: frame::Reader,
    shutdown: Shutdown,
}

/// Towards the caller.
pub(super) struct Output {
    sender: Sender<Bytes, io::Error>,
    is_gone: bool,
}

impl Wire {
    /// A wire and the body to send.
    pub(super) fn new(shutdown: Shutdown) -> (Wire, Body) {
        let (sender, body) = Channel::new(FRAMES);
        let output = Output { sender, is_gone: false };
        (Wire { output, input: None, reader: frame::Reader::default(), shutdown }, body.boxed())
    }

    /// Ends the output with this frame and waits until the caller has heard it: a stream whose other half is dropped may
    /// be reset before all is sent.
    pub(super) async fn finish(mut self, last: Frame) {
        self.output.send(last).await;
        let (empty, _) = Channel::new(1);
        self.output.sender = empty;
        let heard = async { self.split().1.gone().await };
        if tokio::time::timeout(LAST_WORD_TIMEOUT, heard).await.is_err() {
            tracing::debug!("the caller of a call that has ended stays on");
        }
    }

    /// Both directions, each of which may wait for itself.
    pub(super) fn split(&mut self) -> (&mut Output, Input<'_>) {
        let Wire { output, input, reader, shutdown } = self;
        (output, Input { input, reader, shutdown })
    }
}

/// From the caller.
pub(super) struct Input<'a> {
    input: &'a mut Option<Incoming>,
    reader: &'a mut frame::Reader,
    shutdown: &'a Shutdown,
}

impl Input<'_> {
    /// The next frame; `None` when the caller is gone or the agent stops. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.reader.frame() {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the server sent something that is no frame");
                    return None;
                }
            }
            let body = self.input.as_mut()?;
            let piece = tokio::select! {
                piece = body.frame() => piece?.ok()?,
                () = self.shutdown.cancelled() => return None,
            };
            if let Ok(bytes) = piece.into_data() {
                self.reader.push(&bytes);
            }
        }
    }

    /// Until the caller is gone or the agent stops; what it sends is passed over.
    pub(super) async fn gone(&mut self) {
        while self.next().await.is_some() {}
    }
}

impl Output {
    /// Hands a frame over; waits while the caller does not read. False: it is gone.
    pub(super) async fn send(&mut self, frame: Frame) -> bool {
        self.is_gone = self.is_gone || self.sender.send_data(frame.encode_with_length()).await.is_err();
        !self.is_gone
    }
}
