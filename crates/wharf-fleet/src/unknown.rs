//! What a newer server says and this version doesn't know (docs/decisions/0013).
//!
//! Unknown members of the protocol's records are ignored when they are read, which is right for what only informs. A setting
//! of a container must not be: it would run without, say, its `read_only`. So what was read is written again and
//! compared with what came.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use wharf_model::{AppDesired, Name};

/// The first member of `raw` that `known`, which was read from it, does not have: its path, `spec.networks.0.speed`. One with
/// nothing in it (`null`, `false`, 0, empty) asks for nothing.
pub(crate) fn member(raw: &Value, known: &impl Serialize) -> Option<String> {
    let known = serde_json::to_value(known).expect("plain records are JSON");
    let mut path = Vec::new();
    is_missing(raw, &known, &mut path).then(|| path.join("."))
}

fn is_missing(raw: &Value, known: &Value, path: &mut Vec<String>) -> bool {
    let mut look = |key: String, raw: &Value, known: Option<&Value>| {
        path.push(key);
        let is_missing = match known {
            Some(known) => is_missing(raw, known, path),
            None => !asks_for_nothing(raw),
        };
        if !is_missing {
            path.pop();
        }
        is_missing
    };
    match (raw, known) {
        (Value::Object(raw), Value::Object(known)) => {
            raw.iter().any(|(key, value)| look(key.clone(), value, known.get(key)))
        }
        (Value::Array(raw), Value::Array(known)) => {
            raw.iter().enumerate().any(|(index, value)| look(index.to_string(), value, known.get(index)))
        }
        _ => false,
    }
}

fn asks_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.values().all(asks_for_nothing),
    }
}

/// Instances that can't be made as the server wants them, by id, with the path of what is not known. What an application
/// has besides its instances (networks, volumes) concerns each of them.
pub(crate) fn instances(raw: &Value, apps: &BTreeMap<Name, AppDesired>) -> BTreeMap<String, String> {
    let mut unknown = BTreeMap::new();
    for (name, app) in apps {
        let Some(raw) = raw.get("apps").and_then(|apps| apps.get(name.as_str())) else { continue };
        let mut around = raw.clone();
        let members = around.as_object_mut().and_then(|members| members.remove("instances"));
        let of_all = member(&around, app);
        let each = members.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (instance, raw) in app.instances.iter().zip(each) {
            if let Some(path) = of_all.clone().or_else(|| member(raw, instance)) {
                unknown.insert(instance.id.clone(), path);
            }
        }
    }
    unknown
}

/// Why such an instance is not made, for people.
pub(crate) fn refusal(path: &str, host: &Name) -> String {
    format!(
        "the server asks for `{path}`, which the agent of {host} (wharf {}) does not know\n  \
         hint: update wharf on {host}; until then what runs there stays as it is",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instance, name};
    use serde_json::json;

    #[test]
    fn what_is_known_is_never_named() {
        let mut one = instance("shop", "web", 1, 1);
        one.spec.cap_add.insert("NET_ADMIN".to_owned());
        one.spec.resources.blkio.weight = Some(10);
        assert_eq!(member(&serde_json::to_value(&one).unwrap(), &one), None);
    }

    #[test]
    fn a_member_that_is_not_known_is_named_unless_it_asks_for_nothing() {
        let one = instance("shop", "web", 1, 1);
        for (value, expected) in [
            (json!({ "speed": 1 }), Some("spec.novel")),
            (json!(["a"]), Some("spec.novel")),
            (json!(true), Some("spec.novel")),
            (json!(false), None),
            (json!(null), None),
            (json!([]), None),
            (json!({ "off": false }), None),
        ] {
            let mut raw = serde_json::to_value(&one).unwrap();
            raw["spec"]["novel"] = value.clone();
            assert_eq!(member(&raw, &one).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn what_concerns_an_application_concerns_each_of_its_instances() {
        let app = AppDesired {
            instances: vec![instance("shop", "web", 1, 1), instance("shop", "web", 1, 2)],
            networks: vec![wharf_model::NetworkSpec { name: "n".to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let apps = BTreeMap::from([(name("shop"), app)]);
        let plain = json!({ "apps": apps });
        assert_eq!(instances(&plain, &apps), BTreeMap::new());
        let mut raw = plain.clone();
        raw["apps"]["shop"]["instances"][1]["spec"]["novel"] = json!("x");
        let only_second = BTreeMap::from([(apps["shop"].instances[1].id.clone(), "spec.novel".to_owned())]);
        assert_eq!(instances(&raw, &apps), only_second);
        let mut raw = plain;
        raw["apps"]["shop"]["networks"][0]["novel"] = json!("x");
        let all: Vec<String> = instances(&raw, &apps).into_values().collect();
        assert_eq!(all, ["networks.0.novel", "networks.0.novel"]);
    }
}
