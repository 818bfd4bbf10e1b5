//! What only later Engines can do. An Engine ignores members that it doesn't know, so what it can't do has to be
//! refused here.

use wharf_model::ContainerSpec;

/// Addresses of interfaces by network, and intervals in the start period: Engine 25.
pub(super) const ENDPOINT_MAC_API: u32 = 44;
/// Parts of volumes: Engine 26.
pub(crate) const SUBPATH_API: u32 = 45;

/// The first setting that an Engine with API 1.`api` would ignore, in words.
pub(crate) fn too_new(spec: &ContainerSpec, api: u32) -> Option<String> {
    let check = spec.healthcheck.as_ref();
    let needs = [
        ("annotations", 43, "24", !spec.annotations.is_empty()),
        (
            "healthcheck.start_interval",
            ENDPOINT_MAC_API,
            "25",
            check.is_some_and(|check| check.start_interval_ms.is_some()),
        ),
        (
            "mac_address of a network after the first",
            ENDPOINT_MAC_API,
            "25",
            spec.networks.iter().skip(1).any(|network| network.mac_address.is_some()),
        ),
        ("gw_priority of a network", 48, "28", spec.networks.iter().any(|network| network.gw_priority != 0)),
        (
            "interface_name of a network",
            48,
            "28",
            spec.networks
                .iter()
                .any(|network| network.driver_opts.contains_key("com.docker.network.endpoint.ifname")),
        ),
    ];
    let (key, needed, engine, _) =
        needs.into_iter().find(|(_, needed, _, is_used)| *is_used && api < *needed)?;
    Some(format!(
        "`{key}` needs Docker Engine {engine} (API 1.{needed}), and this host's speaks API 1.{api}\n  \
         hint: update Docker there, run the service elsewhere (x-wharf.hosts), or remove the key"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{Healthcheck, NetworkAttachment};

    #[test]
    fn what_the_engine_would_ignore_is_named() {
        let check = Healthcheck { start_interval_ms: Some(1), ..Default::default() };
        let timed = ContainerSpec { healthcheck: Some(check), ..Default::default() };
        let told = too_new(&timed, 41).unwrap();
        assert!(
            told.contains("`healthcheck.start_interval` needs Docker Engine 25") && told.contains("hint:")
        );
        assert_eq!(too_new(&timed, 44), None);
        let part = |mac: &str| NetworkAttachment { mac_address: Some(mac.to_owned()), ..Default::default() };
        let one = ContainerSpec { networks: vec![part("a")], ..Default::default() };
        assert_eq!(too_new(&one, 41), None, "the first network's goes with the container");
        let two = ContainerSpec { networks: vec![part("a"), part("b")], ..Default::default() };
        assert!(too_new(&two, 41).is_some());
    }
}
