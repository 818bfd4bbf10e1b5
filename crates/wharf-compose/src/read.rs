//! From the merged tree to the typed project: one file per element of the schema.
//!
//! Every function takes a node and says what is wrong at its place; it never stops at the first error. References
//! to services, networks and volumes are checked where they stand, what needs the whole project in [`check`].

mod build;
mod check;
mod container;
mod context;
mod depends_on;
mod deploy;
mod environment;
mod extends;
mod files;
mod healthcheck;
mod hosts;
mod include;
mod links;
mod mount;
mod network;
mod pairs;
mod path;
mod port;
mod resources;
mod scalar;
mod service;
mod ulimits;
mod volume;
mod x_wharf;

use std::collections::BTreeMap;

use crate::diagnostic::{Problem, Sink};
use crate::interpolate::Lookup;
use crate::load::Reader;
use crate::name;
use crate::profiles::Inactive;
use crate::project::Project;
use crate::read::context::Context;
use crate::schema_keys as keys;
use crate::yaml::Node;

pub(crate) use extends::Extends;
pub(crate) use include::Include;

/// Reads `include`, the value `node` of `document`.
pub(crate) fn includes(
    document: &Node,
    node: &Node,
    environment: Lookup<'_>,
    reader: Reader<'_>,
    sink: &mut Sink,
) -> Vec<Include> {
    include::read(&mut Context::new(document, environment, reader, sink), node)
}

/// Reads `extends`, the value `node` of a service in `document`.
pub(crate) fn extends(
    document: &Node,
    node: &Node,
    what: &str,
    environment: Lookup<'_>,
    reader: Reader<'_>,
    sink: &mut Sink,
) -> Option<Extends> {
    extends::read(&mut Context::new(document, environment, reader, sink), node, what)
}

/// Reads the merged file. `None` means that an error was reported.
pub(crate) fn project(
    tree: &Node,
    project_name: String,
    inactive: &Inactive,
    environment: Lookup<'_>,
    reader: Reader<'_>,
    sink: &mut Sink,
) -> Option<Project> {
    let mut cx = Context::new(tree, environment, reader, sink);
    cx.inactive = Some(inactive);
    let mut project = Project { name: project_name, ..Project::default() };
    let mut links = BTreeMap::new();
    for field in cx.fields(tree, &keys::TOP, "the file") {
        match field.key.as_str() {
            "services" => {
                for entry in cx.entries(&field.value, "`services`") {
                    cx.take(entry.key_place, "`services`", name::check_key("service", &entry.key));
                    if let Some((service, of_service)) = service::read(&mut cx, entry) {
                        project.services.insert(entry.key.clone(), service);
                        links.insert(entry.key.clone(), of_service);
                    }
                }
            }
            "networks" => {
                for entry in cx.entries(&field.value, "`networks`") {
                    cx.take(entry.key_place, "`networks`", name::check_key("network", &entry.key));
                    project.networks.insert(entry.key.clone(), network::read(&mut cx, entry));
                }
            }
            "volumes" => {
                for entry in cx.entries(&field.value, "`volumes`") {
                    cx.take(entry.key_place, "`volumes`", name::check_key("volume", &entry.key));
                    project.volumes.insert(entry.key.clone(), volume::read(&mut cx, entry));
                }
            }
            "secrets" => {
                for entry in cx.entries(&field.value, "`secrets`") {
                    cx.take(entry.key_place, "`secrets`", name::check_key("secret", &entry.key));
                    let secret = files::read(&mut cx, entry, files::Sort::Secret);
                    project.secrets.insert(entry.key.clone(), secret);
                }
            }
            "configs" => {
                for entry in cx.entries(&field.value, "`configs`") {
                    cx.take(entry.key_place, "`configs`", name::check_key("config", &entry.key));
                    let config = files::read(&mut cx, entry, files::Sort::Config);
                    project.configs.insert(entry.key.clone(), config);
                }
            }
            // `name` was read before interpolation (load.rs); here only its type is left to check.
            _ => {
                cx.string(&field.value, "`name`");
            }
        }
    }
    if tree.as_mapping().is_some_and(|mapping| mapping.get("services").is_none_or(Node::is_null)) {
        cx.error(tree.place, Problem::value("no `services`").hint("describe at least one service"));
    }
    links::apply(&mut cx, &mut project, links);
    check::project(&mut cx, tree, &mut project);
    (!cx.sink.has_errors()).then_some(project)
}
