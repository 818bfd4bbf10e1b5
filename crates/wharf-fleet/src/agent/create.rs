//! A container's specification in the Engine's words (API 1.41, and what later versions add). Pure.

mod host;
mod mounts;
mod needs;
mod network;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;
use wharf_docker::bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, PortBinding, PortMap};
use wharf_model::{Healthcheck, Name, SharedPlace, Transport};

use super::plan::Wanted;
use super::secrets::Ready;
use crate::labels;

pub(crate) use needs::{SUBPATH_API, too_new};
pub(crate) use network::endpoint;

/// What the body needs besides the instance.
pub(crate) struct Place<'a> {
    pub(crate) owner: &'a str,
    pub(crate) host: &'a Name,
    /// Private address on which the served port is published.
    pub(crate) published: Option<IpAddr>,
    /// Where each bundle of files lies: [`super::files::key`] to the path that is mounted.
    pub(crate) files: &'a HashMap<String, PathBuf>,
    /// The container of each service that it uses.
    pub(crate) shares: &'a BTreeMap<Name, String>,
    /// Paths of the host for parts of volumes: (volume, part).
    pub(crate) subpaths: &'a HashMap<(String, String), PathBuf>,
    /// Minor API version of the Engine, 41 for 1.41.
    pub(crate) api: u32,
}

/// The body of `POST /containers/create`. bollard's has no address of the interface, which Engines before 25 take only
/// here.
#[derive(Serialize)]
pub(crate) struct Body {
    #[serde(flatten)]
    rest: ContainerCreateBody,
    #[serde(rename = "MacAddress", skip_serializing_if = "Option::is_none")]
    mac_address: Option<String>,
}

impl Body {
    /// Mounts the files of secrets and sets the variables that hold some.
    pub(crate) fn add(&mut self, ready: Ready) {
        ready.add_to(&mut self.rest);
    }
}

/// The name that the container gets.
pub(crate) fn container_name(wanted: &Wanted) -> &str {
    wanted.instance.spec.container_name.as_deref().unwrap_or(&wanted.instance.id)
}

/// The body of `POST /containers/create`. Only the first network is in it: Engines before 25 take no more.
pub(crate) fn body(wanted: &Wanted, place: &Place<'_>) -> Body {
    let spec = &wanted.instance.spec;
    let (exposed_ports, port_bindings) = ports(wanted, place.published);
    let rest = ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        tty: spec.tty.then_some(true),
        open_stdin: spec.stdin_open.then_some(true),
        labels: Some(all_labels(wanted, place)),
        exposed_ports: Some(exposed_ports),
        healthcheck: spec.healthcheck.as_ref().map(health),
        stop_signal: spec.stop_signal.clone(),
        // The Engine takes whole seconds; rounded up, so that nobody gets less than they asked for.
        stop_timeout: spec
            .stop_grace_ms
            .map(|millis| i64::try_from(millis.div_ceil(1_000)).unwrap_or(i64::MAX)),
        host_config: Some(host::config(spec, port_bindings, place)),
        networking_config: network::at_creation(spec, place.api),
        ..Default::default()
    };
    Body { rest, mac_address: network::container_wide_mac(spec, place.api) }
}

/// The same for a one-off container, which is nobody's instance.
pub(crate) fn one_off_body(wanted: &Wanted, place: &Place<'_>, stdin: bool, terminal: bool) -> Body {
    let mut body = body(wanted, place);
    if let Some(all) = &mut body.rest.labels {
        for key in [labels::INSTANCE, labels::SPEC, labels::SLOT, labels::AFTER, labels::SHARES] {
            all.remove(key);
        }
        all.insert(labels::RUN.to_owned(), wanted.instance.id.clone());
    }
    body.rest.tty = Some(terminal);
    body.rest.open_stdin = Some(stdin);
    body.rest.stdin_once = Some(stdin);
    body.rest.attach_stdin = Some(stdin);
    body.rest.attach_stdout = Some(true);
    body.rest.attach_stderr = Some(true);
    body
}

/// The `HostConfig` but for what depends on the place: where files lie, which containers it uses.
pub(crate) fn without_place(wanted: &Wanted) -> HostConfig {
    let (files, shares, subpaths) = (HashMap::new(), BTreeMap::new(), HashMap::new());
    let host = &wanted.instance.host;
    let (files, shares, subpaths) = (&files, &shares, &subpaths);
    let place = Place { owner: "", host, published: None, files, shares, subpaths, api: 41 };
    host::config(&wanted.instance.spec, HashMap::new(), &place)
}

/// In the Engine's words; a service is its container on this host.
fn shared(from: &SharedPlace, shares: &BTreeMap<Name, String>) -> String {
    match from {
        SharedPlace::Named(word) => word.clone(),
        SharedPlace::Container(name) => format!("container:{name}"),
        // The plan lets nobody be created before what it shares is there.
        SharedPlace::Service(service) => {
            format!("container:{}", shares.get(service).map_or(service.as_str(), String::as_str))
        }
    }
}

/// The user's labels, then ours, which win.
fn all_labels(wanted: &Wanted, place: &Place<'_>) -> HashMap<String, String> {
    let instance = &wanted.instance;
    let mut all: HashMap<String, String> =
        instance.spec.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in [
        (labels::OWNER, place.owner.to_owned()),
        (labels::HOST, place.host.to_string()),
        (labels::APP, wanted.app.to_string()),
        (labels::SERVICE, instance.service.to_string()),
        (labels::RELEASE, instance.release.to_string()),
        (labels::SLOT, instance.slot.to_string()),
        (labels::INSTANCE, instance.id.clone()),
        (labels::SPEC, wanted.hash.clone()),
    ] {
        all.insert(key.to_owned(), value);
    }
    if !instance.after.is_empty() {
        let services: Vec<&str> = instance.after.keys().map(Name::as_str).collect();
        all.insert(labels::AFTER.to_owned(), services.join(","));
    }
    if !place.shares.is_empty() {
        let shares: Vec<String> = place.shares.iter().map(|(name, id)| format!("{name}={id}")).collect();
        all.insert(labels::SHARES.to_owned(), shares.join(","));
    }
    all
}

/// Exposed ports, and those that are published: by the user's wish, and the served one on the private address.
fn ports(wanted: &Wanted, published: Option<IpAddr>) -> (Vec<String>, PortMap) {
    let spec = &wanted.instance.spec;
    let mut exposed: Vec<String> =
        spec.expose.iter().map(|(port, transport)| format!("{port}/{}", transport.as_str())).collect();
    let mut bindings: PortMap = HashMap::new();
    let mut bind = |port: u16, transport: Transport, host_ip: Option<String>, host_port: String| {
        let key = format!("{port}/{}", transport.as_str());
        exposed.push(key.clone());
        let binding = PortBinding { host_ip, host_port: Some(host_port) };
        bindings.entry(key).or_default().get_or_insert_default().push(binding);
    };
    for port in &spec.ports {
        let host_port = port.host_port.map(|port| port.to_string()).unwrap_or_default();
        bind(port.container_port, port.transport, port.host_ip.clone(), host_port);
    }
    // A container without interfaces of its own publishes nothing: the Engine refuses it.
    let has_interfaces = spec.network_mode.is_none();
    if let (Some(serve), Some(address), true) = (&wanted.instance.serve, published, has_interfaces) {
        // An empty port lets the Engine choose one of the kernel's ephemeral range.
        bind(serve.port, Transport::Tcp, Some(address.to_string()), String::new());
    }
    exposed.sort();
    exposed.dedup();
    (exposed, bindings)
}

fn health(check: &Healthcheck) -> HealthConfig {
    let nanos = |millis: u64| i64::try_from(millis.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    HealthConfig {
        test: (!check.test.is_empty()).then(|| check.test.clone()),
        interval: check.interval_ms.map(nanos),
        timeout: check.timeout_ms.map(nanos),
        retries: check.retries.map(i64::from),
        start_period: check.start_period_ms.map(nanos),
        // API 1.44; `too_new` refuses it before.
        start_interval: check.start_interval_ms.map(nanos),
    }
}

#[cfg(test)]
mod tests;
