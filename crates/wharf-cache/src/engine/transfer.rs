//! Carries one piece of content from an upstream into the store: asks, resumes, begins anew, gives up.
//!
//! A transfer that breaks goes on where it was (`Range`, with `If-Range` where the upstream named a validator). An
//! upstream that sends the whole again is compared with what clients have got already. Whatever way the bytes came, the
//! digest of the whole decides. Tries are bounded: [`TRIES_MAX`] in a row that bring less than [`PROGRESS_MIN`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use wharf_base::{Backoff, Shutdown};

use super::fill::Fill;
use super::sink::Sink;
use super::{Engine, Wanted};
use crate::Error;
use crate::upstream::{next_data, retry_after};

/// LIMIT: tries in a row that bring (nearly) nothing.
const TRIES_MAX: u32 = 5;
/// A try that brings this many bytes is a good one: an upstream that cuts every 64 KiB is slow, not broken.
const PROGRESS_MIN: u64 = 32 << 10;
/// When to come again, where the upstream doesn't say.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Why a try ended.
enum Ended {
    /// Another one may do better.
    Again(String),
    /// None will.
    Final(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Final(error)
    }
}

/// Runs a fill to its end.
pub(super) async fn run(engine: Arc<Engine>, wanted: Wanted, fill: Arc<Fill>, shutdown: Shutdown) {
    let end = tokio::select! {
        end = transfer(&engine, &wanted, &fill) => end,
        () = shutdown.cancelled() => Err(Error::Stopped),
    };
    if let Err(error) = &end {
        tracing::warn!(upstream = wanted.upstream.name(), path = wanted.path, %error, "a fill failed");
    }
    // Off the list first: who comes now finds the stored content, or begins a new fill.
    engine.forget_fill(&wanted.digest);
    fill.publish(|progress| {
        if let (Ok(size), true) = (&end, progress.end.is_none()) {
            progress.published = *size;
            progress.size = Some(*size);
        }
        progress.end = Some(end.map(|_| ()));
    });
}

/// Returns the size of what is stored now.
async fn transfer(engine: &Arc<Engine>, wanted: &Wanted, fill: &Arc<Fill>) -> Result<u64, Error> {
    let _permit = engine.transfers.acquire().await.map_err(|_| Error::Stopped)?;
    let draft = engine.store.draft().await?;
    let mut sink = Sink::new(draft, Arc::clone(fill), wanted.digest.clone(), wanted.size);
    if let Some(size) = wanted.size {
        sink.draft.reserve(size)?;
    }
    let mut source = Source { validator: None, takes_ranges: true };
    // The seed only spreads the waits of several fills.
    let seed = wanted.digest.hex().bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
    let mut backoff = Backoff::new(engine.retry_first, Duration::from_secs(5), seed);
    let mut tries = 0;
    loop {
        let before = sink.written;
        engine.down(&wanted.upstream)?;
        let reason = match attempt(engine, wanted, &mut sink, &mut source).await {
            Ok(()) if sink.digest() == wanted.digest.as_str() => break,
            Ok(()) => {
                engine.counters(wanted.ecosystem).wrong_bytes();
                let reason = format!("digest {} instead of {}", sink.digest(), wanted.digest);
                if fill.published() > 0 {
                    return Err(wanted.wrong(reason));
                }
                sink.rewind();
                tries += 1;
                if tries >= TRIES_MAX {
                    return Err(wanted.wrong(reason));
                }
                reason
            }
            Err(Ended::Final(error)) => return Err(error),
            Err(Ended::Again(reason)) => {
                sink.discard();
                tries += 1;
                if sink.written >= before + PROGRESS_MIN {
                    tries = 1;
                    backoff.reset();
                }
                if tries >= TRIES_MAX {
                    let upstream = wanted.upstream.name().to_owned();
                    return Err(Error::Upstream { upstream, reason, retry_after: RETRY_AFTER });
                }
                reason
            }
        };
        engine.counters(wanted.ecosystem).retry();
        tracing::debug!(upstream = wanted.upstream.name(), path = wanted.path, reason, tries, "fill goes on");
        tokio::time::sleep(backoff.next_wait()).await;
    }
    let size = sink.written;
    let name = format!("{}{}", wanted.upstream, wanted.path);
    engine.store.commit(sink.draft, &wanted.digest, size, wanted.ecosystem, &name).await?;
    Ok(size)
}

/// What is known of how the upstream serves this content.
struct Source {
    validator: Option<HeaderValue>,
    takes_ranges: bool,
}

/// One request. `Ok`: the upstream has sent everything that it says there is.
async fn attempt(
    engine: &Engine,
    wanted: &Wanted,
    sink: &mut Sink,
    source: &mut Source,
) -> Result<(), Ended> {
    let mut headers = wanted.headers.clone();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if sink.written > 0 && source.takes_ranges {
        let range = format!("bytes={}-", sink.written);
        headers.insert(RANGE, HeaderValue::try_from(range).expect("digits"));
        if let Some(validator) = &source.validator {
            headers.insert(IF_RANGE, validator.clone());
        }
    }
    let asked = headers.contains_key(RANGE);
    engine.counters(wanted.ecosystem).fetch();
    let uri = wanted.upstream.uri(&wanted.path)?;
    let response = engine.client.send(Method::GET, uri, &headers).await;
    let response = response.map_err(|failure| Ended::Again(failure.to_string()))?;
    if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(Ended::Again("it encodes the content though asked not to".to_owned()));
    }
    match response.status() {
        StatusCode::OK => {
            sink.rewind();
            source.validator = validator(response.headers());
            learn_size(wanted, sink, content_length(response.headers()))?;
        }
        StatusCode::PARTIAL_CONTENT if asked => {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            match range.and_then(parse_content_range) {
                Some((start, total)) if start == sink.written => learn_size(wanted, sink, total)?,
                _ => {
                    source.takes_ranges = false;
                    return Err(Ended::Again("it sent another range than it was asked for".to_owned()));
                }
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
            source.takes_ranges = false;
            return Err(Ended::Again("it has no range where it sent bytes before".to_owned()));
        }
        status => return Err(refusal(engine, wanted, status, response.headers())),
    }
    receive(engine, wanted, sink, response).await
}

async fn receive(
    engine: &Engine,
    wanted: &Wanted,
    sink: &mut Sink,
    response: Response<Incoming>,
) -> Result<(), Ended> {
    let mut body = response.into_body();
    let stall = engine.client.timeouts().stall;
    loop {
        let next = match next_data(&mut body, stall).now_or_never() {
            Some(next) => next,
            None => {
                // Nothing more right now: readers get what is here.
                flush(wanted, sink).await?;
                next_data(&mut body, stall).await
            }
        };
        match next {
            Ok(Some(bytes)) => {
                engine.counters(wanted.ecosystem).bytes_in(bytes.len() as u64);
                if sink.size.is_some_and(|size| sink.arrived() + bytes.len() as u64 > size) {
                    return Err(unexpected_size(engine, wanted, sink, "more bytes than there should be"));
                }
                if sink.push(bytes) {
                    flush(wanted, sink).await?;
                }
            }
            Ok(None) => break,
            Err(failure) => {
                // What has arrived is kept: the next try goes on after it.
                flush(wanted, sink).await?;
                return Err(Ended::Again(failure.to_string()));
            }
        }
    }
    flush(wanted, sink).await?;
    match sink.size {
        Some(size) if sink.written < size => {
            Err(Ended::Again(format!("it ended after {} of {size} bytes", sink.written)))
        }
        _ => Ok(()),
    }
}

async fn flush(wanted: &Wanted, sink: &mut Sink) -> Result<(), Ended> {
    match sink.flush().await? {
        Some(()) => Ok(()),
        None => Err(Ended::Final(wanted.wrong("it changed while it was sent".to_owned()))),
    }
}

/// Takes the size that the upstream tells. It must be that of the index, where there is one.
fn learn_size(wanted: &Wanted, sink: &mut Sink, size: Option<u64>) -> Result<(), Ended> {
    match (sink.size, size) {
        (Some(known), Some(said)) if known != said => {
            Err(Ended::Again(format!("it has {said} bytes instead of {known} at {}", wanted.path)))
        }
        (None, Some(said)) => {
            sink.draft.reserve(said)?;
            sink.size = Some(said);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn unexpected_size(engine: &Engine, wanted: &Wanted, sink: &mut Sink, reason: &str) -> Ended {
    engine.counters(wanted.ecosystem).wrong_bytes();
    // Nothing of this answer can be believed.
    sink.rewind();
    Ended::Again(reason.to_owned())
}

fn refusal(engine: &Engine, wanted: &Wanted, status: StatusCode, headers: &HeaderMap) -> Ended {
    let upstream = wanted.upstream.name().to_owned();
    let says_when = headers.contains_key(http::header::RETRY_AFTER);
    match status.as_u16() {
        429 => {
            let wait = retry_after(headers, RETRY_AFTER);
            engine.set_down(&wanted.upstream, wait);
            Ended::Final(Error::Upstream { upstream, reason: status.to_string(), retry_after: wait })
        }
        503 if says_when => {
            let wait = retry_after(headers, RETRY_AFTER);
            engine.set_down(&wanted.upstream, wait);
            Ended::Final(Error::Upstream { upstream, reason: status.to_string(), retry_after: wait })
        }
        408 | 500..=599 => Ended::Again(status.to_string()),
        400..=499 => Ended::Final(Error::Refused { upstream, status }),
        _ => Ended::Again(format!("it answered {status}")),
    }
}

/// A strong ETag, or the time of the last change (RFC 9110 section 13.1.5).
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `bytes a-b/size` of a 206: the first byte, and the size of the whole unless it is `*`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        digits => Some(digits.parse().ok()?),
    };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_of_a_206() {
        for (text, expected) in [
            ("bytes 0-9/10", Some((0, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("5-9/10", None),
            ("bytes a-b/c", None),
        ] {
            assert_eq!(parse_content_range(text), expected, "{text}");
        }
    }
}
