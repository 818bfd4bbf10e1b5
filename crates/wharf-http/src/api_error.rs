//! The shape of every error answer: `{"error": {"code", "message", "hint"}}` with the code's HTTP status.

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::ErrorCode;

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiError {
    /// What kind.
    pub code: ErrorCode,
    /// What was tried and what went wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The JSON document around an [`ApiError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ApiError,
}

impl ApiError {
    /// An error with this code and message. A last line `hint: …` of the message becomes the hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        let mut message = message.into();
        let mut hint = None;
        if let Some(at) = message.rfind("\n  hint: ") {
            hint = Some(message[at + "\n  hint: ".len()..].to_owned());
            message.truncate(at);
        }
        ApiError { code, message, hint }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> ApiError {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status()).expect("codes map to valid statuses");
        if self.code == ErrorCode::Internal {
            tracing::error!(message = %self.message, "a request failed for an internal reason");
        }
        (status, Json(ErrorBody { error: self })).into_response()
    }
}

impl From<wharf_base::DigestError> for ApiError {
    fn from(error: wharf_base::DigestError) -> ApiError {
        ApiError::new(ErrorCode::InvalidArgument, error.to_string())
    }
}

impl From<crate::Error> for ApiError {
    fn from(error: crate::Error) -> ApiError {
        ApiError::new(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_in_the_message_is_taken_apart_and_printed_again() {
        let error = ApiError::new(ErrorCode::NotFound, "no such host `a`\n  hint: see wharf host ls");
        assert_eq!(error.hint.as_deref(), Some("see wharf host ls"));
        assert_eq!(error.to_string(), "no such host `a`\n  hint: see wharf host ls");
        assert_eq!(error.into_response().status(), 404);
    }
}
