//! A container's part in networks, in the Engine's words.

use std::collections::{BTreeSet, HashMap};

use wharf_docker::bollard::models::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};
use wharf_model::{ContainerSpec, NetworkAttachment, SharedPlace};

use super::needs::ENDPOINT_MAC_API;

/// The network that the container is created in.
pub(super) fn at_creation(spec: &ContainerSpec, api: u32) -> Option<NetworkingConfig> {
    let (name, endpoint) = match (&spec.network_mode, spec.networks.first()) {
        (None, Some(first)) => {
            let mut endpoint = endpoint(first, &spec.links);
            if api >= ENDPOINT_MAC_API {
                endpoint.mac_address = endpoint.mac_address.or_else(|| spec.mac_address.clone());
            } else {
                endpoint.mac_address = None;
            }
            (first.network.clone(), endpoint)
        }
        (Some(SharedPlace::Named(mode)), _) if api >= ENDPOINT_MAC_API && spec.mac_address.is_some() => {
            (mode.clone(), EndpointSettings { mac_address: spec.mac_address.clone(), ..Default::default() })
        }
        _ => return None,
    };
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(name, endpoint)])) })
}

/// Engines before 25 take the address of the first network's interface with the container.
pub(super) fn container_wide_mac(spec: &ContainerSpec, api: u32) -> Option<String> {
    if api >= ENDPOINT_MAC_API {
        return None;
    }
    let first = spec.networks.first().and_then(|network| network.mac_address.clone());
    first.or_else(|| spec.mac_address.clone())
}

/// How the container takes part in one network. Names for others (`links`) are looked up when they are asked for, so
/// they may be those of services and need not exist yet.
pub(crate) fn endpoint(network: &NetworkAttachment, links: &BTreeSet<String>) -> EndpointSettings {
    let has_address = network.ipv4_address.is_some()
        || network.ipv6_address.is_some()
        || !network.link_local_ips.is_empty();
    let ipam_config = has_address.then(|| EndpointIpamConfig {
        ipv4_address: network.ipv4_address.clone(),
        ipv6_address: network.ipv6_address.clone(),
        link_local_ips: (!network.link_local_ips.is_empty()).then(|| network.link_local_ips.clone()),
    });
    EndpointSettings {
        aliases: Some(network.aliases.clone()),
        links: (!links.is_empty()).then(|| links.iter().cloned().collect()),
        mac_address: network.mac_address.clone(),
        gw_priority: (network.gw_priority != 0).then_some(network.gw_priority),
        driver_opts: (!network.driver_opts.is_empty())
            .then(|| network.driver_opts.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
        ipam_config,
        ..Default::default()
    }
}
