//! Why a load can't be started.

use wharf_base::ErrorCode;

/// A load can't be started or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL is none, or not plain HTTP.
    #[error("`{0}` is not a URL for a load; hint: write http://host:port/path")]
    Url(String),
    /// The host name has no address.
    #[error("cannot find the address of `{host}`: {reason}")]
    Resolve {
        /// Host and port.
        host: String,
        /// Why not.
        reason: String,
    },
    /// A figure of the configuration is out of bounds.
    #[error("{name} must be {allowed}, not {found}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What may be written.
        allowed: &'static str,
        /// What was written.
        found: String,
    },
    /// The machine gives no thread.
    #[error("cannot start the load's thread")]
    Thread(#[source] std::io::Error),
    /// There are too many phases.
    #[error("cannot begin phase `{name}`: a load has at most {limit}")]
    Phases {
        /// Name of the refused phase.
        name: String,
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Url(_) | Error::Setting { .. } => ErrorCode::InvalidArgument,
            Error::Resolve { .. } => ErrorCode::Unavailable,
            Error::Thread(_) | Error::Phases { .. } => ErrorCode::ResourceExhausted,
        }
    }
}
