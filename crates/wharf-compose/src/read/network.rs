//! Networks: the top-level element, and how a service takes part.

use std::collections::{BTreeMap, HashSet};

use crate::diagnostic::Place;
use crate::project::{Network, ServiceNetwork};
use crate::read::context::{Context, Declared};
use crate::read::{pairs, scalar, volume};
use crate::schema_keys as keys;
use crate::yaml::{Entry, Node, Value};

/// Reads an entry of the top-level `networks`.
pub(super) fn read(cx: &mut Context<'_>, entry: &Entry) -> Network {
    let what = format!("network `{}`", crate::yaml_text(&entry.key));
    let mut network = Network::default();
    let mut name_of_external = None;
    for field in cx.fields(&entry.value, &keys::NETWORK, &what) {
        let (value, what) = (&field.value, format!("`{}` of {what}", field.key));
        match field.key.as_str() {
            "driver" => network.driver = cx.string(value, what),
            "external" => (network.external, name_of_external) = volume::external(cx, value, &what),
            "internal" => network.internal = cx.scalar(value, what, scalar::boolean).unwrap_or_default(),
            "labels" => network.labels = pairs::labels(cx, value, &what),
            _ => network.name = cx.string(value, what),
        }
    }
    network.name = network.name.or(name_of_external);
    if network.external && (network.driver.is_some() || network.internal || !network.labels.is_empty()) {
        volume::external_is_not_ours(cx, entry.key_place, &what);
    }
    network
}

/// Reads `networks` of a service: a list of keys, or a mapping.
pub(super) fn of_service(
    cx: &mut Context<'_>,
    node: &Node,
    service: &str,
) -> BTreeMap<String, ServiceNetwork> {
    let what = format!("`networks` of {service}");
    let mut networks = BTreeMap::new();
    if matches!(node.value, Value::Sequence(_)) {
        for item in cx.items(node, &what) {
            if let Some(name) = cx.string(item, &what) {
                check_declared(cx, item.place, &name, &what);
                networks.insert(name, ServiceNetwork::default());
            }
        }
    } else {
        for entry in cx.entries(node, &what) {
            check_declared(cx, entry.key_place, &entry.key, &what);
            let what = format!("`networks.{}` of {service}", crate::yaml_text(&entry.key));
            let mut network = ServiceNetwork::default();
            for field in cx.fields(&entry.value, &keys::SERVICE_NETWORK, &what) {
                let mut seen = HashSet::new();
                network.aliases = cx.strings(&field.value, &what);
                network.aliases.retain(|alias| seen.insert(alias.clone()));
            }
            networks.insert(entry.key.clone(), network);
        }
    }
    networks
}

fn check_declared(cx: &mut Context<'_>, place: Place, name: &str, what: &str) {
    if name == "default" || cx.networks.contains(name) {
        return;
    }
    let message = format!("{what}: network `{}` is not declared", crate::yaml_text(name));
    let hint = format!("add `{}:` under the top-level `networks`", crate::yaml_text(name));
    cx.undeclared(place, message, Declared::Network, name, &hint);
}
