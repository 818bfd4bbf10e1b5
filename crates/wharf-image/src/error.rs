//! What can go wrong between a folder and an image in the registry.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use wharf_base::{ByteSize, ErrorCode};
use wharf_model::ports::PortError;

/// A context can't be packed or an image can't be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such folder.
    #[error("cannot build: {} is not a folder; hint: `build.context` in compose.yaml is relative to that file", .0.display())]
    NoContext(PathBuf),
    /// The folder has no Dockerfile.
    #[error("cannot build: there is no Dockerfile at {}; hint: name another with `build.dockerfile`", .0.display())]
    NoDockerfile(PathBuf),
    /// `.dockerignore` is wrong.
    #[error("cannot read {}: {source}", .path.display())]
    Ignore {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        source: wharf_dockerfile::Error,
    },
    /// A file can't be read.
    #[error("cannot read {}: {source}; hint: list it in .dockerignore if the image does not need it", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file became shorter while it was read.
    #[error("{} changed while it was read; hint: run the build again", .0.display())]
    Changed(PathBuf),
    /// The archive can't be written.
    #[error("cannot write the build context: {0}")]
    Write(io::Error),
    /// More files than allowed.
    #[error("the build context {} has more than {limit} files; hint: list what the image does not need in .dockerignore", .dir.display())]
    TooManyFiles {
        /// The context.
        dir: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// More bytes than allowed.
    #[error("the build context {} is larger than {limit}; hint: list what the image does not need in .dockerignore", .dir.display())]
    TooLarge {
        /// The context.
        dir: PathBuf,
        /// The limit.
        limit: ByteSize,
    },
    /// Too many builds wait.
    #[error(
        "cannot build {reference}: {waiting} builds wait already; hint: try again later or raise image.waiting_max"
    )]
    Busy {
        /// What was to be built.
        reference: String,
        /// How many wait.
        waiting: usize,
    },
    /// A build took too long.
    #[error("the build of {reference} was ended after {}; hint: image.timeout is the limit", wharf_base::duration::format(*.after))]
    TimedOut {
        /// What was to be built.
        reference: String,
        /// The limit.
        after: Duration,
    },
    /// The server stops.
    #[error("the build of {0} was ended because the server stops")]
    Stopping(String),
    /// The Engine or the registry failed.
    #[error(transparent)]
    Docker(#[from] wharf_docker::Error),
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::NoContext(_) | Error::NoDockerfile(_) | Error::Read { .. } => ErrorCode::InvalidArgument,
            Error::Ignore { source, .. } => source.code(),
            Error::Changed(_) => ErrorCode::Conflict,
            Error::Write(_) => ErrorCode::Internal,
            Error::TooManyFiles { .. } | Error::TooLarge { .. } => ErrorCode::TooLarge,
            Error::Busy { .. } => ErrorCode::ResourceExhausted,
            Error::TimedOut { .. } => ErrorCode::DeadlineExceeded,
            Error::Stopping(_) => ErrorCode::Cancelled,
            Error::Docker(error) => error.code(),
        }
    }
}

impl From<Error> for PortError {
    fn from(error: Error) -> PortError {
        // Causes that the message does not hold are added: a port error has no source.
        let mut message = error.to_string();
        let mut cause = match &error {
            Error::Docker(error) => std::error::Error::source(error),
            _ => None,
        };
        while let Some(source) = cause {
            let text = source.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = source.source();
        }
        PortError::new(error.code(), message)
    }
}
