//! BuildKit's progress records as they come through the Engine.
//!
//! A message with id `moby.buildkit.trace` has `aux`: a JSON string, base64 of a protobuf `StatusResponse`.
//! Field numbers: moby/buildkit `api/services/control/control.proto`; only what we print is declared, prost skips
//! the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::Value;

/// What changed since the last message.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(message, repeated, tag = "1")]
    pub(crate) vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) statuses: Vec<VertexStatus>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) logs: Vec<VertexLog>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) warnings: Vec<VertexWarning>,
}

/// One step of the build graph.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Vertex {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(bool, tag = "4")]
    pub(crate) cached: bool,
    #[prost(message, optional, tag = "5")]
    pub(crate) started: Option<Timestamp>,
    #[prost(message, optional, tag = "6")]
    pub(crate) completed: Option<Timestamp>,
    #[prost(string, tag = "7")]
    pub(crate) error: String,
}

/// Progress of a part of a step, such as a download.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VertexStatus {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) vertex: String,
    #[prost(int64, tag = "4")]
    pub(crate) current: i64,
    #[prost(message, optional, tag = "7")]
    pub(crate) started: Option<Timestamp>,
    #[prost(message, optional, tag = "8")]
    pub(crate) completed: Option<Timestamp>,
}

/// Bytes that a step printed; lines may be cut anywhere.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VertexLog {
    #[prost(string, tag = "1")]
    pub(crate) vertex: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) data: Vec<u8>,
}

/// A finding of BuildKit's own checks (newer Engines).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VertexWarning {
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) short: Vec<u8>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl Timestamp {
    /// Seconds from `earlier` to `self`, never negative.
    pub(crate) fn since(self, earlier: Timestamp) -> f64 {
        let seconds = self.seconds.saturating_sub(earlier.seconds) as f64;
        let nanos = f64::from(self.nanos) - f64::from(earlier.nanos);
        (seconds + nanos / 1e9).max(0.0)
    }
}

/// Why a trace can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    #[error("the trace is no text")]
    NoText,
    #[error("the trace is no base64")]
    Base64(#[from] base64::DecodeError),
    #[error("the trace is no StatusResponse")]
    Protobuf(#[from] prost::DecodeError),
}

/// Decodes `aux` of a `moby.buildkit.trace` message.
pub(crate) fn decode(aux: Option<&Value>) -> Result<Status, TraceError> {
    let text = aux.and_then(Value::as_str).ok_or(TraceError::NoText)?;
    Ok(Status::decode(STANDARD.decode(text)?.as_slice())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_an_engine_sent() {
        // First and third trace of a build by Engine 20.10.24.
        let first = "Cm8KR3NoYTI1NjphMzAxN2EyZmI5NmJkZjNkZDBmYjViNmQ2YTQzNTFlM2IxMmZhYmQ5Y2E0NTcyOWU1NTQwNTZjMDE2ODkxNGYx\
                     GiRbaW50ZXJuYWxdIGxvYWQgcmVtb3RlIGJ1aWxkIGNvbnRleHQ=";
        let status = decode(Some(&Value::from(first))).unwrap();
        assert_eq!(status.vertexes[0].name, "[internal] load remote build context");
        assert!(status.vertexes[0].started.is_none());

        let third = "CosBCkdzaGEyNTY6YTMwMTdhMmZiOTZiZGYzZGQwZmI1YjZkNmE0MzUxZTNiMTJmYWJkOWNhNDU3MjllNTU0MDU2YzAxNjg5MTRm\
                     MRokW2ludGVybmFsXSBsb2FkIHJlbW90ZSBidWlsZCBjb250ZXh0KgwI2aWU2AYQ2LTprAMyDAjZpZTYBhDUroqvAw==";
        let status = decode(Some(&Value::from(third))).unwrap();
        let vertex = &status.vertexes[0];
        let took = vertex.completed.unwrap().since(vertex.started.unwrap());
        assert!((0.001..0.1).contains(&took), "{took}");
    }

    #[test]
    fn nonsense_is_an_error() {
        for (aux, expected) in [
            (None, "the trace is no text"),
            (Some(Value::from("!")), "the trace is no base64"),
            (Some(Value::from("/w==")), "the trace is no StatusResponse"),
        ] {
            assert_eq!(decode(aux.as_ref()).unwrap_err().to_string(), expected);
        }
    }
}
