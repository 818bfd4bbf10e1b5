//! What differs between a container that runs and what its service is to be, in words.

use serde_json::Value;
use wharf_model::{ContainerSpec, Instance};

use crate::translate::ServiceModel;

/// Whether two instances of a service are the same but for number and host.
pub(super) fn same_kind(a: &Instance, b: &Instance) -> bool {
    a.release == b.release && a.spec == b.spec && a.serve == b.serve && a.probe == b.probe
}

/// The differences that need a new container: `image`, `environment DB_URL`, `x-wharf.health`. Empty: it may stay.
pub(super) fn between(instance: &Instance, service: &ServiceModel) -> Vec<String> {
    let mut changes = specs(&instance.spec, &service.spec);
    if instance.serve != service.serve {
        changes.push("x-wharf.route.port".to_owned());
    }
    if instance.probe != service.probe {
        changes.push("x-wharf.health".to_owned());
    }
    changes
}

fn specs(old: &ContainerSpec, new: &ContainerSpec) -> Vec<String> {
    if old == new {
        return Vec::new();
    }
    let (old, new) = (json(old), json(new));
    let (Value::Object(old), Value::Object(new)) = (&old, &new) else {
        unreachable!("a struct is an object");
    };
    let mut changes = Vec::new();
    for (key, value) in new {
        let before = old.get(key).unwrap_or(&Value::Null);
        if before == value {
            continue;
        }
        match (key.as_str(), before, value) {
            ("environment" | "labels", Value::Object(before), Value::Object(after)) => {
                let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
                names.sort_unstable();
                names.dedup();
                let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
                changes.extend(changed.map(|name| format!("{key} {name}")));
            }
            _ => changes.push(compose_key(key).to_owned()),
        }
    }
    changes
}

/// The field's name as users know it from Compose.
fn compose_key(key: &str) -> &str {
    match key {
        "mounts" => "volumes",
        "stop_grace_ms" => "stop_grace_period",
        "resources" => "deploy.resources",
        other => other,
    }
}

fn json(spec: &ContainerSpec) -> Value {
    serde_json::to_value(spec).expect("plain data is JSON")
}
