//! From the merged tree to the typed project: one file per element of the schema.
//!
//! Every function takes a node and says what is wrong at its place; it never stops at the first error. References
//! to services, networks and volumes are checked where they stand, what needs the whole project in [`check`].

mod build;
mod check;
mod context;
mod depends_on;
mod deploy;
mod environment;
mod healthcheck;
mod mount;
mod network;
mod pairs;
mod path;
mod port;
mod scalar;
mod service;
mod volume;
mod x_wharf;

use crate::diagnostic::{Problem, Sink};
use crate::interpolate::Lookup;
use crate::load::Reader;
use crate::name;
use crate::project::Project;
use crate::read::context::Context;
use crate::schema_keys as keys;
use crate::yaml::Node;

/// Reads the merged file. `None` means that an error was reported.
pub(crate) fn project(
    tree: &Node,
    project_name: String,
    environment: Lookup<'_>,
    reader: Reader<'_>,
    sink: &mut Sink,
) -> Option<Project> {
    let mut cx = Context::new(tree, environment, reader, sink);
    let mut project = Project { name: project_name, ..Project::default() };
    for field in cx.fields(tree, &keys::TOP, "the file") {
        match field.key.as_str() {
            "services" => {
                for entry in cx.entries(&field.value, "`services`") {
                    cx.take(entry.key_place, "`services`", name::check_key("service", &entry.key));
                    if let Some(service) = service::read(&mut cx, entry) {
                        project.services.insert(entry.key.clone(), service);
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
            // `name` was read before interpolation (load.rs); here only its type is left to check.
            _ => {
                cx.string(&field.value, "`name`");
            }
        }
    }
    if tree.as_mapping().is_some_and(|mapping| mapping.get("services").is_none_or(Node::is_null)) {
        cx.error(tree.place, Problem::value("no `services`").hint("describe at least one service"));
    }
    check::project(&mut cx, tree, &mut project);
    (!cx.sink.has_errors()).then_some(project)
}
