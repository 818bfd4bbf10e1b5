//! Secrets: who can read them, how they lie on disk, how containers get them, and that nobody prints them.
//!
//! - [`Document`]: the text inside of `secrets.age`, `NAME=value` lines.
//! - [`seal`] and [`open`]: age files (<https://age-encryption.org/v1>) for [`Recipients`], with [`Identities`].
//! - [`header`]: whose keys open an age file, without any key.
//! - [`Key`]: one machine's own private key.
//! - [`Vault`]: such a key, and values sealed to it ([`SealedValues`]); the server has one, every agent has one.
//! - [`Memory`]: values as files that never touch a disk, for containers to mount.
//! - [`Redactor`]: takes values out of whatever is about to be printed, stored or sent.
//!
//! What always holds: a [`Secret`] prints as `Secret(…)` and is wiped when it is dropped; nothing here writes a value
//! in clear but [`Memory`], which refuses a directory that is on a disk; error texts name names, never values.
//! Decision: docs/decisions/0019.

mod age_file;
mod document;
mod error;
mod files;
pub mod header;
mod identity;
mod key;
mod memory;
mod recipients;
mod redact;
mod sealed;
mod secret;
mod vault;

pub use age_file::{armour, open, seal};
pub use document::{Document, DocumentError, NAMES_MAX, TEXT_BYTES_MAX, VALUE_BYTES_MAX, is_name};
pub use error::Error;
pub use identity::{Ask, Identities, generate_identity};
pub use key::Key;
pub use memory::{Memory, default_directory, is_in_memory};
pub use recipients::{Recipient, Recipients};
pub use redact::{MARK, RedactedStream, Redactor, VALUE_BYTES_MIN};
pub use sealed::{SealedFiles, SealedValues};
pub use secret::{FINGERPRINT_LENGTH, Secret, is_fingerprint};
pub use vault::Vault;
