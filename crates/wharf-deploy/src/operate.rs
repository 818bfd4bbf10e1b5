//! What operators do with what runs: read logs, open terminals, run one-off containers, restart.
//!
//! All of it goes through [`wharf_model::ports::Calls`] to the agent of the host that has the container. Nothing here
//! changes a desired state but the restart, which is a deploy with its lease.

pub(crate) mod logs;
pub(crate) mod one_off;
mod printed;
pub(crate) mod terminal;

pub(crate) use terminal::shown;

use wharf_model::{InstanceState, Name};

use crate::Error;
use crate::engine::Engine;

/// A container that runs.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) host: Name,
    pub(crate) instance: String,
    pub(crate) container: String,
    release: u32,
    is_healthy: bool,
}

/// The containers of a service that run, the best to ask first: healthy ones of the newest release.
pub(crate) fn running(engine: &Engine, app: &Name, service: &Name) -> Vec<Running> {
    let observed = engine.hosts.observed().borrow().clone();
    let hosts = observed.hosts.iter().filter(|(_, (liveness, _))| *liveness == wharf_model::Liveness::Up);
    let reports = hosts.flat_map(|(host, (_, report))| report.instances.iter().map(move |one| (host, one)));
    let mut found: Vec<Running> = reports
        .filter(|(_, one)| one.app == *app && one.service == *service)
        .filter_map(|(host, one)| {
            let runs = matches!(
                one.state,
                InstanceState::Starting | InstanceState::Healthy | InstanceState::Unhealthy { .. }
            );
            Some(Running {
                host: host.clone(),
                instance: one.id.clone(),
                container: one.container_id.clone().filter(|_| runs)?,
                release: one.release,
                is_healthy: one.state.is_healthy(),
            })
        })
        .collect();
    found.sort_by_key(|one| (!one.is_healthy, std::cmp::Reverse(one.release), one.instance.clone()));
    found
}

/// Fails with the services that there are, unless `service` is one of them.
pub(crate) async fn known_service(engine: &Engine, app: &Name, service: &str) -> Result<Name, Error> {
    let stored = engine.store.app(app).await?.ok_or_else(|| Error::UnknownApp(app.clone()))?;
    let mut names: Vec<String> = match stored.active {
        Some(active) => match engine.store.release(app, active).await? {
            Some(release) => release.content.project.services.keys().cloned().collect(),
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let desired = engine.desired(app).unwrap_or_default();
    names.extend(desired.instances.iter().map(|one| one.service.to_string()));
    names.sort();
    names.dedup();
    if let (true, Ok(name)) = (names.iter().any(|name| name == service), service.parse::<Name>()) {
        return Ok(name);
    }
    let service: String = service.chars().take(63).collect();
    let near = wharf_base::suggest(&service, names.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it has none that runs".to_owned(),
        None => format!("it has {}", names.join(", ")),
    };
    Err(Error::UnknownService { app: app.clone(), service, hint })
}
