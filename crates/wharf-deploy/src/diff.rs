//! What differs between two releases: pure, from the stored contents of both to a list of changes.
//!
//! The two projects are compared as JSON trees, key by key, so that whatever the Compose loader learns to read is compared
//! without a word here. What a reader may see of a value is decided by a list of keys whose values are known to be harmless
//! ([`SHOWN`]): of every other text it is told only *that* it changed. Numbers and yes or no are always shown. So a
//! password in an environment, a build argument, a command or an option of a driver never leaves the server this way.
//!
//! Limits: none of its own; a project has at most `deploy.services_max` services and came in a request of 4 MiB.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};
use wharf_model::Name;

use crate::api::{Change, ChangeKind, ReleaseDiff, ReleaseRef};
use crate::store::{Content, Release};

/// First keys of a service (or of `networks` and `volumes`) whose texts anybody may read.
const SHOWN: &[&str] = &[
    "container_name",
    "depends_on",
    "deploy",
    "expose",
    "hostname",
    "image",
    "init",
    "networks",
    "ports",
    "restart",
    "stop_grace_period",
    "stop_signal",
    "user",
    "volumes",
    "working_dir",
    "x-wharf",
];
/// Keys at any depth below those whose texts are not shown all the same: they are the places for credentials.
const HIDDEN: &[&str] = &["args", "command", "driver_opts", "environment", "labels", "options", "test"];

/// What leads from `from` to `to`.
pub(crate) fn diff(app: &Name, from: &Release, to: &Release) -> ReleaseDiff {
    let mut changes = Vec::new();
    services(&from.content, &to.content, &mut changes);
    for part in ["networks", "volumes"] {
        let (before, after) = (entries(&from.content, part), entries(&to.content, part));
        for name in names(&before, &after) {
            let mut walk = Walk { service: None, part: part.to_owned(), changes: &mut changes };
            match (before.get(name), after.get(name)) {
                (Some(before), Some(after)) => walk.compare(&[part, name], Some(before), Some(after)),
                // One that comes or goes is one change, however much is said of it.
                (before, after) => walk.note(&[part, name], before, after),
            }
        }
    }
    files(&from.content, &to.content, &mut changes);
    secrets(&from.content, &to.content, &mut changes);
    ReleaseDiff { app: app.clone(), from: reference(from), to: reference(to), changes }
}

fn reference(release: &Release) -> ReleaseRef {
    ReleaseRef {
        number: release.number,
        created: release.created,
        author: release.author.clone(),
        message: release.message.clone(),
    }
}

fn services(from: &Content, to: &Content, changes: &mut Vec<Change>) {
    let (before, after) = (service_trees(from), service_trees(to));
    for name in names(&before, &after) {
        let whole = |kind, before, after| Change {
            service: Some(name.to_owned()),
            part: "service".to_owned(),
            path: format!("services.{name}"),
            kind,
            before,
            after,
            is_hidden: false,
        };
        match (before.get(name), after.get(name)) {
            (Some(before), None) => changes.push(whole(ChangeKind::Removed, image(before), None)),
            (None, Some(after)) => changes.push(whole(ChangeKind::Added, None, image(after))),
            (Some(before), Some(after)) => {
                for key in names(before, after) {
                    let mut walk = Walk { service: Some(name.to_owned()), part: key.to_owned(), changes };
                    walk.compare(&["services", name, key], before.get(key), after.get(key));
                }
            }
            (None, None) => {}
        }
    }
}

/// Each service as a tree with the keys of a Compose file, and the image that its containers really have.
fn service_trees(content: &Content) -> BTreeMap<String, Map<String, Value>> {
    let of = |(name, service): (&String, &wharf_compose::project::Service)| {
        let mut tree = object(service);
        if let Some(xwharf) = tree.remove("x_wharf") {
            tree.insert("x-wharf".to_owned(), xwharf);
        }
        if let Some(image) = content.images.get(name) {
            tree.insert("image".to_owned(), Value::String(image.clone()));
        }
        tree.retain(|_, value| !is_nothing(value));
        (name.clone(), tree)
    };
    content.project.services.iter().map(of).collect()
}

fn image(tree: &Map<String, Value>) -> Option<String> {
    tree.get("image").and_then(Value::as_str).map(str::to_owned)
}

fn entries(content: &Content, part: &str) -> Map<String, Value> {
    match object(&content.project).remove(part) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Files that travel with the application: their contents are not compared, their digests are.
fn files(from: &Content, to: &Content, changes: &mut Vec<Change>) {
    let sources: BTreeSet<&String> = from.files.keys().chain(to.files.keys()).collect();
    for source in sources {
        let (before, after) = (from.files.get(source), to.files.get(source));
        if before.map(|file| &file.digest) == after.map(|file| &file.digest) {
            continue;
        }
        let told = |file: &crate::translate::UploadedFile| {
            format!("{}, {} bytes", file.digest.to_string().chars().take(19).collect::<String>(), file.size)
        };
        changes.push(Change {
            service: None,
            part: "files".to_owned(),
            path: source.clone(),
            kind: kind(before.is_some(), after.is_some()),
            before: before.map(told),
            after: after.map(told),
            is_hidden: false,
        });
    }
}

/// Secrets whose value differs; neither value is known here.
fn secrets(from: &Content, to: &Content, changes: &mut Vec<Change>) {
    for name in names(&from.secrets, &to.secrets) {
        let (before, after) = (from.secrets.get(name), to.secrets.get(name));
        if before != after {
            changes.push(Change {
                service: None,
                part: "secrets".to_owned(),
                path: format!("secrets.{name}"),
                kind: kind(before.is_some(), after.is_some()),
                before: None,
                after: None,
                is_hidden: true,
            });
        }
    }
}

/// Compares below one key and notes what differs.
struct Walk<'a> {
    service: Option<String>,
    part: String,
    changes: &'a mut Vec<Change>,
}

impl Walk<'_> {
    fn compare(&mut self, path: &[&str], before: Option<&Value>, after: Option<&Value>) {
        let before = before.filter(|value| !is_nothing(value));
        let after = after.filter(|value| !is_nothing(value));
        if before == after {
            return;
        }
        match (before, after) {
            (Some(Value::Array(before)), Some(Value::Array(after))) if !is_line(&self.part, path) => {
                self.members(path, before, after);
            }
            (None, Some(Value::Array(after))) if !is_line(&self.part, path) => self.members(path, &[], after),
            (Some(Value::Array(before)), None) if !is_line(&self.part, path) => {
                self.members(path, before, &[])
            }
            (before, after) if is_tree(before) && is_tree(after) => {
                let none = Map::new();
                let before = before.and_then(Value::as_object).unwrap_or(&none);
                let after = after.and_then(Value::as_object).unwrap_or(&none);
                for name in names(before, after) {
                    let path: Vec<&str> = path.iter().copied().chain([name]).collect();
                    self.compare(&path, before.get(name), after.get(name));
                }
            }
            (before, after) => self.note(path, before, after),
        }
    }

    /// A list whose order means little: what is only in one of the two.
    fn members(&mut self, path: &[&str], before: &[Value], after: &[Value]) {
        for gone in before.iter().filter(|one| !after.contains(one)) {
            self.note(path, Some(gone), None);
        }
        for new in after.iter().filter(|one| !before.contains(one)) {
            self.note(path, None, Some(new));
        }
    }

    fn note(&mut self, path: &[&str], before: Option<&Value>, after: Option<&Value>) {
        let is_plain = |value: &Value| matches!(value, Value::Bool(_) | Value::Number(_));
        let is_shown = may_show(&self.part, path) || before.into_iter().chain(after).all(is_plain);
        let told =
            |value: Option<&Value>| value.filter(|_| is_shown).map(|value| text::of(&self.part, value));
        self.changes.push(Change {
            service: self.service.clone(),
            part: self.part.clone(),
            path: path.join("."),
            kind: kind(before.is_some(), after.is_some()),
            before: told(before),
            after: told(after),
            is_hidden: !is_shown,
        });
    }
}

/// Lists that are one line of words, whose order means something.
fn is_line(part: &str, path: &[&str]) -> bool {
    matches!(part, "command" | "entrypoint") || path.last() == Some(&"test")
}

fn may_show(part: &str, path: &[&str]) -> bool {
    // Below `services.NAME`, `networks.NAME`: a service may be called `environment`.
    SHOWN.contains(&part) && !path.iter().skip(2).any(|key| HIDDEN.contains(key))
}

fn is_tree(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_object)
}

/// What a file that does not mention the key leads to: such a difference is none.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn kind(was: bool, is: bool) -> ChangeKind {
    match (was, is) {
        (false, _) => ChangeKind::Added,
        (true, false) => ChangeKind::Removed,
        (true, true) => ChangeKind::Changed,
    }
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("projects and services are plain records"),
    }
}

/// The keys of both, sorted.
fn names<'a, V: 'a>(
    before: impl IntoIterator<Item = (&'a String, V)>,
    after: impl IntoIterator<Item = (&'a String, V)>,
) -> BTreeSet<&'a str> {
    before.into_iter().chain(after).map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests;
