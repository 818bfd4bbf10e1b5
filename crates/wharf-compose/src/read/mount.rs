//! `volumes` of a service: `source:target:options`, or a mapping.

use std::collections::{HashMap, hash_map};

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::{Mount, MountKind};
use crate::read::context::{Context, Declared};
use crate::read::{path, scalar};
use crate::schema_keys as keys;
use crate::yaml::Node;

const KINDS: [(&str, Option<MountKind>); 6] = [
    ("bind", Some(MountKind::Bind)),
    ("volume", Some(MountKind::Volume)),
    ("tmpfs", Some(MountKind::Tmpfs)),
    ("cluster", None),
    ("image", None),
    ("npipe", None),
];

/// Reads the list. A later mount at the same target replaces an earlier one, as in Compose.
pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &str) -> Vec<Mount> {
    let what = format!("`volumes` of {service}");
    let mut mounts: Vec<(Mount, Place)> = Vec::new();
    let mut by_target: HashMap<String, usize> = HashMap::new();
    for item in cx.items(node, &what) {
        let mount = match item.as_mapping() {
            Some(_) => long(cx, item, &what),
            None => short(cx, item, &what),
        };
        let Some(mount) = mount else { continue };
        match by_target.entry(mount.target.clone()) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(mounts.len());
                mounts.push((mount, item.place));
            }
            hash_map::Entry::Occupied(occupied) => {
                let earlier = &mut mounts[*occupied.get()];
                if earlier.1.source == item.place.source {
                    let message = format!(
                        "the mount at `{}` replaces the one in line {}",
                        mount.target, earlier.1.line
                    );
                    cx.warn(item.place, Problem::new(Kind::Effect, message).about(&what));
                }
                *earlier = (mount, item.place);
            }
        }
    }
    mounts.into_iter().map(|(mount, _)| mount).collect()
}

fn short(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Mount> {
    let text = cx.string(node, what)?;
    let parsed = parse_short(&text);
    let short = cx.take(node.place, what, parsed)?;
    let mut read_only = false;
    for option in short.options.unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "z" | "Z" | "cached" | "consistent" | "delegated" => {
                let message = format!("mount option `{option}` has no effect");
                cx.warn(node.place, Problem::new(Kind::Effect, message).about(what));
            }
            _ => {
                let message = format!("mount option `{}` is not supported", crate::yaml_text(option));
                cx.error(node.place, Problem::unsupported(message).hint("`ro` and `rw` are").about(what));
            }
        }
    }
    let kind = match short.source {
        Some(source) if is_path(source) => MountKind::Bind,
        Some(_) | None => MountKind::Volume,
    };
    finish(cx, node.place, kind, short.source.map(str::to_owned), short.target.to_owned(), read_only, what)
}

fn long(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Mount> {
    let mut kind = None;
    let (mut source, mut target, mut read_only) = (None, None, false);
    for field in cx.fields(node, &keys::MOUNT, &format!("an entry of {what}")) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "type" => {
                let word = cx.scalar(value, &what, |node| scalar::word(node, &KINDS))?;
                if word.is_none() {
                    let problem = Problem::unsupported("this type of mount is not supported");
                    cx.error(value.place, problem.hint("bind, volume and tmpfs are").about(&what));
                    return None;
                }
                kind = word;
            }
            "source" => source = cx.string(value, what),
            "target" => target = cx.string(value, what),
            "read_only" => read_only = cx.scalar(value, what, scalar::boolean).unwrap_or_default(),
            _ => {
                for field in cx.fields(value, &keys::MOUNT_BIND, &what) {
                    // The Engine creates a missing directory or the deploy brings a copy: both ways it exists.
                    cx.scalar(&field.value, &what, scalar::boolean);
                }
            }
        }
    }
    let Some(kind) = kind else {
        let problem =
            Problem::value("`type` is missing").hint("`type: bind`, `type: volume` or `type: tmpfs`");
        cx.error(node.place, problem.about(format_args!("an entry of {what}")));
        return None;
    };
    let Some(target) = target else {
        cx.error(node.place, Problem::value("`target` is missing").about(format_args!("an entry of {what}")));
        return None;
    };
    finish(cx, node.place, kind, source, target, read_only, what)
}

/// What both forms have in common: the target, the source by kind, and that a named volume is declared.
fn finish(
    cx: &mut Context<'_>,
    place: Place,
    kind: MountKind,
    source: Option<String>,
    target: String,
    read_only: bool,
    what: &str,
) -> Option<Mount> {
    if !target.starts_with('/') {
        let message = format!("target `{}` is not an absolute path", crate::yaml_text(&target));
        cx.error(place, Problem::value(message).about(what));
        return None;
    }
    let target = match target.trim_end_matches('/') {
        "" => {
            cx.error(place, Problem::value("nothing can be mounted at `/`").about(what));
            return None;
        }
        trimmed => trimmed.to_owned(),
    };
    let source = source.filter(|source| !source.is_empty());
    let source = match (kind, source) {
        (MountKind::Volume, Some(name)) => {
            if !cx.volumes.contains(&name) {
                let message = format!("{what}: volume `{}` is not declared", crate::yaml_text(&name));
                let hint = format!("add `{}:` under the top-level `volumes`", crate::yaml_text(&name));
                cx.undeclared(place, message, Declared::Volume, &name, &hint);
            }
            Some(name)
        }
        (MountKind::Bind, Some(path)) => {
            let cleaned = path::clean(cx, &path);
            let cleaned = cx.take(place, what, cleaned)?;
            // Files of the project travel to the hosts as copies, so what a container writes there would be lost.
            if !read_only && !cleaned.starts_with('/') {
                let message =
                    format!("`{}` would be a writable copy on each host", crate::yaml_text(&cleaned));
                let hint = "mount it read-only (`:ro` or `read_only: true`), or use a named volume";
                cx.error(place, Problem::unsupported(message).hint(hint).about(what));
            }
            Some(cleaned)
        }
        (MountKind::Bind, None) => {
            cx.error(place, Problem::value("a bind mount needs a `source`").about(what));
            return None;
        }
        (MountKind::Tmpfs, Some(_)) => {
            cx.error(place, Problem::value("a tmpfs has no `source`").about(what));
            return None;
        }
        (MountKind::Volume | MountKind::Tmpfs, None) => None,
    };
    Some(Mount { kind, source, target, read_only })
}

#[derive(Debug, PartialEq, Eq)]
struct Short<'a> {
    source: Option<&'a str>,
    target: &'a str,
    options: Option<&'a str>,
}

fn parse_short(text: &str) -> Result<Short<'_>, Problem> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        let message = format!("`{}` has an empty part between colons", crate::yaml_text(text));
        return Err(Problem::value(message).hint("write SOURCE:TARGET or SOURCE:TARGET:ro"));
    }
    match parts.as_slice() {
        [target] => Ok(Short { source: None, target, options: None }),
        [source, target] => Ok(Short { source: Some(source), target, options: None }),
        [source, target, options] => Ok(Short { source: Some(source), target, options: Some(options) }),
        _ => {
            let message = format!("`{}` has too many colons", crate::yaml_text(text));
            Err(Problem::value(message).hint("write SOURCE:TARGET:ro, or the long form"))
        }
    }
}

/// Whether the source of the short form is a path (compose-go `format.isFilePath`).
fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_short_form_apart() {
        for (text, source, target, options) in [
            ("/data", None, "/data", None),
            ("db:/data", Some("db"), "/data", None),
            ("./x:/data:ro", Some("./x"), "/data", Some("ro")),
        ] {
            assert_eq!(parse_short(text).unwrap(), Short { source, target, options }, "{text}");
        }
        for text in ["", ":", "a:", ":/b", "a:/b:ro:z"] {
            assert!(parse_short(text).is_err(), "{text}");
        }
    }
}
