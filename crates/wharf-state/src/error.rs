//! What can go wrong with the control state.

use std::path::PathBuf;

use wharf_base::ErrorCode;

use crate::SqlError;

/// What can go wrong with the control state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be opened or is no database of ours.
    #[error("cannot open the state database {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is damaged: torn, cut off, or overwritten.
    #[error(
        "the state database {path} is damaged: {reason}\n  hint: put back a copy of the data directory from before; nothing was changed"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says about it.
        reason: String,
    },
    /// A newer Wharf has written this file.
    #[error(
        "the state of `{part}` has version {found}, this wharf knows {known}\n  hint: run the newer wharf, or restore a backup"
    )]
    Newer {
        /// Part that owns the tables.
        part: String,
        /// Version in the file.
        found: usize,
        /// Version that this program knows.
        known: usize,
    },
    /// A statement failed; nothing of its transaction was kept.
    #[error("the state database refused a statement: {0}")]
    Sql(SqlError),
    /// The disk has no room. Nothing of the transaction was kept; later writes are tried again.
    #[error(
        "the disk of the state database is full, nothing was changed\n  hint: free space on the disk of {path}; the server then goes on by itself"
    )]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process has held the database for longer than 5 s.
    #[error("the state database is in use by another process: {0}\n  hint: end that process, or try again")]
    Busy(String),
    /// The commit failed (a failed write or fsync). The database stops taking writes.
    #[error("the state database cannot commit: {0}\n  hint: check the disk, then restart wharf")]
    Commit(String),
    /// The writer has ended: the process stops, or an earlier commit failed.
    #[error(
        "the state database takes no more writes\n  hint: the log says why; check the disk, then restart wharf"
    )]
    Closed,
    /// `state.url` is not usable.
    #[error("state.url: {0}")]
    Url(String),
    /// PostgreSQL does not answer, refuses us, or takes no writes. Nothing of the transaction was kept.
    #[error(
        "PostgreSQL can't be used: {0}\n  hint: see that it runs and takes writes at state.url; the server then goes on by itself"
    )]
    Unreachable(String),
    /// What answers at `state.url` shows a certificate that is not to be believed. Nothing was sent to it.
    #[error("PostgreSQL's certificate is refused: {0}")]
    Untrusted(String),
    /// Another server acts, or may. Nothing of the transaction was kept.
    #[error(
        "this server does not lead any more, nothing was changed\n  hint: ask the server that leads; `wharf up` of this one says where it is"
    )]
    NotLeading,
    /// The connection was lost during a commit, and so was its outcome.
    #[error(
        "it is not known whether the change was kept: {0}\n  hint: look at what is there before you repeat it"
    )]
    Unknown(String),
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Sql(SqlError::NoRows) => ErrorCode::NotFound,
            Error::Sql(SqlError::Taken(_)) => ErrorCode::AlreadyExists,
            Error::Open { .. }
            | Error::Corrupt { .. }
            | Error::Newer { .. }
            | Error::Sql(_)
            | Error::Url(_) => ErrorCode::Internal,
            Error::Full { .. }
            | Error::Busy(_)
            | Error::Commit(_)
            | Error::Closed
            | Error::Unreachable(_)
            | Error::Untrusted(_)
            | Error::NotLeading
            | Error::Unknown(_) => ErrorCode::Unavailable,
        }
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Error {
        match error {
            SqlError::Gone(reason) => Error::Unreachable(reason),
            error => Error::Sql(error),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        Error::Sql(error.into())
    }
}
