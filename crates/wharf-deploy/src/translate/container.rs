//! One Compose service → its container: every key that an Engine has a setting for.

use std::time::Duration;

use wharf_compose::project::{self, Protocol, PullPolicy as Pull, Restart, Service};
use wharf_model::{
    Blkio, ContainerSpec, Device, DeviceRequest, Healthcheck, Logging, NetworkAttachment, PublishedPort,
    PullPolicy, ResourceLimits, RestartPolicy, Transport, Ulimit,
};

use super::service::Input;
use super::{Model, TranslateError, configs, mount, names, security, shares};

/// The container of a service; files that it mounts go to `model`.
pub(super) fn translate(input: &Input<'_>, model: &mut Model) -> Result<ContainerSpec, TranslateError> {
    let service = input.service;
    let image = input.images.get(input.key).or(service.image.as_ref()).ok_or_else(|| {
        TranslateError::new(format!("services.{}", input.key), "it has no image", "add `image:` or `build:`")
    })?;
    let mut mounts = Vec::with_capacity(service.volumes.len() + service.configs.len());
    for mount in &service.volumes {
        mounts.push(mount::translate(input, mount, &mut model.files)?);
    }
    for config in &service.configs {
        mounts.push(configs::translate(input, config, &mut model.files)?);
    }
    let spec = ContainerSpec {
        image: image.clone(),
        command: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        environment: service.environment.clone(),
        labels: service.labels.clone(),
        working_dir: service.working_dir.clone(),
        user: service.user.clone(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        init: service.init,
        tty: service.tty,
        stdin_open: service.stdin_open,
        expose: service.expose.iter().map(|port| (port.port, transport(port.protocol))).collect(),
        ports: service.ports.iter().map(published).collect(),
        mounts,
        tmpfs: service.tmpfs.clone(),
        healthcheck: service.healthcheck.as_ref().map(healthcheck),
        restart: restart(service.restart),
        stop_signal: service.stop_signal.clone(),
        stop_grace_ms: service.stop_grace_period.map(millis),
        resources: resources(service),
        container_name: service.container_name.clone(),
        logging: service
            .logging
            .as_ref()
            .map(|logging| Logging { driver: logging.driver.clone(), options: logging.options.clone() }),
        runtime: service.runtime.clone(),
        platform: service.platform.clone(),
        pull_policy: pull_policy(service.pull_policy),
        storage_opt: service.storage_opt.clone(),
        ..on_networks(input)
    };
    Ok(shares::namespaces(service, isolated(input, spec)?))
}

fn on_networks(input: &Input<'_>) -> ContainerSpec {
    let service = input.service;
    ContainerSpec {
        networks: networks(input),
        mac_address: service.mac_address.clone(),
        extra_hosts: service.extra_hosts.iter().map(project::ExtraHost::to_engine).collect(),
        dns: service.dns.clone(),
        dns_opt: service.dns_opt.clone(),
        dns_search: service.dns_search.clone(),
        ..ContainerSpec::default()
    }
}

/// What it may do to the host and the host to it.
fn isolated(input: &Input<'_>, spec: ContainerSpec) -> Result<ContainerSpec, TranslateError> {
    let service = input.service;
    Ok(ContainerSpec {
        cap_add: service.cap_add.iter().cloned().collect(),
        cap_drop: service.cap_drop.iter().cloned().collect(),
        privileged: service.privileged,
        read_only: service.read_only,
        security_opt: security::options(input)?,
        group_add: service.group_add.iter().cloned().collect(),
        devices: service.devices.iter().map(device).collect(),
        device_cgroup_rules: service.device_cgroup_rules.iter().cloned().collect(),
        device_requests: service.device_requests.iter().map(device_request).collect(),
        cgroup_parent: service.cgroup_parent.clone(),
        oom_kill_disable: service.oom_kill_disable,
        oom_score_adj: service.oom_score_adj,
        shm_size_bytes: service.shm_size_bytes,
        sysctls: service.sysctls.clone(),
        ulimits: service
            .ulimits
            .iter()
            .map(|(name, limit)| (name.clone(), Ulimit { soft: limit.soft, hard: limit.hard }))
            .collect(),
        ..spec
    })
}

/// Those with the highest priority are joined first, as in Compose; of equal ones the first by name.
fn networks(input: &Input<'_>) -> Vec<NetworkAttachment> {
    let mut parts: Vec<(&String, &project::ServiceNetwork)> = input.service.networks.iter().collect();
    parts.sort_by_key(|(_, part)| std::cmp::Reverse(part.priority.unwrap_or(0)));
    let attach = |(key, part): (&String, &project::ServiceNetwork)| {
        let mut aliases = vec![input.key.to_owned()];
        aliases.extend(part.aliases.iter().filter(|alias| *alias != input.key).cloned());
        NetworkAttachment {
            network: names::network(input.app, input.project, key),
            aliases,
            ipv4_address: part.ipv4_address.clone(),
            ipv6_address: part.ipv6_address.clone(),
            link_local_ips: part.link_local_ips.clone(),
            mac_address: part.mac_address.clone(),
            gw_priority: 0,
            driver_opts: part.driver_opts.clone(),
            settings: names::settings(input.project, key),
        }
    };
    parts.into_iter().map(attach).collect()
}

fn published(port: &project::Port) -> PublishedPort {
    PublishedPort {
        host_ip: port.host_ip.clone(),
        host_port: port.published,
        container_port: port.target,
        transport: transport(port.protocol),
    }
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
    }
}

fn healthcheck(check: &project::Healthcheck) -> Healthcheck {
    if check.disable {
        return Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() };
    }
    Healthcheck {
        test: check.test.clone().unwrap_or_default(),
        interval_ms: check.interval.map(millis),
        timeout_ms: check.timeout.map(millis),
        retries: check.retries,
        start_period_ms: check.start_period.map(millis),
        start_interval_ms: check.start_interval.map(millis),
    }
}

fn restart(restart: Option<Restart>) -> RestartPolicy {
    match restart {
        None | Some(Restart::No) => RestartPolicy::No,
        Some(Restart::Always) => RestartPolicy::Always,
        Some(Restart::OnFailure(most)) => RestartPolicy::OnFailure(most),
        Some(Restart::UnlessStopped) => RestartPolicy::UnlessStopped,
    }
}

/// What is built is at our registry by its digest, so `build` asks for no pull.
fn pull_policy(policy: Option<Pull>) -> PullPolicy {
    match policy {
        None | Some(Pull::Missing | Pull::Build) => PullPolicy::Missing,
        Some(Pull::Always) => PullPolicy::Always,
        Some(Pull::Never) => PullPolicy::Never,
    }
}

fn resources(service: &Service) -> ResourceLimits {
    let (limits, reservations) = (&service.deploy.limits, &service.deploy.reservations);
    let blkio = &service.blkio_config;
    ResourceLimits {
        nano_cpus: limits.cpus.map(|cpus| (cpus * 1e9).round() as i64),
        memory_bytes: limits.memory_bytes.map(signed),
        memory_reservation_bytes: reservations.memory_bytes.map(signed),
        pids: limits.pids,
        memory_swap_bytes: service.memswap_limit_bytes,
        memory_swappiness: service.mem_swappiness,
        cpu_shares: service.cpu_shares,
        cpu_period: service.cpu_period,
        cpu_quota: service.cpu_quota,
        cpu_rt_period: service.cpu_rt_period,
        cpu_rt_runtime: service.cpu_rt_runtime,
        cpu_count: None,
        cpu_percent: None,
        cpuset: service.cpuset.clone(),
        blkio: Blkio {
            weight: blkio.weight,
            weight_device: blkio.weight_device.clone(),
            device_read_bps: blkio.device_read_bps.clone(),
            device_read_iops: blkio.device_read_iops.clone(),
            device_write_bps: blkio.device_write_bps.clone(),
            device_write_iops: blkio.device_write_iops.clone(),
        },
    }
}

fn device(device: &project::Device) -> Device {
    Device {
        source: device.source.clone(),
        target: device.target.clone(),
        permissions: device.permissions.clone(),
    }
}

fn device_request(request: &project::DeviceRequest) -> DeviceRequest {
    DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: request.device_ids.clone(),
        capabilities: request.capabilities.clone(),
        options: request.options.clone(),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
