//! What can go wrong with secrets.

use std::path::{Path, PathBuf};

use wharf_base::ErrorCode;

use crate::document::DocumentError;

/// An error of this crate. No text of it holds a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no age file, or were cut or changed.
    #[error("it is not an age file, or it is damaged: {0}")]
    Damaged(String),
    /// None of the keys at hand opens the file.
    #[error("none of the keys at hand opens it")]
    NoKey,
    /// A key's passphrase is wrong or was not given.
    #[error("the passphrase of the key is wrong, or was not given")]
    Passphrase,
    /// The text inside is wrong.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A line is no recipient.
    #[error(
        "`{text}` is no recipient: {reason}\n  hint: an ssh-ed25519 or ssh-rsa public key, or an age1… key"
    )]
    Recipient {
        /// The beginning of it.
        text: String,
        /// Why.
        reason: String,
    },
    /// Nobody could read what is encrypted.
    #[error("there is no recipient to encrypt for\n  hint: `wharf secrets recipients add KEY`")]
    NoRecipients,
    /// A file holds no key that can open age files.
    #[error(
        "{path} holds no key that opens age files: {reason}\n  hint: an ssh key of type ed25519 or rsa, or an age identity; name it with --identity"
    )]
    Identity {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file or directory.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// A verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no memory to put values into.
    #[error(
        "secrets need a directory in memory, and {path} can't be one: {reason}\n  hint: run the agent as root, or set agent.secrets to a directory on a tmpfs"
    )]
    NoMemory {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What keeps the sealed values refuses.
    #[error("{reason}")]
    Store {
        /// Its own words.
        reason: String,
        /// Its own code.
        code: ErrorCode,
    },
    /// Something is larger than allowed.
    #[error("{what} is larger than {max} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// The limit.
        max: usize,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::File { doing, path: path.to_owned(), source }
    }

    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Damaged(_) | Error::NoKey | Error::Passphrase | Error::Document(_) => {
                ErrorCode::InvalidArgument
            }
            Error::Recipient { .. } | Error::NoRecipients | Error::Identity { .. } => {
                ErrorCode::InvalidArgument
            }
            Error::TooLarge { .. } => ErrorCode::TooLarge,
            Error::Store { code, .. } => *code,
            Error::NoMemory { .. } => ErrorCode::Unsupported,
            Error::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                ErrorCode::ResourceExhausted
            }
            Error::File { .. } => ErrorCode::Internal,
        }
    }
}
