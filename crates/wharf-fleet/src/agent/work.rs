//! Does the steps of one unit on the Engine. Every step looks first, or takes "already so" for an answer, so that a unit
//! that was cut can be done again from its start.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wharf_base::power_loss;
use wharf_docker::bollard::errors::Error as BollardError;
use wharf_docker::bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use wharf_docker::bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptions, RenameContainerOptions, StartContainerOptions,
    StopContainerOptions,
};
use wharf_docker::{Engine, Error as DockerError};
use wharf_model::{AppDesired, MountSource, Name};

use super::create::{self, Body, Place};
use super::drift::settings;
use super::gates::Gates;
use super::link::Server;
use super::plan::{Step, Unit, Wanted};
use super::pulled::Pulled;
use super::secrets::{Ready, Secrets};
use super::{explain, files, made, pull};
use crate::{Error, RegistryAccount, unknown};

/// Longest time for one stop; the container's own grace is what usually ends it.
const STOP_TIMEOUT: Duration = Duration::from_secs(3_600);

/// What all units share.
pub(crate) struct Workshop {
    pub(crate) owner: String,
    pub(crate) host: Name,
    pub(crate) published: Option<IpAddr>,
    pub(crate) account: Option<RegistryAccount>,
    pub(crate) files: PathBuf,
    pub(crate) secrets: Secrets,
    pub(crate) server: watch::Receiver<Option<Server>>,
    pub(crate) pulled: Pulled,
    /// Networks, volumes, files and images, which instances share, are made by one unit at a time.
    pub(crate) gates: Gates,
    /// One-off containers by id: what they use is not tidied away.
    pub(crate) runs: Mutex<BTreeMap<String, Wanted>>,
}

impl Workshop {
    /// `wanted`, and what one-off containers are.
    pub(crate) fn with_runs(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        let runs = self.runs.lock().expect("no holder panics");
        wanted.iter().chain(runs.values()).cloned().collect()
    }
}

/// One unit's work.
pub(crate) struct Job {
    pub(crate) shop: Arc<Workshop>,
    pub(crate) engine: Engine,
    pub(crate) unit: Unit,
    /// The instance and its application; `None` for a removal.
    pub(crate) wanted: Option<(Wanted, AppDesired)>,
    /// What the instance asks for and this version does not know: then it is not made.
    pub(crate) unknown: Option<String>,
    /// The containers that it uses, by service.
    pub(crate) shares: BTreeMap<Name, String>,
    /// The instance is no longer wanted so: ends a pull, nothing else.
    pub(crate) cancelled: CancellationToken,
}

/// What the unit does now, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Queued,
    Pulling,
    Starting,
    Stopping,
}

/// How a unit ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Cancelled,
    Failed(String),
}

impl Job {
    /// Does all steps; `tell` hears of each change of phase.
    pub(crate) async fn run(self, mut tell: impl FnMut(Phase)) -> Outcome {
        if let Some(member) = self.unknown.as_ref().filter(|_| self.unit.steps.contains(&Step::Create)) {
            // Before anything is stopped for it.
            return Outcome::Failed(unknown::refusal(member, &self.shop.host));
        }
        let mut files = HashMap::new();
        let mut created = None;
        for step in &self.unit.steps {
            tell(phase(step));
            power_loss(|| format!("agent {} begins", step.word()));
            let done = async {
                match step {
                    Step::Network(name) => made::network(&self, name).await,
                    Step::Volume(name) => made::volume(&self, name).await,
                    Step::Files(digest) => {
                        files.extend(self.files(digest).await?);
                        Ok(())
                    }
                    Step::Secrets => self.secrets().await.map(drop),
                    Step::Pull(image) => {
                        let _gate = self.shop.gates.pass(&format!("image {image}")).await;
                        let account = self.shop.account.as_ref();
                        let spec = &self.wanted()?.0.instance.spec;
                        let wish =
                            pull::Wish { platform: spec.platform.as_deref(), policy: spec.pull_policy };
                        pull::ensure(&self.engine, image, wish, account, &self.shop.pulled).await
                    }
                    Step::Stop(id) => self.stop(id).await,
                    Step::Remove(id) => self.remove(id).await,
                    Step::Create => {
                        created = Some(self.create(&files).await?);
                        Ok(())
                    }
                    Step::Connect(id, network) => self.connect(id, network).await,
                    Step::Rename(id) => self.rename(id).await,
                    Step::Update(id) => self.update(id).await,
                    Step::Unpause(id) => self.unpause(id).await,
                    Step::Start(id) => match id.as_ref().or(created.as_ref()) {
                        Some(id) => self.start(id).await,
                        None => Ok(()),
                    },
                }
            };
            let result = if matches!(step, Step::Pull(_) | Step::Files(_) | Step::Secrets) {
                tokio::select! {
                    result = done => result,
                    () = self.cancelled.cancelled() => return Outcome::Cancelled,
                }
            } else {
                done.await
            };
            if let Err(error) = result {
                return Outcome::Failed(explain::failure(&self.engine, error.to_string()).await);
            }
            power_loss(|| format!("agent {} done", step.word()));
        }
        Outcome::Done
    }

    pub(super) fn wanted(&self) -> Result<&(Wanted, AppDesired), Error> {
        self.wanted
            .as_ref()
            .ok_or_else(|| Error::Invalid(format!("`{}` is not desired any more", self.unit.instance)))
    }

    /// What is mounted of a bundle: it itself, and the copies of its file that belong to somebody.
    pub(super) async fn files(&self, digest: &str) -> Result<Vec<(String, PathBuf)>, Error> {
        let (wanted, app) = self.wanted()?;
        let bundle = app.files.iter().find(|bundle| bundle.digest.as_str() == digest);
        let bundle = bundle.ok_or_else(|| Error::NoSuchFiles(digest.to_owned()))?;
        let gate = self.shop.gates.pass(&format!("files {digest}")).await;
        let server = self.shop.server.borrow().clone();
        let path = files::ensure(&self.shop.files, bundle, server.as_ref(), gate).await?;
        let source = MountSource::Files(digest.to_owned());
        let mounts = wanted.instance.spec.mounts.iter().filter(|mount| mount.source == source);
        let mut all = vec![(digest.to_owned(), path.clone())];
        for owner in mounts.filter_map(|mount| mount.options.owner) {
            if !bundle.is_file {
                let what = format!("the files {digest} are a directory, which can't be given to one owner");
                return Err(Error::Invalid(what));
            }
            let key = files::key(digest, Some(owner));
            let _gate = self.shop.gates.pass(&format!("files {key}")).await;
            let (directory, file, name) = (self.shop.files.clone(), path.clone(), key.clone());
            let copy = crate::blocking(move || files::ensure_owned(&directory, &file, &name, owner)).await?;
            all.push((key, copy));
        }
        Ok(all)
    }

    /// The secrets of the unit's instance, in their place.
    async fn secrets(&self) -> Result<Ready, Error> {
        let (wanted, _) = self.wanted()?;
        let server = self.shop.server.borrow().clone();
        self.shop.secrets.ready(&wanted.instance.spec, server.as_ref()).await
    }

    async fn create(&self, files: &HashMap<String, PathBuf>) -> Result<String, Error> {
        self.create_as(files, create::body).await
    }

    /// Makes the unit's container; `form` says in the Engine's words what it is.
    pub(super) async fn create_as(
        &self,
        files: &HashMap<String, PathBuf>,
        form: impl FnOnce(&Wanted, &Place<'_>) -> Body,
    ) -> Result<String, Error> {
        let (wanted, _) = self.wanted()?;
        let spec = &wanted.instance.spec;
        let api = self.engine.api_minor();
        if let Some(reason) = create::too_new(spec, api) {
            return Err(Error::Invalid(reason));
        }
        made::host_paths(spec).await?;
        let subpaths = made::subpaths(&self.engine, spec).await?;
        let shop = &self.shop;
        let place = Place {
            owner: &shop.owner,
            host: &shop.host,
            published: shop.published,
            files,
            shares: &self.shares,
            subpaths: &subpaths,
            api,
        };
        let name = create::container_name(wanted);
        let mut body = form(wanted, &place);
        body.add(self.secrets().await?);
        match self.engine.create_container(name, spec.platform.as_deref(), &body).await {
            Ok(id) => Ok(id),
            Err(error) if error.status() == Some(409) => Err(Error::Invalid(format!(
                "{error}\n  hint: another container, not made by this agent, has the name; remove it with `docker rm -f {name}`"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// Connects what creation could not, then starts.
    pub(super) async fn start(&self, id: &str) -> Result<(), Error> {
        let (wanted, _) = self.wanted()?;
        for network in wanted.instance.spec.networks.iter().skip(1) {
            self.connect(id, &network.network).await?;
        }
        if self.shop.secrets.lacks(&wanted.instance.spec) {
            match self.secrets().await {
                Err(Error::Offline) if !self.shop.secrets.cannot_start(&wanted.instance.spec).await => {}
                placed => drop(placed?),
            }
        }
        let doing = format!("start container {}", create::container_name(wanted));
        let docker = self.engine.docker();
        let Err(error) = docker.start_container(id, None::<StartContainerOptions>).await else {
            return Ok(());
        };
        let error = DockerError::api(&doing, error);
        match error.status() {
            Some(304) => Ok(()),
            // A network of it was removed: one of the same name is another one to the Engine until the container joins it.
            Some(404) if !wanted.instance.spec.networks.is_empty() => {
                self.rejoin(id).await?;
                let started = docker.start_container(id, None::<StartContainerOptions>).await;
                started.or_else(|error| unless(&[304], &doing, error))
            }
            _ => Err(error.into()),
        }
    }

    /// Makes the container's networks if they are missing, and has it leave and join each.
    async fn rejoin(&self, id: &str) -> Result<(), Error> {
        let (wanted, _) = self.wanted()?;
        for network in &wanted.instance.spec.networks {
            made::network(self, &network.network).await?;
            let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(true) };
            let doing = format!("disconnect {} from network {}", self.unit.instance, network.network);
            if let Err(error) = self.engine.docker().disconnect_network(&network.network, request).await {
                // 403: it is not connected.
                unless(&[403, 404], &doing, error)?;
            }
            self.connect(id, &network.network).await?;
        }
        Ok(())
    }

    async fn connect(&self, id: &str, network: &str) -> Result<(), Error> {
        let (wanted, _) = self.wanted()?;
        let spec = &wanted.instance.spec;
        let part = spec.networks.iter().find(|one| one.network == network);
        let request = NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: part.map(|part| create::endpoint(part, &spec.links)),
        };
        let doing = format!("connect {} to network {network}", self.unit.instance);
        match self.engine.docker().connect_network(network, request).await {
            Ok(()) => Ok(()),
            // 403: it is connected already.
            Err(error) => unless(&[403, 409], &doing, error),
        }
    }

    async fn rename(&self, id: &str) -> Result<(), Error> {
        let name = create::container_name(&self.wanted()?.0);
        let options = RenameContainerOptions { name: name.to_owned() };
        let renamed = self.engine.docker().rename_container(id, options).await;
        renamed.map_err(|error| {
            let error = DockerError::api(format!("rename {id} back to {name}"), error);
            match error.status() {
                Some(409) => Error::Invalid(format!(
                    "{error}\n  hint: another container has the name now; remove it with `docker rm -f {name}`"
                )),
                _ => error.into(),
            }
        })
    }

    async fn update(&self, id: &str) -> Result<(), Error> {
        let (wanted, _) = self.wanted()?;
        let updated = self.engine.docker().update_container(id, settings::update(wanted)).await;
        updated.map_err(|error| DockerError::api(format!("update {}", self.unit.instance), error).into())
    }

    async fn unpause(&self, id: &str) -> Result<(), Error> {
        match self.engine.docker().unpause_container(id).await {
            Ok(()) => Ok(()),
            // 409, and 500 of older Engines: it is not paused any more; the next look tells.
            Err(error) => unless(&[409, 500], &format!("unpause {}", self.unit.instance), error),
        }
    }

    async fn stop(&self, id: &str) -> Result<(), Error> {
        let docker = self.engine.docker().clone().with_timeout(STOP_TIMEOUT);
        match docker.stop_container(id, None::<StopContainerOptions>).await {
            Ok(()) => Ok(()),
            Err(error) => unless(&[304, 404], &format!("stop {}", self.unit.instance), error),
        }
    }

    /// Its volumes stay, anonymous ones too: data is removed only by people.
    async fn remove(&self, id: &str) -> Result<(), Error> {
        let doing = format!("remove {}", self.unit.instance);
        let options = RemoveContainerOptions { v: false, force: false, link: false };
        if let Err(error) = self.engine.docker().remove_container(id, Some(options)).await {
            // 409: it is being removed already.
            unless(&[404, 409], &doing, error)?;
        }
        // Only when it is really gone may a successor take its name and ports.
        match self.engine.docker().inspect_container(id, None::<InspectContainerOptions>).await {
            Ok(_) => Err(Error::Invalid(format!("cannot {doing}: it is still there"))),
            Err(error) => missing(&doing, error),
        }
    }
}

fn phase(step: &Step) -> Phase {
    match step {
        Step::Network(_) | Step::Volume(_) | Step::Files(_) | Step::Secrets | Step::Pull(_) => Phase::Pulling,
        Step::Stop(_) | Step::Remove(_) => Phase::Stopping,
        Step::Create
        | Step::Connect(..)
        | Step::Rename(_)
        | Step::Start(_)
        | Step::Unpause(_)
        | Step::Update(_) => Phase::Starting,
    }
}

/// Fine if the Engine says that there is no such thing.
pub(super) fn missing(doing: &str, error: BollardError) -> Result<(), Error> {
    unless(&[404], doing, error)
}

pub(super) fn unless(fine: &[u16], doing: &str, error: BollardError) -> Result<(), Error> {
    let error = DockerError::api(doing, error);
    match error.status() {
        Some(status) if fine.contains(&status) => Ok(()),
        _ => Err(error.into()),
    }
}
