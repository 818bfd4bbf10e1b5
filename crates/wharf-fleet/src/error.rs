//! What can go wrong in the fleet.

use std::path::{Path, PathBuf};

use wharf_base::ErrorCode;
use wharf_model::Name;
use wharf_model::ports::PortError;

use crate::token::JoinTokenError;

/// An error of the server's side or of an agent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The control state refused.
    #[error("cannot keep the fleet's state: {0}")]
    State(#[from] wharf_state::Error),
    /// A file of the agent can't be read or written.
    #[error(transparent)]
    Disk(#[from] wharf_disk::Error),
    /// A file or directory of the host.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// A verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Listening, dialling or certificates failed.
    #[error(transparent)]
    Http(#[from] wharf_http::Error),
    /// The Engine refused or does not answer.
    #[error(transparent)]
    Docker(#[from] wharf_docker::Error),
    /// A secret can't be opened, kept or placed.
    #[error(transparent)]
    Secrets(#[from] wharf_secrets::Error),
    /// The host has no part in which this secret occurs, or the server has lost it.
    #[error("there is no secret {0} for this host")]
    NoSuchSecret(String),
    /// A text is no join token.
    #[error(transparent)]
    TokenForm(#[from] JoinTokenError),
    /// A token is unknown, expired or used up, or for another name.
    #[error("the join token is not valid: {reason}\n  hint: make a new one with `wharf host token`")]
    Token {
        /// Which of these.
        reason: String,
    },
    /// There is a host with this name already.
    #[error(
        "a host named `{0}` has joined already\n  hint: choose another --name, remove it with `wharf host rm {0}`, or make a token for it with `wharf host token --host {0}`"
    )]
    NameTaken(Name),
    /// No such host.
    #[error("there is no host `{0}`\n  hint: `wharf host ls` lists them")]
    NoSuchHost(String),
    /// A host that still has instances is not removed without `force`.
    #[error(
        "host `{host}` still runs {instances} instances\n  hint: drain it first (`wharf host drain {host}`), or add --force if it is gone for good"
    )]
    HostInUse {
        /// The host.
        host: Name,
        /// How many.
        instances: usize,
    },
    /// The request is wrong in itself.
    #[error("{0}")]
    Invalid(String),
    /// The caller is no host that has joined, or was removed.
    #[error(
        "this host is not known here: it was removed or never joined\n  hint: join it again with `wharf join`"
    )]
    UnknownHost,
    /// The caller's certificate has ended.
    #[error(
        "the certificate of host `{host}` expired at {expires}\n  hint: {}",
        crate::error::join_again(host)
    )]
    CertificateExpired {
        /// The host.
        host: Name,
        /// When.
        expires: wharf_base::UnixMillis,
    },
    /// Agent and server speak no version of the protocol in common.
    #[error(transparent)]
    Version(#[from] crate::Mismatch),
    /// A bound is full.
    #[error("{0}")]
    Full(String),
    /// No such generation, or only its line in the list was kept.
    #[error("generation {0} does not exist or is no longer kept whole")]
    NoSuchGeneration(u64),
    /// No such call, or another host's, or too late.
    #[error("there is no call {0} to take up")]
    NoSuchCall(String),
    /// No such file bundle.
    #[error("there is no file bundle {0}")]
    NoSuchFiles(String),
    /// A stored or received document has a form that we don't know.
    #[error("cannot read {what}: {reason}")]
    Form {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// The host that this data directory belongs to is not known.
    #[error(
        "this machine has not joined: {0} holds no identity\n  hint: `wharf join URL --token TOKEN --name NAME`"
    )]
    NotJoined(String),
    /// A host can't be asked for anything now.
    #[error("host `{host}` can't be asked now: {reason}\n  hint: {hint}")]
    Unreachable {
        /// The host.
        host: Name,
        /// Why not.
        reason: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The server can't be reached now.
    #[error("the server is not connected now")]
    Offline,
}

/// What to do about a host whose certificate has expired.
pub(crate) fn join_again(host: &Name) -> String {
    format!(
        "its containers run on; join it again: `wharf host token --host {host}` on the server prints the command for \
         the host, where `wharf agent` must be stopped meanwhile"
    )
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::File { doing, path: path.to_owned(), source }
    }

    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::State(error) => error.code(),
            Error::Disk(error) => error.code(),
            Error::Http(error) => error.code(),
            Error::Docker(error) => error.code(),
            Error::Secrets(error) => error.code(),
            Error::TokenForm(_) | Error::Invalid(_) => ErrorCode::InvalidArgument,
            Error::Version(crate::Mismatch::Unreadable(_)) => ErrorCode::InvalidArgument,
            Error::Version(_) => ErrorCode::Unsupported,
            Error::Token { .. } => ErrorCode::PermissionDenied,
            Error::NameTaken(_) => ErrorCode::AlreadyExists,
            Error::NoSuchHost(_)
            | Error::NoSuchGeneration(_)
            | Error::NoSuchFiles(_)
            | Error::NoSuchCall(_)
            | Error::NoSuchSecret(_) => ErrorCode::NotFound,
            Error::HostInUse { .. } => ErrorCode::Conflict,
            Error::UnknownHost | Error::CertificateExpired { .. } => ErrorCode::Unauthenticated,
            Error::Full(_) => ErrorCode::ResourceExhausted,
            Error::Form { .. } | Error::File { .. } => ErrorCode::Internal,
            Error::NotJoined(_) => ErrorCode::NotFound,
            Error::Offline | Error::Unreachable { .. } => ErrorCode::Unavailable,
        }
    }
}

impl From<Error> for PortError {
    fn from(error: Error) -> PortError {
        PortError::new(error.code(), error.to_string())
    }
}

impl From<Error> for wharf_http::ApiError {
    fn from(error: Error) -> wharf_http::ApiError {
        wharf_http::ApiError::new(error.code(), error.to_string())
    }
}

impl axum::response::IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        wharf_http::ApiError::from(self).into_response()
    }
}
