//! What can go wrong with files.

use std::io;
use std::path::{Path, PathBuf};

use wharf_base::{Digest, ErrorCode};

/// A file operation failed, or the state of a store forbids it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried: `open`, `write`, …
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process has the data directory.
    #[error(
        "{path} is in use by process {}\n  hint: stop that process or choose another directory with --data",
        .pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has it, if the lock file says so.
        pid: Option<u32>,
    },
    /// The files have a layout that this build can't read.
    #[error(
        "{path} has format {found}, this build reads up to {known}\n  hint: use the version that wrote it, or a newer one"
    )]
    Format {
        /// The version file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// The newest that we know.
        known: u32,
    },
    /// An fsync failed earlier; what was written since may be lost, so nothing more is accepted.
    #[error(
        "{path} refuses writes since an fsync failed: {reason}\n  hint: check the disk, then start the process again"
    )]
    Refused {
        /// The store.
        path: PathBuf,
        /// The failure that caused it.
        reason: String,
    },
    /// Fewer bytes are free than the limit asks to keep.
    #[error(
        "{path} has {free} bytes free and keeps {keep} in reserve\n  hint: free space or lower the limit"
    )]
    DiskFull {
        /// The store.
        path: PathBuf,
        /// Bytes free now.
        free: u64,
        /// The limit.
        keep: u64,
    },
    /// A backup is damaged or none of ours, or could not be made.
    #[error("{path} is no whole backup: {reason}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes that arrived have another digest than was announced.
    #[error("content has digest {found}, not {expected}")]
    DigestMismatch {
        /// What was announced.
        expected: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
    /// As many upload sessions are open as the limit allows.
    #[error("{open} uploads are open, which is the limit")]
    TooManySessions {
        /// The limit, reached.
        open: usize,
    },
    /// Another request writes to this upload session now.
    #[error("another request writes to this upload")]
    SessionBusy,
    /// No such upload session, or it was committed or cancelled.
    #[error("no such upload")]
    SessionUnknown,
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorCode::NotFound,
            Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorCode::ResourceExhausted
            }
            Error::Io { .. } => ErrorCode::Internal,
            Error::Locked { .. } | Error::SessionBusy => ErrorCode::Conflict,
            Error::Format { .. } => ErrorCode::Unsupported,
            Error::Refused { .. } => ErrorCode::Unavailable,
            Error::DiskFull { .. } | Error::TooManySessions { .. } => ErrorCode::ResourceExhausted,
            Error::Archive { .. } | Error::DigestMismatch { .. } => ErrorCode::InvalidArgument,
            Error::SessionUnknown => ErrorCode::NotFound,
        }
    }

    /// Whether the disk (or the reserve on it) is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::DiskFull { .. } => true,
            Error::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Adds what was tried and on which path; for `map_err`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, path: path.to_owned(), source }
    }
}
