//! A container as the Engine's list shows it. One list call has all that deciding needs: labels, state, health,
//! addresses and ports.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wharf_docker::bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use wharf_model::Name;

use super::drift::settings::Settings;
use crate::labels;

/// One container that carries our owner label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) app: Name,
    pub(crate) service: Name,
    pub(crate) release: u32,
    pub(crate) slot: u32,
    pub(crate) instance: String,
    pub(crate) spec: String,
    /// The container's name; empty if the Engine tells none.
    pub(crate) name: String,
    /// Names of the networks that it is in.
    pub(crate) networks: Vec<String>,
    /// Services that it depends on.
    pub(crate) after: Vec<Name>,
    /// Services whose container it uses, with that container's id.
    pub(crate) shares: BTreeMap<Name, String>,
    /// It has the host's interfaces.
    pub(crate) is_on_host: bool,
    pub(crate) run: Run,
    pub(crate) check: Check,
    pub(crate) address: Option<IpAddr>,
    /// Published TCP ports: (address of the host, port of the container, port of the host).
    pub(crate) published: Vec<(IpAddr, u16, u16)>,
    /// The verdict over all checks; set by the agent, not by the Engine.
    pub(crate) is_healthy: bool,
    /// The machine or the Engine went down under it; set by the agent.
    pub(crate) was_cut_off: bool,
    /// Somebody sent it a signal that ends it and it has not been started since; set by the agent.
    pub(crate) was_killed: bool,
    /// What an inspect says of its limits; set by the agent, `None` while it is not known.
    pub(crate) settings: Option<Settings>,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Created,
    Running,
    Paused,
    /// Ended and about to be started again by the Engine.
    Restarting(i64),
    Removing,
    Exited(i64),
    Dead,
}

/// What the Engine's own health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// It has none.
    None,
    Starting,
    Passing,
    Failing,
}

impl Found {
    /// Reads one entry of the list. `None` for a container without all of our labels.
    pub(crate) fn read(summary: &ContainerSummary) -> Option<Found> {
        let container_labels = summary.labels.as_ref()?;
        let label = |key: &str| container_labels.get(key);
        let status = summary.status.as_deref().unwrap_or_default();
        Some(Found {
            id: summary.id.clone()?,
            owner: label(labels::OWNER)?.clone(),
            app: label(labels::APP)?.parse().ok()?,
            service: label(labels::SERVICE)?.parse().ok()?,
            release: label(labels::RELEASE)?.parse().ok()?,
            slot: label(labels::SLOT)?.parse().ok()?,
            instance: label(labels::INSTANCE)?.clone(),
            spec: label(labels::SPEC)?.clone(),
            name: own_name(summary),
            networks: networks(summary),
            after: label(labels::AFTER)
                .map(|all| all.split(',').flat_map(str::parse).collect())
                .unwrap_or_default(),
            shares: label(labels::SHARES).map(|all| shares(all)).unwrap_or_default(),
            is_on_host: summary
                .host_config
                .as_ref()
                .is_some_and(|config| config.network_mode.as_deref() == Some("host")),
            run: run(summary.state.as_ref(), status),
            check: check(status),
            address: address(summary),
            published: published(summary),
            is_healthy: false,
            was_cut_off: false,
            was_killed: false,
            settings: None,
        })
    }

    /// Whether its process exists.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.run, Run::Running | Run::Paused | Run::Restarting(_))
    }

    /// Where balancers on the server's host, or our probe, reach `port`.
    pub(crate) fn inside(&self, port: u16) -> Option<SocketAddr> {
        if self.is_on_host {
            return Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        }
        self.address.map(|address| SocketAddr::new(address, port))
    }

    /// Where others reach `port` through `host`, the private address on which it was published.
    pub(crate) fn outside(&self, host: IpAddr, port: u16) -> Option<SocketAddr> {
        if self.is_on_host {
            return Some(SocketAddr::new(host, port));
        }
        let mut ports = self.published.iter().filter(|(_, inner, _)| *inner == port);
        ports.find(|(ip, _, _)| *ip == host).map(|(_, _, outer)| SocketAddr::new(host, *outer))
    }
}

fn shares(label: &str) -> BTreeMap<Name, String> {
    let pairs = label.split(',').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(name, id)| Some((name.parse().ok()?, id.to_owned()))).collect()
}

fn run(state: Option<&ContainerSummaryStateEnum>, status: &str) -> Run {
    use ContainerSummaryStateEnum as State;
    match state {
        Some(State::RUNNING) => Run::Running,
        Some(State::PAUSED) => Run::Paused,
        Some(State::RESTARTING) => Run::Restarting(exit_code(status)),
        Some(State::EXITED) => Run::Exited(exit_code(status)),
        Some(State::DEAD) => Run::Dead,
        Some(State::CREATED) => Run::Created,
        // "removing", and what later Engines may add: leave it alone until it is something that we know.
        _ => Run::Removing,
    }
}

/// `Exited (137) 2 minutes ago`, `Restarting (1) 5 seconds ago` (moby `container/state.go`, `State.String`).
fn exit_code(status: &str) -> i64 {
    let inside = status.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inside.and_then(|(code, _)| code.parse().ok()).unwrap_or(0)
}

/// `Up 3 seconds (health: starting)`, `Up 3 minutes (healthy)` (moby `container/health.go`, `Health.String`).
fn check(status: &str) -> Check {
    if status.contains("(health: starting)") {
        Check::Starting
    } else if status.contains("(healthy)") {
        Check::Passing
    } else if status.contains("(unhealthy)") {
        Check::Failing
    } else {
        Check::None
    }
}

/// `/web`; links add names such as `/other/web`.
fn own_name(summary: &ContainerSummary) -> String {
    let names = summary.names.iter().flatten().filter_map(|name| name.strip_prefix('/'));
    names.filter(|name| !name.contains('/')).map(str::to_owned).next().unwrap_or_default()
}

fn networks(summary: &ContainerSummary) -> Vec<String> {
    let networks = summary.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    networks.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Its address in the first network that gave it one.
fn address(summary: &ContainerSummary) -> Option<IpAddr> {
    let networks = summary.network_settings.as_ref()?.networks.as_ref()?;
    let mut names: Vec<_> = networks.keys().collect();
    names.sort();
    names.iter().find_map(|name| networks[*name].ip_address.as_deref()?.parse().ok())
}

fn published(summary: &ContainerSummary) -> Vec<(IpAddr, u16, u16)> {
    use wharf_docker::bollard::models::PortSummaryTypeEnum;
    let ports = summary.ports.iter().flatten();
    let tcp = ports.filter(|port| port.typ == Some(PortSummaryTypeEnum::TCP));
    tcp.filter_map(|port| Some((port.ip.as_deref()?.parse().ok()?, port.private_port, port.public_port?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_of_the_engine_are_understood() {
        assert_eq!(exit_code("Exited (137) 2 minutes ago"), 137);
        assert_eq!(exit_code("Restarting (1) Less than a second ago"), 1);
        assert_eq!(exit_code("Up 2 minutes"), 0);
        for (status, expected) in [
            ("Up 2 seconds", Check::None),
            ("Up 2 seconds (health: starting)", Check::Starting),
            ("Up 2 seconds (healthy)", Check::Passing),
            ("Up 2 seconds (unhealthy)", Check::Failing),
            ("Exited (0) 2 seconds ago", Check::None),
        ] {
            assert_eq!(check(status), expected, "{status}");
        }
    }

    #[test]
    fn a_container_without_our_labels_is_none() {
        assert_eq!(Found::read(&ContainerSummary { id: Some("a".to_owned()), ..Default::default() }), None);
        let labels = std::collections::HashMap::from([(labels::APP.to_owned(), "shop".to_owned())]);
        let foreign =
            ContainerSummary { id: Some("a".to_owned()), labels: Some(labels), ..Default::default() };
        assert_eq!(Found::read(&foreign), None);
    }
}
