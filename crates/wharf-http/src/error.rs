//! What can go wrong at an edge.

use std::net::SocketAddr;
use std::path::PathBuf;

use wharf_base::ErrorCode;

/// An error of listening, dialling or certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener's address can't be bound.
    #[error("cannot listen on {address} ({key}): {source}{hint}")]
    Bind {
        /// Configuration key that names the address.
        key: String,
        /// The address.
        address: SocketAddr,
        /// Who holds the port, or what to change.
        hint: String,
        /// Why.
        source: std::io::Error,
    },
    /// A URL has no form that we can dial.
    #[error(
        "`{url}` is not a URL of a server: {reason}\n  hint: write http://HOST:PORT or https://HOST:PORT"
    )]
    Url {
        /// As given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The peer can't be reached.
    #[error("cannot connect to {peer}: {source}")]
    Connect {
        /// Host and port.
        peer: String,
        /// Why.
        source: std::io::Error,
    },
    /// TLS failed.
    #[error("TLS with {peer} failed: {reason}")]
    Tls {
        /// Host and port.
        peer: String,
        /// Why.
        reason: String,
    },
    /// The connection broke in the middle of a request.
    #[error("the connection to {peer} broke: {source}")]
    Exchange {
        /// Host and port.
        peer: String,
        /// Why.
        source: hyper::Error,
    },
    /// No answer in time.
    #[error("{peer} did not answer within {seconds} s")]
    Timeout {
        /// Host and port.
        peer: String,
        /// The limit.
        seconds: u64,
    },
    /// The peer answered something that isn't what its API promises.
    #[error("{peer} answered something unexpected: {reason}")]
    Answer {
        /// Host and port.
        peer: String,
        /// What.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Api(crate::ApiError),
    /// A certificate or key can't be made or read.
    #[error("cannot use certificate material{}: {reason}", path.as_ref().map(|p| format!(" in {}", p.display())).unwrap_or_default())]
    Certificate {
        /// The file, if it is about one.
        path: Option<PathBuf>,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Url { .. } => ErrorCode::InvalidArgument,
            Error::Bind { .. } | Error::Connect { .. } | Error::Exchange { .. } => ErrorCode::Unavailable,
            Error::Tls { .. } => ErrorCode::Unavailable,
            Error::Timeout { .. } => ErrorCode::DeadlineExceeded,
            Error::Api(error) => error.code,
            Error::Answer { .. } | Error::Certificate { .. } => ErrorCode::Internal,
        }
    }
}
