//! A container for one command: made as its service's are, attached to, waited for, removed.
//!
//! It has our owner label and `wharf.run`, and none of the labels of an instance, so the loop that compares never sees
//! it. When the caller goes away it is stopped with its signal and grace; what the agent could not remove (it was
//! killed) the next one does. Anonymous volumes stay, as everywhere.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;
use wharf_docker::bollard::errors::Error as BollardError;
use wharf_docker::bollard::query_parameters::{
    KillContainerOptionsBuilder, ListContainersOptions, RemoveContainerOptions,
    ResizeContainerTTYOptionsBuilder, StopContainerOptions, WaitContainerOptionsBuilder,
};
use wharf_docker::{Engine, Error as DockerError};
use wharf_model::call::Run;
use wharf_model::frame::{Size, Status};
use wharf_model::{Frame, MountSource, Name};

use super::super::create::{self, Place};
use super::super::found::Found;
use super::super::plan::{self, Unit, Wanted};
use super::super::work::{Job, Outcome, Workshop};
use super::Desk;
use super::process::{Controls, Ended, pass_on};
use super::wire::Wire;
use crate::{Error, labels};

/// Longest time for a stop; the container's own grace is what usually ends it.
const STOP_TIMEOUT: Duration = Duration::from_secs(3_600);

/// While it lives, what the container uses is not tidied away.
struct Noted<'a> {
    shop: &'a Workshop,
    id: String,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.shop.runs.lock().expect("no holder panics").remove(&self.id);
    }
}

/// Runs it to its end. `None`: the caller went away, and it was stopped.
pub(super) async fn run(
    desk: &Desk,
    engine: &Engine,
    call: Run,
    wire: &mut Wire,
) -> Result<Option<i64>, Error> {
    let shop = &desk.shop;
    let wanted = Wanted { app: call.app, instance: call.instance, hash: labels::RUN.to_owned() };
    shop.runs.lock().expect("no holder panics").insert(call.id.clone(), wanted.clone());
    let _noted = Noted { shop, id: call.id.clone() };
    let shares = shares(shop, engine, &wanted).await?;
    let unit = |steps| Unit { instance: call.id.clone(), steps };
    let job = |steps| Job {
        shop: Arc::clone(shop),
        engine: engine.clone(),
        unit: unit(steps),
        wanted: Some((wanted.clone(), call.desired.clone())),
        unknown: None,
        shares: shares.clone(),
        cancelled: CancellationToken::new(),
    };
    {
        let (_, mut input) = wire.split();
        let prepared = job(plan::preparation(&wanted)).run(|_| {});
        let outcome = tokio::select! {
            outcome = prepared => outcome,
            () = input.gone(), if !call.stdin => return Ok(None),
        };
        match outcome {
            Outcome::Done => {}
            Outcome::Cancelled => return Ok(None),
            Outcome::Failed(reason) => return Err(Error::Invalid(reason)),
        }
    }
    let job = job(vec![]);
    let mut files = HashMap::new();
    for mount in &wanted.instance.spec.mounts {
        if let MountSource::Files(digest) = &mount.source {
            files.extend(job.files(digest).await?);
        }
    }
    let form = |wanted: &Wanted, place: &Place<'_>| {
        // Nobody is sent here: the service's port is not published a second time.
        let place = Place { published: None, ..*place };
        create::one_off_body(wanted, &place, call.stdin, call.terminal.is_some())
    };
    let id = job.create_as(&files, form).await?;
    let container = Container { engine, id };
    let done = attended(desk, &container, &job, &call.id, (call.stdin, call.terminal), wire).await;
    container.remove().await;
    done
}

/// The running containers whose interfaces, processes or volumes the service uses: the newest of each.
async fn shares(shop: &Workshop, engine: &Engine, wanted: &Wanted) -> Result<BTreeMap<Name, String>, Error> {
    let mut shares = BTreeMap::new();
    for service in wanted.instance.spec.shares.keys() {
        let label = |key: &str, value: &str| format!("{key}={value}");
        let filters = vec![
            label(labels::OWNER, &shop.owner),
            label(labels::APP, wanted.app.as_str()),
            label(labels::SERVICE, service.as_str()),
        ];
        let filters = Some(HashMap::from([("label".to_owned(), filters)]));
        let options = ListContainersOptions { filters, ..Default::default() };
        let listed = engine.docker().list_containers(Some(options)).await;
        let listed = listed.map_err(|error| DockerError::api(format!("list {service}"), error))?;
        let newest = listed.iter().filter_map(Found::read).max_by_key(|one| (one.release, Reverse(one.slot)));
        let Some(newest) = newest else {
            return Err(Error::Invalid(format!(
                "`{service}`, whose interfaces, processes or volumes `{}` uses, does not run on {}\n  \
                 hint: start it, then run this again",
                wanted.instance.service, shop.host
            )));
        };
        shares.insert(service.clone(), newest.id);
    }
    Ok(shares)
}

async fn attended(
    desk: &Desk,
    container: &Container<'_>,
    job: &Job,
    name: &str,
    (stdin, terminal): (bool, Option<Size>),
    wire: &mut Wire,
) -> Result<Option<i64>, Error> {
    let attached = wharf_docker::attach(container.engine, &container.id, stdin, terminal.is_some()).await?;
    job.start(&container.id).await?;
    if let Some(size) = terminal {
        container.resize(size).await;
    }
    let (instance, host) = (name.to_owned(), desk.shop.host.to_string());
    wire.output.send(Frame::Status(Status::Started { instance, host })).await;
    match pass_on(attached, container, wire).await {
        Ended::Process => Ok(Some(container.exit_status().await?)),
        Ended::Caller => {
            tracing::info!(run = name, "a one-off container is stopped: its caller is gone");
            container.stop().await;
            Ok(None)
        }
    }
}

struct Container<'a> {
    engine: &'a Engine,
    id: String,
}

impl Container<'_> {
    async fn exit_status(&self) -> Result<i64, Error> {
        let docker = self.engine.docker().clone().with_timeout(STOP_TIMEOUT);
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        match docker.wait_container(&self.id, Some(options)).next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            Some(Err(BollardError::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(DockerError::api("ask how the container ended", error).into()),
            None => Err(Error::Invalid("the Engine did not say how the container ended".to_owned())),
        }
    }

    async fn stop(&self) {
        let docker = self.engine.docker().clone().with_timeout(STOP_TIMEOUT);
        if let Err(error) = docker.stop_container(&self.id, None::<StopContainerOptions>).await {
            tracing::debug!(%error, "a one-off container was not stopped");
        }
    }

    async fn remove(&self) {
        let options = RemoveContainerOptions { v: false, force: true, link: false };
        if let Err(error) = self.engine.docker().remove_container(&self.id, Some(options)).await {
            tracing::warn!(container = self.id, %error, "a one-off container could not be removed");
        }
    }
}

impl Controls for Container<'_> {
    async fn resize(&self, size: Size) {
        let options = ResizeContainerTTYOptionsBuilder::default()
            .h(i32::from(size.rows))
            .w(i32::from(size.columns))
            .build();
        // It may have ended: its terminal keeps the size that it has.
        let _ = self.engine.docker().resize_container_tty(&self.id, options).await;
    }

    async fn signal(&self, name: &str) {
        let options = KillContainerOptionsBuilder::default().signal(&format!("SIG{name}")).build();
        if let Err(error) = self.engine.docker().kill_container(&self.id, Some(options)).await {
            tracing::debug!(%error, name, "a signal was not delivered");
        }
    }
}
