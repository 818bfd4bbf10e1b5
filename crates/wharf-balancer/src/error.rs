//! The ways in which the balancer can fail as a part. What happens to one request is in `proxy::failure`.

use std::net::SocketAddr;
use std::path::PathBuf;

use wharf_base::ErrorCode;

/// Why the balancer can't start, or refuses a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("`{key}`: {problem}")]
    Config {
        /// Key in wharf.yaml.
        key: String,
        /// What is wrong and what to write.
        problem: String,
    },
    /// A table is wrong; it is refused whole and the one before stays in use.
    #[error("cannot use table {version}: {place}: {problem}")]
    Table {
        /// Its version.
        version: u64,
        /// Route and target.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// An address can't be opened.
    #[error("cannot listen on {address}{holder}; hint: set balancer.http to a free address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `: process 12 (nginx) holds it`, or empty.
        holder: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A name of a target from wharf.yaml has no address.
    #[error("cannot resolve `{name}` of {key}; hint: write an address, or check /etc/hosts and DNS")]
    Resolve {
        /// Key in wharf.yaml.
        key: String,
        /// Host and port.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The access log can't be opened.
    #[error("cannot open the access log {path}")]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread or its runtime can't be started.
    #[error("cannot start {what}")]
    Start {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The directory of the balancer can't be made.
    #[error("cannot keep the last table")]
    Disk(#[from] wharf_disk::Error),
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Config { .. } | Error::Table { .. } => ErrorCode::InvalidArgument,
            Error::Listen { .. } | Error::Resolve { .. } => ErrorCode::Unavailable,
            Error::AccessLog { .. } | Error::Start { .. } => ErrorCode::Internal,
            Error::Disk(error) => error.code(),
        }
    }
}
