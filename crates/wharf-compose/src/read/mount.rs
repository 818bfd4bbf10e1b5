//! `volumes` of a service: `source:target:options`, or a mapping.

use std::collections::{HashMap, hash_map};

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::{Mount, MountKind, MountOptions, Propagation, Selinux};
use crate::read::context::{Context, Declared};
use crate::read::{files, path, scalar};
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

const PROPAGATIONS: [(&str, Propagation); 6] = [
    ("private", Propagation::Private),
    ("rprivate", Propagation::Rprivate),
    ("shared", Propagation::Shared),
    ("rshared", Propagation::Rshared),
    ("slave", Propagation::Slave),
    ("rslave", Propagation::Rslave),
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
    let (mut read_only, mut options) = (false, MountOptions::default());
    for option in short.options.unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "z" => options.selinux = Some(Selinux::Shared),
            "Z" => options.selinux = Some(Selinux::Private),
            "nocopy" => options.no_copy = true,
            "cached" | "consistent" | "delegated" => {
                let message = format!("mount option `{option}` has no effect");
                cx.warn(node.place, Problem::new(Kind::Effect, message).about(what));
            }
            _ => match PROPAGATIONS.iter().find(|(word, _)| *word == option) {
                Some((_, propagation)) => options.propagation = Some(*propagation),
                None => {
                    let message = format!("mount option `{}` is not supported", crate::yaml_text(option));
                    let hint = "ro, rw, z, Z, nocopy and those of propagation are";
                    cx.error(node.place, Problem::unsupported(message).hint(hint).about(what));
                }
            },
        }
    }
    let kind = match short.source {
        Some(source) if is_path(source) => MountKind::Bind,
        Some(_) | None => MountKind::Volume,
    };
    let mount = Mount {
        kind,
        source: short.source.map(str::to_owned),
        target: short.target.to_owned(),
        read_only,
        options,
    };
    finish(cx, node.place, mount, what)
}

fn long(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Mount> {
    let mut kind = None;
    let (mut source, mut target, mut read_only) = (None, None, false);
    let mut options = MountOptions::default();
    let mut of_kind = Vec::new();
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
            key => {
                let kind = match key {
                    "bind" => bind_options(cx, value, &what, &mut options),
                    "volume" => volume_options(cx, value, &what, &mut options),
                    _ => tmpfs_options(cx, value, &what, &mut options),
                };
                of_kind.push((field.key_place, kind, what));
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
    for (place, other, what) in of_kind {
        if other != kind {
            let problem = Problem::new(Kind::Reference, "it belongs to another `type` of mount");
            cx.error(place, problem.about(what));
        }
    }
    finish(cx, node.place, Mount { kind, source, target, read_only, options }, what)
}

fn bind_options(cx: &mut Context<'_>, node: &Node, what: &str, options: &mut MountOptions) -> MountKind {
    for field in cx.fields(node, &keys::MOUNT_BIND, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "create_host_path" => options.create_host_path = cx.scalar(value, what, scalar::boolean),
            "propagation" => {
                options.propagation = cx.scalar(value, what, |node| scalar::word(node, &PROPAGATIONS));
            }
            _ => {
                let words = [("z", Selinux::Shared), ("Z", Selinux::Private)];
                options.selinux = cx.scalar(value, what, |node| scalar::word(node, &words));
            }
        }
    }
    MountKind::Bind
}

fn volume_options(cx: &mut Context<'_>, node: &Node, what: &str, options: &mut MountOptions) -> MountKind {
    for field in cx.fields(node, &keys::MOUNT_VOLUME, what) {
        options.no_copy = cx.boolean(&field.value, format_args!("`nocopy` in {what}"));
    }
    MountKind::Volume
}

fn tmpfs_options(cx: &mut Context<'_>, node: &Node, what: &str, options: &mut MountOptions) -> MountKind {
    for field in cx.fields(node, &keys::MOUNT_TMPFS, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "mode" => options.mode = cx.scalar(value, what, files::mode),
            _ => options.size_bytes = cx.scalar(value, what, scalar::bytes),
        }
    }
    MountKind::Tmpfs
}

/// What both forms have in common: the target, the source by kind, and that a named volume is declared.
fn finish(cx: &mut Context<'_>, place: Place, mount: Mount, what: &str) -> Option<Mount> {
    let Mount { kind, source, target, read_only, options } = mount;
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
            let cleaned = path::clean(cx, place, &path);
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
    Some(Mount { kind, source, target, read_only, options })
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
