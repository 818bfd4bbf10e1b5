//! What can go wrong with a cache: with its own files, and with the upstream behind it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use wharf_base::{Digest, ErrorCode};

/// The cache can't start, or can't answer a request. Clones are cheap: many clients wait for one fill.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A setting can't work.
    #[error("{message}")]
    Config {
        /// Which, and why.
        message: String,
    },
    /// Files.
    #[error(transparent)]
    Disk(Arc<wharf_disk::Error>),
    /// The index of what is stored.
    #[error(transparent)]
    State(Arc<wharf_state::Error>),
    /// The listener.
    #[error(transparent)]
    Listen(Arc<wharf_http::Error>),
    /// The upstream doesn't answer as it should, and nothing that could be served instead is stored.
    #[error("upstream {upstream} is not usable now: {reason}")]
    Upstream {
        /// Host and port.
        upstream: String,
        /// What happened last.
        reason: String,
        /// When it may be asked again, as it says or as we guess.
        retry_after: Duration,
    },
    /// The upstream says that it has no such thing, or that we may not have it.
    #[error("upstream {upstream} answers {status}")]
    Refused {
        /// Host and port.
        upstream: String,
        /// 401, 403, 404, 410, …
        status: StatusCode,
    },
    /// What the upstream sent is not what its index promises. It was not stored.
    #[error("upstream {upstream} sent other bytes than its index says: {reason}; nothing was stored")]
    Wrong {
        /// Host and port.
        upstream: String,
        /// Digests or sizes that differ.
        reason: String,
    },
    /// The content is larger than the cache may ever be.
    #[error("{size} bytes are more than cache.size_max allows for everything ({cap})")]
    TooLarge {
        /// Of the content.
        size: u64,
        /// The cap.
        cap: u64,
    },
    /// Everything that could make room is in use.
    #[error("the cache has no room for {size} bytes now")]
    NoRoom {
        /// Bytes wanted.
        size: u64,
    },
    /// As many transfers run and wait as the limit allows.
    #[error("{fills} transfers from upstreams run already, which is the limit")]
    Busy {
        /// The limit, reached.
        fills: usize,
    },
    /// A stored file has other bytes than its name says.
    #[error("stored content {digest} is damaged")]
    Damaged {
        /// Which.
        digest: Digest,
    },
    /// The process ends.
    #[error("the cache stops")]
    Stopped,
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Config { .. } => ErrorCode::InvalidArgument,
            Error::Disk(error) => error.code(),
            Error::State(error) => error.code(),
            Error::Listen(error) => error.code(),
            Error::Upstream { .. } | Error::Wrong { .. } | Error::Stopped => ErrorCode::Unavailable,
            Error::Refused { .. } => ErrorCode::NotFound,
            Error::TooLarge { .. } => ErrorCode::TooLarge,
            Error::NoRoom { .. } | Error::Busy { .. } => ErrorCode::ResourceExhausted,
            Error::Damaged { .. } => ErrorCode::Internal,
        }
    }

    /// The status for clients that know nothing of us, and when they may come again.
    pub(crate) fn status(&self) -> (StatusCode, Option<Duration>) {
        match self {
            Error::Upstream { retry_after, .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(*retry_after)),
            Error::Refused { status, .. } => (*status, None),
            Error::Wrong { .. } => (StatusCode::BAD_GATEWAY, None),
            Error::TooLarge { .. } | Error::NoRoom { .. } => (StatusCode::INSUFFICIENT_STORAGE, None),
            Error::Disk(error) if error.is_disk_full() => (StatusCode::INSUFFICIENT_STORAGE, None),
            Error::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(5))),
            Error::Stopped => (StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(10))),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
        }
    }
}

impl From<wharf_disk::Error> for Error {
    fn from(error: wharf_disk::Error) -> Error {
        Error::Disk(Arc::new(error))
    }
}

impl From<wharf_state::Error> for Error {
    fn from(error: wharf_state::Error) -> Error {
        Error::State(Arc::new(error))
    }
}

impl From<wharf_http::Error> for Error {
    fn from(error: wharf_http::Error) -> Error {
        Error::Listen(Arc::new(error))
    }
}
