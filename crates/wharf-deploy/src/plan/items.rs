//! A plan item by item: which container, network, volume and route changes, on which host, and why.
//!
//! Pure: the plan, the hosts and what agents report → [`Item`]s. Values of the environment are in none of them, since
//! plans are shown, sent and stored: `environment DB_URL` says all that may be said.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::{
    AppDesired, DriftOutcome, HostView, Instance, Liveness, MountSource, Name, Observed, RouteSpec,
};

use super::{Action, FieldChange, Plan, ServicePlan};
use crate::host_index::{HostIndex, visits};

/// One thing on one host, or one route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The host; `None` for a route, which every balancer has.
    pub host: Option<Name>,
    /// What it is.
    pub kind: ItemKind,
    /// Its name: of a route, host and path.
    pub name: String,
    /// What happens to it.
    pub change: ItemChange,
    /// Why, each in words: `image: 1f2e… → 9c8d…`, `host green1 is lost`.
    pub why: Vec<String>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A container.
    Container,
    /// A route of the balancers.
    Route,
}

/// What happens to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemChange {
    /// It goes.
    Remove,
    /// It is made.
    Create,
    /// It becomes another.
    Change,
    /// Somebody changed it by hand; its agent puts it right, with or without this plan.
    Repair,
    /// It stays although one may think that it goes.
    Keep,
}

impl ItemKind {
    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            ItemKind::Network => "network",
            ItemKind::Volume => "volume",
            ItemKind::Container => "container",
            ItemKind::Route => "route",
        }
    }
}

impl ItemChange {
    /// The sign before it in tables.
    pub fn sign(self) -> &'static str {
        match self {
            ItemChange::Remove => "-",
            ItemChange::Create => "+",
            ItemChange::Change | ItemChange::Repair => "~",
            ItemChange::Keep => "=",
        }
    }
}

/// All items of a plan, sorted by host; routes first.
pub(crate) fn items(plan: &Plan, hosts: &[HostView], observed: &Observed) -> Vec<Item> {
    let stages = &plan.rollout.stages;
    let none = AppDesired::default();
    let before = stages.before.as_ref().unwrap_or(&none);
    let after = stages.after.as_ref().unwrap_or(&none);
    let hosts = HostIndex::of(hosts);
    let mut items: Vec<Item> = Vec::new();
    for service in &plan.services {
        containers(service, &hosts, &mut items);
    }
    shared(ItemKind::Network, &networks(before), &networks(after), &mut items);
    shared(ItemKind::Volume, &volumes(before), &volumes(after), &mut items);
    routes(&before.routes, &after.routes, &mut items);
    drifts(plan, observed, &mut items);
    items.sort();
    items
}

fn containers(service: &ServicePlan, hosts: &HostIndex<'_>, items: &mut Vec<Item>) {
    let item = |place: &super::Place, change, why| Item {
        host: Some(place.host.clone()),
        kind: ItemKind::Container,
        name: place.id.clone(),
        change,
        why,
    };
    let fields: Vec<String> = service.why.iter().map(FieldChange::to_string).collect();
    let leaves: Vec<String> = service.removed.iter().filter_map(|one| trouble(&one.host, hosts)).collect();
    let is_changed = matches!(service.action, Action::Recreate | Action::Replace);
    // Of several on one host the first.
    let mut next_on: BTreeMap<&Name, &str> = BTreeMap::new();
    visits::count(service.created.len() + service.removed.len());
    for created in &service.created {
        next_on.entry(&created.host).or_insert(&created.id);
    }
    for created in &service.created {
        let why = match service.action {
            Action::Create => vec![format!("service {} is new", service.service)],
            Action::Recreate | Action::Replace => fields.clone(),
            Action::Move if leaves.is_empty() => vec!["its place is elsewhere now".to_owned()],
            Action::Move => leaves.clone(),
            Action::Keep | Action::Remove | Action::Scale => {
                let (is, was) =
                    (service.kept.len() + service.created.len(), service.kept.len() + service.removed.len());
                vec![format!("{is} are asked for, {was} {} there", if was == 1 { "is" } else { "are" })]
            }
        };
        items.push(item(created, ItemChange::Create, why));
    }
    for removed in &service.removed {
        let why = match (service.action, trouble(&removed.host, hosts)) {
            (Action::Remove, _) => vec![format!("service {} is not in the file any more", service.service)],
            (_, Some(trouble)) => vec![trouble],
            (_, None) if is_changed => match next_on.get(&removed.host) {
                Some(next) => vec![format!("replaced by {next}")],
                None => vec!["replaced".to_owned()],
            },
            (_, None) => {
                let is = service.kept.len() + service.created.len();
                vec![format!("{is} {} asked for", if is == 1 { "is" } else { "are" })]
            }
        };
        items.push(item(removed, ItemChange::Remove, why));
    }
    for kept in &service.kept {
        if let Some(trouble) = trouble(&kept.host, hosts) {
            items.push(item(kept, ItemChange::Keep, vec![trouble]));
        }
    }
}

/// Why a container may have to leave a host.
fn trouble(host: &Name, hosts: &HostIndex<'_>) -> Option<String> {
    let Some(view) = hosts.get(host) else {
        return Some(format!("host {host} was removed"));
    };
    match view.liveness {
        Liveness::Lost => Some(format!("host {host} is lost")),
        Liveness::Never => Some(format!("host {host} has never connected")),
        Liveness::Up if view.draining => Some(format!("host {host} drains")),
        Liveness::Up => None,
    }
}

type Shared = BTreeMap<(Name, String), BTreeSet<Name>>;

/// Networks by host with the services that are in them, without those that must exist already.
fn networks(desired: &AppDesired) -> Shared {
    let external = |name: &str| desired.networks.iter().any(|one| one.external && one.name == name);
    by_host(desired, |instance| {
        let names = instance.spec.networks.iter().map(|one| one.network.clone());
        names.filter(|name| !external(name)).collect()
    })
}

/// Volumes by host with the services that mount them, without those that must exist already.
fn volumes(desired: &AppDesired) -> Shared {
    let external = |name: &str| desired.volumes.iter().any(|one| one.external && one.name == name);
    by_host(desired, |instance| {
        let named = instance.spec.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume(name) => Some(name.clone()),
            _ => None,
        });
        named.filter(|name| !external(name)).collect()
    })
}

fn by_host(desired: &AppDesired, names: impl Fn(&Instance) -> Vec<String>) -> Shared {
    let mut shared = Shared::new();
    for instance in &desired.instances {
        for name in names(instance) {
            shared.entry((instance.host.clone(), name)).or_default().insert(instance.service.clone());
        }
    }
    shared
}

fn shared(kind: ItemKind, before: &Shared, after: &Shared, items: &mut Vec<Item>) {
    let used_by = |services: &BTreeSet<Name>| {
        let names: Vec<&str> = services.iter().map(Name::as_str).collect();
        format!("used by {}", names.join(", "))
    };
    for ((host, name), services) in after {
        if !before.contains_key(&(host.clone(), name.clone())) {
            let why = vec![used_by(services)];
            let change = ItemChange::Create;
            items.push(Item { host: Some(host.clone()), kind, name: name.clone(), change, why });
        }
    }
    for (host, name) in before.keys().filter(|key| !after.contains_key(key)) {
        let (change, why) = match kind {
            ItemKind::Volume => (ItemChange::Keep, "nothing mounts it any more; its data stays"),
            _ => (ItemChange::Remove, "no container is in it any more"),
        };
        let why = vec![why.to_owned()];
        items.push(Item { host: Some(host.clone()), kind, name: name.clone(), change, why });
    }
}

fn routes(before: &[RouteSpec], after: &[RouteSpec], items: &mut Vec<Item>) {
    let mut push = |route: &RouteSpec, change, why| {
        items.push(Item { host: None, kind: ItemKind::Route, name: route.place(), change, why });
    };
    for route in after {
        match before.iter().find(|old| old.place() == route.place()) {
            None => {
                let why = format!("to release {} of {}", route.release, route.service);
                push(route, ItemChange::Create, vec![why]);
            }
            Some(old) if old != route => push(route, ItemChange::Change, route_changes(old, route)),
            Some(_) => {}
        }
    }
    for route in before.iter().filter(|old| !after.iter().any(|new| new.place() == old.place())) {
        push(route, ItemChange::Remove, vec![format!("no service has it any more; {} had", route.service)]);
    }
}

fn route_changes(old: &RouteSpec, new: &RouteSpec) -> Vec<String> {
    let (old, new) = (super::changes::json(old), super::changes::json(new));
    let members = |value: &serde_json::Value| value.as_object().cloned().unwrap_or_default();
    let (old, new) = (members(&old), members(&new));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
    changed
        .map(|(key, value)| {
            let before = old.get(key).unwrap_or(&serde_json::Value::Null);
            FieldChange::between(key, before, value).to_string()
        })
        .collect()
}

/// What people changed on containers that stay.
fn drifts(plan: &Plan, observed: &Observed, items: &mut Vec<Item>) {
    let kept = plan.services.iter().flat_map(|service| &service.kept);
    let kept: BTreeSet<(&str, &Name)> = kept.map(|place| (place.id.as_str(), &place.host)).collect();
    for (host, (_, report)) in &observed.hosts {
        for drift in report.drifts.iter().filter(|one| one.app == plan.app && one.outcome.is_open()) {
            if !kept.contains(&(drift.instance.as_str(), host)) {
                continue;
            }
            let is_reported = drift.outcome == DriftOutcome::Reported;
            let change = if is_reported { ItemChange::Keep } else { ItemChange::Repair };
            let policy = if is_reported { "; it is only reported" } else { "" };
            items.push(Item {
                host: Some(host.clone()),
                kind: ItemKind::Container,
                name: drift.instance.clone(),
                change,
                why: vec![format!("drift: {}{policy}", drift.what)],
            });
        }
    }
}
