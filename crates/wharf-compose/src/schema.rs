//! The JSON Schema of a Compose file as Wharf reads it, for editors.
//!
//! Made from the tables of `schema_keys.rs`, so that what an editor offers is what the reader takes: a key that Wharf
//! refuses is marked as deprecated and says what to do instead, one without effect says so. Every value may be a
//! string, because of `${…}`, and may be left empty.

mod service;
mod x_wharf;

use serde_json::{Map, Value, json};

use crate::schema_keys::{self as keys, Keys};

/// The schema: JSON Schema 2020-12.
pub fn schema() -> Value {
    let mut schema = element(
        &keys::TOP,
        &[
            ("name", described(text(), "Name of the application; a-z, 0-9, `_` and `-`")),
            ("include", list(one_of(&[text(), include()]))),
            ("services", by_name(service::service())),
            ("networks", by_name(network())),
            ("volumes", by_name(volume())),
            ("configs", by_name(source(&keys::CONFIG))),
            ("secrets", by_name(source(&keys::SECRET))),
        ],
    );
    let top = schema.as_object_mut().expect("an element is an object");
    top.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    top.insert("title".to_owned(), json!("compose.yaml with x-wharf"));
    schema
}

/// An object with the keys of `keys`; `types` has a schema for each that is supported.
fn element(keys: &Keys, types: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    for key in keys.supported {
        let found = types.iter().find(|(name, _)| name == key);
        // A test goes through all elements, so this does not happen.
        properties.insert((*key).to_owned(), found.map_or(json!({}), |(_, schema)| schema.clone()));
    }
    for (key, reason) in keys.no_effect {
        properties.insert((*key).to_owned(), json!({ "description": format!("No effect: {reason}") }));
    }
    for (key, hint) in keys.unsupported {
        let description = format!("Wharf refuses it: {hint}");
        properties.insert((*key).to_owned(), json!({ "deprecated": true, "description": description }));
    }
    let mut schema =
        json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false });
    if !keys.closed {
        schema["patternProperties"] = json!({ "^x-": {} });
    }
    schema
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

/// A string; what looks like a number is taken too, with a warning.
fn text() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

fn number() -> Value {
    json!({ "type": ["number", "string", "null"] })
}

fn boolean() -> Value {
    json!({ "type": ["boolean", "string", "null"] })
}

/// One of some words, or a `${…}`.
fn word(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$" }, { "type": "null" }] })
}

fn one_of(schemas: &[Value]) -> Value {
    json!({ "anyOf": schemas })
}

fn list(items: Value) -> Value {
    json!({ "type": ["array", "null"], "items": items })
}

fn texts() -> Value {
    list(text())
}

fn one_or_more() -> Value {
    one_of(&[text(), texts()])
}

fn by_name(schema: Value) -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": schema })
}

/// A mapping of texts, or a list of `key=value`.
fn pairs() -> Value {
    one_of(&[by_name(text()), texts()])
}

/// A mapping from names to one address or several, or a list of `name=address`.
fn hosts() -> Value {
    one_of(&[by_name(one_or_more()), texts()])
}

fn include() -> Value {
    element(
        &keys::INCLUDE,
        &[("env_file", one_or_more()), ("path", one_or_more()), ("project_directory", text())],
    )
}

/// `true`, or the old form with a name.
fn external() -> Value {
    one_of(&[boolean(), element(&keys::EXTERNAL, &[("name", text())])])
}

fn network() -> Value {
    let pool = element(
        &keys::IPAM_POOL,
        &[("aux_addresses", pairs()), ("gateway", text()), ("ip_range", text()), ("subnet", text())],
    );
    let ipam = element(&keys::IPAM, &[("config", list(pool)), ("driver", text()), ("options", pairs())]);
    element(
        &keys::NETWORK,
        &[
            ("attachable", boolean()),
            ("driver", text()),
            ("driver_opts", pairs()),
            ("enable_ipv6", boolean()),
            ("external", external()),
            ("internal", boolean()),
            ("ipam", ipam),
            ("labels", pairs()),
            ("name", text()),
        ],
    )
}

fn volume() -> Value {
    element(
        &keys::VOLUME,
        &[
            ("driver", text()),
            ("driver_opts", pairs()),
            ("external", external()),
            ("labels", pairs()),
            ("name", text()),
        ],
    )
}

fn source(keys: &Keys) -> Value {
    element(
        keys,
        &[
            ("content", text()),
            ("environment", text()),
            ("external", external()),
            ("file", text()),
            ("labels", pairs()),
            ("name", text()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `visit` with each schema below `schema` and a path to it.
    fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&Value, &str)) {
        visit(schema, path);
        let inner = ["properties"].iter().filter_map(|key| schema.get(key)?.as_object());
        for (name, schema) in inner.flatten() {
            walk(schema, &format!("{path}.{name}"), visit);
        }
        for schema in schema["anyOf"].as_array().into_iter().flatten() {
            walk(schema, path, visit);
        }
        for key in ["additionalProperties", "items"] {
            if let Some(schema) = schema.get(key).filter(|schema| schema.is_object()) {
                walk(schema, &format!("{path}.*"), visit);
            }
        }
    }

    #[test]
    fn every_supported_key_has_a_type() {
        let mut count = 0;
        walk(&schema(), "", &mut |schema, path| {
            count += 1;
            let says_something = schema.as_object().is_some_and(|schema| !schema.is_empty());
            assert!(says_something, "{path} has no type");
        });
        assert!(count > 400, "{count}");
    }

    /// The committed copy is what editors can point at without having Wharf.
    #[test]
    fn the_committed_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compose.schema.json");
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        wharf_test_support::expect_file(path, &text);
    }
}
