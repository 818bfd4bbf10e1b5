//! Values as people write them: ports and mounts in Compose's short form, other records as `key=value`.

use serde_json::{Map, Value};

/// `value`, found somewhere below the key `part` of a service, as text.
pub(super) fn of(part: &str, value: &Value) -> String {
    match value {
        Value::Object(map) if part == "ports" => port(map),
        Value::Object(map) if part == "volumes" && map.contains_key("target") => mount(map),
        other => plain(other),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(map) => pairs(map, &[]),
    }
}

/// `127.0.0.1:80:8000/udp`.
fn port(map: &Map<String, Value>) -> String {
    let part = |key: &str, before: &str, after: &str| {
        map.get(key).filter(|value| !value.is_null()).map(|value| format!("{before}{}{after}", plain(value)))
    };
    let protocol = part("protocol", "/", "").filter(|text| text != "/tcp");
    let parts = [part("host_ip", "", ":"), part("published", "", ":"), part("target", "", ""), protocol];
    with_rest(parts.into_iter().flatten().collect(), map, &["host_ip", "published", "target", "protocol"])
}

/// `data:/var/lib/data:ro`.
fn mount(map: &Map<String, Value>) -> String {
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    let mut short = match (text("source"), text("kind")) {
        (Some(source), _) => format!("{source}:"),
        (None, Some("tmpfs")) => "tmpfs:".to_owned(),
        (None, _) => String::new(),
    };
    short.push_str(text("target").unwrap_or_default());
    if map.get("read_only") == Some(&Value::Bool(true)) {
        short.push_str(":ro");
    }
    with_rest(short, map, &["source", "target", "read_only", "kind"])
}

fn with_rest(short: String, map: &Map<String, Value>, told: &[&str]) -> String {
    let rest = pairs(map, told);
    if rest.is_empty() { short } else { format!("{short} {rest}") }
}

/// `key=value` of everything that says something and is not among `told`; of what may be a secret the key alone.
fn pairs(map: &Map<String, Value>, told: &[&str]) -> String {
    let says = |value: &Value| !super::is_nothing(value) && *value != Value::Bool(false);
    let rest = map.iter().filter(|(key, value)| !told.contains(&key.as_str()) && says(value));
    // Maps of serde_json may be in the order of the file.
    let rest: std::collections::BTreeMap<&String, &Value> = rest.collect();
    let told = |(key, value): (&String, &Value)| match super::HIDDEN.contains(&key.as_str()) {
        true => format!("{key}=…"),
        false => format!("{key}={}", plain(value)),
    };
    rest.into_iter().map(told).collect::<Vec<_>>().join(" ")
}
