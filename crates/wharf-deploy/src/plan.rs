//! What a deploy, a scale or a move will do: decided completely before anything happens.
//!
//! Pure: model, current desired state, hosts → [`Plan`]. A plan says per service what stays, comes and goes and why,
//! and holds the desired states ([`Stages`]) that the rollout commits one after the other.
//!
//! What must always hold: planning again after a plan was carried out changes nothing; an unchanged service keeps its
//! containers with their ids, whatever its release number is; between the switch and the old state no instance that
//! serves is missing, unless its service can't run twice; in every stage ids are unique.

mod before_switch;
mod changes;
mod items;
mod lines;
mod lost;
mod restart;
mod stages;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::{AppDesired, HostView, Instance, Name, Platform, RestartPolicy};

use crate::host_index::HostIndex;
use crate::placement::{self, Decision, PlacementError, Spot, Want};
use crate::strategy;
use crate::translate::{Model, ServiceModel};

pub(crate) use before_switch::{Task, add as add_before_switch};
pub use changes::FieldChange;
pub(crate) use items::items;
pub use items::{Item, ItemChange, ItemKind};
pub(crate) use lines::lines;
pub(crate) use restart::{Round, order, restart};
pub(crate) use stages::only_on;
pub(crate) use stages::{Coming, Leaving, Rollout};
use standing::Standing;

/// What to plan.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    /// Application.
    pub app: &'a Name,
    /// Number that changed services get.
    pub release: u32,
    /// What the application is to be.
    pub model: &'a Model,
    /// What it is to be now; `None` before the first deploy.
    pub current: Option<&'a AppDesired>,
    /// All hosts.
    pub hosts: &'a [HostView],
    /// Containers of other applications by host.
    pub load: BTreeMap<Name, u32>,
    /// Replicas that differ from the model's, by service.
    pub scales: &'a BTreeMap<Name, u32>,
    /// Only numbers and hosts change: containers that run are taken as they are, whatever the model says.
    pub is_resize: bool,
    /// Milliseconds that requests in flight get, for services that state none.
    pub drain_ms: u64,
    /// What the images of services are for, where that is known.
    pub platforms: &'a BTreeMap<Name, Vec<Platform>>,
    /// Lost hosts whose containers go elsewhere if they may.
    pub given_up: &'a BTreeSet<Name>,
}

/// What will happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Application.
    pub app: Name,
    /// Release that it leads to.
    pub release: u32,
    /// Release that is active now.
    pub previous: Option<u32>,
    /// Services in order of their names; removed ones last.
    pub services: Vec<ServicePlan>,
    /// What people should know, in words.
    pub warnings: Vec<String>,
    /// What stays on hosts that are given up, and why, in words.
    pub stays: Vec<String>,
    /// How it is carried out.
    pub rollout: Rollout,
}

impl Plan {
    /// Whether carrying it out would change nothing but the release's number.
    pub(crate) fn is_up_to_date(&self) -> bool {
        let stages = &self.rollout.stages;
        match (&stages.before, &stages.after) {
            (Some(before), Some(after)) => *before == AppDesired { release: before.release, ..after.clone() },
            (before, after) => before.is_none() && after.is_none(),
        }
    }
}

/// What happens to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePlan {
    /// Service.
    pub service: Name,
    /// What happens.
    pub action: Action,
    /// Why it is stopped before the new one starts, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<String>,
    /// What is different about it: `image`, `environment DB_URL`.
    pub changes: Vec<String>,
    /// The same with the values that may be shown.
    #[serde(default)]
    pub why: Vec<FieldChange>,
    /// Instances that stay untouched.
    pub kept: Vec<Place>,
    /// Instances that are made.
    pub created: Vec<Place>,
    /// Instances that go.
    pub removed: Vec<Place>,
    /// Commands that are run before requests go to it, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before_switch: Vec<String>,
}

/// An instance and its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Instance id.
    pub id: String,
    /// Host.
    pub host: Name,
}

/// What happens to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Create,
    /// Nothing.
    Keep,
    /// Some instances go to other hosts.
    Move,
    /// Stopped, then started.
    Recreate,
    /// It is gone from the file.
    Remove,
    /// More or fewer instances of the same.
    Scale,
    /// New ones beside the old, then requests are switched: blue-green.
    Replace,
}

/// A plan can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No host fits.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A fixed port or name would be needed twice on a host.
    #[error(
        "`{service}` can't run twice on {host}, because {why}\n  hint: use fewer replicas, more hosts, or drop what is fixed"
    )]
    Crowded {
        /// Service.
        service: Name,
        /// Host.
        host: Name,
        /// What is fixed.
        why: String,
    },
    /// A host that is to get a container can't make any.
    #[error(
        "`{service}` is to run on {host}, where nothing can be started now: {problem}\n  hint: see to its Docker Engine, or drain it with `wharf host drain {host}`"
    )]
    Blocked {
        /// Service.
        service: Name,
        /// Host.
        host: Name,
        /// What its agent reports.
        problem: String,
    },
    /// Another application has the route.
    #[error(
        "route {route} is already taken by {app} (service {service})\n  hint: give it another `host` or `path` in x-wharf.route, or remove {app}"
    )]
    RouteTaken {
        /// Host and path.
        route: String,
        /// Application that has it.
        app: Name,
        /// Its service.
        service: Name,
    },
    /// The operator's own route is there.
    #[error(
        "route {route} is taken by {key} of the server's wharf.yaml\n  hint: give it another `host` or `path` in x-wharf.route, or remove {key}"
    )]
    RouteFixed {
        /// Host and path.
        route: String,
        /// Where it stands: `balancer.routes[0]`.
        key: String,
    },
    /// The place of its data would be forgotten.
    #[error(
        "`{service}` keeps data on {host}, so it can't be scaled to 0\n  hint: stop what uses it instead, or remove the service from the file"
    )]
    DataWithoutHome {
        /// Service.
        service: Name,
        /// Host with the data.
        host: Name,
    },
}

/// Plans a deploy, rollback, scale or move.
///
/// Errors: no host can run a service; a service with data would be scaled to 0.
pub(crate) fn plan(input: &Input<'_>) -> Result<Plan, PlanError> {
    let previous = input.current.map(|current| current.release);
    let mut warnings = input.model.warnings.clone();
    let hosts = HostIndex::of(input.hosts);
    let standing = input.current.map(Standing::of).unwrap_or_default();
    let services = &input.model.services;
    let drafts: Vec<Draft<'_>> =
        services.iter().map(|(name, service)| Draft::of(input, &standing, name, service)).collect();
    for draft in &drafts {
        draft.check(&mut warnings)?;
    }
    let wants: Vec<Want> = drafts.iter().map(|draft| draft.want(input)).collect();
    let decisions = placement::place(&wants, &hosts, &input.load, input.given_up)?;

    let mut services = Vec::with_capacity(drafts.len());
    let mut outcomes = Vec::with_capacity(drafts.len());
    let mut stays = Vec::new();
    for draft in &drafts {
        let outcome = draft.outcome(input, &standing, &decisions[draft.name]);
        draft.check_crowding(&outcome)?;
        services.push(draft.describe(&outcome, &decisions[draft.name]));
        warn_of_stay(&hosts, draft, &outcome, &mut warnings);
        stays.extend(lost::stays(input.given_up, draft, &drafts, &outcome));
        outcomes.push(outcome);
    }
    let gone = stages::gone(input);
    services.extend(lines::describe_gone(&gone));
    let rollout = stages::rollout(input, &hosts, &drafts, outcomes, gone);
    Ok(Plan { app: input.app.clone(), release: input.release, previous, services, warnings, stays, rollout })
}

/// Plans the removal of an application: requests stop, then everything goes.
pub(crate) fn removal(app: &Name, current: &AppDesired, drain_ms: u64) -> Plan {
    let services = lines::describe_gone(&current.instances);
    let rollout = stages::removal(current, drain_ms);
    let release = current.release;
    let (warnings, stays) = (Vec::new(), Vec::new());
    Plan { app: app.clone(), release, previous: Some(release), services, warnings, stays, rollout }
}

/// One service of the model beside what runs of it.
struct Draft<'a> {
    name: &'a Name,
    service: &'a ServiceModel,
    current: Vec<&'a Instance>,
    replicas: u32,
    /// It is to run, but its data is gone.
    is_bereft: bool,
    /// Differences to what runs, in words. Empty for a new service too.
    changes: Vec<FieldChange>,
    /// Why it can't run twice.
    once: Option<String>,
}

/// What placement made of a draft.
struct Outcome {
    kept: Vec<Instance>,
    created: Vec<Instance>,
    removed: Vec<Instance>,
}

impl<'a> Draft<'a> {
    fn of(
        input: &Input<'a>,
        standing: &Standing<'a>,
        name: &'a Name,
        service: &'a ServiceModel,
    ) -> Draft<'a> {
        let current = standing.serving(name).to_vec();
        let changes = match current.iter().find(|_| !input.is_resize) {
            Some(first) if current.iter().all(|one| changes::same_kind(first, one)) => {
                changes::between(first, service)
            }
            // What should be equal is not: an earlier change was left half done.
            Some(_) => vec![FieldChange::named("instances that differ")],
            None => Vec::new(),
        };
        let asked = || service.wants_recreate.then(|| "the file says `strategy: recreate`".to_owned());
        // Workers and schedulers may do their work twice when two of them run; a routed service is made for it.
        let is_hidden = service.route.is_none() && !service.wants_blue_green;
        let hidden = || {
            is_hidden
                .then(|| "it has no route (`strategy: blue-green` in x-wharf.rollout allows it)".to_owned())
        };
        let replicas = input.scales.get(name).copied().unwrap_or(service.replicas);
        // Its data went with a host that was removed: only a deploy says that it is to begin with none.
        let is_bereft = input.is_resize && current.is_empty() && strategy::keeps_data(&service.spec);
        Draft {
            name,
            service,
            replicas: if is_bereft { 0 } else { replicas },
            is_bereft: is_bereft && replicas > 0,
            changes,
            once: strategy::why_once(&service.spec).or_else(asked).or_else(hidden),
            current,
        }
    }

    fn check(&self, warnings: &mut Vec<String>) -> Result<(), PlanError> {
        let home = self.current.first().filter(|_| strategy::keeps_data(&self.service.spec));
        if let (0, Some(instance)) = (self.replicas, home) {
            return Err(PlanError::DataWithoutHome {
                service: self.name.clone(),
                host: instance.host.clone(),
            });
        }
        let shared = strategy::written_volume(&self.service.spec).filter(|_| self.replicas > 1);
        if let Some(volume) = shared {
            warnings.push(format!(
                "{}: {} containers write the volume `{volume}` at the same time; few programs can (databases can't)",
                self.name, self.replicas
            ));
        }
        if self.is_bereft {
            warnings.push(format!("{}: {}", self.name, lost::BEREFT));
        }
        if let (Some(once), true) = (&self.once, self.service.wants_blue_green) {
            warnings.push(format!("{}: not blue-green as the file asks, because {once}", self.name));
        }
        Ok(())
    }

    /// What is fixed exists once on each host.
    fn check_crowding(&self, outcome: &Outcome) -> Result<(), PlanError> {
        let Some(why) = strategy::why_once_on_a_host(&self.service.spec) else { return Ok(()) };
        let mut hosts = BTreeSet::new();
        let mut lasting = outcome.kept.iter().chain(&outcome.created);
        match lasting.find(|instance| !hosts.insert(&instance.host)) {
            None => Ok(()),
            Some(second) => {
                Err(PlanError::Crowded { service: self.name.clone(), host: second.host.clone(), why })
            }
        }
    }

    fn is_new(&self) -> bool {
        self.current.is_empty()
    }

    fn want(&self, input: &Input<'_>) -> Want {
        let spot = |instance: &&Instance| Spot { slot: slot_key(instance), host: instance.host.clone() };
        Want {
            service: self.name.clone(),
            replicas: self.replicas,
            selector: self.service.selector.clone(),
            current: self.current.iter().map(spot).collect(),
            is_changed: self.is_new() || !self.changes.is_empty(),
            may_run_twice: self.once.is_none(),
            keeps_data: strategy::keeps_data(&self.service.spec),
            may_be_rescheduled: lost::why_single(self.service, self.replicas).is_none(),
            image: self.service.spec.image.clone(),
            platforms: input.platforms.get(self.name).cloned().unwrap_or_default(),
            links: self.service.links.clone(),
        }
    }

    fn outcome(&self, input: &Input<'_>, standing: &Standing<'_>, decision: &Decision) -> Outcome {
        let kept_slots: BTreeSet<u32> = decision.kept.iter().copied().collect();
        let stays = |instance: &&&Instance| kept_slots.contains(&slot_key(instance));
        let (kept, removed): (Vec<&Instance>, Vec<&Instance>) =
            self.current.iter().copied().partition(|instance| stays(&instance));
        let is_changed = !self.changes.is_empty() || decision.has_changed_colour;
        let template = self.current.first().filter(|_| !is_changed);
        let release = template.map_or(input.release, |instance| instance.release);
        let mut free = standing.free_slots(self.name, release);
        let created = decision.added.iter().map(|host| {
            let slot = free.next().expect("slots don't run out");
            let id = format!("{}-{}-r{release}-{slot}", input.app, self.name);
            match template.filter(|_| input.is_resize) {
                Some(template) => {
                    let mut one = Instance { id, slot, host: host.clone(), ..(*template).clone() };
                    // The registry may have another address by now.
                    if changes::is_same_image(&one.spec.image, &self.service.spec.image) {
                        one.spec.image.clone_from(&self.service.spec.image);
                    }
                    one
                }
                None => Instance {
                    id,
                    service: self.name.clone(),
                    release,
                    slot,
                    host: host.clone(),
                    spec: self.service.spec.clone(),
                    serve: self.service.serve.clone(),
                    probe: self.service.probe.clone(),
                    after: self.service.after.clone(),
                },
            }
        });
        let created: Vec<Instance> = created.collect();
        let keep = |instance: &Instance| {
            // The order of starting is no property of a container that runs.
            let after = if input.is_resize { &instance.after } else { &self.service.after };
            Instance { after: after.clone(), ..instance.clone() }
        };
        Outcome {
            kept: kept.into_iter().map(keep).collect(),
            created,
            removed: removed.into_iter().cloned().collect(),
        }
    }

    fn describe(&self, outcome: &Outcome, decision: &Decision) -> ServicePlan {
        let mut why = self.changes.clone();
        if decision.has_changed_colour {
            why.push(FieldChange::named("goes to the other colour with what it is linked to"));
        }
        let changes: Vec<String> = why.iter().map(|change| change.field.clone()).collect();
        let action = if self.is_new() {
            Action::Create
        } else if !changes.is_empty() {
            if self.once.is_some() { Action::Recreate } else { Action::Replace }
        } else if outcome.created.is_empty() && outcome.removed.is_empty() {
            Action::Keep
        } else if outcome.created.is_empty() || outcome.removed.is_empty() {
            Action::Scale
        } else {
            Action::Move
        };
        let is_stopped_first = !outcome.created.is_empty() && !outcome.removed.is_empty();
        ServicePlan {
            service: self.name.clone(),
            action,
            once: self.once.clone().filter(|_| is_stopped_first),
            changes,
            why,
            kept: lines::places(&outcome.kept),
            created: lines::places(&outcome.created),
            removed: lines::places(&outcome.removed),
            before_switch: Vec::new(),
        }
    }

    /// Whether the end of its container with status 0 is success.
    fn may_end(&self) -> bool {
        let restart = self.service.spec.restart;
        let ends = matches!(restart, RestartPolicy::No | RestartPolicy::OnFailure(_));
        self.service.is_job || (self.service.serve.is_none() && ends)
    }
}

/// A key of an instance that is unique within its service, also while two releases of it run.
fn slot_key(instance: &Instance) -> u32 {
    // 2^16 containers of one service are beyond every limit of ours.
    (instance.release << 16) | (instance.slot & 0xffff)
}

fn warn_of_stay(hosts: &HostIndex<'_>, draft: &Draft<'_>, outcome: &Outcome, warnings: &mut Vec<String>) {
    if !strategy::keeps_data(&draft.service.spec) {
        return;
    }
    for instance in outcome.kept.iter().chain(&outcome.created) {
        if let Some(host) = hosts.get(&instance.host).filter(|host| host.draining) {
            warnings.push(format!(
                "{}: stays on {}, which drains, because its data is there",
                draft.name, host.name
            ));
        }
    }
}

#[cfg(test)]
mod tests;
