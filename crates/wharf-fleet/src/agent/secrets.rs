//! Secrets of the instances on this host: fetched from the server, kept sealed, placed in memory for containers to mount.
//!
//! A value comes once over the connection (mTLS, or inside of the process) and is kept sealed to this agent's own key in
//! `secrets/`, so a reboot without a server starts everything. As a file it is only in memory ([`Memory`]); the file's name
//! says value, owner and mode, so containers that want the same share it, and another value is another file.
//!
//! After a reboot the memory is empty. The Engine starts containers by itself and fails for those whose file is missing
//! (it does not make an empty one: we use its mount API, not `Binds`); each turn of the agent fills the memory first and
//! starts such containers then.
//!
//! What always holds: no value is in the desired state, a log, a report or a label; a value that no instance on this host
//! needs any more is removed from both places.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use http_body_util::{BodyExt as _, Limited};
use wharf_docker::bollard::models::{ContainerCreateBody, Mount, MountType};
use wharf_model::{ContainerSpec, HostReport, ImageState, InstanceState, SecretFile, SecretRef};
use wharf_secrets::{Memory, Redactor, Secret, VALUE_BYTES_MAX, Vault};

use super::link::Server;
use super::plan::Wanted;
use crate::Error;

/// The secrets of one agent.
#[derive(Clone)]
pub(crate) struct Secrets {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    memory_base: PathBuf,
    owner: String,
    // Both are made when the first instance with a secret comes: an agent without needs no rights to mount.
    vault: OnceLock<Vault>,
    memory: OnceLock<Memory>,
}

/// What one container gets.
#[derive(Default)]
pub(crate) struct Ready {
    files: Vec<(PathBuf, String)>,
    environment: Vec<String>,
}

impl Secrets {
    /// Secrets in `directory`, whose files go below `memory_base`, into a directory of this owner's.
    pub(crate) fn new(directory: PathBuf, memory_base: PathBuf, owner: String) -> Secrets {
        let (vault, memory) = (OnceLock::new(), OnceLock::new());
        Secrets { inner: Arc::new(Inner { directory, memory_base, owner, vault, memory }) }
    }

    /// Has everything that a container of this specification needs: fetches what is new and places the files.
    pub(crate) async fn ready(&self, spec: &ContainerSpec, server: Option<&Server>) -> Result<Ready, Error> {
        let needed: BTreeSet<SecretRef> = spec.secret_refs().cloned().collect();
        if needed.is_empty() {
            return Ok(Ready::default());
        }
        let mut values = BTreeMap::new();
        for secret in needed {
            let value = self.value(&secret, server).await?;
            values.insert(secret.fingerprint, value);
        }
        let (inner, spec) = (Arc::clone(&self.inner), spec.clone());
        crate::blocking(move || inner.place(&spec, &values)).await
    }

    /// Whether a file of the instance may be missing in memory.
    pub(crate) fn lacks(&self, spec: &ContainerSpec) -> bool {
        let memory = self.inner.memory.get();
        spec.secrets.iter().any(|file| memory.is_none_or(|memory| !memory.has(&file_name(file))))
    }

    /// Whether the Engine would not find a file of the instance, which an earlier process of this agent may have placed.
    pub(crate) async fn cannot_start(&self, spec: &ContainerSpec) -> bool {
        let directory = self.inner.memory_base.join(&self.inner.owner);
        let paths: Vec<PathBuf> = spec.secrets.iter().map(|file| directory.join(file_name(file))).collect();
        crate::blocking(move || paths.iter().any(|path| !path.exists())).await
    }

    /// Fills the memory with the values that are here. What is missing is fetched when its instance is made or started.
    pub(crate) async fn restore(&self, wanted: &[Wanted]) {
        let specs = wanted.iter().map(|one| &one.instance.spec).filter(|spec| !spec.secrets.is_empty());
        let files: Vec<SecretFile> = specs.flat_map(|spec| spec.secrets.iter().cloned()).collect();
        let inner = Arc::clone(&self.inner);
        let is_missing =
            |file: &SecretFile| inner.memory.get().is_none_or(|memory| !memory.has(&file_name(file)));
        let missing: Vec<SecretFile> = files.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            return;
        }
        crate::blocking(move || {
            for file in missing {
                let placed = inner.stored(&file.secret).and_then(|value| match value {
                    Some(value) => inner.place_file(&file, &value).map(drop),
                    None => Ok(()),
                });
                if let Err(error) = placed {
                    tracing::warn!(secret = file.secret.name, %error, "cannot place a secret in memory");
                }
            }
        })
        .await;
    }

    /// Removes what no wanted instance needs.
    pub(crate) async fn tidy(&self, wanted: &[Wanted]) {
        let inner = Arc::clone(&self.inner);
        if !inner.directory.exists() {
            return;
        }
        let specs = || wanted.iter().map(|one| &one.instance.spec);
        let values: BTreeSet<String> =
            specs().flat_map(ContainerSpec::secret_refs).map(|secret| secret.fingerprint.clone()).collect();
        let files: BTreeSet<String> = specs().flat_map(|spec| &spec.secrets).map(file_name).collect();
        crate::blocking(move || {
            let removed = inner.vault().and_then(|vault| Ok(vault.retain(&values)?));
            if let Err(error) = removed {
                tracing::warn!(%error, "cannot remove secrets that nobody needs");
            }
            // Also what an earlier process of this agent has left there.
            if inner.memory_base.join(&inner.owner).exists()
                && let Ok(memory) = inner.memory()
            {
                memory.retain(&files);
            }
        })
        .await;
    }

    async fn value(&self, secret: &SecretRef, server: Option<&Server>) -> Result<Secret, Error> {
        let (inner, wanted) = (Arc::clone(&self.inner), secret.clone());
        if let Some(value) = crate::blocking(move || inner.stored(&wanted)).await? {
            return Ok(value);
        }
        let server = server.ok_or(Error::Offline)?;
        let value = fetch(server, secret).await?;
        Redactor::process().add([&value]);
        let (inner, fingerprint, kept) = (Arc::clone(&self.inner), secret.fingerprint.clone(), value.clone());
        crate::blocking(move || Ok::<_, Error>(inner.vault()?.put_as(&fingerprint, &kept)?)).await?;
        Ok(value)
    }
}

impl Inner {
    fn vault(&self) -> Result<&Vault, Error> {
        if let Some(vault) = self.vault.get() {
            return Ok(vault);
        }
        let vault = Vault::open(&self.directory)?;
        // Containers that run print what they like: their values are known from the start.
        Redactor::process().add(&vault.all());
        Ok(self.vault.get_or_init(|| vault))
    }

    fn memory(&self) -> Result<&Memory, Error> {
        if let Some(memory) = self.memory.get() {
            return Ok(memory);
        }
        let memory = Memory::open(&self.memory_base, &self.owner)?;
        Ok(self.memory.get_or_init(|| memory))
    }

    fn stored(&self, secret: &SecretRef) -> Result<Option<Secret>, Error> {
        Ok(self.vault()?.get(&secret.fingerprint)?)
    }

    fn place(&self, spec: &ContainerSpec, values: &BTreeMap<String, Secret>) -> Result<Ready, Error> {
        let mut ready = Ready::default();
        for file in &spec.secrets {
            let path = self.place_file(file, &values[&file.secret.fingerprint])?;
            ready.files.push((path, file.target.clone()));
        }
        for (name, variable) in &spec.secret_environment {
            let text = |secret: &SecretRef| Some(values[&secret.fingerprint].expose_text()?.to_owned());
            let value = variable.resolve(text).ok_or_else(|| {
                Error::Invalid(format!("the variable {name} can't hold a secret that is no text"))
            })?;
            ready.environment.push(format!("{name}={value}"));
        }
        Ok(ready)
    }

    fn place_file(&self, file: &SecretFile, value: &Secret) -> Result<PathBuf, Error> {
        Ok(self.memory()?.place(&file_name(file), value, (file.uid, file.gid), file.mode)?)
    }
}

impl Ready {
    /// Mounts the files and sets the variables.
    pub(crate) fn add_to(self, body: &mut ContainerCreateBody) {
        let mounts = self.files.into_iter().map(|(path, target)| Mount {
            target: Some(target),
            source: Some(path.to_string_lossy().into_owned()),
            typ: Some(MountType::BIND),
            read_only: Some(true),
            ..Default::default()
        });
        let host_config = body.host_config.get_or_insert_default();
        host_config.mounts.get_or_insert_default().extend(mounts);
        body.env.get_or_insert_default().extend(self.environment);
    }
}

/// Value, owner and mode; what wants the same is the same file.
fn file_name(file: &SecretFile) -> String {
    let number = |id: Option<u32>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    format!("{}.{}.{}.{:o}", file.secret.fingerprint, number(file.uid), number(file.gid), file.mode)
}

async fn fetch(server: &Server, secret: &SecretRef) -> Result<Secret, Error> {
    let body = server.body(&format!("/agent/v1/secrets/{}", secret.fingerprint)).await?;
    let wrong = |reason: String| Error::Form { what: format!("the secret `{}`", secret.name), reason };
    let body =
        Limited::new(body, VALUE_BYTES_MAX).collect().await.map_err(|error| wrong(error.to_string()))?;
    Ok(Secret::new(body.to_bytes().to_vec()))
}

/// Takes values out of everything that a report says in words: a container's last lines, reasons of the Engine's.
pub(crate) fn clean(report: &mut HostReport) {
    let redactor = Redactor::process();
    if let Some(problem) = &mut report.problem {
        redactor.clean(problem);
    }
    for image in &mut report.images {
        if let ImageState::Failed { reason } = &mut image.state {
            redactor.clean(reason);
        }
    }
    for instance in &mut report.instances {
        match &mut instance.state {
            InstanceState::Unhealthy { reason } | InstanceState::Failed { reason } => redactor.clean(reason),
            InstanceState::Waiting
            | InstanceState::Pulling
            | InstanceState::Starting
            | InstanceState::Healthy
            | InstanceState::Stopping
            | InstanceState::Exited { .. } => {}
        }
        instance.log_tail.iter_mut().for_each(|line| redactor.clean(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::SecretVariable;

    fn secret(name: &str, fingerprint: &str) -> SecretRef {
        SecretRef { name: name.to_owned(), fingerprint: fingerprint.repeat(32) }
    }

    fn spec() -> ContainerSpec {
        let file = |name: &str, fingerprint: &str, mode| SecretFile {
            secret: secret(name, fingerprint),
            target: format!("/run/secrets/{name}"),
            uid: None,
            gid: None,
            mode,
        };
        let template = format!("db://u:{}@h", SecretVariable::placeholder("b"));
        let variable = SecretVariable { template, secrets: vec![secret("b", "b")] };
        ContainerSpec {
            secrets: vec![file("a", "a", 0o444), file("again", "a", 0o400)],
            secret_environment: [("DB".to_owned(), variable)].into(),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_placed_without_a_server_and_removed_when_unwanted() {
        let directory = tempfile::tempdir().unwrap();
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let at = || {
            let (kept, base) = (directory.path().join("secrets"), memory.path().join("secrets"));
            Secrets::new(kept, base, "me".to_owned())
        };
        let offline = at().ready(&spec(), None).await.err().unwrap();
        assert!(matches!(offline, Error::Offline), "{offline}");
        let secrets = at();
        let vault = secrets.inner.vault().unwrap();
        vault.put_as(&"a".repeat(32), &"value of a".into()).unwrap();
        vault.put_as(&"b".repeat(32), &"value of b".into()).unwrap();

        let ready = at().ready(&spec(), None).await.unwrap();
        let mut body = ContainerCreateBody::default();
        ready.add_to(&mut body);
        assert_eq!(body.env.unwrap(), ["DB=db://u:value of b@h"]);
        let mounts = body.host_config.unwrap().mounts.unwrap();
        let sources: BTreeSet<&String> = mounts.iter().filter_map(|mount| mount.source.as_ref()).collect();
        assert_eq!((mounts.len(), sources.len()), (2, 2), "another mode is another file");
        assert!(sources.iter().all(|path| std::fs::read(path).unwrap() == b"value of a"));
        assert!(mounts.iter().all(|mount| mount.read_only == Some(true)));

        // The machine was restarted: what is in memory is gone.
        std::fs::remove_dir_all(memory.path().join("secrets/me")).unwrap();
        let again = at();
        let mut instance = crate::testing::instance("shop", "web", 1, 1);
        instance.spec = spec();
        let wanted = Wanted { app: "shop".parse().unwrap(), instance, hash: String::new() };
        again.restore(std::slice::from_ref(&wanted)).await;
        assert!(sources.iter().all(|path| std::fs::read(path).unwrap() == b"value of a"));

        again.tidy(&[wanted]).await;
        assert!(again.inner.stored(&secret("a", "a")).unwrap().is_some());
        again.tidy(&[]).await;
        assert!(again.inner.stored(&secret("a", "a")).unwrap().is_none());
        assert!(sources.iter().all(|path| std::fs::metadata(path).is_err()));
    }
}
