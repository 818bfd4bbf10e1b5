//! One Compose service → its route, probe, order and the rest that is around its container.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wharf_compose::project::{self, Condition, MountKind, Project, Service, Strategy};
use wharf_model::{Balance, HealthCheck, Name, Probe, SecretRef, Serve, WaitFor};

use super::container::millis;
use super::{
    Model, RouteModel, ServiceModel, TranslateError, UploadedFile, container, names, secrets, shares,
};

/// Grace after the start for a service that states none, in milliseconds.
// 10 s: Docker's own grace for a stop; a server that needs longer to boot should say so in `start_period`.
const DEFAULT_START_PERIOD_MS: u64 = 10_000;

/// What a service is translated with.
pub(super) struct Input<'a> {
    pub(super) app: &'a Name,
    pub(super) project: &'a Project,
    pub(super) key: &'a str,
    pub(super) service: &'a Service,
    pub(super) images: &'a BTreeMap<String, String>,
    pub(super) files: &'a BTreeMap<String, UploadedFile>,
    pub(super) secrets: &'a BTreeMap<String, SecretRef>,
}

impl Input<'_> {
    /// `services.web.volumes`.
    pub(super) fn place(&self, key: &str) -> String {
        format!("services.{}.{key}", self.key)
    }
}

/// Translates one service; files and warnings go to `model`.
pub(super) fn translate(
    input: &Input<'_>,
    model: &mut Model,
) -> Result<(Name, ServiceModel), TranslateError> {
    let service = input.service;
    let name = service_name(input.key, &format!("services.{}", input.key))?;
    let x_wharf = &service.x_wharf;
    shares::check(input)?;
    let mut spec = container::translate(input, model)?;
    secrets::add(input, &mut spec, model)?;
    let route = x_wharf.route.as_ref();
    let probe = probe(input, model)?;
    let rollout = x_wharf.rollout.as_ref();
    let strategy = rollout.map(|rollout| rollout.strategy);
    warn_of_ignored(input, model);
    let translated = ServiceModel {
        serve: route.map(|route| Serve { port: route.port }),
        route: route.map(|route| route_model(route, x_wharf.health.as_ref())),
        after: after(input)?,
        replicas: service.deploy.replicas.unwrap_or(1),
        selector: x_wharf.hosts.clone().unwrap_or(project::HostSelector::Any),
        links: links(input),
        wants_recreate: strategy == Some(Strategy::Recreate),
        wants_blue_green: strategy == Some(Strategy::BlueGreen),
        drain_ms: rollout.map(|rollout| millis(rollout.drain)),
        start_period_ms: start_period_ms(service),
        is_job: false,
        reschedule: x_wharf.reschedule,
        spec,
        probe,
    };
    Ok((name, translated))
}

/// The name of a service that stands at `place`.
pub(super) fn service_name(text: &str, place: &str) -> Result<Name, TranslateError> {
    text.parse().map_err(|error| TranslateError::new(place, format!("{error}"), "rename the service"))
}

fn after(input: &Input<'_>) -> Result<BTreeMap<Name, WaitFor>, TranslateError> {
    let mut after = BTreeMap::new();
    for (key, dependency) in &input.service.depends_on {
        let place = input.place("depends_on");
        if !input.project.services.contains_key(key) {
            if dependency.required {
                return Err(TranslateError::new(
                    place,
                    format!("there is no service `{key}`"),
                    "name a service of this file",
                ));
            }
            continue;
        }
        let wait = match dependency.condition {
            Condition::ServiceStarted => WaitFor::Started,
            Condition::ServiceHealthy => WaitFor::Healthy,
            Condition::ServiceCompletedSuccessfully => WaitFor::Completed,
        };
        after.insert(service_name(key, &place)?, wait);
    }
    Ok(after)
}

fn links(input: &Input<'_>) -> BTreeSet<String> {
    let depends = input.service.depends_on.keys().filter(|key| input.project.services.contains_key(*key));
    let volumes = input
        .service
        .volumes
        .iter()
        .filter(|mount| mount.kind == MountKind::Volume)
        .filter_map(|mount| mount.source.as_ref())
        .map(|key| format!("volume:{}", names::volume(input.app, input.project, key)));
    depends.cloned().chain(volumes).collect()
}

fn route_model(route: &project::Route, health: Option<&project::Health>) -> RouteModel {
    let checks_route = |health: &&project::Health| health.port.is_none_or(|port| port == route.port);
    RouteModel {
        host: route.host.clone(),
        path: if route.path.is_empty() { "/".to_owned() } else { route.path.clone() },
        balance: match route.balance {
            project::Balance::RoundRobin => Balance::RoundRobin,
            project::Balance::LeastConn => Balance::LeastConn,
        },
        timeout_ms: route.timeout.map(millis),
        health: health.map(|health| HealthCheck {
            // A path on another port than the route's is for the agent's probe; balancers then only connect.
            path: Some(health).filter(checks_route).and_then(|health| health.path.clone()),
            interval_ms: millis(health.interval),
            timeout_ms: millis(health.timeout),
            rise: health.rise,
            fall: health.fall,
        }),
    }
}

/// The agent's probe: as `x-wharf.health` says; a TCP connect for a routed service that has no check at all.
fn probe(input: &Input<'_>, model: &mut Model) -> Result<Option<Probe>, TranslateError> {
    let service = input.service;
    let route_port = service.x_wharf.route.as_ref().map(|route| route.port);
    if let Some(health) = &service.x_wharf.health {
        let port = health.port.or(route_port).ok_or_else(|| {
            TranslateError::new(input.place("x-wharf.health"), "it has no port", "add `port:`, or a route")
        })?;
        return Ok(Some(Probe {
            port,
            path: health.path.clone(),
            interval_ms: millis(health.interval),
            timeout_ms: millis(health.timeout),
            rise: health.rise,
            fall: health.fall,
        }));
    }
    let has_check = service.healthcheck.as_ref().is_some_and(|check| !check.disable);
    let Some(port) = route_port.filter(|_| !has_check) else { return Ok(None) };
    model.warnings.push(format!(
        "{}: no health check; it counts as healthy once port {port} accepts connections \
         (add `healthcheck:` or `x-wharf.health:`)",
        input.key
    ));
    // Every half second: a deploy waits for the first pass. Three failures: one lost packet is no outage.
    Ok(Some(Probe { port, path: None, interval_ms: 500, timeout_ms: 1_000, rise: 1, fall: 3 }))
}

/// How long it may be unhealthy after its start: what the file says of either check, and time for the Engine's check
/// to run once.
fn start_period_ms(service: &Service) -> u64 {
    let engine = service.healthcheck.as_ref().filter(|check| !check.disable).map(|check| {
        let interval = check.interval.unwrap_or(Duration::from_secs(30));
        check.start_period.unwrap_or_default() + interval
    });
    let ours = service.x_wharf.health.as_ref().map(|health| health.start_period);
    engine.into_iter().chain(ours).map(millis).max().unwrap_or(DEFAULT_START_PERIOD_MS)
}

fn warn_of_ignored(input: &Input<'_>, model: &mut Model) {
    let deploy = &input.service.deploy;
    let mut ignored = Vec::new();
    if deploy.reservations.cpus.is_some() {
        ignored.push("deploy.resources.reservations.cpus");
    }
    if deploy.reservations.pids.is_some() {
        ignored.push("deploy.resources.reservations.pids");
    }
    if !deploy.labels.is_empty() {
        ignored.push("deploy.labels");
    }
    for key in ignored {
        model.warnings.push(format!("{}: {key} has no effect on a single Engine", input.key));
    }
}
