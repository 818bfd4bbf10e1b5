//! The ways in which access can fail.

use wharf_base::{ErrorCode, UnixMillis};

/// Why a caller was refused, or why access can't work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No credentials were given.
    #[error("no token was given\n  hint: send `Authorization: Bearer <token>`, or log in to the console")]
    Missing,
    /// The token or session is not known.
    #[error(
        "this token is not valid\n  hint: the first one is in the file `token` under the server's --data"
    )]
    WrongToken,
    /// The token was valid until then.
    #[error(
        "this token expired at {0}\n  hint: ask an admin for a new one: wharf token create NAME --role ROLE"
    )]
    Expired(UnixMillis),
    /// A token is to be valid for no time, or longer than any.
    #[error("a token is valid for more than nothing and at most ten years, such as 30d")]
    BadLife,
    /// The session ended or was never there.
    #[error("this session has ended\n  hint: log in again")]
    SessionEnded,
    /// Too many wrong tokens from one address.
    #[error("too many wrong tokens from this address\n  hint: wait a minute")]
    TooManyFailures,
    /// The role is too low.
    #[error("role {has} may not do this\n  hint: use a token with role {needs}")]
    RoleTooLow {
        /// Role of the caller.
        has: &'static str,
        /// Least role that may.
        needs: &'static str,
    },
    /// A change with a cookie that did not come from our own page.
    #[error("this change came from another site's page and was refused")]
    CrossSite,
    /// Another token has that name.
    #[error("a token named `{0}` exists\n  hint: choose another name, or remove that one first")]
    NameTaken(String),
    /// The name of a token is no name.
    #[error("`{0}` is not a name for a token; use 1 to 63 printable characters")]
    BadName(String),
    /// The role of a token is no role.
    #[error("`{0}` is not a role\n  hint: the roles are viewer, deployer and admin")]
    BadRole(String),
    /// There is no such token.
    #[error("there is no token with the id `{0}`")]
    NoSuchToken(String),
    /// Removing it would leave nobody who can make tokens.
    #[error("`{0}` is the last admin token that does not expire, and stays\n  hint: make another one first")]
    LastAdmin(String),
    /// The bound on tokens is reached.
    #[error("there are {0} tokens already\n  hint: remove some, or raise access.tokens_max")]
    TooManyTokens(usize),
    /// Too many streams of events are open.
    #[error("{0} event streams are open already\n  hint: close some, or raise access.streams_max")]
    TooManyStreams(usize),
    /// The machine has no random numbers.
    #[error("cannot read random numbers: {0}")]
    Random(String),
    /// The file for the first token can't be written.
    #[error("cannot keep the first token in its file")]
    TokenFile(#[from] wharf_disk::Error),
    /// The database refuses.
    #[error("cannot keep access records: {0}")]
    State(#[from] wharf_state::Error),
}

impl Error {
    /// How a client may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Missing | Error::WrongToken | Error::SessionEnded | Error::Expired(_) => {
                ErrorCode::Unauthenticated
            }
            Error::TooManyFailures => ErrorCode::ResourceExhausted,
            Error::RoleTooLow { .. } | Error::CrossSite => ErrorCode::PermissionDenied,
            Error::NameTaken(_) => ErrorCode::AlreadyExists,
            Error::BadName(_) | Error::BadRole(_) | Error::BadLife => ErrorCode::InvalidArgument,
            Error::NoSuchToken(_) => ErrorCode::NotFound,
            Error::LastAdmin(_) => ErrorCode::Conflict,
            Error::TooManyTokens(_) | Error::TooManyStreams(_) => ErrorCode::ResourceExhausted,
            Error::Random(_) | Error::TokenFile(_) => ErrorCode::Internal,
            Error::State(error) => error.code(),
        }
    }
}

impl From<Error> for wharf_http::ApiError {
    fn from(error: Error) -> wharf_http::ApiError {
        // The cause is for the operator's log; the caller learns that it is ours, not theirs.
        if let Some(cause) = std::error::Error::source(&error) {
            tracing::error!(%cause, "{error}");
        }
        wharf_http::ApiError::new(error.code(), error.to_string())
    }
}
