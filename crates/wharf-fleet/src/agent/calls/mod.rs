//! Calls, the agent's side: takes up what the server announces and does it, with both bodies as the caller's terminal.
//!
//! Each call is a task. It ends with its work, or when the server's side of it ends: the caller went away, the
//! connection broke, the agent stops. What it began in a container then ends too (`exec`, `run` say how).

mod exec;
mod images;
mod logs;
mod process;
mod run;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize as _;
use tokio::sync::watch;
use wharf_base::{Clock, Tasks};
use wharf_docker::Engine;
use wharf_docker::bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
};
use wharf_model::frame::Status;
use wharf_model::{Call, Frame};

use super::link::Server;
use super::work::Workshop;
use crate::protocol::{CallAnnouncement, HostDesired};
use crate::{Error, labels, unknown};

use wire::Wire;

/// What every call needs.
pub(crate) struct Desk {
    pub(crate) shop: Arc<Workshop>,
    pub(crate) engine: watch::Receiver<Option<Engine>>,
    pub(crate) desired: watch::Receiver<Option<Arc<HostDesired>>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
}

/// Takes up calls until the connection ends. A server that knows no calls announces none.
pub(crate) async fn serve(server: Server, desk: Arc<Desk>) {
    match server.lines("/agent/v1/calls").await {
        Ok(mut lines) => {
            while let Ok(Some(announcement)) = lines.next::<CallAnnouncement>().await {
                let (server, desk) = (server.clone(), Arc::clone(&desk));
                desk.tasks.clone().spawn("agent call", async move {
                    if let Err(error) = take_up(&server, &desk, announcement).await {
                        tracing::debug!(%error, "a call was not taken up");
                    }
                });
            }
        }
        Err(error) => tracing::debug!(%error, "the server announces no calls"),
    }
    // The watch stream says when the connection is over.
    std::future::pending::<()>().await;
}

async fn take_up(server: &Server, desk: &Desk, announcement: CallAnnouncement) -> Result<(), Error> {
    let (mut wire, body) = Wire::new(desk.tasks.shutdown());
    wire.input = Some(server.exchange(&format!("/agent/v1/calls/{}", announcement.id), body).await?);
    let done = match Call::deserialize(&announcement.call) {
        Ok(call) => match unknown::member(&announcement.call, &call) {
            None => carry_out(desk, call, &mut wire).await,
            Some(member) => Err(Error::Invalid(unknown::refusal(&member, &desk.shop.host))),
        },
        Err(error) => Err(Error::Invalid(format!(
            "the agent of {} can't do that: {error}\n  hint: is it of the server's version?",
            desk.shop.host
        ))),
    };
    let last = match done {
        Ok(Some(code)) => Frame::Status(Status::Exited { code }),
        // The caller is gone.
        Ok(None) => return Ok(()),
        Err(error) => Frame::failed(error.code(), error.to_string()),
    };
    wire.finish(last).await;
    Ok(())
}

/// The exit status; `None` when the caller went away.
async fn carry_out(desk: &Desk, call: Call, wire: &mut Wire) -> Result<Option<i64>, Error> {
    let engine =
        desk.engine.borrow().clone().ok_or_else(|| {
            Error::Invalid(format!("the Docker Engine of {} does not answer", desk.shop.host))
        })?;
    match call {
        Call::Exec(call) => exec::exec(desk, &engine, call, wire).await,
        Call::Logs(call) => logs::logs(desk, &engine, call, wire).await,
        Call::Run(call) => run::run(desk, &engine, *call, wire).await,
        Call::RemoveImages(call) => images::remove(desk, &engine, call).await,
    }
}

impl Desk {
    /// A container that is this agent's own: nothing else is touched. Returns the Engine's full id.
    async fn own(&self, engine: &Engine, container: &str) -> Result<String, Error> {
        let inspected = engine.docker().inspect_container(container, None::<InspectContainerOptions>).await;
        let inspected =
            inspected.map_err(|error| wharf_docker::Error::api(format!("look at {container}"), error))?;
        let owner = inspected.config.and_then(|config| config.labels?.remove(labels::OWNER));
        match (owner, inspected.id) {
            (Some(owner), Some(id)) if owner == self.shop.owner => Ok(id),
            _ => Err(Error::Invalid(format!("{container} is no container of this agent"))),
        }
    }
}

/// Ends and removes one-off containers that an earlier process of this agent has left: nobody is attached to them.
pub(crate) async fn remove_leftovers(desk: Arc<Desk>) {
    let shutdown = desk.tasks.shutdown();
    let mut engines = desk.engine.clone();
    let engine = tokio::select! {
        engine = engines.wait_for(Option::is_some) => engine.ok().and_then(|engine| engine.clone()),
        () = shutdown.cancelled() => None,
    };
    let Some(engine) = engine else { return };
    let filters = HashMap::from([(
        "label".to_owned(),
        vec![format!("{}={}", labels::OWNER, desk.shop.owner), labels::RUN.to_owned()],
    )]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let Ok(containers) = engine.docker().list_containers(Some(options)).await else { return };
    for container in containers {
        let run = container.labels.and_then(|mut labels| labels.remove(labels::RUN)).unwrap_or_default();
        let is_ours = desk.shop.runs.lock().expect("no holder panics").contains_key(&run);
        if let (false, Some(id)) = (is_ours, container.id) {
            let options = RemoveContainerOptions { v: false, force: true, link: false };
            match engine.docker().remove_container(&id, Some(options)).await {
                Ok(()) => tracing::warn!(run, "a one-off container that an earlier agent left was removed"),
                Err(error) => tracing::warn!(run, %error, "a one-off container could not be removed"),
            }
        }
    }
}
