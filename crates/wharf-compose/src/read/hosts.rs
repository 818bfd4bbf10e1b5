//! `extra_hosts`: `name=address` or `name:address`, or a mapping from names to addresses.

use core::net::IpAddr;

use crate::diagnostic::{Place, Problem};
use crate::project::ExtraHost;
use crate::read::context::Context;
use crate::yaml::{Node, Scalar, Value};

/// Reads either form. An exact repetition is dropped; a name may have several addresses.
pub(super) fn read(cx: &mut Context<'_>, node: &Node, what: &str) -> Vec<ExtraHost> {
    let mut hosts = Vec::new();
    if matches!(node.value, Value::Sequence(_)) {
        for item in cx.items(node, what) {
            let Some(text) = cx.string(item, what) else { continue };
            let parts = text.split_once('=').or_else(|| text.split_once(':'));
            match parts {
                Some((host, address)) => add(cx, item.place, host, address, what, &mut hosts),
                None => {
                    let message = format!("`{}` has no address", crate::yaml_text(&text));
                    let hint = "write \"name=192.0.2.1\"";
                    cx.error(item.place, Problem::value(message).hint(hint).about(what));
                }
            }
        }
        return hosts;
    }
    for entry in cx.entries(node, what) {
        let addresses = match &entry.value.value {
            Value::Sequence(items) => items.as_slice(),
            Value::Scalar(Scalar::String(_)) => std::slice::from_ref(&entry.value),
            Value::Scalar(_) | Value::Mapping(_) => {
                let message = format!("an address is expected, this is {}", entry.value.describe());
                cx.error(entry.value.place, Problem::value(message).about(what));
                continue;
            }
        };
        for address in addresses {
            if let Some(text) = cx.string(address, what) {
                add(cx, address.place, &entry.key, &text, what, &mut hosts);
            }
        }
    }
    hosts
}

fn add(
    cx: &mut Context<'_>,
    place: Place,
    host: &str,
    address: &str,
    what: &str,
    hosts: &mut Vec<ExtraHost>,
) {
    let (host, address) = (host.trim(), address.trim());
    let bare = address.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(address);
    let is_name = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == ':');
    if !is_name || (bare != "host-gateway" && bare.parse::<IpAddr>().is_err()) {
        let shown = format!("{host}={address}");
        let message = format!("`{}` is no name with its address", crate::yaml_text(&shown));
        cx.error(
            place,
            Problem::value(message).hint("write \"name=192.0.2.1\" or \"name=host-gateway\"").about(what),
        );
        return;
    }
    let host = ExtraHost { host: host.to_owned(), address: bare.to_owned() };
    if !hosts.contains(&host) {
        hosts.push(host);
    }
}
