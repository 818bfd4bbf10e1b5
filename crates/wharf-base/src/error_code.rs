//! The closed list of ways in which a request can fail.
//!
//! Each subsystem's `Error` maps its variants to one of these in `fn code()`; the mapping to HTTP status and exit
//! status is here and nowhere else.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a request failed, as a client may act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The caller's input is wrong; the same call can't succeed.
    InvalidArgument,
    /// No valid credentials were given.
    Unauthenticated,
    /// The credentials are valid but don't allow this.
    PermissionDenied,
    /// The thing that was named does not exist.
    NotFound,
    /// The thing exists already.
    AlreadyExists,
    /// The state of the world refuses this now (another deploy runs, the plan is stale).
    Conflict,
    /// The input exceeds a stated limit.
    TooLarge,
    /// A bound is full; the same call may succeed later.
    ResourceExhausted,
    /// A part or a peer can't be reached now.
    Unavailable,
    /// The work was not done in the time that was given.
    DeadlineExceeded,
    /// The caller or an operator ended it.
    Cancelled,
    /// This build or this peer can't do it.
    Unsupported,
    /// A defect or a broken machine: somebody has to look.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of declaration.
    pub const ALL: [ErrorCode; 13] = [
        ErrorCode::InvalidArgument,
        ErrorCode::Unauthenticated,
        ErrorCode::PermissionDenied,
        ErrorCode::NotFound,
        ErrorCode::AlreadyExists,
        ErrorCode::Conflict,
        ErrorCode::TooLarge,
        ErrorCode::ResourceExhausted,
        ErrorCode::Unavailable,
        ErrorCode::DeadlineExceeded,
        ErrorCode::Cancelled,
        ErrorCode::Unsupported,
        ErrorCode::Internal,
    ];

    /// The HTTP status (RFC 9110) that answers a request that failed so.
    pub fn http_status(self) -> u16 {
        match self {
            ErrorCode::InvalidArgument => 400,
            ErrorCode::Unauthenticated => 401,
            ErrorCode::PermissionDenied => 403,
            ErrorCode::NotFound => 404,
            ErrorCode::AlreadyExists | ErrorCode::Conflict => 409,
            ErrorCode::TooLarge => 413,
            ErrorCode::ResourceExhausted => 429,
            ErrorCode::Cancelled => 499,
            ErrorCode::Internal => 500,
            ErrorCode::Unsupported => 501,
            ErrorCode::Unavailable => 503,
            ErrorCode::DeadlineExceeded => 504,
        }
    }

    /// The exit status of a command that failed so: 2 for wrong usage, 1 for everything else.
    pub fn exit_status(self) -> u8 {
        match self {
            ErrorCode::InvalidArgument => 2,
            _ => 1,
        }
    }

    /// The word that stands for the code in JSON, for example `not_found`.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::InvalidArgument => "invalid_argument",
            ErrorCode::Unauthenticated => "unauthenticated",
            ErrorCode::PermissionDenied => "permission_denied",
            ErrorCode::NotFound => "not_found",
            ErrorCode::AlreadyExists => "already_exists",
            ErrorCode::Conflict => "conflict",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::ResourceExhausted => "resource_exhausted",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::DeadlineExceeded => "deadline_exceeded",
            ErrorCode::Cancelled => "cancelled",
            ErrorCode::Unsupported => "unsupported",
            ErrorCode::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_http_error_and_reads_as_its_json_word() {
        for code in ErrorCode::ALL {
            assert!((400..600).contains(&code.http_status()), "{code}");
            assert!(code.exit_status() == 1 || code.exit_status() == 2, "{code}");
        }
    }
}
