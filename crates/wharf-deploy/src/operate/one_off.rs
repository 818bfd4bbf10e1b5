//! A one-off container of a service: image, environment, networks and volumes of a release, and another command.

use std::collections::BTreeMap;

use uuid::Uuid;
use wharf_model::frame::Status;
use wharf_model::ports::Session;
use wharf_model::{AppDesired, Call, Event, Healthcheck, Instance, Liveness, Name, RestartPolicy, call};

use super::shown;
use crate::api::CommandRequest;
use crate::engine::Engine;
use crate::store::Content;
use crate::{Error, placement, translate};

/// A one-off container that was started.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) app: Name,
    pub(crate) service: Name,
    pub(crate) run: String,
    pub(crate) host: Name,
}

/// Starts one of the release that serves.
pub(crate) async fn begin(
    engine: &Engine,
    by: &str,
    app: &Name,
    service: &Name,
    request: CommandRequest,
) -> Result<(Session, Begun), Error> {
    let stored = engine.store.app(app).await?.ok_or_else(|| Error::UnknownApp(app.clone()))?;
    let active = stored.active.ok_or_else(|| Error::NothingServes(app.clone()))?;
    let release = engine.store.release(app, active).await?;
    let release = release.ok_or_else(|| Error::UnknownRelease { app: app.clone(), release: active })?;
    if request.instance.is_some() {
        return Err(Error::Invalid("a one-off container has no instance to choose".to_owned()));
    }
    begin_with(engine, by, (app, service), active, &release.content, request, None).await
}

/// Starts one of this release, on `wanted` if that host is up.
pub(crate) async fn begin_with(
    engine: &Engine,
    by: &str,
    (app, service): (&Name, &Name),
    release: u32,
    content: &Content,
    request: CommandRequest,
    wanted: Option<&Name>,
) -> Result<(Session, Begun), Error> {
    let model =
        translate::translate(app, &content.project, &content.images, &content.files, &content.secrets)?;
    let service_model = model.services.get(service).ok_or_else(|| Error::UnknownService {
        app: app.clone(),
        service: service.to_string(),
        hint: format!("release {release} has {}", names(&model)),
    })?;
    let host = host(engine, app, service, &service_model.selector, wanted)?;
    let run = format!("{app}-{service}-run-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let mut spec = service_model.spec.clone();
    // What can't be there twice, and what would make it look like an instance of the service.
    spec.container_name = None;
    spec.ports.clear();
    spec.networks.iter_mut().for_each(|network| network.aliases.clear());
    spec.healthcheck = Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() });
    spec.restart = RestartPolicy::No;
    spec.environment.extend(request.environment);
    if !request.command.is_empty() {
        spec.command = Some(request.command.clone());
    }
    spec.user = request.user.or(spec.user);
    spec.working_dir = request.working_dir.or(spec.working_dir);
    let command = spec.command.clone().unwrap_or_default();
    let instance = Instance {
        id: run.clone(),
        service: service.clone(),
        release,
        slot: 0,
        host: host.clone(),
        spec,
        serve: None,
        probe: None,
        after: BTreeMap::new(),
    };
    let desired = AppDesired {
        release,
        networks: model.networks,
        volumes: model.volumes,
        files: model.files,
        ..AppDesired::default()
    };
    let call = call::Run {
        id: run.clone(),
        app: app.clone(),
        instance,
        desired,
        terminal: request.terminal,
        stdin: request.stdin,
    };
    let session = engine.calls.call(&host, Call::Run(Box::new(call))).await?;
    engine.emit(Event::RunStarted {
        app: app.clone(),
        service: service.clone(),
        release,
        run: run.clone(),
        host: host.clone(),
        command: shown(&command),
        by: by.to_owned(),
    });
    Ok((session, Begun { app: app.clone(), service: service.clone(), run, host }))
}

/// Tells how it ended; `None`: its caller went away.
pub(crate) fn ended(engine: &Engine, begun: &Begun, last: Option<&Status>) {
    let detail = match last {
        Some(Status::Exited { code }) => format!("ended with status {code}"),
        Some(Status::Failed { message, .. }) => {
            format!("failed: {}", message.lines().next().unwrap_or_default())
        }
        Some(Status::Started { .. }) | None => "was ended: its caller went away".to_owned(),
    };
    let Begun { app, service, run, host } = begun.clone();
    engine.emit(Event::RunEnded { app, service, run, host, detail });
}

/// Where its service is, so that it finds the same volumes and neighbours; else where its application is; else any host
/// that the service may run on.
fn host(
    engine: &Engine,
    app: &Name,
    service: &Name,
    selector: &wharf_compose::project::HostSelector,
    wanted: Option<&Name>,
) -> Result<Name, Error> {
    let hosts = engine.hosts.hosts();
    let is_up = |name: &Name| hosts.iter().any(|host| host.name == *name && host.liveness == Liveness::Up);
    let desired = engine.desired(app).unwrap_or_default();
    let newest = desired.instances.iter().rev();
    let own =
        newest.clone().filter(|one| one.service == *service).map(|one| &one.host).find(|host| is_up(host));
    let near = own.or_else(|| newest.map(|one| &one.host).find(|host| is_up(host)));
    let any = || {
        let mut fitting = hosts.iter().filter(|host| {
            host.liveness == Liveness::Up && !host.draining && placement::matches(selector, host)
        });
        fitting.next().map(|host| host.name.clone())
    };
    wanted.filter(|host| is_up(host)).or(near).cloned().or_else(any).ok_or_else(|| {
        Error::NotRunning(format!(
            "no host that is up may run {service} of {app} ({})\n  hint: `wharf host ls` lists the hosts",
            placement::selector_text(selector)
        ))
    })
}

fn names(model: &translate::Model) -> String {
    model.services.keys().map(Name::as_str).collect::<Vec<_>>().join(", ")
}
