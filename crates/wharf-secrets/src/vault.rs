//! One machine's own key, and values that are kept sealed to it.
//!
//! ```text
//! <directory>/            0700
//!   identity              0600  the private key, an age identity file; made at the first start
//!   values/<fingerprint>  0600  one value, an age file that this key alone opens
//! ```
//!
//! The server's vault holds the values that its releases refer to; an agent's those that its containers need, so that
//! they start after a reboot without a server. Servers that share a state keep the sealed values there, and the key in a
//! file of each ([`Vault::new`]). Whoever has both the key and the values reads them: the seal keeps values out of the
//! database, of its backups, of disk images, of `grep`, and of every file but one.
//!
//! A fingerprint is a keyed hash of a value: equal values have equal fingerprints on one server, and nobody without its
//! key can find out by trying whether a value is `hunter2`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::secret::is_fingerprint;
use crate::{Error, Key, SealedFiles, SealedValues, Secret, files};

/// A key and the values that are sealed to it. Calls may block their thread.
pub struct Vault {
    key: Key,
    values: Box<dyn SealedValues>,
}

impl Vault {
    /// Opens `directory`, or makes it with a new key.
    ///
    /// Errors: the disk, and `Identity` when the key can't be read. A key is never replaced: what is sealed to it would
    /// be lost.
    pub fn open(directory: &Path) -> Result<Vault, Error> {
        files::make_directory(directory)?;
        let values = SealedFiles::open(&directory.join("values"))?;
        Ok(Vault::new(Key::read_or_make(&directory.join("identity"))?, Box::new(values)))
    }

    /// A key, and values that lie elsewhere.
    pub fn new(key: Key, values: Box<dyn SealedValues>) -> Vault {
        Vault { key, values }
    }

    /// Its key, for what else is sealed to it.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The public key, `age1…`: what others encrypt for.
    pub fn recipient(&self) -> String {
        self.key.recipient()
    }

    /// Opens an age file that somebody encrypted for this machine.
    ///
    /// Errors: `NoKey` when it is for others, `Damaged`, `TooLarge`.
    pub fn open_file(&self, file: &[u8]) -> Result<Secret, Error> {
        self.key.open(file)
    }

    /// The keyed hash of a value: 32 hexadecimal digits.
    pub fn fingerprint(&self, secret: &Secret) -> String {
        self.key.fingerprint(secret)
    }

    /// Stores a value, sealed, and returns its fingerprint. Durable once it returns.
    pub fn put(&self, secret: &Secret) -> Result<String, Error> {
        let fingerprint = self.fingerprint(secret);
        self.put_as(&fingerprint, secret)?;
        Ok(fingerprint)
    }

    /// Stores a value under a fingerprint that another machine gave it. Durable once it returns.
    pub fn put_as(&self, fingerprint: &str, secret: &Secret) -> Result<(), Error> {
        checked(fingerprint)?;
        self.values.write(fingerprint, self.key.seal(secret.expose())?.as_bytes())
    }

    /// The value with this fingerprint, if it is here.
    ///
    /// Errors: the disk, `Damaged`, `NoKey` when the key has been replaced by hand.
    pub fn get(&self, fingerprint: &str) -> Result<Option<Secret>, Error> {
        let Some(sealed) = self.values.read(checked(fingerprint)?)? else { return Ok(None) };
        self.open_file(&sealed).map(Some)
    }

    /// Every value that can be opened, for a redactor. One that can't is told in the log and left out.
    pub fn all(&self) -> Vec<Secret> {
        let names = self.values.list().unwrap_or_else(|error| {
            tracing::warn!(%error, "the stored secrets can't be listed");
            Vec::new()
        });
        let open = |name: String| match self.get(&name) {
            Ok(secret) => secret,
            Err(error) => {
                tracing::warn!(fingerprint = name, %error, "a stored secret can't be opened");
                None
            }
        };
        names.into_iter().filter_map(open).collect()
    }

    /// Whether a value is here.
    pub fn has(&self, fingerprint: &str) -> bool {
        is_fingerprint(fingerprint) && self.values.read(fingerprint).is_ok_and(|sealed| sealed.is_some())
    }

    /// Removes the values whose fingerprint is not in `kept`. Returns how many.
    pub fn retain(&self, kept: &BTreeSet<String>) -> Result<usize, Error> {
        let mut gone = self.values.list()?;
        gone.retain(|name| !kept.contains(name));
        if !gone.is_empty() {
            self.values.remove(&gone)?;
        }
        Ok(gone.len())
    }
}

/// A fingerprint names files, so anything else is refused before it gets near a path.
fn checked(fingerprint: &str) -> Result<&str, Error> {
    if !is_fingerprint(fingerprint) {
        return Err(Error::Damaged("a fingerprint has another form".to_owned()));
    }
    Ok(fingerprint)
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
}
