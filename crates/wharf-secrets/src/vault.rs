//! One machine's own key, and values that lie on its disk sealed to it.
//!
//! ```text
//! <directory>/            0700
//!   identity              0600  the private key, an age identity file; made at the first start
//!   values/<fingerprint>  0600  one value, an age file that this key alone opens
//! ```
//!
//! The server's vault holds the values that its releases refer to; an agent's those that its containers need, so that
//! they start after a reboot without a server. Whoever has both the key and the values reads them: the seal keeps
//! values out of backups of the database, of disk images, of `grep`, and of every file but one.
//!
//! A fingerprint is a keyed hash of a value: equal values have equal fingerprints on one server, and nobody without its
//! key can find out by trying whether a value is `hunter2`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::age_file::{open_with, seal_for};
use crate::files;
use crate::identity::generate_identity;
use crate::secret::{FINGERPRINT_LENGTH, is_fingerprint};
use crate::{Error, Secret};

/// What the fingerprint's key is derived for; another text would give every value another fingerprint.
const FINGERPRINT_CONTEXT: &str = "wharf secrets 2026 fingerprint of a value";

/// A machine's key and its sealed values.
pub struct Vault {
    values: PathBuf,
    identity: age::x25519::Identity,
    fingerprint_key: Zeroizing<[u8; 32]>,
}

impl Vault {
    /// Opens `directory`, or makes it with a new key.
    ///
    /// Errors: the disk, and `Identity` when the key can't be read. A key is never replaced: what is sealed to it would
    /// be lost.
    pub fn open(directory: &Path) -> Result<Vault, Error> {
        let values = directory.join("values");
        for made in [directory, &values] {
            files::make_directory(made)?;
        }
        let path = directory.join("identity");
        let identity = match files::read(&path)? {
            Some(bytes) => read_identity(&path, &Zeroizing::new(bytes))?,
            None => make_identity(&path)?,
        };
        let text = identity.to_string();
        let key = blake3::derive_key(FINGERPRINT_CONTEXT, text.expose_secret().as_bytes());
        Ok(Vault { values, identity, fingerprint_key: Zeroizing::new(key) })
    }

    /// The public key, `age1…`: what others encrypt for.
    pub fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// Opens an age file that somebody encrypted for this machine.
    ///
    /// Errors: `NoKey` when it is for others, `Damaged`, `TooLarge`.
    pub fn open_file(&self, file: &[u8]) -> Result<Secret, Error> {
        open_with(file, std::iter::once(&self.identity as &dyn age::Identity))
    }

    /// The keyed hash of a value: 32 hexadecimal digits.
    pub fn fingerprint(&self, secret: &Secret) -> String {
        let hash = blake3::keyed_hash(&self.fingerprint_key, secret.expose());
        hash.to_hex()[..FINGERPRINT_LENGTH].to_owned()
    }

    /// Stores a value, sealed, and returns its fingerprint. Durable once it returns.
    pub fn put(&self, secret: &Secret) -> Result<String, Error> {
        let fingerprint = self.fingerprint(secret);
        self.put_as(&fingerprint, secret)?;
        Ok(fingerprint)
    }

    /// Stores a value under a fingerprint that another machine gave it. Durable once it returns.
    pub fn put_as(&self, fingerprint: &str, secret: &Secret) -> Result<(), Error> {
        let path = self.path(fingerprint)?;
        if path.exists() {
            return Ok(());
        }
        let recipient = self.identity.to_public();
        let sealed = seal_for(secret.expose(), std::iter::once(&recipient as &dyn age::Recipient))?;
        files::write(&path, sealed.as_bytes())
    }

    /// The value with this fingerprint, if it is here.
    ///
    /// Errors: the disk, `Damaged`, `NoKey` when the key has been replaced by hand.
    pub fn get(&self, fingerprint: &str) -> Result<Option<Secret>, Error> {
        let Some(sealed) = files::read(&self.path(fingerprint)?)? else { return Ok(None) };
        self.open_file(&sealed).map(Some)
    }

    /// Every value that can be opened, for a redactor. One that can't is told in the log and left out.
    pub fn all(&self) -> Vec<Secret> {
        let names =
            std::fs::read_dir(&self.values).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok()).filter(|name| is_fingerprint(name));
        let open = |name: String| match self.get(&name) {
            Ok(secret) => secret,
            Err(error) => {
                tracing::warn!(fingerprint = name, %error, "a stored secret can't be opened");
                None
            }
        };
        names.filter_map(open).collect()
    }

    /// Whether a value is here.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.path(fingerprint).is_ok_and(|path| path.exists())
    }

    /// Removes the values whose fingerprint is not in `kept`. Returns how many.
    pub fn retain(&self, kept: &BTreeSet<String>) -> Result<usize, Error> {
        let list =
            std::fs::read_dir(&self.values).map_err(|error| Error::file("list", &self.values, error))?;
        let mut removed = 0;
        for entry in list {
            let entry = entry.map_err(|error| Error::file("list", &self.values, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_fingerprint(&name) && !kept.contains(&name) {
                files::remove(&entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn path(&self, fingerprint: &str) -> Result<PathBuf, Error> {
        if !is_fingerprint(fingerprint) {
            return Err(Error::Damaged("a fingerprint has another form".to_owned()));
        }
        Ok(self.values.join(fingerprint))
    }
}

fn read_identity(path: &Path, bytes: &[u8]) -> Result<age::x25519::Identity, Error> {
    let wrong = |reason: &str| Error::Identity { path: path.to_owned(), reason: reason.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or_else(|| wrong("it is empty"))?;
    line.parse().map_err(|_| wrong("it is no age identity"))
}

fn make_identity(path: &Path) -> Result<age::x25519::Identity, Error> {
    let (text, _) = generate_identity();
    files::write(path, text.as_bytes())?;
    read_identity(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_after_a_restart_and_lie_on_the_disk_sealed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        let vault = Vault::open(&path).unwrap();
        let secret = Secret::from("correct horse battery staple");
        let fingerprint = vault.put(&secret).unwrap();
        assert_eq!(vault.put(&secret).unwrap(), fingerprint);
        let again = Vault::open(&path).unwrap();
        assert_eq!(again.recipient(), vault.recipient());
        assert_eq!(again.get(&fingerprint).unwrap().as_ref(), Some(&secret));
        assert_eq!(again.all(), vec![secret.clone()]);
        assert_eq!(again.fingerprint(&secret), fingerprint);
        let sealed = std::fs::read(path.join("values").join(&fingerprint)).unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"correct"));
        use std::os::unix::fs::PermissionsExt as _;
        for (name, mode) in [("identity", 0o600), ("values", 0o700), (".", 0o700)] {
            let metadata = std::fs::metadata(path.join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn fingerprints_differ_by_value_and_by_machine() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = ("a", "b");
        let [one, other] = [one, other].map(|name| Vault::open(&directory.path().join(name)).unwrap());
        let [a, b] = ["a", "b"].map(Secret::from);
        assert_ne!(one.fingerprint(&a), one.fingerprint(&b));
        assert_ne!(one.fingerprint(&a), other.fingerprint(&a), "nobody without the key can try values");
        let fingerprint = one.put(&a).unwrap();
        other.put_as(&fingerprint, &a).unwrap();
        assert_eq!(other.get(&fingerprint).unwrap(), Some(a));
    }

    #[test]
    fn what_is_not_kept_goes_and_bad_names_reach_no_path() {
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::open(directory.path()).unwrap();
        let (kept, gone) = (vault.put(&"kept".into()).unwrap(), vault.put(&"gone".into()).unwrap());
        assert_eq!(vault.retain(&BTreeSet::from([kept.clone()])).unwrap(), 1);
        assert!(vault.has(&kept) && !vault.has(&gone));
        assert_eq!(vault.get(&gone).unwrap(), None);
        assert!(vault.get("../identity").is_err() && !vault.has("../identity"));
    }

    #[test]
    fn a_key_that_cannot_be_read_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("identity"), "rubbish\n").unwrap();
        assert!(matches!(Vault::open(directory.path()), Err(Error::Identity { .. })));
        assert_eq!(std::fs::read(directory.path().join("identity")).unwrap(), b"rubbish\n");
    }
}
