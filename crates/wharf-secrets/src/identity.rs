//! Private keys of people that open age files: ssh keys (with their passphrase) and age identity files.

use std::path::Path;
use std::sync::Arc;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{Callbacks, IdentityFile};
use zeroize::Zeroizing;

use crate::{Error, Recipient};

/// LIMIT: bytes of a key file.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// Asks a person for the passphrase of the named key; `None` when nobody can be asked.
pub type Ask = Arc<dyn Fn(&str) -> Option<Zeroizing<String>> + Send + Sync>;

/// Private keys to try, in order.
#[derive(Default)]
pub struct Identities {
    all: Vec<Box<dyn age::Identity>>,
    public: Vec<String>,
}

impl Identities {
    /// Adds the keys of a file. A passphrase is asked for when the key is needed, not before.
    ///
    /// Errors: `File`, and `Identity` for a file without a key that age can use.
    pub fn add(&mut self, path: &Path, ask: &Ask) -> Result<(), Error> {
        use std::io::Read as _;
        let file = std::fs::File::open(path).map_err(|error| Error::file("read", path, error))?;
        let mut text = Zeroizing::new(String::new());
        let read = file.take(KEY_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| Error::file("read", path, error))?;
        let wrong = |reason: String| Error::Identity { path: path.to_owned(), reason };
        let asker = Asker(Arc::clone(ask));
        if !text.contains("PRIVATE KEY-----") {
            let file = IdentityFile::from_buffer(text.as_bytes());
            let file = file.map_err(|error| wrong(error.to_string()))?.with_callbacks(asker);
            let mut public = Vec::new();
            if file.write_recipients_file(&mut public).is_err() {
                return Err(wrong("it is empty".to_owned()));
            }
            self.public.extend(String::from_utf8_lossy(&public).lines().map(str::to_owned));
            let identities = file.into_identities().map_err(|error| wrong(error.to_string()))?;
            self.all.extend(identities.into_iter().map(|one| one as Box<dyn age::Identity>));
            return Ok(());
        }
        let name = path.display().to_string();
        let key = age::ssh::Identity::from_buffer(text.as_bytes(), Some(name));
        let key = key.map_err(|error| wrong(error.to_string()))?;
        if let age::ssh::Identity::Unsupported(_) = key {
            return Err(wrong("this type of ssh key is not supported".to_owned()));
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".pub");
        if let Ok(public) = std::fs::read_to_string(Path::new(&beside)) {
            self.public.push(public.trim().to_owned());
        }
        self.all.push(Box::new(key.with_callbacks(asker)));
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The public halves that are known: of age identities, and of ssh keys with a `.pub` beside them.
    pub fn recipients(&self) -> impl Iterator<Item = Recipient> {
        self.public.iter().filter_map(|line| Recipient::parse(line).ok())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.all.iter().map(|one| &**one)
    }
}

/// Makes an age key: the text of its identity file, and its public half.
pub fn generate_identity() -> (Zeroizing<String>, String) {
    let identity = age::x25519::Identity::generate();
    let (secret, public) = (identity.to_string(), identity.to_public().to_string());
    (Zeroizing::new(format!("# public key: {public}\n{}\n", secret.expose_secret())), public)
}

#[derive(Clone)]
struct Asker(Ask);

impl Callbacks for Asker {
    fn display_message(&self, message: &str) {
        tracing::info!(message, "a key says");
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let passphrase = (self.0)(description)?;
        Some(SecretString::from(passphrase.as_str().to_owned()))
    }
}
