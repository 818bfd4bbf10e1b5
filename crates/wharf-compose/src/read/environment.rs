//! `env_file` and `environment`: what the container's environment is made of.
//!
//! Files come first, in their order, then `environment`. A name without a value takes the value of the shell (or
//! `.env`); if that has none, the variable is absent, also if a file sets it.

use std::collections::{BTreeMap, HashMap};

use crate::diagnostic::{Kind, Place, Problem};
use crate::dotenv::{self, Format};
use crate::load::ReadError;
use crate::read::context::Context;
use crate::read::{pairs, path, scalar};
use crate::schema_keys as keys;
use crate::yaml::{Node, Value};

/// Reads both keys of a service.
pub(super) fn read(
    cx: &mut Context<'_>,
    env_file: Option<&Node>,
    environment: Option<&Node>,
    service: &str,
) -> BTreeMap<String, String> {
    let mut own: BTreeMap<String, Option<String>> = BTreeMap::new();
    if let Some(node) = environment {
        for pair in pairs::read(cx, node, &format!("`environment` of {service}")) {
            let value = pair.value.or_else(|| (cx.environment)(&pair.key));
            own.insert(pair.key, value);
        }
    }
    let mut variables = BTreeMap::new();
    if let Some(node) = env_file {
        let what = format!("`env_file` of {service}");
        let nodes: &[Node] = match &node.value {
            Value::Sequence(items) => items,
            Value::Scalar(_) | Value::Mapping(_) => std::slice::from_ref(node),
        };
        for file in env_files(cx, nodes, &what) {
            variables.extend(content(cx, &file, &own, &what));
        }
    }
    for (name, value) in own {
        match value {
            Some(value) => variables.insert(name, value),
            None => variables.remove(&name),
        };
    }
    variables
}

/// Labels of `label_file` first, then the service's own.
pub(super) fn with_label_file(
    cx: &mut Context<'_>,
    label_file: Option<&Node>,
    own: BTreeMap<String, String>,
    service: &str,
) -> BTreeMap<String, String> {
    let Some(node) = label_file else { return own };
    let what = format!("`label_file` of {service}");
    let mut labels = BTreeMap::new();
    for (place, file) in cx.one_or_more(node, &what) {
        let Some(text) = cx.read_file(place, &file, &what) else { continue };
        let source = cx.sink.add_file(&file);
        let environment = cx.environment;
        labels.extend(dotenv::read(&text, source, Format::Dotenv, environment, cx.sink));
        if let Some(label) = labels.keys().find(|label| label.starts_with("wharf.")) {
            let message = format!("label `{label}`: `wharf.` is kept for Wharf's own labels");
            cx.error(place, Problem::value(message).about(&what));
        }
    }
    labels.extend(own);
    labels
}

/// One entry of `env_file`.
struct EnvFile {
    place: Place,
    path: String,
    is_required: bool,
    format: Format,
}

/// The entries; one that names a file again replaces the earlier one where it stands, as in Compose.
fn env_files(cx: &mut Context<'_>, nodes: &[Node], what: &str) -> Vec<EnvFile> {
    let mut files: Vec<EnvFile> = Vec::new();
    let mut by_path: HashMap<String, usize> = HashMap::new();
    for node in nodes {
        let Some(file) = env_file(cx, node, what) else { continue };
        match by_path.get(&file.path) {
            Some(&index) => files[index] = file,
            None => {
                by_path.insert(file.path.clone(), files.len());
                files.push(file);
            }
        }
    }
    files
}

fn env_file(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<EnvFile> {
    let mut file = None;
    let mut is_required = true;
    let mut format = Format::Dotenv;
    if node.as_mapping().is_some() {
        for field in cx.fields(node, &keys::ENV_FILE, what) {
            let value = &field.value;
            match field.key.as_str() {
                "path" => file = cx.string(value, what),
                "required" => is_required = cx.scalar(value, what, scalar::boolean).unwrap_or(true),
                _ => {
                    let read = |node: &Node| scalar::word(node, &[("raw", Format::Raw)]);
                    format = cx.scalar(value, what, read).unwrap_or_default();
                }
            }
        }
        if file.is_none() {
            cx.error(node.place, Problem::value("`path` is missing").about(what));
        }
    } else {
        file = cx.string(node, what);
    }
    let cleaned = path::clean(cx, node.place, &file?);
    let path = cx.take(node.place, what, cleaned)?;
    Some(EnvFile { place: node.place, path, is_required, format })
}

fn content(
    cx: &mut Context<'_>,
    file: &EnvFile,
    own: &BTreeMap<String, Option<String>>,
    what: &str,
) -> BTreeMap<String, String> {
    match (cx.reader)(&file.path) {
        Ok(text) => {
            let environment = cx.environment;
            // compose-go: the shell first, then the service's own `environment`, then the file itself.
            let lookup = |name: &str| environment(name).or_else(|| own.get(name).cloned().flatten());
            let source = cx.sink.add_file(&file.path);
            dotenv::read(&text, source, file.format, &lookup, cx.sink)
        }
        Err(ReadError::NotFound) if !file.is_required => BTreeMap::new(),
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", crate::yaml_text(&file.path));
            let problem = Problem::new(Kind::File, message);
            let problem = match error {
                ReadError::NotFound => {
                    problem.hint("`{ path: …, required: false }` tolerates that it is missing")
                }
                ReadError::Other(_) => problem,
            };
            cx.error(file.place, problem.about(what));
            BTreeMap::new()
        }
    }
}
