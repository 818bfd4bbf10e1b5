//! One machine's own private key, as an age identity file (0600): made at the first start, never replaced.
//!
//! The file is what `age-keygen` writes, so it can be made and looked at with that as well.

use std::path::Path;

use age::secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::age_file::{open_with, seal_for};
use crate::files;
use crate::identity::generate_identity;
use crate::secret::FINGERPRINT_LENGTH;
use crate::{Error, Secret};

/// What the fingerprint's key is derived for; another text would give every value another fingerprint.
const FINGERPRINT_CONTEXT: &str = "wharf secrets 2026 fingerprint of a value";

/// A private key: seals, opens, and gives values their fingerprints.
pub struct Key {
    identity: age::x25519::Identity,
    fingerprint_key: Zeroizing<[u8; 32]>,
}

impl Key {
    /// Reads the key; `None` if there is no such file.
    ///
    /// Errors: the disk, and `Identity` when there is no key in it.
    pub fn read(path: &Path) -> Result<Option<Key>, Error> {
        let Some(bytes) = files::read(path)? else { return Ok(None) };
        parse(path, &Zeroizing::new(bytes)).map(|identity| Some(Key::of(identity)))
    }

    /// Reads the key, or makes one. A file without a key in it is never replaced: what is sealed to it would be lost.
    ///
    /// Errors: as above.
    pub fn read_or_make(path: &Path) -> Result<Key, Error> {
        if let Some(key) = Key::read(path)? {
            return Ok(key);
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            files::make_directory(parent)?;
        }
        let (text, _) = generate_identity();
        files::write(path, text.as_bytes())?;
        parse(path, text.as_bytes()).map(Key::of)
    }

    fn of(identity: age::x25519::Identity) -> Key {
        let text = identity.to_string();
        let key = blake3::derive_key(FINGERPRINT_CONTEXT, text.expose_secret().as_bytes());
        Key { identity, fingerprint_key: Zeroizing::new(key) }
    }

    /// The public half, `age1…`: what others encrypt for.
    pub fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// Encrypts for this key alone: armoured text.
    ///
    /// Errors: `TooLarge`.
    pub fn seal(&self, plain: &[u8]) -> Result<String, Error> {
        let recipient = self.identity.to_public();
        seal_for(plain, std::iter::once(&recipient as &dyn age::Recipient))
    }

    /// Opens an age file that was encrypted for this key.
    ///
    /// Errors: `NoKey` when it is for others, `Damaged`, `TooLarge`.
    pub fn open(&self, file: &[u8]) -> Result<Secret, Error> {
        open_with(file, std::iter::once(&self.identity as &dyn age::Identity))
    }

    /// The keyed hash of a value: 32 hexadecimal digits.
    pub fn fingerprint(&self, secret: &Secret) -> String {
        let hash = blake3::keyed_hash(&self.fingerprint_key, secret.expose());
        hash.to_hex()[..FINGERPRINT_LENGTH].to_owned()
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<age::x25519::Identity, Error> {
    let wrong = |reason: &str| Error::Identity { path: path.to_owned(), reason: reason.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or_else(|| wrong("it is empty"))?;
    line.parse().map_err(|_| wrong("it is no age identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_one_that_cannot_be_read_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/identity");
        assert!(Key::read(&path).unwrap().is_none());
        let made = Key::read_or_make(&path).unwrap();
        let again = Key::read_or_make(&path).unwrap();
        assert_eq!(made.recipient(), again.recipient());
        let sealed = made.seal(b"hunter2").unwrap();
        assert_eq!(again.open(sealed.as_bytes()).unwrap(), Secret::from("hunter2"));
        std::fs::write(&path, "rubbish\n").unwrap();
        assert!(matches!(Key::read(&path), Err(Error::Identity { .. })));
        assert!(matches!(Key::read_or_make(&path), Err(Error::Identity { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"rubbish\n");
    }
}
