//! The `HostConfig`: what the container may use of the host, and how much.

use std::collections::BTreeMap;

use wharf_docker::bollard::models::{
    DeviceMapping, DeviceRequest as EngineDeviceRequest, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigIsolationEnum, HostConfigLogConfig, PortMap, ResourcesBlkioWeightDevice, ResourcesUlimits,
    RestartPolicy as EngineRestartPolicy, RestartPolicyNameEnum, ThrottleDevice,
};
use wharf_model::{ContainerSpec, Device, DeviceRequest, RestartPolicy, SharedPlace, SharedVolumes};

use super::{Place, mounts, shared};

/// Everything of it. What the user left open is not in it, so that the Engine's own settings decide.
pub(super) fn config(spec: &ContainerSpec, port_bindings: PortMap, place: &Place<'_>) -> HostConfig {
    let in_words = |from: &SharedPlace| shared(from, place.shares);
    let (mounts, binds) = mounts::all(spec, place);
    let config = HostConfig {
        network_mode: match &spec.network_mode {
            Some(mode) => Some(in_words(mode)),
            None => spec.networks.first().map(|network| network.network.clone()),
        },
        port_bindings: Some(port_bindings),
        mounts: Some(mounts),
        binds: some(binds),
        volumes_from: some(spec.volumes_from.iter().map(|one| volumes_from(one, place)).collect()),
        tmpfs: map(&spec.tmpfs),
        restart_policy: Some(restart(spec.restart)),
        init: spec.init,
        log_config: spec.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: logging.driver.clone(),
            config: map(&logging.options),
        }),
        dns: some(spec.dns.clone()),
        dns_options: some(spec.dns_opt.clone()),
        dns_search: some(spec.dns_search.clone()),
        extra_hosts: some(spec.extra_hosts.clone()),
        ipc_mode: spec.ipc.as_ref().map(in_words),
        pid_mode: spec.pid.as_ref().map(in_words),
        uts_mode: spec.uts.as_ref().map(in_words),
        userns_mode: spec.userns_mode.as_ref().map(in_words),
        cgroupns_mode: spec.cgroup.as_ref().and_then(|from| match in_words(from).as_str() {
            "host" => Some(HostConfigCgroupnsModeEnum::HOST),
            "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            _ => None,
        }),
        cgroup_parent: spec.cgroup_parent.clone(),
        storage_opt: map(&spec.storage_opt),
        sysctls: map(&spec.sysctls),
        annotations: map(&spec.annotations),
        shm_size: spec.shm_size_bytes.map(signed),
        runtime: spec.runtime.clone(),
        isolation: spec.isolation.as_ref().and_then(|kind| match kind.as_str() {
            "default" => Some(HostConfigIsolationEnum::DEFAULT),
            "process" => Some(HostConfigIsolationEnum::PROCESS),
            "hyperv" => Some(HostConfigIsolationEnum::HYPERV),
            _ => None,
        }),
        ..HostConfig::default()
    };
    limited(privileged(config, spec), spec)
}

fn privileged(config: HostConfig, spec: &ContainerSpec) -> HostConfig {
    HostConfig {
        privileged: spec.privileged.then_some(true),
        readonly_rootfs: spec.read_only.then_some(true),
        cap_add: some(spec.cap_add.iter().cloned().collect()),
        cap_drop: some(spec.cap_drop.iter().cloned().collect()),
        security_opt: some(spec.security_opt.iter().cloned().collect()),
        group_add: some(spec.group_add.iter().cloned().collect()),
        devices: some(spec.devices.iter().filter(|one| !is_cdi(one)).map(device).collect()),
        device_requests: some(device_requests(spec)),
        device_cgroup_rules: some(spec.device_cgroup_rules.iter().cloned().collect()),
        ..config
    }
}

fn limited(config: HostConfig, spec: &ContainerSpec) -> HostConfig {
    let (limits, blkio) = (&spec.resources, &spec.resources.blkio);
    HostConfig {
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: limits.cpu_rt_period,
        cpu_realtime_runtime: limits.cpu_rt_runtime,
        cpu_count: limits.cpu_count,
        cpu_percent: limits.cpu_percent,
        cpuset_cpus: limits.cpuset.clone(),
        memory: limits.memory_bytes,
        memory_reservation: limits.memory_reservation_bytes,
        memory_swap: limits.memory_swap_bytes,
        memory_swappiness: limits.memory_swappiness,
        oom_kill_disable: spec.oom_kill_disable.then_some(true),
        oom_score_adj: spec.oom_score_adj,
        pids_limit: limits.pids,
        ulimits: some(
            spec.ulimits
                .iter()
                .map(|(name, limit)| ResourcesUlimits {
                    name: Some(name.clone()),
                    soft: Some(limit.soft),
                    hard: Some(limit.hard),
                })
                .collect(),
        ),
        blkio_weight: blkio.weight,
        blkio_weight_device: some(
            blkio
                .weight_device
                .iter()
                .map(|(path, weight)| ResourcesBlkioWeightDevice {
                    path: Some(path.clone()),
                    weight: Some(usize::from(*weight)),
                })
                .collect(),
        ),
        blkio_device_read_bps: throttles(&blkio.device_read_bps),
        blkio_device_read_iops: throttles(&blkio.device_read_iops),
        blkio_device_write_bps: throttles(&blkio.device_write_bps),
        blkio_device_write_iops: throttles(&blkio.device_write_iops),
        ..config
    }
}

fn volumes_from(one: &SharedVolumes, place: &Place<'_>) -> String {
    let container = shared(&one.from, place.shares);
    let container = container.strip_prefix("container:").unwrap_or(&container);
    if one.read_only { format!("{container}:ro") } else { container.to_owned() }
}

/// `vendor.com/class=name`: a device of the Container Device Interface, by name and not by path.
fn is_cdi(device: &Device) -> bool {
    !device.source.starts_with('/') && device.source.contains('=')
}

fn device(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

fn device_requests(spec: &ContainerSpec) -> Vec<EngineDeviceRequest> {
    let asked = spec.device_requests.iter().map(|one: &DeviceRequest| EngineDeviceRequest {
        driver: one.driver.clone(),
        count: Some(one.count),
        device_ids: some(one.device_ids.clone()),
        // The outer list is "or", the inner one "and".
        capabilities: Some(vec![one.capabilities.clone()]),
        options: map(&one.options),
    });
    let names: Vec<String> =
        spec.devices.iter().filter(|one| is_cdi(one)).map(|one| one.source.clone()).collect();
    let by_name = (!names.is_empty()).then(|| EngineDeviceRequest {
        driver: Some("cdi".to_owned()),
        device_ids: Some(names),
        ..Default::default()
    });
    asked.chain(by_name).collect()
}

fn throttles(rates: &BTreeMap<String, u64>) -> Option<Vec<ThrottleDevice>> {
    let throttle = |(path, rate): (&String, &u64)| ThrottleDevice {
        path: Some(path.clone()),
        rate: Some(signed(*rate)),
    };
    some(rates.iter().map(throttle).collect())
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

fn some<T>(all: Vec<T>) -> Option<Vec<T>> {
    (!all.is_empty()).then_some(all)
}

fn map(all: &BTreeMap<String, String>) -> Option<std::collections::HashMap<String, String>> {
    (!all.is_empty()).then(|| all.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
