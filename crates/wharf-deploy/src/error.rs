//! What can go wrong when somebody asks for a deploy.

use wharf_base::{Digest, ErrorCode, UnixMillis};
use wharf_model::Name;
use wharf_model::ports::PortError;

use crate::plan::PlanError;
use crate::translate::TranslateError;

/// A request to this part failed. What fails *within* a deploy is in its record, not here.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields say what their variant's sentence says")]
pub enum Error {
    /// Something in the request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The project can't be carried out.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// Secrets that came along can't be read; what is told of them holds no value.
    #[error("{file}: {reason}")]
    SecretsFile { file: String, reason: String },
    /// A value can't be kept or read.
    #[error(transparent)]
    Secrets(#[from] wharf_secrets::Error),
    /// No plan can be made now.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Another deploy of the application runs.
    #[error(
        "{app} is busy: {what} {deploy} by {by} runs since {since}\n  hint: wait for it, or end it with `wharf deploy abort {deploy}`"
    )]
    Busy { app: Name, deploy: u64, what: String, by: String, since: UnixMillis },
    /// A saved plan is not what would be done now.
    #[error(
        "{app} is not deployed, because the world has moved since the plan was made:\n  - {}\n  hint: look at a new plan: `wharf plan`",
        moved.join("\n  - ")
    )]
    Moved { app: Name, moved: Vec<String> },
    /// There is no such application.
    #[error("there is no application `{0}`\n  hint: `wharf ps` lists them; `wharf deploy` makes one")]
    UnknownApp(Name),
    /// No release of the application has ever served, so there is nothing to change.
    #[error("{0} has no release that serves\n  hint: deploy it again, or remove it with `wharf rm {0}`")]
    NothingServes(Name),
    /// A release can't be gone back to, because its deploy failed.
    #[error(
        "release {release} of {app} has never served: its deploy did not succeed\n  hint: `wharf releases` lists those that have, `wharf deploy` makes a new one"
    )]
    NeverServed { app: Name, release: u32 },
    /// A release can't be gone back to, because its images were removed.
    #[error(
        "the images of release {release} of {app} are gone: those of the newest {kept} releases are kept (deploy.keep_releases)\n  hint: `wharf releases` shows to which `wharf rollback` leads; for an older state deploy its files again"
    )]
    ImagesGone { app: Name, release: u32, kept: u32 },
    /// The application has no such service.
    #[error("{app} has no service `{service}`\n  hint: {hint}")]
    UnknownService { app: Name, service: String, hint: String },
    /// Nothing of a service runs that could be asked.
    #[error("{0}")]
    NotRunning(String),
    /// There is no such release.
    #[error("{app} has no release {release}\n  hint: `wharf releases` lists those that are kept")]
    UnknownRelease { app: Name, release: u32 },
    /// There is no release before the active one.
    #[error(
        "{0} has no release before this one to roll back to\n  hint: `wharf releases` lists those that are kept"
    )]
    NoPrevious(Name),
    /// There is no such deploy.
    #[error("there is no deploy {0}")]
    UnknownDeploy(u64),
    /// The deploy has ended.
    #[error("deploy {0} has ended already")]
    Ended(u64),
    /// Requests go to the new release already.
    #[error(
        "deploy {0} can't be ended any more: requests go to the new release\n  hint: use `wharf rollback`"
    )]
    TooLate(u64),
    /// An upload is larger than allowed.
    #[error("the upload is larger than {max} bytes\n  hint: see .dockerignore, or raise deploy.{key}")]
    UploadTooLarge { max: u64, key: &'static str },
    /// The upload broke off.
    #[error("the upload broke off: {0}")]
    UploadBroken(String),
    /// No such upload.
    #[error(
        "{what}: the upload {digest} is not here\n  hint: deploy with the wharf command, which uploads first"
    )]
    UploadMissing { what: String, digest: Digest },
    /// A file of an upload can't be read or written.
    #[error("cannot {what} in the uploads directory")]
    Io {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// Another part refused.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The database refused.
    #[error(transparent)]
    State(#[from] wharf_state::Error),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] wharf_disk::Error),
    /// A stored record can't be read.
    #[error("the stored {what} can't be read: {message}")]
    Stored { what: &'static str, message: String },
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Invalid(_)
            | Error::Translate(_)
            | Error::UploadMissing { .. }
            | Error::SecretsFile { .. } => ErrorCode::InvalidArgument,
            Error::Secrets(error) => error.code(),
            Error::Plan(_) | Error::Busy { .. } | Error::NoPrevious(_) => ErrorCode::Conflict,
            Error::NothingServes(_)
            | Error::NeverServed { .. }
            | Error::ImagesGone { .. }
            | Error::NotRunning(_) => ErrorCode::Conflict,
            Error::Ended(_) | Error::TooLate(_) | Error::Moved { .. } => ErrorCode::Conflict,
            Error::UnknownApp(_)
            | Error::UnknownService { .. }
            | Error::UnknownRelease { .. }
            | Error::UnknownDeploy(_) => ErrorCode::NotFound,
            Error::UploadTooLarge { key: "uploads_bytes_max", .. } => ErrorCode::ResourceExhausted,
            Error::UploadTooLarge { .. } => ErrorCode::TooLarge,
            Error::UploadBroken(_) => ErrorCode::Cancelled,
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                ErrorCode::ResourceExhausted
            }
            Error::Io { .. } | Error::Stored { .. } => ErrorCode::Internal,
            Error::Port(error) => error.code,
            Error::State(error) => error.code(),
            Error::Disk(error) => error.code(),
        }
    }
}

impl From<Error> for wharf_http::ApiError {
    fn from(error: Error) -> wharf_http::ApiError {
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            message.push_str(&format!(": {source}"));
        }
        wharf_http::ApiError::new(error.code(), message)
    }
}
