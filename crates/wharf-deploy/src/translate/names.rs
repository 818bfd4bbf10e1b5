//! Real names of networks and volumes on hosts, as Compose gives them.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use wharf_compose::project::{self, Network, Project, Volume};
use wharf_model::{Ipam, IpamPool, Name, NetworkSpec, VolumeSpec};

/// The real name of the network with this key.
pub(super) fn network(app: &Name, project: &Project, key: &str) -> String {
    let known = project.networks.get(key);
    real(app, key, known.and_then(|network| network.name.as_deref()), known.is_some_and(|n| n.external))
}

/// The real name of the volume with this key.
pub(super) fn volume(app: &Name, project: &Project, key: &str) -> String {
    let known = project.volumes.get(key);
    real(app, key, known.and_then(|volume| volume.name.as_deref()), known.is_some_and(|v| v.external))
}

fn real(app: &Name, key: &str, given: Option<&str>, is_external: bool) -> String {
    match given {
        Some(name) => name.to_owned(),
        None if is_external => key.to_owned(),
        None => format!("{app}_{key}"),
    }
}

/// The networks in `used`, in order of their names.
pub(super) fn networks(app: &Name, project: &Project, used: &BTreeSet<String>) -> Vec<NetworkSpec> {
    let none = Network::default();
    let mut specs: Vec<NetworkSpec> = keys_and(&project.networks, "default", &none)
        .map(|(key, spec)| NetworkSpec {
            name: network(app, project, key),
            external: spec.external,
            driver: spec.driver.clone(),
            internal: spec.internal,
            labels: spec.labels.clone(),
            attachable: spec.attachable,
            enable_ipv6: spec.enable_ipv6,
            disable_ipv4: false,
            driver_opts: spec.driver_opts.clone(),
            ipam: ipam(spec),
        })
        .filter(|spec| used.contains(&spec.name))
        .collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    specs.dedup_by(|a, b| a.name == b.name);
    specs
}

fn ipam(network: &Network) -> Ipam {
    let pool = |pool: &project::IpamPool| IpamPool {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        aux_addresses: pool.aux_addresses.clone(),
    };
    let ipam = &network.ipam;
    Ipam {
        driver: ipam.driver.clone(),
        config: ipam.config.iter().map(pool).collect(),
        options: ipam.options.clone(),
    }
}

/// A digest of the settings of the network with this key that need another network when they change; `None` if the file
/// makes none. Containers of it have to be made again with it.
pub(super) fn settings(project: &Project, key: &str) -> Option<String> {
    let network = project.networks.get(key).filter(|network| !network.external)?;
    let Network {
        external: _,
        name: _,
        driver,
        driver_opts,
        internal,
        attachable,
        enable_ipv6,
        ipam,
        labels: _,
    } = network;
    let is_plain = driver.as_deref().unwrap_or("bridge") == "bridge"
        && driver_opts.is_empty()
        && !internal
        && !attachable
        && !enable_ipv6
        && *ipam == project::Ipam::default();
    if is_plain {
        return None;
    }
    let settings = (driver, driver_opts, internal, attachable, enable_ipv6, ipam);
    let digest = Sha256::digest(serde_json::to_vec(&settings).expect("plain records are JSON"));
    Some(wharf_base::hex(&digest)[..16].to_owned())
}

/// The volumes in `used`, in order of their names.
pub(super) fn volumes(app: &Name, project: &Project, used: &BTreeSet<String>) -> Vec<VolumeSpec> {
    let mut specs: Vec<VolumeSpec> = project
        .volumes
        .iter()
        .map(|(key, spec): (&String, &Volume)| VolumeSpec {
            name: volume(app, project, key),
            external: spec.external,
            driver: spec.driver.clone(),
            driver_opts: spec.driver_opts.clone(),
            labels: spec.labels.clone(),
        })
        .filter(|spec| used.contains(&spec.name))
        .collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    specs.dedup_by(|a, b| a.name == b.name);
    specs
}

/// All entries, and `key` with `none` if it is not among them: Compose makes the default network unasked.
fn keys_and<'a, T>(
    entries: &'a std::collections::BTreeMap<String, T>,
    key: &'a str,
    none: &'a T,
) -> impl Iterator<Item = (&'a str, &'a T)> {
    let missing = (!entries.contains_key(key)).then_some((key, none));
    entries.iter().map(|(key, value)| (key.as_str(), value)).chain(missing)
}
