//! A container's specification in the Engine's words (API 1.41). Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use wharf_docker::bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, Mount, MountType, NetworkingConfig,
    PortBinding, PortMap, RestartPolicy as EngineRestartPolicy, RestartPolicyNameEnum,
};
use wharf_model::{
    ContainerSpec, Healthcheck, MountSource, MountSpec, Name, NetworkAttachment, RestartPolicy, Transport,
};

use super::plan::Wanted;
use crate::labels;

/// What the body needs besides the instance.
pub(crate) struct Place<'a> {
    pub(crate) owner: &'a str,
    pub(crate) host: &'a Name,
    /// Private address on which the served port is published.
    pub(crate) published: Option<IpAddr>,
    /// Where each bundle of files lies: digest to the path that is mounted.
    pub(crate) files: &'a HashMap<String, PathBuf>,
}

/// The name that the container gets.
pub(crate) fn container_name(wanted: &Wanted) -> &str {
    wanted.instance.spec.container_name.as_deref().unwrap_or(&wanted.instance.id)
}

/// The body of `POST /containers/create`. Only the first network is in it: Engines before 25 take no more.
pub(crate) fn body(wanted: &Wanted, place: &Place<'_>) -> ContainerCreateBody {
    let spec = &wanted.instance.spec;
    let (exposed_ports, port_bindings) = ports(wanted, place.published);
    let first = spec.networks.first();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        hostname: spec.hostname.clone(),
        labels: Some(all_labels(wanted, place)),
        exposed_ports: Some(exposed_ports),
        healthcheck: spec.healthcheck.as_ref().map(health),
        stop_signal: spec.stop_signal.clone(),
        // The Engine takes whole seconds; rounded up, so that nobody gets less than they asked for.
        stop_timeout: spec
            .stop_grace_ms
            .map(|millis| i64::try_from(millis.div_ceil(1_000)).unwrap_or(i64::MAX)),
        host_config: Some(host_config(spec, port_bindings, place)),
        networking_config: first.map(|network| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.network.clone(), endpoint(network))])),
        }),
        ..Default::default()
    }
}

/// The same for a one-off container, which is nobody's instance.
pub(crate) fn one_off_body(
    wanted: &Wanted,
    place: &Place<'_>,
    stdin: bool,
    terminal: bool,
) -> ContainerCreateBody {
    let mut body = body(wanted, place);
    if let Some(all) = &mut body.labels {
        for key in [labels::INSTANCE, labels::SPEC, labels::SLOT, labels::AFTER] {
            all.remove(key);
        }
        all.insert(labels::RUN.to_owned(), wanted.instance.id.clone());
    }
    body.tty = Some(terminal);
    body.open_stdin = Some(stdin);
    body.stdin_once = Some(stdin);
    body.attach_stdin = Some(stdin);
    body.attach_stdout = Some(true);
    body.attach_stderr = Some(true);
    body
}

/// How the container takes part in one network.
pub(crate) fn endpoint(network: &NetworkAttachment) -> EndpointSettings {
    EndpointSettings { aliases: Some(network.aliases.clone()), ..Default::default() }
}

fn host_config(spec: &ContainerSpec, port_bindings: PortMap, place: &Place<'_>) -> HostConfig {
    let resources = &spec.resources;
    HostConfig {
        network_mode: spec.networks.first().map(|network| network.network.clone()),
        port_bindings: Some(port_bindings),
        mounts: Some(spec.mounts.iter().map(|one| mount(one, place.files)).collect()),
        restart_policy: Some(restart(spec.restart)),
        init: spec.init,
        nano_cpus: resources.nano_cpus,
        memory: resources.memory_bytes,
        memory_reservation: resources.memory_reservation_bytes,
        pids_limit: resources.pids,
        ..Default::default()
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
    if let (Some(serve), Some(address)) = (&wanted.instance.serve, published) {
        // An empty port lets the Engine choose one of the kernel's ephemeral range.
        bind(serve.port, Transport::Tcp, Some(address.to_string()), String::new());
    }
    exposed.sort();
    exposed.dedup();
    (exposed, bindings)
}

fn mount(spec: &MountSpec, files: &HashMap<String, PathBuf>) -> Mount {
    let path = |path: &Path| Some(path.to_string_lossy().into_owned());
    let (typ, source, read_only) = match &spec.source {
        MountSource::Volume(name) => (MountType::VOLUME, Some(name.clone()), spec.read_only),
        MountSource::Anonymous => (MountType::VOLUME, None, spec.read_only),
        MountSource::HostPath(host) => (MountType::BIND, Some(host.clone()), spec.read_only),
        MountSource::Tmpfs => (MountType::TMPFS, None, spec.read_only),
        // Copies are shared between containers, so nobody writes to them, whatever the specification says.
        MountSource::Files(digest) => (MountType::BIND, files.get(digest).and_then(|copy| path(copy)), true),
    };
    Mount {
        target: Some(spec.target.clone()),
        source,
        typ: Some(typ),
        read_only: Some(read_only),
        ..Default::default()
    }
}

fn health(check: &Healthcheck) -> HealthConfig {
    let nanos = |millis: u64| i64::try_from(millis.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    HealthConfig {
        test: (!check.test.is_empty()).then(|| check.test.clone()),
        interval: check.interval_ms.map(nanos),
        timeout: check.timeout_ms.map(nanos),
        retries: check.retries.map(i64::from),
        start_period: check.start_period_ms.map(nanos),
        // API 1.44.
        start_interval: None,
    }
}

fn restart(policy: RestartPolicy) -> EngineRestartPolicy {
    let (name, count) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::OnFailure(most) => (RestartPolicyNameEnum::ON_FAILURE, most),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    EngineRestartPolicy { name: Some(name), maximum_retry_count: count.map(i64::from) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instance, name};
    use serde_json::json;
    use wharf_model::{PublishedPort, ResourceLimits, Serve};

    fn body_json(spec: ContainerSpec, serve: Option<u16>, published: Option<&str>) -> serde_json::Value {
        let mut one = instance("shop", "web", 3, 2);
        one.spec = spec;
        one.serve = serve.map(|port| Serve { port });
        let wanted = Wanted { app: name("shop"), instance: one, hash: "1:x".to_owned() };
        let files = HashMap::from([("sha256:f".to_owned(), PathBuf::from("/data/files/f/nginx.conf"))]);
        let host = name("h1");
        let place = Place {
            owner: "me",
            host: &host,
            published: published.map(|text| text.parse().unwrap()),
            files: &files,
        };
        serde_json::to_value(body(&wanted, &place)).unwrap()
    }

    #[test]
    fn every_field_reaches_the_engine_in_its_words() {
        let spec = ContainerSpec {
            image: "registry/web@sha256:1".to_owned(),
            command: Some(vec!["run".to_owned()]),
            entrypoint: Some(vec!["/bin/web".to_owned()]),
            environment: [("A".to_owned(), "1=2".to_owned())].into(),
            labels: [("team".to_owned(), "x".to_owned()), (labels::APP.to_owned(), "forged".to_owned())]
                .into(),
            working_dir: Some("/srv".to_owned()),
            user: Some("1000".to_owned()),
            hostname: Some("web".to_owned()),
            init: Some(true),
            expose: vec![(9000, Transport::Tcp)],
            ports: vec![PublishedPort {
                host_ip: Some("127.0.0.1".to_owned()),
                host_port: Some(53),
                container_port: 5353,
                transport: Transport::Udp,
            }],
            mounts: vec![
                MountSpec {
                    source: MountSource::Volume("v".to_owned()),
                    target: "/v".to_owned(),
                    read_only: false,
                },
                MountSpec {
                    source: MountSource::Files("sha256:f".to_owned()),
                    target: "/f".to_owned(),
                    read_only: false,
                },
                MountSpec { source: MountSource::Tmpfs, target: "/t".to_owned(), read_only: false },
            ],
            networks: vec![NetworkAttachment {
                network: "shop_default".to_owned(),
                aliases: vec!["web".to_owned()],
            }],
            healthcheck: Some(Healthcheck {
                test: vec!["CMD".to_owned(), "true".to_owned()],
                interval_ms: Some(5_000),
                retries: Some(3),
                ..Default::default()
            }),
            restart: RestartPolicy::OnFailure(Some(2)),
            stop_signal: Some("SIGINT".to_owned()),
            stop_grace_ms: Some(1_500),
            resources: ResourceLimits {
                nano_cpus: Some(500_000_000),
                memory_bytes: Some(1 << 28),
                memory_reservation_bytes: Some(1 << 20),
                pids: Some(100),
            },
            container_name: None,
        };
        let body = body_json(spec, Some(8000), None);
        for (pointer, expected) in [
            ("/Image", json!("registry/web@sha256:1")),
            ("/Cmd", json!(["run"])),
            ("/Entrypoint", json!(["/bin/web"])),
            ("/Env", json!(["A=1=2"])),
            ("/WorkingDir", json!("/srv")),
            ("/User", json!("1000")),
            ("/Hostname", json!("web")),
            ("/Labels/team", json!("x")),
            ("/Labels/wharf.app", json!("shop")),
            ("/Labels/wharf.release", json!("3")),
            ("/Labels/wharf.instance", json!("shop-web-r3-2")),
            ("/Labels/wharf.owner", json!("me")),
            ("/StopSignal", json!("SIGINT")),
            ("/StopTimeout", json!(2)),
            ("/Healthcheck/Test", json!(["CMD", "true"])),
            ("/Healthcheck/Interval", json!(5_000_000_000u64)),
            ("/Healthcheck/Retries", json!(3)),
            ("/HostConfig/Init", json!(true)),
            ("/HostConfig/NanoCpus", json!(500_000_000)),
            ("/HostConfig/Memory", json!(1 << 28)),
            ("/HostConfig/MemoryReservation", json!(1 << 20)),
            ("/HostConfig/PidsLimit", json!(100)),
            ("/HostConfig/NetworkMode", json!("shop_default")),
            ("/HostConfig/RestartPolicy", json!({ "Name": "on-failure", "MaximumRetryCount": 2 })),
            (
                "/HostConfig/PortBindings",
                json!({ "5353/udp": [{ "HostIp": "127.0.0.1", "HostPort": "53" }] }),
            ),
            (
                "/HostConfig/Mounts/0",
                json!({ "Target": "/v", "Source": "v", "Type": "volume", "ReadOnly": false }),
            ),
            ("/HostConfig/Mounts/1/Source", json!("/data/files/f/nginx.conf")),
            ("/HostConfig/Mounts/1/ReadOnly", json!(true)),
            ("/HostConfig/Mounts/2/Type", json!("tmpfs")),
            ("/NetworkingConfig/EndpointsConfig/shop_default/Aliases", json!(["web"])),
        ] {
            assert_eq!(body.pointer(pointer), Some(&expected), "{pointer} in {body:#}");
        }
        assert!(body.get("ExposedPorts").is_some());
    }

    #[test]
    fn the_served_port_is_published_only_on_a_private_address() {
        let bindings = |published| {
            body_json(ContainerSpec::default(), Some(8000), published)["HostConfig"]["PortBindings"].clone()
        };
        assert_eq!(bindings(None), json!({}));
        assert_eq!(
            bindings(Some("10.77.0.11")),
            json!({ "8000/tcp": [{ "HostIp": "10.77.0.11", "HostPort": "" }] })
        );
    }

    #[test]
    fn what_is_not_set_is_left_to_the_engine() {
        let body = body_json(ContainerSpec::default(), None, None);
        for absent in ["Cmd", "Entrypoint", "User", "WorkingDir", "Hostname", "Healthcheck", "StopTimeout"] {
            assert!(body.get(absent).is_none_or(serde_json::Value::is_null), "{absent}");
        }
    }
}
