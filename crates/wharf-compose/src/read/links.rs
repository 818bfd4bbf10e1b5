//! `links` and `volumes_from`: old ways to say what networks and named volumes say today.
//!
//! A link becomes an entry of `depends_on` and an alias of the linked service on the networks that both are on.
//! `volumes_from` copies the other service's mounts. Both need the other service, so they are applied when all
//! services are read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::{Condition, Dependency, Mount, MountKind, Namespace, NetworkMode, Project, Service};
use crate::read::context::{Context, Declared};
use crate::yaml::Node;

/// What a service asked for.
#[derive(Default)]
pub(super) struct Links {
    links: Vec<Link>,
    volumes_from: Vec<VolumesFrom>,
}

struct Link {
    place: Place,
    service: String,
    alias: Option<String>,
}

struct VolumesFrom {
    place: Place,
    service: String,
    read_only: bool,
}

/// Reads `links`: `SERVICE` or `SERVICE:ALIAS`.
pub(super) fn read_links(cx: &mut Context<'_>, node: &Node, what: &str, links: &mut Links) {
    for item in cx.items(node, what) {
        let Some(text) = cx.string(item, what) else { continue };
        let (service, alias) = match text.split_once(':') {
            Some((service, alias)) => (service, Some(alias.to_owned())),
            None => (text.as_str(), None),
        };
        if is_service(cx, item.place, service, what) {
            let alias = alias.filter(|alias| alias != service && !alias.is_empty());
            links.links.push(Link { place: item.place, service: service.to_owned(), alias });
        }
    }
}

/// Reads `volumes_from`: `SERVICE[:ro|:rw]`.
pub(super) fn read_volumes_from(cx: &mut Context<'_>, node: &Node, what: &str, links: &mut Links) {
    for item in cx.items(node, what) {
        let Some(text) = cx.string(item, what) else { continue };
        let (service, mode) = text.split_once(':').unwrap_or((&text, "rw"));
        if service == "container" {
            let problem = Problem::unsupported(format!("`{}` is not ours", crate::yaml_text(&text)));
            cx.error(item.place, problem.hint("name the volume under the top-level `volumes`").about(what));
            continue;
        }
        if !matches!(mode, "ro" | "rw") {
            let message = format!("`{}` is neither `ro` nor `rw`", crate::yaml_text(mode));
            cx.error(item.place, Problem::value(message).about(what));
            continue;
        }
        if is_service(cx, item.place, service, what) {
            let (service, read_only) = (service.to_owned(), mode == "ro");
            links.volumes_from.push(VolumesFrom { place: item.place, service, read_only });
        }
    }
}

fn is_service(cx: &mut Context<'_>, place: Place, name: &str, what: &str) -> bool {
    let is_known = cx.is_declared(Declared::Service, name);
    if !is_known {
        let message = format!("{what}: `{}` is no service", crate::yaml_text(name));
        cx.undeclared(place, message, Declared::Service, name, "");
    }
    is_known
}

/// Applies all of it, and adds what services wait for because they share something.
pub(super) fn apply(cx: &mut Context<'_>, project: &mut Project, links: BTreeMap<String, Links>) {
    let mut names = Names::of(project);
    let mut pending = BTreeMap::new();
    for (name, Links { links, volumes_from }) in links {
        for link in links {
            depend(project, &name, &link.service);
            if let Some(alias) = &link.alias {
                add_alias(cx, project, &mut names, &name, &link, alias);
            }
        }
        for from in &volumes_from {
            depend(project, &name, &from.service);
        }
        if !volumes_from.is_empty() {
            pending.insert(name, volumes_from);
        }
    }
    // First those that copy from services which copy nothing themselves. A circle is left and reported as one.
    loop {
        let is_ready = |from: &Vec<VolumesFrom>| from.iter().all(|from| !pending.contains_key(&from.service));
        let ready: Vec<String> =
            pending.iter().filter(|(_, from)| is_ready(from)).map(|(name, _)| name.clone()).collect();
        if ready.is_empty() {
            break;
        }
        for name in ready {
            for from in pending.remove(&name).unwrap_or_default() {
                copy_mounts(cx, project, &name, &from);
            }
        }
    }
    let shared: Vec<(String, String)> = project
        .services
        .iter()
        .flat_map(|(name, service)| shares_with(service).map(|other| (name.clone(), other.to_owned())))
        .collect();
    for (name, other) in shared {
        depend(project, &name, &other);
    }
}

/// Services by the names under which networks know them.
struct Names(HashMap<String, BTreeSet<String>>);

impl Names {
    fn of(project: &Project) -> Names {
        let mut names = Names(HashMap::new());
        for (key, service) in &project.services {
            names.add(key, key);
            for alias in service.networks.values().flat_map(|network| &network.aliases) {
                names.add(alias, key);
            }
        }
        names
    }

    fn add(&mut self, name: &str, service: &str) {
        self.0.entry(name.to_owned()).or_default().insert(service.to_owned());
    }

    /// Another service that has this name.
    fn other(&self, name: &str, service: &str) -> Option<&String> {
        self.0.get(name)?.iter().find(|other| *other != service)
    }
}

/// Services whose namespaces this one lives in.
fn shares_with(service: &Service) -> impl Iterator<Item = &str> {
    let network = match &service.network_mode {
        Some(NetworkMode::Service(name)) => Some(name.as_str()),
        _ => None,
    };
    network.into_iter().chain([&service.ipc, &service.pid].into_iter().filter_map(
        |namespace| match namespace {
            Some(Namespace::Service(name)) => Some(name.as_str()),
            _ => None,
        },
    ))
}

fn depend(project: &mut Project, name: &str, on: &str) {
    if let Some(service) = project.services.get_mut(name)
        && name != on
    {
        let started = Dependency { condition: Condition::ServiceStarted, required: true };
        service.depends_on.entry(on.to_owned()).or_insert(started);
    }
}

fn add_alias(
    cx: &mut Context<'_>,
    project: &mut Project,
    names: &mut Names,
    name: &str,
    link: &Link,
    alias: &str,
) {
    if let Some(other) = names.other(alias, &link.service) {
        let message = format!(
            "the link `{}:{}` gives a name that `{other}` has already",
            crate::yaml_text(&link.service),
            crate::yaml_text(alias)
        );
        let hint = "links are names on the network, so each name belongs to one service; use another alias";
        cx.error(link.place, Problem::unsupported(message).hint(hint));
        return;
    }
    names.add(alias, &link.service);
    let own: Vec<String> = project
        .services
        .get(name)
        .map(|service| service.networks.keys().cloned().collect())
        .unwrap_or_default();
    let Some(target) = project.services.get_mut(&link.service) else { return };
    let mut is_shared = false;
    for (key, network) in &mut target.networks {
        if own.contains(key) {
            is_shared = true;
            if !network.aliases.iter().any(|known| known == alias) {
                network.aliases.push(alias.to_owned());
            }
        }
    }
    if !is_shared {
        let message = format!(
            "`{name}` links to `{}`, but they have no network in common",
            crate::yaml_text(&link.service)
        );
        cx.error(link.place, Problem::new(Kind::Reference, message).hint("put both on one network"));
    }
}

fn copy_mounts(cx: &mut Context<'_>, project: &mut Project, name: &str, from: &VolumesFrom) {
    let Some(source) = project.services.get(&from.service) else { return };
    let is_anonymous = |mount: &Mount| mount.kind == MountKind::Volume && mount.source.is_none();
    if source.volumes.iter().any(is_anonymous) {
        let message = format!("`volumes_from`: an anonymous volume of `{}` can't be shared", from.service);
        let hint = "name it under the top-level `volumes`";
        cx.error(from.place, Problem::unsupported(message).hint(hint));
        return;
    }
    let hint = "a volume that only its image declares is not shared; name it under the top-level `volumes`";
    let message = format!("`volumes_from` copies the mounts that the file gives `{}`", from.service);
    cx.warn(from.place, Problem::new(Kind::Effect, message).hint(hint));
    // A tmpfs belongs to one container.
    let copied: Vec<Mount> = source
        .volumes
        .iter()
        .filter(|mount| mount.kind != MountKind::Tmpfs)
        .map(|mount| Mount { read_only: mount.read_only || from.read_only, ..mount.clone() })
        .collect();
    let Some(service) = project.services.get_mut(name) else { return };
    for mount in copied {
        if !service.volumes.iter().any(|own| own.target == mount.target) {
            service.volumes.push(mount);
        }
    }
}
