//! Names everything that the loader reads, so that nothing is left out in silence.
//!
//! The patterns name every field, so a new one doesn't compile until somebody decides: whoever carries it out writes
//! `field: _` here.

use wharf_compose::project::{
    Build, Deploy, Healthcheck, Mount, MountOptions, Network, Project, Service, ServiceNetwork, Volume,
};

/// Names the settings of a service; all of them are carried out.
pub(super) fn name_service(service: &Service) {
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
        deploy,
        stop_grace_period: _,
        stop_signal: _,
        container_name: _,
        labels: _,
        user: _,
        working_dir: _,
        hostname: _,
        init: _,
        blkio_config: _,
        cap_add: _,
        cap_drop: _,
        cgroup: _,
        cgroup_parent: _,
        configs: _,
        cpu_period: _,
        cpu_quota: _,
        cpu_rt_period: _,
        cpu_rt_runtime: _,
        cpu_shares: _,
        cpuset: _,
        device_cgroup_rules: _,
        device_requests: _,
        devices: _,
        dns: _,
        dns_opt: _,
        dns_search: _,
        domainname: _,
        extra_hosts: _,
        group_add: _,
        ipc: _,
        logging: _,
        mac_address: _,
        mem_swappiness: _,
        memswap_limit_bytes: _,
        network_mode: _,
        oom_kill_disable: _,
        oom_score_adj: _,
        pid: _,
        platform: _,
        privileged: _,
        pull_policy: _,
        read_only: _,
        runtime: _,
        secrets: _,
        security_opt: _,
        shm_size_bytes: _,
        stdin_open: _,
        storage_opt: _,
        sysctls: _,
        tmpfs: _,
        tty: _,
        ulimits: _,
        userns_mode: _,
        uts: _,
        x_wharf: _,
    } = service;
    // What is only warned of is in `service::warn_of_ignored`.
    let Deploy { replicas: _, limits: _, reservations: _, labels: _ } = deploy;
    if let Some(build) = build {
        name_build(build);
    }
    volumes.iter().for_each(name_mount);
    for network in networks.values() {
        let ServiceNetwork {
            aliases: _,
            ipv4_address: _,
            ipv6_address: _,
            link_local_ips: _,
            mac_address: _,
            priority: _,
            driver_opts: _,
        } = network;
    }
    if let Some(healthcheck) = healthcheck {
        // `start_interval` needs a later Engine: the agent, which knows its own, refuses it where it has to.
        let Healthcheck {
            test: _,
            interval: _,
            timeout: _,
            retries: _,
            start_period: _,
            start_interval: _,
            disable: _,
        } = healthcheck;
    }
}

/// All of it is carried out by `rollout::build`.
fn name_build(build: &Build) {
    let Build {
        context: _,
        dockerfile: _,
        dockerfile_inline: _,
        args: _,
        target: _,
        labels: _,
        cache_from: _,
        extra_hosts: _,
        network: _,
        no_cache: _,
        platforms: _,
        pull: _,
        shm_size_bytes: _,
        tags: _,
        ulimits: _,
    } = build;
}

fn name_mount(mount: &Mount) {
    let Mount { kind: _, source: _, target: _, read_only: _, options } = mount;
    let MountOptions { propagation: _, selinux: _, create_host_path: _, no_copy: _, size_bytes: _, mode: _ } =
        options;
}

/// Names the settings of the application's networks and volumes; all of them are carried out. Secrets and configs are looked
/// at where a service uses them.
pub(super) fn name_project(project: &Project) {
    let Project { name: _, services: _, networks, volumes, secrets: _, configs: _ } = project;
    for network in networks.values() {
        let Network {
            external: _,
            name: _,
            driver: _,
            driver_opts: _,
            internal: _,
            attachable: _,
            enable_ipv6: _,
            ipam: _,
            labels: _,
        } = network;
    }
    for volume in volumes.values() {
        let Volume { external: _, name: _, driver: _, driver_opts: _, labels: _ } = volume;
    }
}
