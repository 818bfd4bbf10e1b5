//! What only the whole project shows: cycles, conditions that can't come true, networks that are used.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::{Condition, Project, Service};
use crate::read::context::Context;
use crate::yaml::{Node, Scalar, Value};

pub(super) fn project(cx: &mut Context<'_>, tree: &Node, project: &mut Project) {
    keep_used_networks(cx, tree, project);
    find_unused_volumes(cx, tree, project);
    conditions(cx, tree, project);
    container_names(cx, tree, project);
    if let Some(cycle) = find_cycle(&project.services) {
        let place = locate(tree, &["services", cycle[0], "depends_on", cycle[1]]);
        // LIMIT: names of the circle that are shown.
        let shown = match cycle.as_slice() {
            [start @ .., last] if start.len() > 10 => format!("{} → … → {last}", start[..10].join(" → ")),
            cycle => cycle.join(" → "),
        };
        let message = format!("services depend on each other in a circle: {shown}");
        cx.error(place, Problem::new(Kind::Reference, message));
    }
}

/// Leaves the networks that services use, and `default`.
fn keep_used_networks(cx: &mut Context<'_>, tree: &Node, project: &mut Project) {
    let used: BTreeSet<&str> =
        project.services.values().flat_map(|service| service.networks.keys()).map(String::as_str).collect();
    for name in project.networks.keys().filter(|name| !used.contains(name.as_str())) {
        warn_unused(cx, tree, ["networks", name], format!("network `{name}` is used by no service"));
    }
    let uses_default = used.contains("default");
    let used: BTreeSet<String> = used.into_iter().map(str::to_owned).collect();
    project.networks.retain(|name, _| used.contains(name));
    if uses_default {
        project.networks.entry("default".to_owned()).or_default();
    }
}

fn find_unused_volumes(cx: &mut Context<'_>, tree: &Node, project: &Project) {
    let mounts = project.services.values().flat_map(|service| &service.volumes);
    let used: BTreeSet<&str> = mounts.filter_map(|mount| mount.source.as_deref()).collect();
    for name in project.volumes.keys().filter(|name| !used.contains(name.as_str())) {
        warn_unused(cx, tree, ["volumes", name], format!("volume `{name}` is used by no service"));
    }
}

fn warn_unused(cx: &mut Context<'_>, tree: &Node, path: [&str; 2], message: String) {
    // Looking the place up goes through all keys; a warning that is only counted needs none.
    let place = if cx.sink.warnings_are_full() { tree.place } else { locate(tree, &path) };
    cx.warn(place, Problem::new(Kind::Effect, message));
}

fn conditions(cx: &mut Context<'_>, tree: &Node, project: &Project) {
    for (name, service) in &project.services {
        if cx.sink.errors_are_full() {
            return;
        }
        for (dependency_name, dependency) in &service.depends_on {
            let Some(target) = project.services.get(dependency_name) else { continue };
            let place = || locate(tree, &["services", name, "depends_on", dependency_name, "condition"]);
            let is_disabled = target.healthcheck.as_ref().is_some_and(|check| {
                check.disable
                    || check.test.as_ref().is_some_and(|test| test.first().is_some_and(|word| word == "NONE"))
            });
            if dependency.condition == Condition::ServiceHealthy
                && is_disabled
                && target.x_wharf.health.is_none()
            {
                let message = format!(
                    "service `{name}` waits until `{dependency_name}` is healthy, but its health check is disabled"
                );
                cx.error(place(), Problem::new(Kind::Reference, message));
            }
        }
    }
}

/// The same `container_name` twice can't run on one host.
fn container_names(cx: &mut Context<'_>, tree: &Node, project: &Project) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in &project.services {
        let Some(container_name) = &service.container_name else { continue };
        if let Some(other) = seen.insert(container_name, name) {
            let message = format!("services `{other}` and `{name}` have the same `container_name`");
            let place = locate(tree, &["services", name, "container_name"]);
            cx.error(place, Problem::new(Kind::Reference, message));
        }
    }
}

/// The names along a circle, the first one again at the end. The walk keeps its own stack: chains may be long.
fn find_cycle(services: &BTreeMap<String, Service>) -> Option<Vec<&str>> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in services.keys() {
        let mut path: Vec<&str> = Vec::new();
        let mut on_path: BTreeSet<&str> = BTreeSet::new();
        // `None` marks the way back out of a service.
        let mut stack: Vec<Option<&str>> = vec![Some(start)];
        while let Some(step) = stack.pop() {
            let Some(name) = step else {
                if let Some(left) = path.pop() {
                    on_path.remove(left);
                    done.insert(left);
                }
                continue;
            };
            if on_path.contains(name) {
                let from = path.iter().position(|other| *other == name).unwrap_or_default();
                let mut cycle = path.split_off(from);
                cycle.push(name);
                return Some(cycle);
            }
            if done.contains(name) {
                continue;
            }
            path.push(name);
            on_path.insert(name);
            stack.push(None);
            let dependencies = services.get(name).into_iter().flat_map(|service| service.depends_on.keys());
            stack.extend(dependencies.map(|dependency| Some(dependency.as_str())));
        }
    }
    None
}

/// The place of a key in the tree, or of the nearest thing around it; a list is searched for the text.
fn locate(tree: &Node, path: &[&str]) -> Place {
    let mut node = tree;
    let mut place = tree.place;
    for step in path {
        match &node.value {
            Value::Mapping(mapping) => match mapping.entry(step) {
                Some(entry) => (node, place) = (&entry.value, entry.key_place),
                None => break,
            },
            Value::Sequence(items) => {
                let is_it =
                    |item: &&Node| matches!(&item.value, Value::Scalar(Scalar::String(text)) if text == step);
                match items.iter().find(is_it) {
                    Some(item) => (node, place) = (item, item.place),
                    None => break,
                }
            }
            Value::Scalar(_) => break,
        }
    }
    place
}
