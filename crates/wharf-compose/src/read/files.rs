//! Secrets and configs: the top-level elements, and the files that a service gets of them.

use std::collections::HashMap;

use crate::diagnostic::{Kind, Problem};
use crate::project::{FileMount, FileSource};
use crate::read::context::{Context, Declared};
use crate::read::volume::{external, external_is_not_ours};
use crate::read::{pairs, path, scalar};
use crate::schema_keys::{self as keys, Keys};
use crate::yaml::{Entry, Node, Scalar, Value};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Secret,
    Config,
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Sort::Secret => "secret",
            Sort::Config => "config",
        }
    }

    fn keys(self) -> &'static Keys {
        match self {
            Sort::Secret => &keys::SECRET,
            Sort::Config => &keys::CONFIG,
        }
    }

    fn declared(self) -> Declared {
        match self {
            Sort::Secret => Declared::Secret,
            Sort::Config => Declared::Config,
        }
    }

    /// Where a relative target is.
    fn folder(self) -> &'static str {
        match self {
            Sort::Secret => "/run/secrets/",
            Sort::Config => "/",
        }
    }
}

/// Reads an entry of the top-level `secrets` or `configs`.
pub(super) fn read(cx: &mut Context<'_>, entry: &Entry, sort: Sort) -> FileSource {
    let what = format!("{} `{}`", sort.word(), crate::yaml_text(&entry.key));
    let mut source = FileSource::default();
    let mut name_of_external = None;
    for field in cx.fields(&entry.value, sort.keys(), &what) {
        let (value, what) = (&field.value, format!("`{}` of {what}", field.key));
        match field.key.as_str() {
            "content" => source.content = cx.string(value, what),
            "environment" => source.environment = cx.string(value, what),
            "external" => (source.external, name_of_external) = external(cx, value, &what),
            "file" => {
                source.file = cx.string(value, &what).and_then(|file| {
                    let cleaned = path::clean(cx, value.place, &file);
                    cx.take(value.place, &what, cleaned)
                });
            }
            "labels" => source.labels = pairs::labels(cx, value, &what),
            _ => source.name = cx.string(value, what),
        }
    }
    source.name = source.name.or(name_of_external);
    let given = [source.file.is_some(), source.environment.is_some(), source.content.is_some()];
    let given = given.iter().filter(|is_given| **is_given).count();
    if source.external && (given > 0 || !source.labels.is_empty()) {
        external_is_not_ours(cx, entry.key_place, &what);
    } else if !source.external && given != 1 && !cx.sink.has_errors() {
        let words = match sort {
            Sort::Secret => "`file`, `environment` or `external`",
            Sort::Config => "`file`, `content`, `environment` or `external`",
        };
        let problem = Problem::value(format!("{what} needs one of {words}"));
        cx.error(entry.key_place, problem);
    }
    source
}

/// Reads `secrets` or `configs` of a service. A later file at the same target replaces an earlier one, as in Compose.
pub(super) fn of_service(cx: &mut Context<'_>, node: &Node, service: &str, sort: Sort) -> Vec<FileMount> {
    let what = format!("`{}s` of {service}", sort.word());
    let mut mounts: Vec<FileMount> = Vec::new();
    let mut by_target: HashMap<String, usize> = HashMap::new();
    for item in cx.items(node, &what) {
        let Some(mount) = one(cx, item, &what, sort) else { continue };
        match by_target.get(&mount.target) {
            Some(&index) => mounts[index] = mount,
            None => {
                by_target.insert(mount.target.clone(), mounts.len());
                mounts.push(mount);
            }
        }
    }
    mounts
}

fn one(cx: &mut Context<'_>, node: &Node, what: &str, sort: Sort) -> Option<FileMount> {
    let mut mount = FileMount::default();
    let mut target = None;
    if node.as_mapping().is_some() {
        for field in cx.fields(node, &keys::FILE_MOUNT, &format!("an entry of {what}")) {
            let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
            match field.key.as_str() {
                "source" => mount.source = cx.string(value, what)?,
                "target" => target = cx.string(value, what),
                "uid" => mount.uid = cx.word(value, what),
                "gid" => mount.gid = cx.word(value, what),
                _ => mount.mode = cx.scalar(value, what, mode),
            }
        }
        if mount.source.is_empty() {
            let problem = Problem::value("`source` is missing").about(format_args!("an entry of {what}"));
            cx.error(node.place, problem);
            return None;
        }
    } else {
        mount.source = cx.string(node, what)?;
    }
    if !cx.is_declared(sort.declared(), &mount.source) {
        let (word, shown) = (sort.word(), crate::yaml_text(&mount.source));
        let message = format!("{what}: {word} `{shown}` is not declared");
        let hint = format!("add `{shown}:` under the top-level `{word}s`");
        cx.undeclared(node.place, message, sort.declared(), &mount.source, &hint);
        return None;
    }
    let target = target.unwrap_or_else(|| mount.source.clone());
    let target = if target.starts_with('/') { target } else { format!("{}{target}", sort.folder()) };
    mount.target = path::clean_text(&target);
    if mount.target == "/" || target.ends_with('/') {
        let message = format!("target `{}` is no file", crate::yaml_text(&target));
        cx.error(node.place, Problem::new(Kind::Value, message).about(what));
        return None;
    }
    Some(mount)
}

/// Permission bits: a number (YAML reads a leading 0 as octal), or a string of octal digits.
pub(super) fn mode(node: &Node) -> Result<u32, Problem> {
    let bits = match &node.value {
        Value::Scalar(Scalar::Integer(value, _)) => u32::try_from(*value).ok(),
        Value::Scalar(Scalar::String(text)) => {
            u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok()
        }
        Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => None,
    };
    match bits {
        Some(bits) if bits <= 0o7777 => Ok(bits),
        _ => Err(scalar::wrong(node, "permission bits").hint("for example 0440")),
    }
}
