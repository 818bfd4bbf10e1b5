//! Commands of `x-wharf.before_switch`: which of them a deploy runs, where, and what must be up for them first.
//!
//! Those of a service are run when its containers change or when they themselves do: what has run for the same image
//! and settings is not run again. Services that it depends on are started first, so that a migration finds its database
//! also at the first deploy.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wharf_compose::project::{BeforeSwitch, Project};
use wharf_model::Name;

use super::{Action, Plan, stages};
use crate::translate::Model;

/// One command that is run before the switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Task {
    pub service: Name,
    /// Where its first container comes; `None` lets the place be found.
    pub host: Option<Name>,
    pub command: Vec<String>,
    pub timeout_ms: u64,
}

/// Adds the commands that leading from `previous` (the project of the active release) to this plan takes.
pub(crate) fn add(plan: &mut Plan, model: &Model, project: &Project, previous: Option<&Project>) {
    let commands = |project: &Project, service: &Name| -> Vec<BeforeSwitch> {
        let service = project.services.get(service.as_str());
        service.map(|service| service.x_wharf.before_switch.clone()).unwrap_or_default()
    };
    let mut tasks: BTreeMap<Name, Vec<Task>> = BTreeMap::new();
    for service in &mut plan.services {
        let own = commands(project, &service.service);
        let is_new = matches!(service.action, Action::Create | Action::Recreate | Action::Replace);
        let before = previous.map(|previous| commands(previous, &service.service)).unwrap_or_default();
        if own.is_empty() || service.action == Action::Remove || !(is_new || own != before) {
            continue;
        }
        let host = service.created.first().or(service.kept.first()).map(|place| place.host.clone());
        service.before_switch = own.iter().map(words).collect();
        let task = |one: BeforeSwitch| Task {
            service: service.service.clone(),
            host: host.clone(),
            command: one.command,
            timeout_ms: u64::try_from(one.timeout.as_millis()).unwrap_or(u64::MAX),
        };
        tasks.insert(service.service.clone(), own.into_iter().map(task).collect());
    }
    if tasks.is_empty() {
        return;
    }
    let needed = needed(model, &tasks.keys().collect());
    stages::add_ground(&mut plan.rollout, &needed);
    // What others depend on comes first.
    let order = |name: &Name| needed_by(model, name).len();
    let mut in_order: Vec<(Name, Vec<Task>)> = tasks.into_iter().collect();
    in_order.sort_by_key(|(name, _)| (order(name), name.clone()));
    plan.rollout.before_switch = in_order.into_iter().flat_map(|(_, tasks)| tasks).collect();
}

/// A command for people.
fn words(one: &BeforeSwitch) -> String {
    format!(
        "`{}` (at most {})",
        crate::operate::shown(&one.command),
        wharf_base::duration::format(one.timeout)
    )
}

/// What `services` depend on, without those that have commands of their own.
fn needed(model: &Model, services: &BTreeSet<&Name>) -> BTreeSet<Name> {
    let all = services.iter().flat_map(|name| needed_by(model, name));
    all.filter(|name| !services.contains(name)).collect()
}

/// What a service depends on, and so on.
fn needed_by(model: &Model, service: &Name) -> BTreeSet<Name> {
    let (mut found, mut left) = (BTreeSet::new(), vec![service]);
    while let Some(name) = left.pop() {
        for other in model.services.get(name).into_iter().flat_map(|service| service.after.keys()) {
            if found.insert(other.clone()) {
                left.push(other);
            }
        }
    }
    found
}
