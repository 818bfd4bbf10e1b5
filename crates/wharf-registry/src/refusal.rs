//! Answers that say no, in the words of the distribution-spec ("Error codes").

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde_json::json;

/// Why a request is refused: the spec's codes, and two of docker/distribution's for what the spec has no word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    SizeInvalid,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unsupported,
}

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Code::BlobUnknown => "BLOB_UNKNOWN",
            Code::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Code::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Code::Denied => "DENIED",
            Code::DigestInvalid => "DIGEST_INVALID",
            Code::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Code::ManifestInvalid => "MANIFEST_INVALID",
            Code::ManifestUnknown => "MANIFEST_UNKNOWN",
            Code::NameInvalid => "NAME_INVALID",
            Code::NameUnknown => "NAME_UNKNOWN",
            Code::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Code::SizeInvalid => "SIZE_INVALID",
            Code::TooManyRequests => "TOOMANYREQUESTS",
            Code::Unauthorized => "UNAUTHORIZED",
            Code::Unavailable => "UNAVAILABLE",
            Code::Unsupported => "UNSUPPORTED",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Code::BlobUnknown | Code::BlobUploadUnknown | Code::ManifestUnknown | Code::NameUnknown => {
                StatusCode::NOT_FOUND
            }
            // The spec: a manifest whose children are missing is answered 404 or 400; distribution says 400.
            Code::ManifestBlobUnknown => StatusCode::BAD_REQUEST,
            Code::BlobUploadInvalid
            | Code::DigestInvalid
            | Code::ManifestInvalid
            | Code::NameInvalid
            | Code::PaginationNumberInvalid
            | Code::SizeInvalid => StatusCode::BAD_REQUEST,
            Code::Denied => StatusCode::FORBIDDEN,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Boxed: few have one, and a `Result` is as large as its larger half.
    pub(crate) detail: Option<Box<serde_json::Value>>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with the usual status of its code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { status: code.status(), code, message: message.into(), detail: None, headers: Vec::new() }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Refusal {
        self.status = status;
        self
    }

    pub(crate) fn with_detail(mut self, detail: serde_json::Value) -> Refusal {
        self.detail = Some(Box::new(detail));
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn unauthorized() -> Refusal {
        Refusal::new(
            Code::Unauthorized,
            "this registry needs a login\n  hint: docker login, with a token of wharf as the password",
        )
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"wharf\""))
    }

    pub(crate) fn method_not_allowed(allowed: &'static str) -> Refusal {
        Refusal::new(Code::Unsupported, format!("allowed methods are {allowed}"))
            .with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    fn internal(message: String) -> Refusal {
        Refusal::new(Code::Unavailable, message).with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn into_response(self) -> Response {
        let error = json!({ "code": self.code.as_str(), "message": self.message, "detail": self.detail });
        let body = json!({ "errors": [error] }).to_string();
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response
    }
}

impl From<wharf_disk::Error> for Refusal {
    fn from(error: wharf_disk::Error) -> Refusal {
        use wharf_disk::Error as Disk;
        let message = error.to_string();
        match error {
            _ if error.is_disk_full() => {
                Refusal::new(Code::Unavailable, message).with_status(StatusCode::INSUFFICIENT_STORAGE)
            }
            // The client may come back when others have ended theirs.
            Disk::TooManySessions { .. } => Refusal::new(Code::TooManyRequests, message)
                .with_header(RETRY_AFTER, HeaderValue::from_static("10")),
            Disk::SessionBusy => {
                Refusal::new(Code::BlobUploadInvalid, message).with_status(StatusCode::CONFLICT)
            }
            Disk::SessionUnknown => Refusal::new(Code::BlobUploadUnknown, message),
            Disk::DigestMismatch { .. } => Refusal::new(Code::DigestInvalid, message),
            Disk::Refused { .. } => Refusal::new(Code::Unavailable, message),
            // `DiskFull` was taken above.
            Disk::Io { .. }
            | Disk::Archive { .. }
            | Disk::Locked { .. }
            | Disk::Format { .. }
            | Disk::DiskFull { .. } => {
                tracing::error!(error = %message, "a request failed on the disk");
                Refusal::internal(message)
            }
        }
    }
}

impl From<wharf_state::Error> for Refusal {
    fn from(error: wharf_state::Error) -> Refusal {
        let message = error.to_string();
        tracing::error!(error = %message, "a request failed on the database");
        match error {
            wharf_state::Error::Full { .. }
            | wharf_state::Error::Busy(_)
            | wharf_state::Error::Commit(_)
            | wharf_state::Error::Closed => Refusal::new(Code::Unavailable, message),
            _ => Refusal::internal(message),
        }
    }
}
