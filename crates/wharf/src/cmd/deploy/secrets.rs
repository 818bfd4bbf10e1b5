//! The secrets that a deploy takes along: the age file as it is, and the values of Compose's `file:` and `environment:`
//! secrets, encrypted for the server. No request has a value in clear.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use wharf_compose::project::{FileSource, Project};
use wharf_deploy::api::{SealedFile, SealedSecrets, SecretsRecipient};
use wharf_http::Client;
use wharf_model::SecretVariable;
use wharf_secrets::{Recipients, VALUE_BYTES_MAX, armour, seal};
use zeroize::Zeroizing;

use crate::failure::usage;

/// The age file that is taken along when none is named.
const FILE: &str = "secrets.age";

/// What is needed of the user's machine.
pub(super) struct Here<'a> {
    /// Of the Compose file.
    pub(super) directory: &'a Path,
    /// The age file that was named.
    pub(super) file: Option<&'a Path>,
    /// Variables, as `${…}` in the Compose file sees them.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Collects what `project` uses. Nothing is read, and the server not asked, where it uses none.
pub(super) async fn sealed(
    client: &Client,
    project: &Project,
    here: &Here<'_>,
) -> anyhow::Result<SealedSecrets> {
    let used = used(project);
    if used.is_empty() {
        if let Some(file) = here.file {
            eprintln!("warning: {} is not needed: no service uses a secret", file.display());
        }
        return Ok(SealedSecrets::default());
    }
    let file = age_file(here)?;
    let mut values = Vec::new();
    for (key, source) in project.secrets.iter().filter(|(key, _)| used.contains(*key)) {
        if let Some(value) = value(key, source, here, file.is_some())? {
            values.push((key.clone(), value));
        }
    }
    let mut sealed = SealedSecrets { file, ..SealedSecrets::default() };
    if values.is_empty() {
        return Ok(sealed);
    }
    let server: SecretsRecipient = client.get("/api/v1/secrets/recipient").await?;
    let recipients = Recipients::parse(&server.recipient)?;
    for (key, value) in values {
        sealed.given.insert(key, seal(&value, &recipients)?);
    }
    Ok(sealed)
}

fn used(project: &Project) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for service in project.services.values() {
        used.extend(service.secrets.iter().map(|mount| mount.source.clone()));
        let names = service.environment.values().flat_map(|value| SecretVariable::names(value));
        used.extend(names.map(str::to_owned));
    }
    used
}

fn age_file(here: &Here<'_>) -> anyhow::Result<Option<SealedFile>> {
    let default = here.directory.join(FILE);
    let path = here.file.unwrap_or(&default);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && here.file.is_none() => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let text = armour(&bytes).with_context(|| path.display().to_string())?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Some(SealedFile { name, text }))
}

/// The value that the Compose file leads to; `None` where it is somewhere else, or may be: an age file wins.
fn value(
    key: &str,
    source: &FileSource,
    here: &Here<'_>,
    has_age_file: bool,
) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    let value = if let Some(file) = &source.file {
        let path = here.directory.join(file);
        match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && has_age_file => None,
            Err(error) => {
                return Err(usage(format!(
                    "cannot read {} of the secret `{key}`: {error}\n  \
                     hint: the path is relative to the Compose file; or keep the value in secrets.age: \
                     `wharf secrets init`, `wharf secrets set {key}`",
                    path.display()
                )));
            }
        }
    } else if let Some(variable) = &source.environment {
        match (here.variable)(variable) {
            Some(value) => Some(value.into_bytes()),
            None if has_age_file => None,
            None => {
                return Err(usage(format!(
                    "the variable {variable} of the secret `{key}` is not set\n  \
                     hint: set it, or keep the value in secrets.age: `wharf secrets init`, `wharf secrets set {key}`"
                )));
            }
        }
    } else {
        None
    };
    if value.as_ref().is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
        return Err(usage(format!("the secret `{key}` is larger than {VALUE_BYTES_MAX} bytes")));
    }
    Ok(value.map(Zeroizing::new))
}
