//! Nothing of a file is silently ignored.
//!
//! The judge is removal: a file without one of its keys, or without one item of a list, must come to another project
//! or be told something else. What says the same as its absence is in [`says_nothing`]. The files are those of
//! `testdata/`, and a test holds that together they use every key of the schema; each key that is refused or has no
//! effect is put where it belongs and must be named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wharf_compose::document::Document;
use wharf_compose::{Errors, Kind, Loaded, Options, ReadError, SourceFile, load, schema};

use crate::golden;

/// The last file of a directory, to be changed, over the others as they are.
struct Case {
    directory: PathBuf,
    below: Vec<SourceFile>,
    document: Value,
}

/// All directories whose files load. A file of several documents has no one tree.
fn cases() -> Vec<Case> {
    let case = |directory: PathBuf| {
        let mut below = golden::compose_files(&directory);
        let last = below.pop()?;
        let document = Document::parse(&last.path, &last.text).ok()?.to_json();
        let case = Case { directory, below, document };
        case.load(&case.document).is_ok().then_some(case)
    };
    golden::directories().into_iter().filter_map(case).collect()
}

impl Case {
    fn load(&self, document: &Value) -> Result<Loaded, Errors> {
        let variables = golden::variables(&self.directory);
        let mut files = self.below.clone();
        files.push(SourceFile { path: "last.yaml".to_owned(), text: document.to_string() });
        let mut reader =
            |path: &str| fs::read_to_string(self.directory.join(path)).map_err(|_| ReadError::NotFound);
        let options = Options {
            directory_name: Some("test".to_owned()),
            profiles: vec!["*".to_owned()],
            ..Options::default()
        };
        load(&files, &|name| variables.get(name).cloned(), &mut reader, &options)
    }

    /// The project, services that only profiles make active, and what is said, without places.
    fn outcome(&self, document: &Value) -> Result<(Value, Vec<String>), Vec<String>> {
        match self.load(document) {
            Ok(loaded) => {
                let said = loaded.warnings.iter().map(|warning| warning.message.clone()).collect();
                Ok((serde_json::to_value(&loaded.project).unwrap(), said))
            }
            Err(errors) => Err(errors.errors.iter().map(|error| error.message.clone()).collect()),
        }
    }

    fn name(&self) -> &str {
        self.directory.file_name().and_then(|name| name.to_str()).unwrap()
    }
}

/// One step into a document.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

fn show(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Key(key) => format!(".{key}"),
        Step::Index(index) => format!("[{index}]"),
    });
    steps.collect()
}

/// Every key and item, without what is below extensions that are free.
fn paths(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let children: Vec<(Step, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !key.starts_with("x-") || *key == "x-wharf")
            .map(|(key, value)| (Step::Key(key.clone()), value))
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (Step::Index(index), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (step, child) in children {
        path.push(step);
        found.push(path.clone());
        paths(child, path, found);
        path.pop();
    }
}

/// Takes the key or item out and returns it.
fn remove(document: &mut Value, path: &[Step]) -> Value {
    let (last, parents) = path.split_last().unwrap();
    let mut node = document;
    for step in parents {
        node = match step {
            Step::Key(key) => &mut node[key.as_str()],
            Step::Index(index) => &mut node[*index],
        };
    }
    match (last, node) {
        (Step::Key(key), Value::Object(map)) => map.shift_remove(key).unwrap(),
        (Step::Index(index), Value::Array(items)) => items.remove(*index),
        (step, node) => panic!("{step:?} is no part of {node}"),
    }
}

/// Whether a value says what its absence says. The pairs are the defaults of the schema.
fn says_nothing(path: &[Step], value: &Value) -> bool {
    let keys: Vec<&str> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    let is_empty = matches!(value, Value::Null | Value::Bool(false))
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty);
    match keys.as_slice() {
        // An entry that is there says something, even if it is empty: a volume, a network of a service.
        ["services" | "networks" | "volumes", name] => *name == "default",
        ["services", _, "networks", name] => *name == "default" || is_empty,
        // It has no effect as a whole, which is told.
        ["services", _, "develop", _, ..] => true,
        // All are active here; files.rs has what profiles do.
        ["services", _, "profiles"] => true,
        ["services", _, "env_file"] => value["required"] == false,
        [.., key] if is_empty => !matches!(*key, "environment" | "args"),
        [.., "protocol"] => value == "tcp",
        [.., "ports", "mode"] => true,
        [.., "ports", "host_ip"] => value == "0.0.0.0",
        [.., "deploy", "mode"] => value == "replicated",
        [.., "failure_action"] => value == "rollback",
        [.., "restart_policy", "condition"] => value == "any",
        [.., "balance"] => value == "round_robin",
        // Of a service that may run twice.
        [.., "rollout", "strategy"] => value == "blue-green",
        [.., "route", "path"] => value == "/",
        [.., "build", "context"] => value == ".",
        // A file that must be there, and is.
        [.., "env_file", "required"] | [.., "depends_on", _, "required"] => value == true,
        // Without an alias it is a dependency, which may be written as well.
        [.., "links"] => true,
        _ => false,
    }
}

#[test]
fn a_file_without_one_of_its_keys_is_another_file() {
    let mut lost = Vec::new();
    let (mut files, mut removed) = (0, 0);
    for case in cases() {
        files += 1;
        let whole = case.outcome(&case.document);
        let mut found = Vec::new();
        paths(&case.document, &mut Vec::new(), &mut found);
        for path in found {
            let mut document = case.document.clone();
            let value = remove(&mut document, &path);
            removed += 1;
            if case.outcome(&document) == whole && !says_nothing(&path, &value) {
                lost.push(format!("{}: {} = {value}", case.name(), show(&path)));
            }
        }
    }
    assert!(lost.is_empty(), "makes no difference:\n{}", lost.join("\n"));
    assert!(files >= 50 && removed >= 2000, "{files} files, {removed} keys and items");
}

#[test]
fn at_least_sixty_realistic_projects_are_in_testdata() {
    assert!(golden::directories().len() >= 60);
}

/// Schemas below `schema` that a value of this type could be meant by.
fn alternatives<'a>(schema: &'a Value, value: &Value) -> Vec<&'a Value> {
    match schema["anyOf"].as_array() {
        Some(schemas) => schemas.iter().filter(|schema| takes(schema, value)).collect(),
        None => vec![schema],
    }
}

fn takes(schema: &Value, value: &Value) -> bool {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match (&schema["type"], &schema["enum"], &schema["anyOf"]) {
        (Value::String(one), ..) => {
            let text = value.as_str().unwrap_or_default();
            one == name && (schema["pattern"].is_null() || text.contains('$'))
        }
        (Value::Array(types), ..) => types.iter().any(|one| one == name),
        (_, Value::Array(words), _) => words.contains(value),
        (_, _, Value::Array(schemas)) => schemas.iter().any(|schema| takes(schema, value)),
        _ => true,
    }
}

/// Goes through `value` along the schema. `visit` gets the path in the schema and in the value of each element.
fn walk(
    schema: &Value,
    value: &Value,
    at: &mut (String, Vec<Step>),
    visit: &mut impl FnMut(&Value, &Value, &str, &[Step]),
) {
    for schema in alternatives(schema, value) {
        visit(schema, value, &at.0, &at.1);
        let children: Vec<(Step, String, &Value, &Value)> = match value {
            Value::Object(map) => map
                .iter()
                .filter_map(|(key, value)| {
                    let (name, schema) = match schema["properties"].get(key) {
                        Some(schema) => (format!(".{key}"), schema),
                        None => {
                            (".*".to_owned(), schema.get("additionalProperties").filter(|s| s.is_object())?)
                        }
                    };
                    Some((Step::Key(key.clone()), name, schema, value))
                })
                .collect(),
            Value::Array(items) => {
                let item = |(index, value)| (Step::Index(index), "[]".to_owned(), &schema["items"], value);
                items.iter().enumerate().map(item).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        for (step, name, schema, value) in children {
            let length = at.0.len();
            at.0.push_str(&name);
            at.1.push(step);
            walk(schema, value, at, visit);
            at.0.truncate(length);
            at.1.pop();
        }
    }
}

/// Keys of the schema by their path, with their schemas.
fn keys_of(schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        found.insert(path.clone(), schema.clone());
        keys_of(schema, &path, found);
    }
    for schema in schema["anyOf"].as_array().into_iter().flatten() {
        keys_of(schema, path, found);
    }
    if schema["items"].is_object() {
        keys_of(&schema["items"], &format!("{path}[]"), found);
    }
    if schema["additionalProperties"].is_object() {
        keys_of(&schema["additionalProperties"], &format!("{path}.*"), found);
    }
}

fn is_refused(schema: &Value) -> bool {
    schema["deprecated"] == true
}

fn has_no_effect(schema: &Value) -> bool {
    schema["description"].as_str().is_some_and(|text| text.starts_with("No effect"))
}

#[test]
fn together_the_files_use_every_key_that_is_carried_out() {
    let schema = schema();
    let mut used = BTreeSet::new();
    for case in cases() {
        walk(&schema, &case.document, &mut Default::default(), &mut |_, _, path, _| {
            used.insert(path.to_owned());
        });
    }
    let mut keys = BTreeMap::new();
    keys_of(&schema, "", &mut keys);
    let unused: Vec<&String> = keys
        .iter()
        .filter(|(path, schema)| !is_refused(schema) && !has_no_effect(schema) && !used.contains(*path))
        .map(|(path, _)| path)
        .collect();
    assert!(unused.is_empty(), "no file in testdata/ has:\n{unused:#?}");
    assert!(keys.len() > 200, "{}", keys.len());
}

#[test]
fn files_that_load_have_the_form_that_the_schema_describes() {
    let schema = schema();
    for case in cases() {
        let unknown = case.load(&case.document).unwrap().warnings;
        let has_unknown = unknown.iter().any(|warning| warning.kind == Kind::UnknownKey);
        walk(&schema, &case.document, &mut Default::default(), &mut |schema, value, _, path| {
            let place = format!("{}: {}", case.name(), show(path));
            assert!(takes(schema, value), "{place} = {value} is not {schema}");
            if let (Value::Object(map), false) = (value, has_unknown) {
                for (key, value) in map {
                    let known = &schema["properties"][key.as_str()];
                    let is_free = key.starts_with("x-") || schema["additionalProperties"] != false;
                    assert!(known.is_object() || is_free, "{place}.{key} is not in the schema");
                    let found = alternatives(known, value);
                    assert!(known.is_null() || !found.is_empty(), "{place}.{key} = {value} is not {known}");
                }
            }
        });
    }
}

/// Puts a key where the schema has it and returns everything that is said.
fn say_about(case: &Case, path: &[Step], key: &str, value: Value) -> Vec<(bool, Kind, String)> {
    let mut document = case.document.clone();
    let mut node = &mut document;
    for step in path {
        node = match step {
            Step::Key(key) => &mut node[key.as_str()],
            Step::Index(index) => &mut node[*index],
        };
    }
    node[key] = value;
    let (errors, warnings) = match case.load(&document) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(errors) => (errors.errors, errors.warnings),
    };
    let errors = errors.into_iter().map(|error| (true, error.kind, error.message));
    errors.chain(warnings.into_iter().map(|warning| (false, warning.kind, warning.message))).collect()
}

#[test]
fn what_is_refused_has_no_effect_or_is_unknown_is_named_wherever_it_stands() {
    let schema = schema();
    let cases = cases();
    // One element of each kind: the first case that has it.
    let mut elements: BTreeMap<String, (&Case, Vec<Step>, Value)> = BTreeMap::new();
    for case in &cases {
        walk(&schema, &case.document, &mut Default::default(), &mut |schema, value, path, steps| {
            // An element in a list of a file above others may be merged away; in one file it stands.
            if schema["properties"].is_object() && value.is_object() && case.below.is_empty() {
                elements.entry(path.to_owned()).or_insert_with(|| (case, steps.to_vec(), schema.clone()));
            }
        });
    }
    let (mut refused, mut idle) = (0, 0);
    for (path, (case, steps, schema)) in &elements {
        for (key, of_key) in schema["properties"].as_object().unwrap() {
            let named = format!("`{key}`");
            if is_refused(of_key) {
                refused += 1;
                let said = say_about(case, steps, key, json!(1));
                let is_named = |(is_error, kind, text): &(bool, Kind, String)| {
                    *is_error && *kind == Kind::Unsupported && text.contains(&named)
                };
                assert!(said.iter().any(is_named), "{path}.{key}: {said:?}");
            } else if has_no_effect(of_key) {
                idle += 1;
                let said = say_about(case, steps, key, json!(1));
                let is_named = |(is_error, kind, text): &(bool, Kind, String)| {
                    !is_error && *kind == Kind::Effect && text.contains(&named)
                };
                assert!(said.iter().any(is_named), "{path}.{key}: {said:?}");
            }
        }
        let said = say_about(case, steps, "unheard_of", json!(1));
        let is_named = |(_, kind, text): &(bool, Kind, String)| {
            *kind == Kind::UnknownKey && text.contains("`unheard_of`")
        };
        assert!(said.iter().any(is_named), "{path}: {said:?}");
    }
    assert!(elements.len() >= 35 && refused >= 35 && idle >= 6, "{} {refused} {idle}", elements.len());
}

fn service_keys() -> Vec<String> {
    let mut keys = BTreeMap::new();
    keys_of(&schema(), "", &mut keys);
    let of_service = |path: &String| path.strip_prefix(".services.*.").map(str::to_owned);
    keys.keys().filter_map(of_service).filter(|key| !key.contains(['.', '['])).collect()
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-5i64..100_000).prop_map(Value::from),
        prop::sample::select(vec![
            "a",
            "80",
            "8080:80",
            "/x",
            "/x:/y",
            "data:/x",
            "1s",
            "1g",
            "host",
            "always",
            "SIGINT",
            "a=b",
            "b",
            "0.5",
            "all",
            "service:b",
            "10.0.0.1",
            "raw",
            "c 1:3 mr",
            "02:42:ac:11:00:05",
            "label=x",
            "true",
        ])
        .prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let key = prop::sample::select(vec![
            "a",
            "b",
            "soft",
            "hard",
            "source",
            "target",
            "type",
            "path",
            "driver",
            "options",
            "context",
            "replicas",
            "resources",
            "limits",
            "memory",
            "condition",
            "test",
            "interval",
            "route",
            "port",
            "file",
            "service",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Value::Array),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 1..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// Any value at any key of a service is an error, is told of, or makes a difference.
    #[test]
    fn any_value_at_any_key_is_honoured_or_named(
        key in prop::sample::select(service_keys()),
        value in any_value(),
    ) {
        let case = Case { directory: Path::new("/nonexistent").to_owned(), below: Vec::new(), document: Value::Null };
        let with = |value: Option<&Value>| {
            let mut web = json!({ "image": "web" });
            if let Some(value) = value {
                web[key.as_str()] = value.clone();
            }
            json!({
                "services": { "web": web, "a": { "image": "a" }, "b": { "image": "b" } },
                "volumes": { "data": null, "a": null },
                "networks": { "a": null, "b": null },
                "secrets": { "a": { "environment": "A" } },
                "configs": { "a": { "content": "x" } },
            })
        };
        let without = case.outcome(&with(None));
        let outcome = case.outcome(&with(Some(&value)));
        // `all` of profiles makes every service active here, so a profile makes no difference; files.rs has those.
        let is_idle = key == "profiles"
            || matches!(value, Value::Bool(false))
            || (key == "image" && value == "web")
            // Names without a value, which the shell does not set here.
            || (key == "environment" && value.as_array().is_some_and(|items| {
                items.iter().all(|item| item.as_str().is_some_and(|text| !text.contains('=')))
            }))
            // Extending a service that has nothing of its own.
            || (key == "extends" && matches!(value.as_str(), Some("a" | "b")));
        prop_assert!(outcome != without || is_idle, "{key}: {value} makes no difference");
    }
}
