//! Whether two containers of a service may run at the same time: decides between blue-green and stop-then-start.
//!
//! Two containers get in each other's way when they claim something that exists once on a host (a fixed port, a fixed
//! name) or write the same data (a named volume, a path of the host). Everything is read from the container's own
//! settings, so the answer is the same for an old container as for a new one.

use wharf_model::{ContainerSpec, MountSource, SharedPlace};

/// Why a second container with these settings must not run beside the first, in words; `None` if it may.
pub(crate) fn why_once(spec: &ContainerSpec) -> Option<String> {
    if let Some(why) = why_once_on_a_host(spec) {
        return Some(why);
    }
    let written = spec.mounts.iter().filter(|mount| !mount.read_only);
    written.into_iter().find_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(format!("it writes the volume `{name}`")),
        MountSource::HostPath(path) => Some(format!("it writes `{path}` of the host")),
        MountSource::Anonymous | MountSource::Tmpfs | MountSource::Files(_) => None,
    })
}

/// Why a container with these settings can't go to another host without losing something, in words.
pub(crate) fn why_on_its_host(spec: &ContainerSpec) -> Option<String> {
    spec.mounts.iter().find_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(format!("its volume `{name}` is there")),
        MountSource::HostPath(path) if !mount.read_only => Some(format!("it writes `{path}` of the host")),
        MountSource::HostPath(_) | MountSource::Anonymous | MountSource::Tmpfs | MountSource::Files(_) => {
            None
        }
    })
}

/// Why two containers with these settings can't be at the same time on the same networks, in words.
fn why_once_on_a_network(spec: &ContainerSpec) -> Option<String> {
    match &spec.network_mode {
        Some(SharedPlace::Named(mode)) if mode == "host" => {
            return Some("it uses the host's network".to_owned());
        }
        Some(SharedPlace::Service(name)) => return Some(format!("it uses the network of `{name}`")),
        Some(SharedPlace::Container(name)) => {
            return Some(format!("it uses the network of container `{name}`"));
        }
        Some(SharedPlace::Named(_)) | None => {}
    }
    let address = spec.mac_address.as_ref().or_else(|| {
        spec.networks.iter().find_map(|part| {
            part.ipv4_address.as_ref().or(part.ipv6_address.as_ref()).or(part.mac_address.as_ref())
        })
    })?;
    Some(format!("it has the fixed address {address}"))
}

/// Why two containers with these settings can't be on one host at all, in words.
pub(crate) fn why_once_on_a_host(spec: &ContainerSpec) -> Option<String> {
    if let Some(name) = &spec.container_name {
        return Some(format!("its container has the fixed name `{name}`"));
    }
    if let Some(port) = spec.ports.iter().find_map(|port| port.host_port) {
        return Some(format!("it publishes the fixed host port {port}"));
    }
    why_once_on_a_network(spec)
}

/// The first named volume that the container writes.
pub(crate) fn written_volume(spec: &ContainerSpec) -> Option<&str> {
    spec.mounts.iter().filter(|mount| !mount.read_only).find_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(name.as_str()),
        MountSource::HostPath(_) | MountSource::Anonymous | MountSource::Tmpfs | MountSource::Files(_) => {
            None
        }
    })
}

/// Whether the container keeps data on its host in a named volume, so that it must stay where the volume is.
pub(crate) fn keeps_data(spec: &ContainerSpec) -> bool {
    spec.mounts.iter().any(|mount| matches!(mount.source, MountSource::Volume(_)))
}

#[cfg(test)]
mod tests {
    use wharf_model::{MountSpec, NetworkAttachment, PublishedPort, Transport};

    use super::*;

    fn mount(source: MountSource, read_only: bool) -> ContainerSpec {
        let mounts = vec![MountSpec { source, target: "/data".to_owned(), read_only, ..Default::default() }];
        ContainerSpec { mounts, ..ContainerSpec::default() }
    }

    fn port(host_port: Option<u16>) -> ContainerSpec {
        let port = PublishedPort { host_ip: None, host_port, container_port: 80, transport: Transport::Tcp };
        ContainerSpec { ports: vec![port], ..ContainerSpec::default() }
    }

    fn network(mode: &str) -> ContainerSpec {
        let mode = SharedPlace::Named(mode.to_owned());
        ContainerSpec { network_mode: Some(mode), ..ContainerSpec::default() }
    }

    fn address(address: &str) -> ContainerSpec {
        let part = NetworkAttachment { ipv4_address: Some(address.to_owned()), ..Default::default() };
        ContainerSpec { networks: vec![part], ..ContainerSpec::default() }
    }

    #[test]
    fn says_what_forbids_a_second_container() {
        let volume = || MountSource::Volume("shop_data".to_owned());
        let path = || MountSource::HostPath("/srv".to_owned());
        let named = ContainerSpec { container_name: Some("db".to_owned()), ..ContainerSpec::default() };
        for (spec, expected) in [
            (ContainerSpec::default(), None),
            (named, Some("its container has the fixed name `db`")),
            (port(Some(80)), Some("it publishes the fixed host port 80")),
            (port(None), None),
            (network("host"), Some("it uses the host's network")),
            (network("none"), None),
            (address("10.9.0.4"), Some("it has the fixed address 10.9.0.4")),
            (mount(volume(), false), Some("it writes the volume `shop_data`")),
            (mount(volume(), true), None),
            (mount(path(), false), Some("it writes `/srv` of the host")),
            (mount(path(), true), None),
            (mount(MountSource::Anonymous, false), None),
            (mount(MountSource::Tmpfs, false), None),
        ] {
            assert_eq!(why_once(&spec).as_deref(), expected, "{spec:?}");
        }
    }

    #[test]
    fn only_named_volumes_that_are_written_count_as_such() {
        let volume = || MountSource::Volume("v".to_owned());
        assert_eq!(written_volume(&mount(volume(), false)), Some("v"));
        assert_eq!(written_volume(&mount(volume(), true)), None);
        assert_eq!(written_volume(&mount(MountSource::HostPath("/srv".to_owned()), false)), None);
    }

    #[test]
    fn data_is_kept_in_named_volumes_even_when_only_read() {
        assert!(keeps_data(&mount(MountSource::Volume("v".to_owned()), true)));
        assert!(!keeps_data(&mount(MountSource::Anonymous, false)));
    }
}
