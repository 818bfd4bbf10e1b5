//! Secrets of a deploy: from what came along, encrypted, to a reference for each one that the project uses.
//!
//! A request carries the application's age file as it is, and the values of Compose's `file:` and `environment:` secrets
//! encrypted for this server. Both are opened here, in memory. What goes on from here, into releases, plans and
//! generations, is a name and a fingerprint; the values go into the [`Vault`] once the deploy has begun.
//!
//! Which value a name has: a key of the top-level `secrets` means the entry of the age file that has its `name` (else its
//! key), else what its `file:` or `environment:` gave. Any other name means an entry of the age file.
//!
//! Limits: those of the age file and of a request; a name that nobody uses is not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wharf_compose::project::Project;
use wharf_model::{SecretRef, SecretVariable};
use wharf_secrets::{Document, Redactor, Secret, Vault, header};

use crate::Error;
use crate::api::{DeployRequest, SealedSecrets};
use crate::engine::Engine;
use crate::translate::TranslateError;

/// The secrets that a project uses, with their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    /// By the name that the project uses.
    pub(crate) refs: BTreeMap<String, SecretRef>,
    values: BTreeMap<String, Secret>,
}

impl Opened {
    /// Fingerprints of the values.
    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = &String> {
        self.values.keys()
    }
}

/// Opens what came with a request. From now on the values are taken out of everything that this process prints.
///
/// Errors: the age file is for others or damaged, a name that the project uses is nowhere.
pub(crate) async fn open(vault: &Arc<Vault>, request: &DeployRequest) -> Result<Opened, Error> {
    let used = used(&request.project);
    if used.is_empty() {
        return Ok(Opened::default());
    }
    let (vault, project, sealed) = (Arc::clone(vault), request.project.clone(), request.secrets.clone());
    let opening = tokio::task::spawn_blocking(move || open_all(&vault, &project, &sealed, &used));
    let opened = opening.await.map_err(|_| Error::Invalid("the server stops".to_owned()))?;
    let opened = opened.map_err(|error| match error {
        Error::Translate(error) => crate::check::located(error, &request.places).into(),
        other => other,
    })?;
    Redactor::process().add(opened.values.values());
    Ok(opened)
}

/// Keeps the values, sealed. Durable once it returns.
pub(crate) async fn keep(engine: &Engine, opened: Opened) -> Result<(), Error> {
    if opened.values.is_empty() {
        return Ok(());
    }
    let vault = Arc::clone(&engine.vault);
    let kept = tokio::task::spawn_blocking(move || {
        opened.values.iter().try_for_each(|(fingerprint, secret)| vault.put_as(fingerprint, secret))
    });
    Ok(kept.await.map_err(|_| Error::Invalid("the server stops".to_owned()))??)
}

/// Removes values that no kept release, no run and no generation names.
pub(crate) async fn prune(engine: &Engine) {
    let pruned = async {
        // No deploy begins meanwhile: it would find its values there, and then not.
        let _starting = engine.starting.lock().await;
        let mut needed: BTreeSet<String> = engine.store.secrets_in_use().await?.into_iter().collect();
        for run in engine.runs() {
            needed.extend(run.secrets.iter().cloned());
        }
        for desired in engine.hosts.generation().apps.values() {
            let refs = desired.instances.iter().flat_map(|one| one.spec.secret_refs());
            needed.extend(refs.map(|secret| secret.fingerprint.clone()));
        }
        let vault = Arc::clone(&engine.vault);
        let removed = tokio::task::spawn_blocking(move || vault.retain(&needed));
        Ok::<usize, Error>(removed.await.map_err(|_| Error::Invalid("the server stops".to_owned()))??)
    };
    match pruned.await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "secrets that no release uses any more were removed"),
        Err(error) => tracing::warn!(%error, "old secrets could not be removed"),
    }
}

/// Each name that the project uses, with the place of its first use.
pub(crate) fn used(project: &Project) -> BTreeMap<String, String> {
    let mut used = BTreeMap::new();
    for (key, service) in &project.services {
        for mount in &service.secrets {
            used.entry(mount.source.clone()).or_insert_with(|| format!("services.{key}.secrets"));
        }
        for (variable, value) in &service.environment {
            for name in SecretVariable::names(value) {
                let place = || format!("services.{key}.environment.{variable}");
                used.entry(name.to_owned()).or_insert_with(place);
            }
        }
    }
    used
}

fn open_all(
    vault: &Vault,
    project: &Project,
    sealed: &SealedSecrets,
    used: &BTreeMap<String, String>,
) -> Result<Opened, Error> {
    let document = sealed.file.as_ref().map(|file| read(vault, &file.name, &file.text)).transpose()?;
    let file_name = sealed.file.as_ref().map(|file| file.name.as_str());
    let mut opened = Opened::default();
    for (name, place) in used {
        let source = project.secrets.get(name);
        let entry = source.and_then(|source| source.name.as_ref()).unwrap_or(name);
        let in_file = document.as_ref().and_then(|document| document.get(entry)).map(Secret::from);
        let secret = match (in_file, sealed.given.get(name)) {
            (Some(secret), _) => secret,
            (None, Some(text)) => vault.open_file(text.as_bytes()).map_err(|error| Error::SecretsFile {
                file: format!("the value of the secret `{name}`"),
                reason: format!("{error}\n  hint: was it encrypted for another server? deploy again"),
            })?,
            (None, None) => return Err(missing(entry, place, source.is_some(), file_name).into()),
        };
        let reference = SecretRef { name: name.clone(), fingerprint: vault.fingerprint(&secret) };
        opened.values.insert(reference.fingerprint.clone(), secret);
        opened.refs.insert(name.clone(), reference);
    }
    Ok(opened)
}

/// The names and values of an age file, which `name` calls in errors.
fn read(vault: &Vault, name: &str, text: &str) -> Result<Document, Error> {
    let failed = |reason: String| Error::SecretsFile { file: name.chars().take(200).collect(), reason };
    let plain = vault.open_file(text.as_bytes()).map_err(|error| match error {
        wharf_secrets::Error::NoKey => failed(format!(
            "it is not encrypted for this server; it can be read with {}\n  \
             hint: `wharf secrets recipients add {}` adds the server's key and encrypts it anew",
            header::words(text.as_bytes()),
            vault.recipient()
        )),
        other => failed(other.to_string()),
    })?;
    let plain = plain.expose_text().ok_or_else(|| failed("what is inside is no text".to_owned()))?;
    Document::parse(plain).map_err(|error| failed(error.to_string()))
}

fn missing(entry: &str, place: &str, is_declared: bool, file: Option<&str>) -> TranslateError {
    let entry: String = entry.chars().take(128).collect();
    let message = match file {
        Some(file) => format!("the secret `{entry}` is not in {file}"),
        None => format!("there is no value for the secret `{entry}`: no secrets.age came along"),
    };
    let or_else = if is_declared { ", or give it `file:` or `environment:`" } else { "" };
    let before = if file.is_none() { "`wharf secrets init`, then " } else { "" };
    TranslateError::new(place, message, format!("{before}`wharf secrets set {entry}` puts it there{or_else}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SealedFile;
    use wharf_compose::project::{FileMount, FileSource, Service};
    use wharf_secrets::{Recipients, seal};

    fn project(secrets: &[&str], environment: &[(&str, &str)], declared: &[(&str, FileSource)]) -> Project {
        let mount = |name: &&str| FileMount {
            source: (*name).to_owned(),
            target: format!("/run/secrets/{name}"),
            ..FileMount::default()
        };
        let service = Service {
            secrets: secrets.iter().map(mount).collect(),
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Service::default()
        };
        Project {
            services: [("web".to_owned(), service)].into(),
            secrets: declared.iter().map(|(key, source)| ((*key).to_owned(), source.clone())).collect(),
            ..Project::default()
        }
    }

    fn for_vault(vault: &Vault, text: &str) -> String {
        seal(text.as_bytes(), &Recipients::parse(&vault.recipient()).unwrap()).unwrap()
    }

    fn file(text: String) -> Option<SealedFile> {
        Some(SealedFile { name: "secrets.age".to_owned(), text })
    }

    #[test]
    fn the_age_file_wins_and_names_lead_to_entries() {
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::open(directory.path()).unwrap();
        let external = FileSource { external: true, name: Some("DB_PASS".to_owned()), ..Default::default() };
        let plain = FileSource { file: Some("./key.txt".to_owned()), ..Default::default() };
        let project = project(
            &["db", "key", "cert"],
            &[("URL", "pg://u:${secret:DB_PASS}@db/${secret:db}"), ("PLAIN", "${secret:")],
            &[("db", external), ("key", plain.clone()), ("cert", plain)],
        );
        let sealed = SealedSecrets {
            file: file(for_vault(&vault, "DB_PASS=first value\nkey=of the file\nUNUSED=nobody\n")),
            given: [
                ("key".to_owned(), for_vault(&vault, "of the client")),
                ("cert".to_owned(), for_vault(&vault, "the certificate")),
            ]
            .into(),
        };
        let opened = open_all(&vault, &project, &sealed, &used(&project)).unwrap();
        let value = |name: &str| opened.values[&opened.refs[name].fingerprint].expose_text().unwrap();
        assert_eq!(
            (value("db"), value("DB_PASS"), value("key"), value("cert")),
            ("first value", "first value", "of the file", "the certificate")
        );
        assert_eq!(opened.refs.len(), 4, "what nobody uses is not kept");
        assert_eq!(opened.values.len(), 3, "equal values are kept once");
        assert!(!format!("{opened:?}").contains("value\""), "{opened:?}");
    }

    #[test]
    fn what_is_missing_or_for_others_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let [vault, other] = ["a", "b"].map(|name| Vault::open(&directory.path().join(name)).unwrap());
        let check = |project: &Project, sealed: &SealedSecrets, parts: &[&str]| {
            let error = open_all(&vault, project, sealed, &used(project)).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{part} in {error}");
            }
        };
        let simple = project(&[], &[("KEY", "${secret:API_KEY}")], &[]);
        let none = SealedSecrets::default();
        check(&simple, &none, &["services.web.environment.KEY", "no secrets.age came along", "secrets init"]);
        let empty = SealedSecrets { file: file(for_vault(&vault, "")), ..Default::default() };
        check(&simple, &empty, &["`API_KEY` is not in secrets.age", "wharf secrets set API_KEY"]);
        let foreign =
            SealedSecrets { file: file(for_vault(&other, "API_KEY=hunter2")), ..Default::default() };
        let hint = format!("recipients add {}", vault.recipient());
        check(&simple, &foreign, &["secrets.age", "not encrypted for this server", "1 age key", &hint]);
        let damaged = SealedSecrets { file: file("hello".to_owned()), ..Default::default() };
        check(&simple, &damaged, &["secrets.age", "not an age file"]);
        let broken = SealedSecrets { file: file(for_vault(&vault, "A=1\nhunter2")), ..Default::default() };
        check(&simple, &broken, &["secrets.age: line 2"]);
    }
}
