//! The specification hash: whether a container is what the desired state asks for.
//!
//! The hash covers what decides how a container is created: its [`ContainerSpec`] (image by digest included) and how
//! balancers reach it. Fields that have their default are left out before hashing, so that a later Wharf with more
//! fields gives the same hash and re-creates nothing. What the Engine adds by itself never enters.

use serde_json::{Map, Value, json};
use wharf_model::{ContainerSpec, Instance};

/// Number of the normalisation below. Another one means: compare by field, don't re-create (areas/fleet.md 3.2).
const FORMAT: u32 = 1;

/// The value of the label `wharf.spec`: `1:<blake3 in hex>`.
///
/// `published` is the private address on which the agent publishes the served port; `None` on the server's own host.
pub fn spec_hash(instance: &Instance, published: Option<std::net::IpAddr>) -> String {
    let default = serde_json::to_value(ContainerSpec::default()).expect("plain records are JSON");
    let mut spec = serde_json::to_value(&instance.spec).expect("plain records are JSON");
    if let Some(members) = spec.as_object_mut() {
        // When an image is pulled is no property of a container that runs.
        members.remove("pull_policy");
    }
    let mut document = json!({ "spec": without_defaults(spec, &default) });
    if let (Some(serve), Some(address)) = (&instance.serve, published) {
        document["serve"] = json!({ "port": serve.port, "address": address });
    }
    let bytes = serde_json::to_vec(&sorted(document)).expect("plain records are JSON");
    format!("{FORMAT}:{}", blake3::hash(&bytes).to_hex())
}

/// Leaves out every member that equals its default, at every depth; members without a default only when null.
fn without_defaults(value: Value, default: &Value) -> Value {
    let Value::Object(members) = value else { return value };
    let mut kept = Map::new();
    for (key, member) in members {
        let member_default = default.get(&key).unwrap_or(&Value::Null);
        if member != *member_default {
            kept.insert(key, without_defaults(member, member_default));
        }
    }
    Value::Object(kept)
}

/// The same value with the members of every object in order of their keys.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<(String, Value)> = members.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().map(|(key, member)| (key, sorted(member))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instance;
    use wharf_model::{RestartPolicy, Serve};

    #[test]
    fn equal_specs_have_equal_hashes_and_each_change_gives_another() {
        let base = instance("shop", "web", 1, 1);
        let hash = spec_hash(&base, None);
        assert!(hash.starts_with("1:") && hash.len() == 66, "{hash}");
        assert_eq!(hash, spec_hash(&base.clone(), None));
        let changes: [fn(&mut ContainerSpec); 6] = [
            |spec| spec.image = "other".to_owned(),
            |spec| spec.command = Some(vec![]),
            |spec| drop(spec.environment.insert("A".to_owned(), String::new())),
            |spec| spec.restart = RestartPolicy::Always,
            |spec| spec.resources.pids = Some(5),
            |spec| spec.stop_grace_ms = Some(0),
        ];
        let mut hashes = vec![hash];
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed.spec);
            hashes.push(spec_hash(&changed, None));
        }
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn only_what_decides_the_creation_counts() {
        let base = instance("shop", "web", 1, 1);
        let mut other = base.clone();
        other.release = 7;
        other.id = "shop-web-r7-1".to_owned();
        other.serve = Some(Serve { port: 80 });
        assert_eq!(
            spec_hash(&base, None),
            spec_hash(&other, None),
            "nothing is published on the server's host"
        );
        let address = Some("10.77.0.11".parse().unwrap());
        assert_ne!(spec_hash(&base, address), spec_hash(&other, address), "the published port counts");
    }

    #[test]
    fn a_field_at_its_default_leaves_the_hash_alone() {
        let default = json!({ "old": null, "new": [], "deep": { "more": 0, "less": null } });
        let with = json!({ "old": 1, "new": [], "deep": { "less": 2, "more": 0 } });
        let without = json!({ "old": 1, "deep": { "less": 2 } });
        assert_eq!(without_defaults(with, &default), without);
    }

    #[test]
    fn format_1_is_what_containers_out_there_carry() {
        // A change of this value would replace every container of every user: bump FORMAT and compare by field instead.
        assert_eq!(
            spec_hash(&instance("shop", "web", 1, 1), None),
            "1:365a2a652b9aff96fd6194516c8ff3ef2ca4973fede43916315e7e2094f93d3a"
        );
    }
}
