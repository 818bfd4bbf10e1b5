//! What a container has of another's: interfaces, processes, shared memory.
//!
//! A container that lives in another's namespaces has to be made again with that other one, so its specification holds a
//! digest of the other's ([`ContainerSpec::shares`]).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use wharf_compose::project::{Namespace, NetworkMode, Service};
use wharf_model::{ContainerSpec, Name, SharedPlace, WaitFor};

use super::service::{Input, service_name};
use super::{Model, ServiceModel, TranslateError};

/// Puts the namespaces of the service into `spec`.
pub(super) fn namespaces(service: &Service, spec: ContainerSpec) -> ContainerSpec {
    ContainerSpec {
        network_mode: service.network_mode.as_ref().map(network),
        ipc: service.ipc.as_ref().map(place),
        pid: service.pid.as_ref().map(place),
        uts: service.uts.as_ref().map(place),
        userns_mode: service.userns_mode.as_ref().map(place),
        cgroup: service.cgroup.as_ref().map(place),
        ..spec
    }
}

fn place(namespace: &Namespace) -> SharedPlace {
    let word = |word: &str| SharedPlace::Named(word.to_owned());
    match namespace {
        Namespace::Host => word("host"),
        Namespace::Private => word("private"),
        Namespace::Shareable => word("shareable"),
        Namespace::None => word("none"),
        Namespace::Service(key) => service(key),
        Namespace::Container(name) => SharedPlace::Container(name.clone()),
    }
}

fn network(mode: &NetworkMode) -> SharedPlace {
    let word = |word: &str| SharedPlace::Named(word.to_owned());
    match mode {
        NetworkMode::None => word("none"),
        NetworkMode::Host => word("host"),
        NetworkMode::Bridge => word("bridge"),
        NetworkMode::Service(key) => service(key),
        NetworkMode::Container(name) => SharedPlace::Container(name.clone()),
    }
}

/// A key that is no service's name was refused by [`check`] before.
fn service(key: &str) -> SharedPlace {
    key.parse().map_or_else(|_| SharedPlace::Container(key.to_owned()), SharedPlace::Service)
}

/// Refuses what can't be: a service that is not there, and a route to a container without an address.
pub(super) fn check(input: &Input<'_>) -> Result<(), TranslateError> {
    let service = input.service;
    let namespaces = [
        ("ipc", &service.ipc),
        ("pid", &service.pid),
        ("uts", &service.uts),
        ("userns_mode", &service.userns_mode),
        ("cgroup", &service.cgroup),
    ];
    let mut used = Vec::new();
    for (key, namespace) in namespaces {
        if let Some(Namespace::Service(of)) = namespace {
            used.push((key, of));
        }
    }
    if let Some(NetworkMode::Service(of)) = &service.network_mode {
        used.push(("network_mode", of));
    }
    for (key, of) in used {
        service_name(of, &input.place(key))?;
        if !input.project.services.contains_key(of) {
            return Err(TranslateError::new(
                input.place(key),
                format!("there is no service `{of}`"),
                "name a service of this file",
            ));
        }
    }
    let has_address = match &service.network_mode {
        None | Some(NetworkMode::Host | NetworkMode::Bridge) => true,
        Some(NetworkMode::None | NetworkMode::Service(_) | NetworkMode::Container(_)) => false,
    };
    if service.x_wharf.route.is_some() && !has_address {
        return Err(TranslateError::new(
            input.place("x-wharf.route"),
            "with this `network_mode` the container has no address of its own",
            "put the route on the service whose network it uses, with the same port",
        ));
    }
    Ok(())
}

/// Services that the container of `spec` can't be without.
fn used(spec: &ContainerSpec) -> BTreeSet<Name> {
    let places = [&spec.network_mode, &spec.ipc, &spec.pid, &spec.uts, &spec.userns_mode, &spec.cgroup];
    let of_mounts = spec.volumes_from.iter().map(|one| &one.from);
    let all = places.into_iter().flatten().chain(of_mounts);
    all.filter_map(|place| match place {
        SharedPlace::Service(name) => Some(name.clone()),
        SharedPlace::Named(_) | SharedPlace::Container(_) => None,
    })
    .collect()
}

/// Writes down what each container uses of others, once all are translated.
pub(super) fn link(model: &mut Model) {
    let uses: BTreeMap<Name, BTreeSet<Name>> =
        model.services.iter().map(|(name, service)| (name.clone(), used(&service.spec))).collect();
    if uses.values().all(BTreeSet::is_empty) {
        return;
    }
    let digests: BTreeMap<Name, String> = model
        .services
        .keys()
        .map(|name| (name.clone(), digest(name, &model.services, &uses, &mut BTreeSet::new())))
        .collect();
    for (name, service) in &mut model.services {
        for other in &uses[name] {
            let Some(digest) = digests.get(other) else { continue };
            service.spec.shares.insert(other.clone(), digest.clone());
            service.after.entry(other.clone()).or_insert(WaitFor::Started);
            service.links.insert(other.to_string());
        }
    }
}

/// Digest of what a container is to be, and of those that it uses. `path` ends the walk in a circle, which the loader
/// refuses anyway.
fn digest(
    name: &Name,
    services: &BTreeMap<Name, ServiceModel>,
    uses: &BTreeMap<Name, BTreeSet<Name>>,
    path: &mut BTreeSet<Name>,
) -> String {
    let Some(service) = services.get(name).filter(|_| path.insert(name.clone())) else {
        return String::new();
    };
    let mut hasher = Sha256::new();
    hasher.update(serde_json::to_vec(&service.spec).expect("plain records are JSON"));
    for other in &uses[name] {
        hasher.update(digest(other, services, uses, path));
    }
    path.remove(name);
    // 16 digits tell the versions of one service apart.
    wharf_base::hex(&hasher.finalize())[..16].to_owned()
}
