//! The ways in which a lab fails.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wharf_base::ErrorCode;

/// Why the lab could not do it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages name the fields")]
pub enum Error {
    /// A setting is unusable.
    #[error("lab.{key} is `{value}`, expected {expected}")]
    Config { key: &'static str, value: String, expected: &'static str },
    /// Only root can make namespaces and mounts.
    #[error("a lab needs root; hint: run it with sudo")]
    NotRoot,
    /// A program is not installed.
    #[error("no command `{command}`; hint: apt-get install {package}")]
    MissingCommand { command: &'static str, package: &'static str },
    /// The kernel, or the container that this runs in, does not allow it.
    #[error(
        "this machine cannot make {what}: {reason}; hint: a lab needs a real or virtual machine, or a privileged container"
    )]
    Impossible { what: &'static str, reason: String },
    /// dockerd's overlay driver can't work there.
    #[error("{} is on an overlay filesystem, where dockerd cannot store images; hint: set lab.data_dir to a directory on ext4 or xfs", .dir.display())]
    DataOnOverlay { dir: PathBuf },
    /// The lab's directory is there, but no lab made it.
    #[error("{} exists and is not a lab's; hint: choose another lab.name or lab.run_dir", .dir.display())]
    NotOurs { dir: PathBuf },
    /// Another interface has an address in the lab's network.
    #[error(
        "network {network}.0/24 is in use by interface {interface}; hint: choose another with lab.network"
    )]
    NetworkTaken { network: String, interface: String },
    /// The lab runs with another network.
    #[error(
        "lab {name} runs in network {running}, not {asked}; hint: `wharf lab down` first, or use another lab.name"
    )]
    OtherNetwork { name: String, running: String, asked: String },
    /// More hosts than there are addresses.
    #[error("cannot make {asked} hosts, a lab has 1 to {}", crate::HOSTS_MAX)]
    HostCount { asked: u32 },
    /// The host was never made.
    #[error("there is no host {host}; hint: `wharf lab status` lists them")]
    NoSuchHost { host: String },
    /// The host is powered off.
    #[error("host {host} is not running; hint: `wharf lab start` boots it")]
    NotRunning { host: String },
    /// The host runs already.
    #[error("host {host} is running already")]
    AlreadyRunning { host: String },
    /// The host has no dockerd.
    #[error("host {host} was made without dockerd")]
    Bare { host: String },
    /// Another `wharf lab` works on this lab.
    #[error("another command is still at work on lab {name}, waited {waited:?}")]
    Busy { name: String, waited: Duration },
    /// A host's pid 1 ended while booting.
    #[error("host {host} ended while booting; the end of {}:\n{tail}", .log.display())]
    BootFailed { host: String, log: PathBuf, tail: String },
    /// A host's dockerd ended instead of answering.
    #[error("dockerd of host {host} ended; the end of {}:\n{tail}", .log.display())]
    DockerdEnded { host: String, log: PathBuf, tail: String },
    /// A host's dockerd or sshd did not answer in time.
    #[error("{service} of host {host} did not answer within {waited:?}; the end of {}:\n{tail}", .log.display())]
    NotReady { host: String, service: &'static str, waited: Duration, log: PathBuf, tail: String },
    /// A command failed.
    #[error("`{command}` failed: {stderr}")]
    Command { command: String, stderr: String },
    /// A system call failed.
    #[error("cannot {action} {}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// `down` could not remove everything.
    #[error("lab {name} is not wholly gone: {what} is left")]
    LeftBehind { name: String, what: String },
    /// pid 1 of a host was started by hand.
    #[error("lab-init {reason}; it is started by `wharf lab`, not by hand")]
    NotInit { reason: &'static str },
}

impl Error {
    /// The closed code that maps to HTTP and exit status.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Config { .. } | Error::HostCount { .. } | Error::NotInit { .. } => {
                ErrorCode::InvalidArgument
            }
            Error::NotRoot => ErrorCode::PermissionDenied,
            Error::MissingCommand { .. } | Error::Impossible { .. } | Error::DataOnOverlay { .. } => {
                ErrorCode::Unsupported
            }
            Error::NoSuchHost { .. } => ErrorCode::NotFound,
            Error::NotOurs { .. }
            | Error::NetworkTaken { .. }
            | Error::OtherNetwork { .. }
            | Error::NotRunning { .. }
            | Error::AlreadyRunning { .. }
            | Error::Bare { .. }
            | Error::Busy { .. } => ErrorCode::Conflict,
            Error::DockerdEnded { .. } => ErrorCode::Unavailable,
            Error::NotReady { .. } => ErrorCode::DeadlineExceeded,
            Error::BootFailed { .. }
            | Error::Command { .. }
            | Error::Io { .. }
            | Error::LeftBehind { .. } => ErrorCode::Internal,
        }
    }
}

/// Gives an I/O error its action and path.
pub(crate) trait At<T> {
    /// `cannot {action} {path}`.
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|error| Error::Io { action, path: path.as_ref().to_owned(), source: error.into() })
    }
}
