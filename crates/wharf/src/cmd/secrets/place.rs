//! Where an application's secrets are: the encrypted file, the public keys beside it, the private keys at hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use wharf_secrets::{Ask, Document, Identities, Recipient, Recipients, header, open, seal};

use super::prompt;
use crate::context;
use crate::failure::usage;

/// One file with its surroundings.
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) recipients_file: PathBuf,
    identities: Vec<PathBuf>,
}

impl Place {
    pub(super) fn new(file: PathBuf, identities: Vec<PathBuf>) -> Place {
        Place { recipients_file: file.with_extension("recipients"), file, identities }
    }

    /// The encrypted bytes.
    pub(super) fn sealed(&self) -> anyhow::Result<Vec<u8>> {
        std::fs::read(&self.file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => usage(format!(
                "there is no {}\n  hint: `wharf secrets init` makes one; --file names another",
                self.file.display()
            )),
            _ => anyhow::anyhow!("cannot read {}: {error}", self.file.display()),
        })
    }

    /// Opens the file with the first key that fits.
    pub(super) fn open(&self) -> anyhow::Result<Document> {
        let sealed = self.sealed()?;
        let identities = self.private_keys()?;
        let plain = open(&sealed, &identities).map_err(|error| match error {
            wharf_secrets::Error::NoKey => anyhow::anyhow!(
                "none of your keys opens {}; it can be read with {}\n  \
                 hint: name another key with --identity, or have somebody who can read it run \
                 `wharf secrets recipients add` with your public key",
                self.file.display(),
                header::words(&sealed)
            ),
            other => anyhow::anyhow!("cannot open {}: {other}", self.file.display()),
        })?;
        let text = plain
            .expose_text()
            .with_context(|| format!("what is inside of {} is no text", self.file.display()))?;
        Document::parse(text).with_context(|| self.file.display().to_string())
    }

    /// Encrypts for all recipients and replaces the file. Returns how many they are.
    pub(super) fn save(&self, document: &Document) -> anyhow::Result<usize> {
        self.save_for(document, &self.recipients()?)
    }

    pub(super) fn save_for(&self, document: &Document, recipients: &Recipients) -> anyhow::Result<usize> {
        let sealed = seal(document.text().as_bytes(), recipients)?;
        write(&self.file, sealed.as_bytes())?;
        Ok(recipients.iter().count())
    }

    /// The public keys of the file beside it.
    pub(super) fn recipients(&self) -> anyhow::Result<Recipients> {
        let path = &self.recipients_file;
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => usage(format!(
                "there is no {}, so nobody is known to encrypt for\n  \
                 hint: write the public keys into it, one a line; `wharf secrets init` begins both files",
                path.display()
            )),
            _ => anyhow::anyhow!("cannot read {}: {error}", path.display()),
        })?;
        Recipients::parse(&text).with_context(|| path.display().to_string())
    }

    pub(super) fn save_recipients(&self, recipients: &Recipients) -> anyhow::Result<()> {
        write(&self.recipients_file, recipients.text().as_bytes())
    }

    /// The keys that were named, all of which must be fine; else those of the user that can be used.
    pub(super) fn private_keys(&self) -> anyhow::Result<Identities> {
        let ask: Ask = Arc::new(|key| prompt::hidden(&format!("Passphrase of {key}: ")).ok());
        let mut identities = Identities::default();
        if !self.identities.is_empty() {
            for path in &self.identities {
                identities.add(path, &ask)?;
            }
            return Ok(identities);
        }
        for path in usual_identities().iter().filter(|path| path.exists()) {
            if let Err(error) = identities.add(path, &ask) {
                tracing::debug!(%error, "a key is not used");
            }
        }
        if identities.is_empty() {
            return Err(usage(
                "you have no key that opens age files\n  \
                 hint: an ssh key of type ed25519 or rsa does (--identity FILE), or make one with `wharf secrets keygen`",
            ));
        }
        Ok(identities)
    }

    /// The public halves of the user's own keys.
    pub(super) fn own_public_keys(&self) -> Vec<Recipient> {
        self.private_keys().map(|keys| keys.recipients().collect()).unwrap_or_default()
    }
}

/// A public key, or those of a file.
pub(super) fn public_keys(text: &str) -> anyhow::Result<Vec<Recipient>> {
    let expanded = match (text.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    };
    if expanded.is_file() {
        let content = std::fs::read_to_string(&expanded)
            .with_context(|| format!("cannot read {}", expanded.display()))?;
        let all =
            Recipients::parse(&content).map_err(|error| usage(format!("{}: {error}", expanded.display())))?;
        return Ok(all.iter().cloned().collect());
    }
    Ok(vec![Recipient::parse(text).map_err(|error| usage(error.to_string()))?])
}

/// Where `wharf secrets keygen` writes.
pub(super) fn own_identity() -> anyhow::Result<PathBuf> {
    Ok(context::login_path()?.with_file_name("identity"))
}

fn usual_identities() -> Vec<PathBuf> {
    let ssh = home().map(|home| home.join(".ssh"));
    let ssh = ssh.iter().flat_map(|ssh| ["id_ed25519", "id_rsa"].map(|name| ssh.join(name)));
    ssh.chain(own_identity().ok()).collect()
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    wharf_disk::atomic::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
