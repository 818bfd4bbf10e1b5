//! What differs between a container that runs and what its service is to be, in words.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_model::{ContainerSpec, Instance};

use crate::translate::ServiceModel;

/// LIMIT: characters of a value that is shown.
const VALUE_MAX: usize = 80;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// The field as users know it from Compose: `image`, `environment DB_URL`, `x-wharf.health`.
    pub field: String,
    /// What it is; `None` where it is not set, or must not be shown.
    pub old: Option<String>,
    /// What it is to be.
    pub new: Option<String>,
}

impl FieldChange {
    /// A field without its values.
    pub(super) fn named(field: impl Into<String>) -> FieldChange {
        FieldChange { field: field.into(), old: None, new: None }
    }

    pub(super) fn between(field: &str, old: &Value, new: &Value) -> FieldChange {
        FieldChange { field: field.to_owned(), old: shown(field, old), new: shown(field, new) }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (None, None) => f.write_str(&self.field),
            (old, new) => {
                let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
                write!(f, "{}: {} → {}", self.field, word(old), word(new))
            }
        }
    }
}

/// Whether two instances of a service are the same but for number and host.
pub(super) fn same_kind(a: &Instance, b: &Instance) -> bool {
    let same_spec = a.spec == b.spec || specs(&a.spec, &b.spec).is_empty();
    a.release == b.release && same_spec && a.serve == b.serve && a.probe == b.probe
}

/// The differences that need a new container. Empty: it may stay.
pub(super) fn between(instance: &Instance, service: &ServiceModel) -> Vec<FieldChange> {
    let mut changes = specs(&instance.spec, &service.spec);
    if instance.serve != service.serve {
        changes.push(FieldChange::between(
            "x-wharf.route.port",
            &json(&instance.serve),
            &json(&service.serve),
        ));
    }
    if instance.probe != service.probe {
        changes.push(FieldChange::named("x-wharf.health"));
    }
    changes
}

fn specs(old: &ContainerSpec, new: &ContainerSpec) -> Vec<FieldChange> {
    if old == new {
        return Vec::new();
    }
    let is_same_image = is_same_image(&old.image, &new.image);
    let (old, new) = (json(old), json(new));
    let (Value::Object(old), Value::Object(new)) = (&old, &new) else {
        unreachable!("a struct is an object");
    };
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut changes = Vec::new();
    for key in keys {
        let before = old.get(key).unwrap_or(&Value::Null);
        let value = new.get(key).unwrap_or(&Value::Null);
        // When an image is pulled is no property of the container.
        if before == value || (key == "image" && is_same_image) || key == "pull_policy" {
            continue;
        }
        match (key.as_str(), before, value) {
            ("environment" | "labels", Value::Object(before), Value::Object(after)) => {
                let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
                names.sort_unstable();
                names.dedup();
                let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
                // Values of the environment are often secret, and people see plans.
                changes.extend(changed.map(|name| FieldChange::named(format!("{key} {name}"))));
            }
            ("shares", before, after) => {
                let of = |value: &Value| value.as_object().cloned().unwrap_or_default();
                let (before, after) = (of(before), of(after));
                let changed = after.keys().filter(|name| before.get(*name) != after.get(*name));
                changes.extend(
                    changed.map(|name| FieldChange::named(format!("{name}, whose container it uses"))),
                );
            }
            ("secrets", before, after) => {
                changes.extend(named_members(before, after, "/secret/name", "secrets"));
            }
            ("secret_environment", before, after) => {
                let none = serde_json::Map::new();
                let (before, after) =
                    (before.as_object().unwrap_or(&none), after.as_object().unwrap_or(&none));
                let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
                changes.extend(changed.map(|name| FieldChange::named(format!("environment {name}"))));
            }
            _ => changes.push(FieldChange::between(compose_key(key), before, value)),
        }
    }
    changes
}

/// The members of two lists that are not in both, by the name at `pointer`.
fn named_members(before: &Value, after: &Value, pointer: &str, field: &str) -> Vec<FieldChange> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (before, after) = (list(before), list(after));
    let only = |some: &[Value], others: &[Value]| -> Vec<Value> {
        some.iter().filter(|one| !others.contains(one)).cloned().collect()
    };
    let changed = [only(&before, &after), only(&after, &before)].concat();
    let names: std::collections::BTreeSet<&str> =
        changed.iter().filter_map(|one| one.pointer(pointer)?.as_str()).collect();
    names.into_iter().map(|name| FieldChange::named(format!("{field} {name}"))).collect()
}

/// The same bytes from the same repository, whatever the registry is called now.
pub(super) fn is_same_image(old: &str, new: &str) -> bool {
    let parts = |image: &str| {
        let (name, digest) = image.split_once('@')?;
        let (_, repository) = name.split_once('/')?;
        Some((repository.to_owned(), digest.to_owned()))
    };
    old == new || parts(old).is_some_and(|old| parts(new) == Some(old))
}

/// The field's name as users know it from Compose.
fn compose_key(key: &str) -> &str {
    match key {
        "mounts" => "volumes",
        "stop_grace_ms" => "stop_grace_period",
        "resources" => "deploy.resources",
        "shm_size_bytes" => "shm_size",
        "device_requests" => "gpus",
        other => other,
    }
}

/// A value for people; `None` for one that is not set.
fn shown(field: &str, value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(image) if field == "image" => short_image(image),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => return None,
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Value::Object(members) => {
            let set = members.iter().filter(|(_, value)| !value.is_null());
            let all: Vec<String> = set.map(|(key, value)| format!("{key}={value}")).collect();
            if all.is_empty() {
                return None;
            }
            all.join(", ")
        }
        other => other.to_string(),
    };
    if text.chars().count() <= VALUE_MAX {
        return Some(text);
    }
    Some(text.chars().take(VALUE_MAX).chain(['…']).collect())
}

/// The first digits of a digest are enough for people.
fn short_image(image: &str) -> String {
    match image.rsplit_once("@sha256:") {
        Some((_, hex)) => hex.get(..12).unwrap_or(hex).to_owned(),
        None => image.to_owned(),
    }
}

pub(super) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain data is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_fields_show_both_values_but_never_those_of_the_environment() {
        let old = ContainerSpec {
            image: "127.0.0.1:5000/shop/web@sha256:aaaaaaaaaaaaaaaaaaaa".to_owned(),
            command: Some(vec!["run".to_owned(), "fast".to_owned()]),
            environment: [("KEY".to_owned(), "hush-1".to_owned())].into(),
            ..ContainerSpec::default()
        };
        let new = ContainerSpec {
            image: "127.0.0.1:5000/shop/web@sha256:bbbbbbbbbbbbbbbbbbbb".to_owned(),
            command: None,
            environment: [("KEY".to_owned(), "hush-2".to_owned())].into(),
            stop_grace_ms: Some(5_000),
            ..old.clone()
        };
        let words: Vec<String> = specs(&old, &new).iter().map(FieldChange::to_string).collect();
        assert_eq!(
            words,
            [
                "command: run fast → not set",
                "environment KEY",
                "image: aaaaaaaaaaaa → bbbbbbbbbbbb",
                "stop_grace_period: not set → 5000",
            ]
        );
        assert!(!words.concat().contains("hush"));
    }

    #[test]
    fn what_is_used_of_others_counts_and_when_an_image_is_pulled_does_not() {
        let db: wharf_model::Name = "db".parse().unwrap();
        let using = |digest: &str| ContainerSpec {
            shares: [(db.clone(), digest.to_owned())].into(),
            ..ContainerSpec::default()
        };
        let words: Vec<String> = specs(&using("a"), &using("b")).iter().map(FieldChange::to_string).collect();
        assert_eq!(words, ["db, whose container it uses"]);
        let pulled =
            ContainerSpec { pull_policy: wharf_model::PullPolicy::Always, ..ContainerSpec::default() };
        assert_eq!(specs(&ContainerSpec::default(), &pulled), []);
    }

    #[test]
    fn an_image_is_the_same_under_another_registry_address() {
        let old = "127.0.0.1:5000/shop/web@sha256:aa";
        assert!(is_same_image(old, "10.77.0.1:5000/shop/web@sha256:aa"));
        assert!(!is_same_image(old, "10.77.0.1:5000/shop/web@sha256:bb"));
        assert!(!is_same_image(old, "10.77.0.1:5000/other/web@sha256:aa"));
        assert!(!is_same_image("nginx:1", "nginx:2"));
        assert!(is_same_image("nginx:1", "nginx:1"));
    }
}
