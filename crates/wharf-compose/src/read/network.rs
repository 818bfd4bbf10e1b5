//! Networks: the top-level element, and how a service takes part.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;
use std::str::FromStr;

use crate::diagnostic::{Place, Problem};
use crate::project::{Ipam, IpamPool, Network, ServiceNetwork};
use crate::read::context::{Context, Declared};
use crate::read::{container, pairs, scalar, volume};
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
            "attachable" => network.attachable = cx.boolean(value, what),
            "driver" => network.driver = cx.string(value, what),
            "driver_opts" => network.driver_opts = pairs::map(cx, value, &what),
            "enable_ipv6" => network.enable_ipv6 = cx.boolean(value, what),
            "ipam" => network.ipam = ipam(cx, value, &what),
            "external" => (network.external, name_of_external) = volume::external(cx, value, &what),
            "internal" => network.internal = cx.scalar(value, what, scalar::boolean).unwrap_or_default(),
            "labels" => network.labels = pairs::labels(cx, value, &what),
            _ => network.name = cx.string(value, what),
        }
    }
    network.name = network.name.or(name_of_external);
    let only_named = Network { external: true, name: network.name.clone(), ..Network::default() };
    if network.external && network != only_named {
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
                let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
                match field.key.as_str() {
                    "aliases" => network.aliases = cx.set(value, what),
                    "driver_opts" => network.driver_opts = pairs::map(cx, value, &what),
                    "ipv4_address" => network.ipv4_address = address::<Ipv4Addr>(cx, value, &what),
                    "ipv6_address" => network.ipv6_address = address::<Ipv6Addr>(cx, value, &what),
                    "link_local_ips" => network.link_local_ips = cx.set(value, what),
                    "mac_address" => network.mac_address = container::mac_address(cx, value, &what),
                    _ => {
                        let read = |node: &Node| scalar::integer(node, i32::MIN.into(), i32::MAX.into());
                        let priority = cx.scalar(value, what, read);
                        network.priority = priority.and_then(|priority| i32::try_from(priority).ok());
                    }
                }
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

fn ipam(cx: &mut Context<'_>, node: &Node, what: &str) -> Ipam {
    let mut ipam = Ipam::default();
    for field in cx.fields(node, &keys::IPAM, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "config" => {
                for item in cx.items(value, &what) {
                    ipam.config.push(pool(cx, item, &what));
                }
            }
            "driver" => ipam.driver = cx.string(value, what),
            _ => ipam.options = pairs::map(cx, value, &what),
        }
    }
    ipam
}

fn pool(cx: &mut Context<'_>, node: &Node, what: &str) -> IpamPool {
    let mut pool = IpamPool::default();
    for field in cx.fields(node, &keys::IPAM_POOL, &format!("an entry of {what}")) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "aux_addresses" => pool.aux_addresses = pairs::map(cx, value, &what),
            "gateway" => pool.gateway = address::<IpAddr>(cx, value, &what),
            "ip_range" => pool.ip_range = range(cx, value, &what),
            _ => pool.subnet = range(cx, value, &what),
        }
    }
    pool
}

fn address<T: FromStr + ToString>(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let text = cx.string(node, what)?;
    match text.parse::<T>() {
        Ok(address) => Some(address.to_string()),
        Err(_) => {
            let message = format!("`{}` is no such address", crate::yaml_text(&text));
            cx.error(node.place, Problem::value(message).about(what));
            None
        }
    }
}

/// `ADDRESS/BITS`.
fn range(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let text = cx.string(node, what)?;
    let is_range = text.split_once('/').is_some_and(|(address, bits)| {
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    });
    if !is_range {
        let message = format!("`{}` is no range of addresses", crate::yaml_text(&text));
        cx.error(node.place, Problem::value(message).hint("for example 10.5.0.0/16").about(what));
        return None;
    }
    Some(text)
}
