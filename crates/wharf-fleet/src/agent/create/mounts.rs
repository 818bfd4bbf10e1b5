//! Mounts in the Engine's words: its mount API, and the older `Binds` for what only that can say.

use std::path::Path;

use wharf_docker::bollard::models::{
    Mount, MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountTmpfsOptions, MountType,
    MountVolumeOptions,
};
use wharf_model::{ContainerSpec, MountOptions, MountSource, MountSpec};

use super::Place;
use super::needs::SUBPATH_API;
use crate::agent::files;

/// The mounts, and those that have to be `Binds`: labels for SELinux have no other form.
pub(super) fn all(spec: &ContainerSpec, place: &Place<'_>) -> (Vec<Mount>, Vec<String>) {
    let (mut mounts, mut binds) = (Vec::with_capacity(spec.mounts.len()), Vec::new());
    for one in &spec.mounts {
        match (&one.source, one.options.selinux) {
            (MountSource::HostPath(path), Some(label)) => {
                binds.push(format!("{path}:{}:{},{label}", one.target, bind_mode(one)));
            }
            // Several containers may show one copy, so its label is never private.
            (MountSource::Files(digest), Some(_)) => {
                let path = place.files.get(&files::key(digest, one.options.owner));
                binds.extend(path.map(|path| format!("{}:{}:ro,z", shown(path), one.target)));
            }
            _ => mounts.push(mount(one, place)),
        }
    }
    (mounts, binds)
}

fn bind_mode(spec: &MountSpec) -> String {
    let access = if spec.read_only { "ro" } else { "rw" };
    match &spec.options.propagation {
        Some(propagation) => format!("{access},{propagation}"),
        None => access.to_owned(),
    }
}

fn mount(spec: &MountSpec, place: &Place<'_>) -> Mount {
    let options = &spec.options;
    let plain =
        Mount { target: Some(spec.target.clone()), read_only: Some(spec.read_only), ..Default::default() };
    match &spec.source {
        MountSource::Volume(name) => volume(plain, name, options, place),
        MountSource::Anonymous => {
            Mount { typ: Some(MountType::VOLUME), volume_options: volume_options(options, false), ..plain }
        }
        MountSource::HostPath(host) => Mount {
            typ: Some(MountType::BIND),
            source: Some(host.clone()),
            bind_options: bind_options(options),
            ..plain
        },
        MountSource::Tmpfs => {
            Mount { typ: Some(MountType::TMPFS), tmpfs_options: tmpfs_options(options), ..plain }
        }
        // Copies are shared between containers, so nobody writes to them, whatever the specification says.
        MountSource::Files(digest) => Mount {
            typ: Some(MountType::BIND),
            source: place.files.get(&files::key(digest, options.owner)).map(|path| shown(path)),
            read_only: Some(true),
            ..plain
        },
    }
}

fn volume(plain: Mount, name: &str, options: &MountOptions, place: &Place<'_>) -> Mount {
    let part = options.subpath.as_ref().filter(|_| place.api < SUBPATH_API);
    let path = part.and_then(|part| place.subpaths.get(&(name.to_owned(), part.clone())));
    match path {
        // An older Engine knows no parts of volumes: the directory where the volume lies is mounted.
        Some(path) => Mount { typ: Some(MountType::BIND), source: Some(shown(path)), ..plain },
        None => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(name.to_owned()),
            volume_options: volume_options(options, true),
            ..plain
        },
    }
}

fn volume_options(options: &MountOptions, has_parts: bool) -> Option<MountVolumeOptions> {
    let subpath = options.subpath.clone().filter(|_| has_parts);
    let is_plain = !options.no_copy && subpath.is_none() && options.labels.is_empty();
    (!is_plain).then(|| MountVolumeOptions {
        no_copy: options.no_copy.then_some(true),
        subpath,
        labels: (!options.labels.is_empty())
            .then(|| options.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
        ..Default::default()
    })
}

fn bind_options(options: &MountOptions) -> Option<MountBindOptions> {
    let propagation = options.propagation.as_deref().and_then(|word| match word {
        "private" => Some(Propagation::PRIVATE),
        "rprivate" => Some(Propagation::RPRIVATE),
        "shared" => Some(Propagation::SHARED),
        "rshared" => Some(Propagation::RSHARED),
        "slave" => Some(Propagation::SLAVE),
        "rslave" => Some(Propagation::RSLAVE),
        _ => None,
    });
    (propagation.is_some() || options.non_recursive).then(|| MountBindOptions {
        propagation,
        non_recursive: options.non_recursive.then_some(true),
        ..Default::default()
    })
}

fn tmpfs_options(options: &MountOptions) -> Option<MountTmpfsOptions> {
    (options.size_bytes.is_some() || options.mode.is_some()).then(|| MountTmpfsOptions {
        size_bytes: options.size_bytes.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
        mode: options.mode.map(i64::from),
        ..Default::default()
    })
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
