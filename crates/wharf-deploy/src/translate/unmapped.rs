//! What the loader reads and containers don't get yet: refused by name, so that nothing is left out in silence.
//!
//! The patterns name every field, so a new one doesn't compile until somebody decides. Whoever carries a field out
//! replaces its line here by `field: _`.

use wharf_compose::project::{
    Build, Healthcheck, Mount, MountOptions, Network, Project, Service, ServiceNetwork,
};

use super::TranslateError;

/// Refuses the first setting of the service `key` that can't be carried out.
pub(super) fn refuse(key: &str, service: &Service) -> Result<(), TranslateError> {
    let Service {
        image: _,
        build,
        command: _,
        entrypoint: _,
        environment: _,
        ports: _,
        expose: _,
        volumes,
        networks,
        healthcheck,
        restart: _,
        depends_on: _,
        deploy: _,
        stop_grace_period: _,
        stop_signal: _,
        container_name: _,
        labels: _,
        user: _,
        working_dir: _,
        hostname: _,
        init: _,
        blkio_config,
        cap_add,
        cap_drop,
        cgroup,
        cgroup_parent,
        configs,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpu_shares,
        cpuset,
        device_cgroup_rules,
        device_requests,
        devices,
        dns,
        dns_opt,
        dns_search,
        domainname,
        extra_hosts,
        group_add,
        ipc,
        logging,
        mac_address,
        mem_swappiness,
        memswap_limit_bytes,
        network_mode,
        oom_kill_disable,
        oom_score_adj,
        pid,
        platform,
        privileged,
        pull_policy,
        read_only,
        runtime,
        secrets,
        security_opt,
        shm_size_bytes,
        stdin_open,
        storage_opt,
        sysctls,
        tmpfs,
        tty,
        ulimits,
        userns_mode,
        uts,
        x_wharf: _,
    } = service;
    let unmapped = [
        ("blkio_config", *blkio_config != Default::default()),
        ("cap_add", !cap_add.is_empty()),
        ("cap_drop", !cap_drop.is_empty()),
        ("cgroup", cgroup.is_some()),
        ("cgroup_parent", cgroup_parent.is_some()),
        ("configs", !configs.is_empty()),
        ("cpu_period", cpu_period.is_some()),
        ("cpu_quota", cpu_quota.is_some()),
        ("cpu_rt_period", cpu_rt_period.is_some()),
        ("cpu_rt_runtime", cpu_rt_runtime.is_some()),
        ("cpu_shares", cpu_shares.is_some()),
        ("cpuset", cpuset.is_some()),
        ("device_cgroup_rules", !device_cgroup_rules.is_empty()),
        ("gpus", !device_requests.is_empty()),
        ("devices", !devices.is_empty()),
        ("dns", !dns.is_empty()),
        ("dns_opt", !dns_opt.is_empty()),
        ("dns_search", !dns_search.is_empty()),
        ("domainname", domainname.is_some()),
        ("extra_hosts", !extra_hosts.is_empty()),
        ("group_add", !group_add.is_empty()),
        ("ipc", ipc.is_some()),
        ("logging", logging.is_some()),
        ("mac_address", mac_address.is_some()),
        ("mem_swappiness", mem_swappiness.is_some()),
        ("memswap_limit", memswap_limit_bytes.is_some()),
        ("network_mode", network_mode.is_some()),
        ("oom_kill_disable", *oom_kill_disable),
        ("oom_score_adj", oom_score_adj.is_some()),
        ("pid", pid.is_some()),
        ("platform", platform.is_some()),
        ("privileged", *privileged),
        ("pull_policy", pull_policy.is_some()),
        ("read_only", *read_only),
        ("runtime", runtime.is_some()),
        ("secrets", !secrets.is_empty()),
        ("security_opt", !security_opt.is_empty()),
        ("shm_size", shm_size_bytes.is_some()),
        ("stdin_open", *stdin_open),
        ("storage_opt", !storage_opt.is_empty()),
        ("sysctls", !sysctls.is_empty()),
        ("tmpfs", !tmpfs.is_empty()),
        ("tty", *tty),
        ("ulimits", !ulimits.is_empty()),
        ("userns_mode", userns_mode.is_some()),
        ("uts", uts.is_some()),
    ];
    first(&format!("services.{key}"), &unmapped)?;
    if let Some(build) = build {
        refuse_build(key, build)?;
    }
    for mount in volumes {
        refuse_mount(key, mount)?;
    }
    for (name, network) in networks {
        let ServiceNetwork {
            aliases: _,
            ipv4_address,
            ipv6_address,
            link_local_ips,
            mac_address,
            priority,
            driver_opts,
        } = network;
        let unmapped = [
            ("ipv4_address", ipv4_address.is_some()),
            ("ipv6_address", ipv6_address.is_some()),
            ("link_local_ips", !link_local_ips.is_empty()),
            ("mac_address", mac_address.is_some()),
            ("priority", priority.is_some()),
            ("driver_opts", !driver_opts.is_empty()),
        ];
        first(&format!("services.{key}.networks.{name}"), &unmapped)?;
    }
    if let Some(healthcheck) = healthcheck {
        let Healthcheck {
            test: _,
            interval: _,
            timeout: _,
            retries: _,
            start_period: _,
            start_interval,
            disable: _,
        } = healthcheck;
        first(&format!("services.{key}.healthcheck"), &[("start_interval", start_interval.is_some())])?;
    }
    Ok(())
}

fn refuse_build(key: &str, build: &Build) -> Result<(), TranslateError> {
    let Build {
        context: _,
        dockerfile: _,
        dockerfile_inline,
        args: _,
        target: _,
        labels: _,
        cache_from,
        extra_hosts,
        network,
        no_cache,
        platforms,
        pull,
        shm_size_bytes,
        tags,
        ulimits,
    } = build;
    let unmapped = [
        ("dockerfile_inline", dockerfile_inline.is_some()),
        ("cache_from", !cache_from.is_empty()),
        ("extra_hosts", !extra_hosts.is_empty()),
        ("network", network.is_some()),
        ("no_cache", *no_cache),
        ("platforms", !platforms.is_empty()),
        ("pull", *pull),
        ("shm_size", shm_size_bytes.is_some()),
        ("tags", !tags.is_empty()),
        ("ulimits", !ulimits.is_empty()),
    ];
    first(&format!("services.{key}.build"), &unmapped)
}

fn refuse_mount(key: &str, mount: &Mount) -> Result<(), TranslateError> {
    let Mount { kind: _, source: _, target, read_only: _, options } = mount;
    let MountOptions { propagation, selinux, create_host_path, no_copy, size_bytes, mode } = options;
    let unmapped = [
        ("bind.propagation", propagation.is_some()),
        ("bind.selinux", selinux.is_some()),
        ("bind.create_host_path: false", *create_host_path == Some(false)),
        ("volume.nocopy", *no_copy),
        ("tmpfs.size", size_bytes.is_some()),
        ("tmpfs.mode", mode.is_some()),
    ];
    first(&format!("services.{key}.volumes {target}"), &unmapped)
}

/// Refuses the first setting of the application's networks that can't be carried out.
pub(super) fn refuse_project(project: &Project) -> Result<(), TranslateError> {
    // Secrets and configs are refused where a service uses them.
    let Project { name: _, services: _, networks, volumes: _, secrets: _, configs: _ } = project;
    for (key, network) in networks {
        let Network {
            external: _,
            name: _,
            driver: _,
            driver_opts,
            internal: _,
            attachable,
            enable_ipv6,
            ipam,
            labels: _,
        } = network;
        let unmapped = [
            ("driver_opts", !driver_opts.is_empty()),
            ("attachable", *attachable),
            ("enable_ipv6", *enable_ipv6),
            ("ipam", *ipam != Default::default()),
        ];
        first(&format!("networks.{key}"), &unmapped)?;
    }
    Ok(())
}

fn first(place: &str, unmapped: &[(&str, bool)]) -> Result<(), TranslateError> {
    match unmapped.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((key, _)) => Err(TranslateError::new(
            format!("{place}.{key}"),
            "it can't be carried out yet",
            "remove it, or keep it in a file that is not deployed",
        )),
    }
}
