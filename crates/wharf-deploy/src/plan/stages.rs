//! The desired states of a rollout, one after the other, and what each step waits for.
//!
//! ```text
//! before ─ pulled ─ drained ─ cleared ─ grounded ─ started ─┬─ switched ─ after
//!    └───────────── any failure ────────────────────────────┘
//! ```
//!
//! `pulled` has the new images brought to their hosts, `drained` sends no new requests to what must stop, `cleared` lacks the instances that must stop before their
//! successors start; `grounded` has what the commands before the switch need, `started` has the new ones beside the old; `switched` differs only in the routes and in which
//! instances drain; `after` lacks the old ones. Until `switched` is confirmed a rollout is undone by committing
//! `before`; from `switched` on it only goes forward. All of it is stored before the first commit, so a restarted
//! server can do either.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wharf_model::{AppDesired, ImageSpec, Instance, Name, RouteSpec};

use super::{Draft, Input, Outcome, Task};
use crate::host_index::{HostIndex, visits};
use crate::strategy;

/// Docker's grace between the stop signal and SIGKILL, in milliseconds.
const STOP_GRACE_MS: u64 = 10_000;

/// How a plan is carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollout {
    /// Desired states.
    pub stages: Stages,
    /// Instances that stop before the new ones start.
    pub stopped_first: Vec<Leaving>,
    /// New instances.
    pub coming: Vec<Coming>,
    /// Instances that go once requests were switched.
    pub leaving: Vec<Leaving>,
    /// Longest time that requests in flight get on `leaving`.
    pub drain_ms: u64,
    /// Commands that are run before the switch, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before_switch: Vec<Task>,
    /// Of a restart: the instances whose turn comes after this rollout, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
}

/// Desired states of one application, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stages {
    /// What it was; restored when something fails.
    pub before: Option<AppDesired>,
    /// The same with the new images on their hosts, before anything stops; `None` when nothing must.
    #[serde(default)]
    pub pulled: Option<AppDesired>,
    /// No new requests to what must stop first; `None` where nobody else would take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<AppDesired>,
    /// Without what must stop first; `None` when nothing must.
    pub cleared: Option<AppDesired>,
    /// With those new ones that the commands before the switch need; `None` where they need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounded: Option<AppDesired>,
    /// New beside old.
    pub started: Option<AppDesired>,
    /// Requests go to the new ones.
    pub switched: Option<AppDesired>,
    /// What it is in the end; `None` when it is removed.
    pub after: Option<AppDesired>,
}

/// A new instance and what it may do until it counts as healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coming {
    /// Instance id.
    pub id: String,
    /// Service.
    pub service: Name,
    /// Host.
    pub host: Name,
    /// Ending with status 0 is success.
    pub may_end: bool,
    /// The Engine starts it again when it ends.
    pub is_restarted: bool,
    /// Milliseconds in which it may be unhealthy.
    pub start_period_ms: u64,
}

/// An instance that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Leaving {
    /// Instance id.
    pub id: String,
    /// Service.
    pub service: Name,
    /// Host.
    pub host: Name,
    /// Its release.
    pub release: u32,
    /// Requests reach it.
    pub is_routed: bool,
    /// Requests of its release go on to others of the same release: only this instance drains.
    pub shares_release: bool,
    /// Milliseconds from the stop signal to SIGKILL.
    pub grace_ms: u64,
}

/// Instances of services that the model does not have any more, and those that an earlier rollout could not remove.
pub(super) fn gone(input: &Input<'_>) -> Vec<Instance> {
    let Some(current) = input.current else { return Vec::new() };
    let is_gone = |one: &&Instance| {
        !input.model.services.contains_key(&one.service) || current.draining.contains(&one.id)
    };
    current.instances.iter().filter(is_gone).cloned().collect()
}

/// Puts the outcomes together.
pub(super) fn rollout(
    input: &Input<'_>,
    hosts: &HostIndex<'_>,
    drafts: &[Draft<'_>],
    outcomes: Vec<Outcome>,
    gone: Vec<Instance>,
) -> Rollout {
    let routes = routes(input, drafts, &outcomes);
    let drain_ms = drafts
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| !outcome.removed.is_empty())
        .map(|(draft, _)| draft.service.drain_ms.unwrap_or(input.drain_ms))
        .max()
        .unwrap_or(input.drain_ms);

    let (mut first, mut later, mut created, mut lasting) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut coming = Vec::new();
    let mut recreated: BTreeSet<Name> = BTreeSet::new();
    for (draft, outcome) in drafts.iter().zip(outcomes) {
        coming.extend(outcome.created.iter().map(|instance| expected(draft, instance)));
        let is_stopped_first = draft.once.is_some() && !outcome.created.is_empty();
        if is_stopped_first && !outcome.removed.is_empty() {
            recreated.insert(draft.name.clone());
            first.extend(outcome.removed);
        } else {
            later.extend(outcome.removed);
        }
        lasting.extend(outcome.kept);
        created.extend(outcome.created);
    }
    // What is gone from the file may hold the port or the name that something new wants.
    let (gone_first, gone_later): (Vec<_>, Vec<_>) = gone
        .into_iter()
        .partition(|instance| !created.is_empty() && strategy::why_once(&instance.spec).is_some());
    first.extend(gone_first);
    later.extend(gone_later);

    lasting.extend(created.iter().cloned());
    let after = settle(AppDesired {
        release: input.release,
        instances: lasting,
        draining: BTreeSet::new(),
        routes,
        networks: input.model.networks.clone(),
        volumes: input.model.volumes.clone(),
        files: input.model.files.clone(),
        images: Vec::new(),
        reported: input.model.reported.clone(),
    });
    let before = input.current.map(|current| only_on(current.clone(), hosts));
    let stages = stages(before, after, &first, &later, &created, &recreated);
    let staying: BTreeSet<(Name, u32)> =
        stages.after.iter().flat_map(|after| &after.routes).map(key).collect();
    Rollout {
        stopped_first: first.iter().map(|instance| leaving(instance, &staying)).collect(),
        leaving: later.iter().map(|instance| leaving(instance, &staying)).collect(),
        coming,
        drain_ms,
        before_switch: Vec::new(),
        next: Vec::new(),
        stages,
    }
}

/// The rollout of one new instance for one old: `(stopped first, stopped later)`.
pub(super) fn of_one(
    before: AppDesired,
    after: AppDesired,
    (first, later): (&[Instance], &[Instance]),
    coming: Coming,
    new: &Instance,
) -> Rollout {
    let after = settle(after);
    let staying: BTreeSet<(Name, u32)> = after.routes.iter().map(key).collect();
    let created = std::slice::from_ref(new);
    let stages = stages(Some(before), after, first, later, created, &BTreeSet::new());
    Rollout {
        stopped_first: first.iter().map(|instance| leaving(instance, &staying)).collect(),
        leaving: later.iter().map(|instance| leaving(instance, &staying)).collect(),
        coming: vec![coming],
        drain_ms: 0,
        before_switch: Vec::new(),
        next: Vec::new(),
        stages,
    }
}

/// Has the new instances of `needed` started before the others.
pub(super) fn add_ground(rollout: &mut Rollout, needed: &BTreeSet<Name>) {
    let is_later = |id: &str| rollout.coming.iter().any(|one| one.id == id && !needed.contains(&one.service));
    let Some(started) = &rollout.stages.started else { return };
    if rollout.coming.iter().any(|one| needed.contains(&one.service)) {
        let mut grounded = started.clone();
        grounded.instances.retain(|one| !is_later(&one.id));
        rollout.stages.grounded = Some(settle(grounded));
    }
}

/// The stages of a removal.
pub(super) fn removal(current: &AppDesired, drain_ms: u64) -> Rollout {
    let draining = current.instances.iter().map(|instance| instance.id.clone()).collect();
    let switched = AppDesired { routes: Vec::new(), draining, ..current.clone() };
    let none = BTreeSet::new();
    Rollout {
        stages: Stages {
            before: Some(current.clone()),
            pulled: None,
            drained: None,
            grounded: None,
            cleared: None,
            started: Some(current.clone()),
            switched: Some(switched),
            after: None,
        },
        stopped_first: Vec::new(),
        coming: Vec::new(),
        leaving: current.instances.iter().map(|instance| leaving(instance, &none)).collect(),
        drain_ms,
        before_switch: Vec::new(),
        next: Vec::new(),
    }
}

fn stages(
    before: Option<AppDesired>,
    after: AppDesired,
    first: &[Instance],
    later: &[Instance],
    created: &[Instance],
    recreated: &BTreeSet<Name>,
) -> Stages {
    let first_ids: BTreeSet<&str> = first.iter().map(|instance| instance.id.as_str()).collect();
    visits::count(first.len() + later.len() + created.len());
    let stops_first = |instance: &Instance| first_ids.contains(instance.id.as_str());
    let cleared = before.as_ref().filter(|_| !first.is_empty()).map(|before| {
        let mut cleared = before.clone();
        cleared.instances.retain(|instance| !stops_first(instance));
        settle(cleared)
    });
    let pulled = before.as_ref().filter(|_| !first.is_empty() && !created.is_empty()).map(|before| {
        let image = |one: &Instance| ImageSpec { host: one.host.clone(), image: one.spec.image.clone() };
        let images: BTreeSet<ImageSpec> = created.iter().map(image).collect();
        AppDesired { images: images.into_iter().collect(), ..before.clone() }
    });
    let base = cleared
        .clone()
        .or_else(|| before.clone())
        .unwrap_or_else(|| AppDesired { release: after.release, ..AppDesired::default() });

    let mut started = base;
    started.instances.extend(created.iter().cloned());
    started = settle(started);
    // A recreated service has nobody else to serve it: its route points to the new containers at once.
    let next = |route: &RouteSpec| after.routes.iter().find(|next| next.service == route.service).cloned();
    let is_recreated = |route: &RouteSpec| recreated.contains(&route.service);
    started.routes = started
        .routes
        .into_iter()
        .filter_map(|route| if is_recreated(&route) { next(&route) } else { Some(route) })
        .collect();
    started.networks = union(&after.networks, &started.networks, |network| network.name.clone());
    started.volumes = union(&after.volumes, &started.volumes, |volume| volume.name.clone());
    started.files = union(&after.files, &started.files, |file| file.digest.to_string());

    let mut switched = started.clone();
    switched.release = after.release;
    switched.routes = after.routes.clone();
    switched.draining = later.iter().map(|instance| instance.id.clone()).collect();
    let (started, switched, after) = (Some(started), Some(switched), Some(after));
    Stages { before, pulled, drained: None, cleared, grounded: None, started, switched, after }
}

/// Each routed service and the release that its instances have in the end.
fn routes(input: &Input<'_>, drafts: &[Draft<'_>], outcomes: &[Outcome]) -> Vec<RouteSpec> {
    let current = input.current.map(|current| current.routes.as_slice()).unwrap_or_default();
    let mut routes: Vec<RouteSpec> = Vec::new();
    for (draft, outcome) in drafts.iter().zip(outcomes) {
        let Some(model) = &draft.service.route else { continue };
        let known = current.iter().find(|route| route.service == *draft.name);
        let lasting = outcome.created.iter().chain(&outcome.kept).map(|instance| instance.release).next();
        let release = lasting.or(known.map(|route| route.release)).unwrap_or(input.release);
        let route = RouteSpec {
            service: draft.name.clone(),
            release,
            host: model.host.clone(),
            path: model.path.clone(),
            balance: model.balance,
            timeout_ms: model.timeout_ms,
            health_path: None,
            health: model.health.clone(),
        };
        routes.push(match known.filter(|_| input.is_resize) {
            Some(known) => known.clone(),
            None => route,
        });
    }
    routes
}

pub(super) fn expected(draft: &Draft<'_>, instance: &Instance) -> Coming {
    use wharf_model::RestartPolicy::{Always, No, OnFailure, UnlessStopped};
    Coming {
        id: instance.id.clone(),
        service: instance.service.clone(),
        host: instance.host.clone(),
        may_end: draft.may_end(),
        is_restarted: match instance.spec.restart {
            No => false,
            Always | OnFailure(_) | UnlessStopped => true,
        },
        start_period_ms: draft.service.start_period_ms,
    }
}

fn leaving(instance: &Instance, staying: &BTreeSet<(Name, u32)>) -> Leaving {
    Leaving {
        id: instance.id.clone(),
        service: instance.service.clone(),
        host: instance.host.clone(),
        release: instance.release,
        is_routed: instance.serve.is_some(),
        shares_release: staying.contains(&(instance.service.clone(), instance.release)),
        grace_ms: instance.spec.stop_grace_ms.unwrap_or(STOP_GRACE_MS),
    }
}

/// `desired` without instances on hosts that are not in `hosts`: a host that was removed takes its instances along, and
/// a generation must not name it again. What waited for a service that has no instance is started without.
pub(crate) fn only_on(mut desired: AppDesired, hosts: &HostIndex<'_>) -> AppDesired {
    desired.instances.retain(|instance| hosts.contains(&instance.host));
    desired.images.retain(|image| hosts.contains(&image.host));
    let ids: BTreeSet<&str> = desired.instances.iter().map(|instance| instance.id.as_str()).collect();
    desired.draining.retain(|id| ids.contains(id.as_str()));
    settle(desired)
}

/// Takes waits for services without instances out, and sorts.
fn settle(mut desired: AppDesired) -> AppDesired {
    let services: BTreeSet<Name> =
        desired.instances.iter().map(|instance| instance.service.clone()).collect();
    for instance in &mut desired.instances {
        instance.after.retain(|service, _| services.contains(service));
    }
    sort(&mut desired.instances);
    desired
}

fn key(route: &RouteSpec) -> (Name, u32) {
    (route.service.clone(), route.release)
}

fn sort(instances: &mut [Instance]) {
    instances.sort_by(|a, b| (&a.service, a.release, a.slot).cmp(&(&b.service, b.release, b.slot)));
}

/// All of `new`, then those of `old` whose key `new` lacks.
fn union<T: Clone>(new: &[T], old: &[T], key: impl Fn(&T) -> String) -> Vec<T> {
    let mut all: BTreeMap<String, T> = old.iter().map(|item| (key(item), item.clone())).collect();
    all.extend(new.iter().map(|item| (key(item), item.clone())));
    all.into_values().collect()
}
