//! Reads request bodies, bounded in bytes and in silence.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use wharf_disk::cas::Session;

use super::Call;
use crate::refusal::{Code, Refusal};

/// Bytes of a refused request's body that are read and thrown away, so that the client gets to see the answer instead
/// of a broken connection. Chunks of the conformance suite and Docker's small layers fit.
const DRAIN_MAX: usize = 4 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);

impl Call<'_> {
    /// What `Content-Length` says.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// Appends `body` to `session`. With `range`, the body must be these bytes of the blob, else nothing of it is kept.
    /// Returns the session's size.
    ///
    /// When the body breaks off, the session keeps what has arrived: the client asks how much and goes on.
    pub(super) async fn append(
        &self,
        body: &mut Body,
        session: &Session,
        range: Option<Range<u64>>,
    ) -> Result<u64, Refusal> {
        let mut writer = session.writer()?;
        // Looked at once nobody else writes: of two equal chunks at a time only one is taken.
        if let Some(range) = range.as_ref().filter(|range| range.start != writer.start()) {
            let message =
                format!("the upload has {} bytes, the chunk starts at {}", writer.start(), range.start);
            return Err(
                Refusal::new(Code::BlobUploadInvalid, message).with_status(StatusCode::RANGE_NOT_SATISFIABLE)
            );
        }
        let expected = range.map(|range| range.end - range.start);
        let mut received = 0u64;
        loop {
            let bytes = match self.piece(body).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(refusal) => {
                    writer.finish().await?;
                    return Err(refusal);
                }
            };
            received += bytes.len() as u64;
            if expected.is_some_and(|expected| received > expected) {
                break;
            }
            writer.push(bytes).await?;
        }
        match expected {
            Some(expected) if expected != received => {
                writer.roll_back().await?;
                let message = format!("{expected} bytes were announced, the body has another number");
                Err(Refusal::new(Code::SizeInvalid, message))
            }
            _ => Ok(writer.finish().await?),
        }
    }

    /// The whole body, at most `limit` bytes. Errors: 413 if it is longer.
    pub(super) async fn whole(&self, body: &mut Body, limit: u64) -> Result<Bytes, Refusal> {
        let too_large = || {
            let limit = wharf_base::ByteSize(limit);
            let message = format!(
                "the manifest is larger than {limit}\n  hint: registry.manifest_size_max sets the limit"
            );
            Refusal::new(Code::SizeInvalid, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
        };
        if self.length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let Some(first) = self.piece(body).await? else { return Ok(Bytes::new()) };
        if self.length() == Some(first.len() as u64) {
            return Ok(first);
        }
        let mut all = BytesMut::from(first);
        while let Some(bytes) = self.piece(body).await? {
            all.extend_from_slice(&bytes);
            if all.len() as u64 > limit {
                return Err(too_large());
            }
        }
        Ok(all.freeze())
    }

    /// The next piece of the body; `None` at its end.
    async fn piece(&self, body: &mut Body) -> Result<Option<Bytes>, Refusal> {
        let stall = self.registry.config.upload_stall;
        loop {
            let frame = tokio::time::timeout(stall, body.frame()).await.map_err(|_| {
                let message = format!("nothing was sent for {}", wharf_base::duration::format(stall));
                Refusal::new(Code::BlobUploadInvalid, message).with_status(StatusCode::REQUEST_TIMEOUT)
            })?;
            let frame = match frame {
                None => return Ok(None),
                // The client went away or broke the protocol; nobody may read this answer.
                Some(Err(error)) => {
                    let message = format!("cannot read the body: {error}");
                    return Err(Refusal::new(Code::BlobUploadInvalid, message));
                }
                Some(Ok(frame)) => frame,
            };
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// Reads the rest of a refused request's body away.
pub(super) async fn drain(call: &Call<'_>, body: &mut Body) {
    // The client waits for a go-ahead and sends nothing after a refusal.
    if call.headers.contains_key(EXPECT) || call.length().is_some_and(|length| length > DRAIN_MAX as u64) {
        return;
    }
    let read = async {
        let mut count = 0;
        while let Some(Ok(frame)) = body.frame().await {
            count += frame.data_ref().map_or(0, Bytes::len);
            if count > DRAIN_MAX {
                return;
            }
        }
    };
    // Too slow: then the connection is closed with the answer.
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}
