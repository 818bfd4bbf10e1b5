//! What can go wrong with the registry as a part; what a request can do wrong is in `refusal`.

use wharf_base::ErrorCode;

/// The registry can't start or can't do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting can't work.
    #[error("{message}")]
    Config {
        /// Which, and why.
        message: String,
    },
    /// Files.
    #[error(transparent)]
    Disk(#[from] wharf_disk::Error),
    /// The database.
    #[error(transparent)]
    State(#[from] wharf_state::Error),
    /// The listener.
    #[error(transparent)]
    Listen(#[from] wharf_http::Error),
    /// No such repository.
    #[error("no repository {0}")]
    UnknownRepository(String),
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Config { .. } => ErrorCode::InvalidArgument,
            Error::Disk(error) => error.code(),
            Error::State(error) => error.code(),
            Error::Listen(error) => error.code(),
            Error::UnknownRepository(_) => ErrorCode::NotFound,
        }
    }
}
