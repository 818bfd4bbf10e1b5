//! What can go wrong between us and an Engine.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use wharf_base::ErrorCode;

/// A call to the Engine failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answers at the socket.
    #[error("cannot reach the Docker Engine at unix://{}: {source}; hint: {}", .socket.display(), unreachable_hint(.source))]
    Unreachable {
        /// Path of the socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It answered before and does not now.
    #[error("cannot {doing}: the Docker Engine does not answer ({source}); hint: {}", unreachable_hint(.source))]
    Gone {
        /// What was tried, as a verb with its object.
        doing: String,
        /// Why not.
        source: io::Error,
    },
    /// Only local sockets are spoken to.
    #[error("`{0}` is not the address of a local Docker Engine; hint: write a path or unix:///path")]
    Address(String),
    /// The Engine is too old.
    #[error("the Docker Engine at unix://{} speaks API {found}; hint: Wharf needs 1.41 (Engine 20.10) or newer", .socket.display())]
    TooOld {
        /// Path of the socket.
        socket: PathBuf,
        /// Newest API version that it speaks.
        found: String,
    },
    /// The Engine did not answer in time.
    #[error("cannot {doing}: no answer from the Docker Engine within {}", wharf_base::duration::format(*.after))]
    TimedOut {
        /// What was tried, as a verb with its object.
        doing: String,
        /// The time that it had.
        after: Duration,
    },
    /// The Engine answered that it won't.
    #[error("cannot {doing}: {message}")]
    Refused {
        /// What was tried, as a verb with its object.
        doing: String,
        /// HTTP status of the answer.
        status: u16,
        /// The Engine's words.
        message: String,
    },
    /// The connection broke, or what came over it made no sense.
    #[error("cannot {doing}: the Docker Engine's answer broke off or makes no sense")]
    Broken {
        /// What was tried, as a verb with its object.
        doing: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A build ran and failed.
    #[error("the build failed{}: {message}", .step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default())]
    BuildFailed {
        /// The instruction that failed, `[2/3] RUN make`, where the Engine says which.
        step: Option<String>,
        /// The Engine's words.
        message: String,
        /// The last lines that the step printed, at most [`crate::build::TAIL_LINES`].
        tail: Vec<String>,
    },
    /// A push ran and failed.
    #[error("cannot push {reference}: {message}")]
    PushFailed {
        /// What was pushed.
        reference: String,
        /// The Engine's or the registry's words.
        message: String,
    },
    /// A file of ours can't be read or written.
    #[error("cannot {doing} {}", .path.display())]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A registry address or image reference has the wrong form.
    #[error("`{0}` is not a valid {1}")]
    Malformed(String, &'static str),
}

impl Error {
    /// Turns an error of bollard's into ours. `doing` is a verb with its object: `create container shop-web-r1-1`.
    pub fn api(doing: impl Into<String>, error: BollardError) -> Error {
        let doing = doing.into();
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                Error::Refused { doing, status: status_code, message: with_hint(tidy(&message)) }
            }
            BollardError::DockerStreamError { error } => {
                Error::Refused { doing, status: 500, message: with_hint(tidy(&error)) }
            }
            BollardError::RequestTimeoutError => {
                Error::TimedOut { doing, after: crate::engine::CALL_TIMEOUT }
            }
            BollardError::SocketNotFoundError(socket) => Error::Unreachable {
                socket: socket.into(),
                source: io::Error::new(io::ErrorKind::NotFound, "no such socket"),
            },
            BollardError::HyperLegacyError { err } if err.is_connect() => {
                Error::Gone { doing, source: io_cause(&err) }
            }
            other => Error::Broken { doing, source: Box::new(other) },
        }
    }

    /// The HTTP status with which the Engine refused, if it did: 404 no such thing, 409 in the way of another.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Unreachable { .. } | Error::Gone { .. } | Error::Broken { .. } => ErrorCode::Unavailable,
            Error::TimedOut { .. } => ErrorCode::DeadlineExceeded,
            Error::Address(_) | Error::Malformed(..) => ErrorCode::InvalidArgument,
            Error::TooOld { .. } => ErrorCode::Unsupported,
            Error::BuildFailed { .. } => ErrorCode::InvalidArgument,
            Error::PushFailed { message, .. } => match is_login_failure(message) {
                true => ErrorCode::Unauthenticated,
                false => ErrorCode::Unavailable,
            },
            Error::File { .. } => ErrorCode::Internal,
            Error::Refused { status, .. } => match status {
                400 => ErrorCode::InvalidArgument,
                401 => ErrorCode::Unauthenticated,
                403 => ErrorCode::PermissionDenied,
                404 => ErrorCode::NotFound,
                409 => ErrorCode::Conflict,
                501 => ErrorCode::Unsupported,
                503 => ErrorCode::Unavailable,
                _ => ErrorCode::Internal,
            },
        }
    }

    pub(crate) fn broken(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Broken { doing: doing.into(), source: source.into() }
    }
}

/// The stream has words only. Sources: distribution `errcode` ("unauthorized: authentication required"), moby
/// `distribution/errors.go` ("no basic auth credentials").
fn is_login_failure(message: &str) -> bool {
    ["unauthorized", "no basic auth credentials"].iter().any(|words| message.contains(words))
}

/// The system's error at the bottom of a chain of errors.
fn io_cause(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let kind = causes.filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind).last();
    kind.unwrap_or(io::ErrorKind::NotConnected).into()
}

fn unreachable_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "run as root or as a member of the group docker",
        _ => "is dockerd running? try `docker info`",
    }
}

/// Adds what to do where the Engine's words don't lead there.
fn with_hint(message: String) -> String {
    // strerror(ENOSPC) and strerror(EDQUOT).
    let is_full =
        ["no space left on device", "disk quota exceeded"].iter().any(|words| message.contains(words));
    match is_full {
        true => format!(
            "{message}\n  hint: the disk of that host's Engine is full: `docker system df` there shows what takes the space, \
             `docker image prune -a` removes images that no container uses; then deploy again"
        ),
        false => message,
    }
}

/// Takes the wrapping of several layers off the Engine's words; keeps them on one line of at most 2 KiB.
pub(crate) fn tidy(message: &str) -> String {
    // "failed to solve with frontend dockerfile.v0: … rpc error: code = Unknown desc = X": only X tells anything.
    let inner = message.rsplit_once("desc = ").map_or(message, |(_, inner)| inner);
    let one_line = inner.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(2048) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_engine_is_named_with_a_hint() {
        let error = Error::Unreachable {
            socket: "/var/run/docker.sock".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        assert_eq!(
            error.to_string(),
            "cannot reach the Docker Engine at unix:///var/run/docker.sock: permission denied; \
             hint: run as root or as a member of the group docker"
        );
        assert_eq!(error.code(), ErrorCode::Unavailable);
    }

    #[test]
    fn a_full_disk_comes_with_what_to_do() {
        let error = Error::api(
            "pull a:1",
            BollardError::DockerStreamError {
                error: "write /var/lib/docker/tmp/x: no space left on device".to_owned(),
            },
        );
        let text = error.to_string();
        assert!(
            text.starts_with(
                "cannot pull a:1: write /var/lib/docker/tmp/x: no space left on device\n  hint: "
            ),
            "{text}"
        );
        let other = Error::api("pull a:1", BollardError::DockerStreamError { error: "not found".to_owned() });
        assert_eq!(other.to_string(), "cannot pull a:1: not found");
    }

    #[test]
    fn wrapping_of_grpc_layers_is_taken_off() {
        let message = "failed to solve with frontend dockerfile.v0: failed to build LLB: rpc error: code = Unknown \
                       desc = executor failed running [/sh -c false]:\n exit code: 1";
        assert_eq!(tidy(message), "executor failed running [/sh -c false]: exit code: 1");
    }
}
