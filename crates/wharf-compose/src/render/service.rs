//! One service as an element of `services`.

use serde_json::{Value, json};

use super::Fields;
use crate::project::*;

pub(super) fn render(service: &Service) -> Value {
    // All fields are named, so that a new one does not compile until it is rendered.
    let Service {
        image,
        build,
        command,
        entrypoint,
        environment,
        ports,
        expose,
        volumes,
        networks,
        healthcheck,
        restart,
        depends_on,
        deploy,
        stop_grace_period,
        stop_signal,
        container_name,
        labels,
        user,
        working_dir,
        hostname,
        init,
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
        x_wharf,
    } = service;
    let mut f = Fields::new();
    f.text("image", image.as_ref());
    if let Some(build) = build {
        f.put("build", self::build(build));
    }
    f.number("entrypoint", entrypoint.as_ref().map(|words| json!(words)));
    f.number("command", command.as_ref().map(|words| json!(words)));
    f.texts_by_name("environment", environment);
    f.list("ports", ports, port);
    f.list("expose", expose, |port| json!(format!("{}/{}", port.port, word(&port.protocol))));
    f.list("volumes", volumes, mount);
    f.map("networks", networks, network);
    f.number("healthcheck", healthcheck.as_ref().map(self::healthcheck));
    f.number("restart", restart.as_ref().map(self::restart));
    f.map("depends_on", depends_on, |dependency| {
        let mut f = Fields::new();
        f.put("condition", json!(word(&dependency.condition)));
        if !dependency.required {
            f.put("required", json!(false));
        }
        f.done()
    });
    f.nested("deploy", self::deploy(deploy, device_requests));
    f.duration("stop_grace_period", *stop_grace_period);
    f.text("stop_signal", stop_signal.as_ref());
    f.text("container_name", container_name.as_ref());
    f.texts_by_name("labels", labels);
    f.text("user", user.as_ref());
    f.text("working_dir", working_dir.as_ref());
    f.text("hostname", hostname.as_ref());
    f.number("init", *init);
    f.nested("blkio_config", blkio(blkio_config));
    f.texts("cap_add", cap_add);
    f.texts("cap_drop", cap_drop);
    f.number("cgroup", cgroup.as_ref().map(namespace));
    f.text("cgroup_parent", cgroup_parent.as_ref());
    f.list("configs", configs, file_mount);
    f.number("cpu_period", *cpu_period);
    f.number("cpu_quota", *cpu_quota);
    f.number("cpu_rt_period", *cpu_rt_period);
    f.number("cpu_rt_runtime", *cpu_rt_runtime);
    f.number("cpu_shares", *cpu_shares);
    f.text("cpuset", cpuset.as_ref());
    f.texts("device_cgroup_rules", device_cgroup_rules);
    f.list("devices", devices, |device| {
        let Device { source, target, permissions } = device;
        json!({ "source": source, "target": target, "permissions": permissions })
    });
    f.texts("dns", dns);
    f.texts("dns_opt", dns_opt);
    f.texts("dns_search", dns_search);
    f.text("domainname", domainname.as_ref());
    f.list("extra_hosts", extra_hosts, extra_host);
    f.texts("group_add", group_add);
    f.number("ipc", ipc.as_ref().map(namespace));
    f.number("logging", logging.as_ref().map(self::logging));
    f.text("mac_address", mac_address.as_ref());
    f.number("mem_swappiness", *mem_swappiness);
    f.number("memswap_limit", *memswap_limit_bytes);
    f.number("network_mode", network_mode.as_ref().map(self::network_mode));
    f.flag("oom_kill_disable", *oom_kill_disable);
    f.number("oom_score_adj", *oom_score_adj);
    f.number(
        "pid",
        pid.as_ref().map(|pid| match pid {
            // The empty word asks for a namespace of its own.
            Namespace::Private => json!(""),
            other => namespace(other),
        }),
    );
    f.text("platform", platform.as_ref());
    f.flag("privileged", *privileged);
    f.number("pull_policy", pull_policy.as_ref().map(|policy| json!(word(policy))));
    f.flag("read_only", *read_only);
    f.text("runtime", runtime.as_ref());
    f.list("secrets", secrets, file_mount);
    f.texts("security_opt", security_opt);
    f.number_as_text("shm_size", *shm_size_bytes);
    f.flag("stdin_open", *stdin_open);
    f.texts_by_name("storage_opt", storage_opt);
    f.texts_by_name("sysctls", sysctls);
    let tmpfs: Vec<(&String, &String)> = tmpfs.iter().collect();
    f.list("tmpfs", &tmpfs, |(target, options)| match options.as_str() {
        "" => json!(target),
        options => json!(format!("{target}:{options}")),
    });
    f.flag("tty", *tty);
    f.map("ulimits", ulimits, ulimit);
    f.number("userns_mode", userns_mode.as_ref().map(namespace));
    f.number("uts", uts.as_ref().map(namespace));
    f.nested("x-wharf", self::x_wharf(x_wharf));
    f.done()
}

/// The word that serde writes for an enum, which is Compose's own.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        // Only enums without data come here.
        _ => String::new(),
    }
}

fn build(build: &Build) -> Value {
    let Build {
        context,
        dockerfile,
        dockerfile_inline,
        args,
        target,
        labels,
        cache_from,
        extra_hosts,
        network,
        no_cache,
        pull,
        platforms,
        shm_size_bytes,
        tags,
        ulimits,
    } = build;
    let mut f = Fields::new();
    f.path("context", Some(context));
    f.text("dockerfile", dockerfile.as_ref());
    f.text("dockerfile_inline", dockerfile_inline.as_ref());
    f.texts_by_name("args", args);
    f.text("target", target.as_ref());
    f.texts_by_name("labels", labels);
    f.texts("cache_from", cache_from);
    f.list("extra_hosts", extra_hosts, extra_host);
    f.text("network", network.as_ref());
    f.flag("no_cache", *no_cache);
    f.flag("pull", *pull);
    f.texts("platforms", platforms);
    f.number_as_text("shm_size", *shm_size_bytes);
    f.texts("tags", tags);
    f.map("ulimits", ulimits, ulimit);
    f.done()
}

fn port(port: &Port) -> Value {
    let Port { host_ip, published, target, protocol } = port;
    let mut f = Fields::new();
    f.put("target", json!(target));
    f.number_as_text("published", *published);
    f.text("host_ip", host_ip.as_ref());
    f.put("protocol", json!(word(protocol)));
    f.done()
}

fn mount(mount: &Mount) -> Value {
    let Mount { kind, source, target, read_only, options } = mount;
    let MountOptions { propagation, selinux, create_host_path, no_copy, size_bytes, mode } = options;
    let mut f = Fields::new();
    f.put("type", json!(word(kind)));
    match kind {
        MountKind::Bind => f.path("source", source.as_deref()),
        MountKind::Volume | MountKind::Tmpfs => f.text("source", source.as_ref()),
    }
    f.text("target", Some(target));
    f.flag("read_only", *read_only);
    let mut bind = Fields::new();
    bind.number("propagation", propagation.as_ref().map(|propagation| json!(word(propagation))));
    bind.number(
        "selinux",
        selinux.as_ref().map(|label| match label {
            Selinux::Shared => json!("z"),
            Selinux::Private => json!("Z"),
        }),
    );
    bind.number("create_host_path", *create_host_path);
    f.nested("bind", bind);
    let mut volume = Fields::new();
    volume.flag("nocopy", *no_copy);
    f.nested("volume", volume);
    let mut tmpfs = Fields::new();
    tmpfs.number_as_text("size", *size_bytes);
    tmpfs.number("mode", mode.map(octal));
    f.nested("tmpfs", tmpfs);
    f.done()
}

/// Permission bits as a string of octal digits.
fn octal(mode: u32) -> Value {
    json!(format!("{mode:04o}"))
}

fn network(network: &ServiceNetwork) -> Value {
    let ServiceNetwork {
        aliases,
        ipv4_address,
        ipv6_address,
        link_local_ips,
        mac_address,
        priority,
        driver_opts,
    } = network;
    let mut f = Fields::new();
    f.texts("aliases", aliases);
    f.text("ipv4_address", ipv4_address.as_ref());
    f.text("ipv6_address", ipv6_address.as_ref());
    f.texts("link_local_ips", link_local_ips);
    f.text("mac_address", mac_address.as_ref());
    f.number("priority", *priority);
    f.texts_by_name("driver_opts", driver_opts);
    f.done()
}

fn healthcheck(healthcheck: &Healthcheck) -> Value {
    let Healthcheck { test, interval, timeout, retries, start_period, start_interval, disable } = healthcheck;
    let mut f = Fields::new();
    f.number("test", test.as_ref().map(|test| json!(test)));
    f.duration("interval", *interval);
    f.duration("timeout", *timeout);
    f.number("retries", *retries);
    f.duration("start_period", *start_period);
    f.duration("start_interval", *start_interval);
    f.flag("disable", *disable);
    f.done()
}

fn restart(restart: &Restart) -> Value {
    match restart {
        Restart::OnFailure(None) => json!("on-failure"),
        Restart::OnFailure(Some(retries)) => json!(format!("on-failure:{retries}")),
        other @ (Restart::No | Restart::Always | Restart::UnlessStopped) => json!(word(other)),
    }
}

fn deploy(deploy: &Deploy, device_requests: &[DeviceRequest]) -> Fields {
    let Deploy { replicas, limits, reservations, labels } = deploy;
    let mut f = Fields::new();
    f.number("replicas", *replicas);
    let mut resources = Fields::new();
    resources.nested("limits", self::resources(limits));
    let mut reserved = self::resources(reservations);
    reserved.list("devices", device_requests, device_request);
    resources.nested("reservations", reserved);
    f.nested("resources", resources);
    f.texts_by_name("labels", labels);
    f
}

fn resources(resources: &Resources) -> Fields {
    let Resources { cpus, memory_bytes, pids } = resources;
    let mut f = Fields::new();
    f.number_as_text("cpus", *cpus);
    f.number_as_text("memory", *memory_bytes);
    f.number("pids", *pids);
    f
}

fn device_request(request: &DeviceRequest) -> Value {
    let DeviceRequest { driver, count, device_ids, capabilities, options } = request;
    let mut f = Fields::new();
    f.text("driver", driver.as_ref());
    if device_ids.is_empty() {
        f.put("count", if *count == -1 { json!("all") } else { json!(count) });
    }
    f.texts("device_ids", device_ids);
    f.texts("capabilities", capabilities);
    f.texts_by_name("options", options);
    f.done()
}

fn blkio(blkio: &BlkioConfig) -> Fields {
    let BlkioConfig {
        weight,
        weight_device,
        device_read_bps,
        device_read_iops,
        device_write_bps,
        device_write_iops,
    } = blkio;
    let rates = |f: &mut Fields, key: &str, rates: &std::collections::BTreeMap<String, u64>| {
        let rates: Vec<(&String, &u64)> = rates.iter().collect();
        f.list(key, &rates, |(path, rate)| json!({ "path": path, "rate": rate }));
    };
    let mut f = Fields::new();
    f.number("weight", *weight);
    let weights: Vec<(&String, &u16)> = weight_device.iter().collect();
    f.list("weight_device", &weights, |(path, weight)| json!({ "path": path, "weight": weight }));
    rates(&mut f, "device_read_bps", device_read_bps);
    rates(&mut f, "device_read_iops", device_read_iops);
    rates(&mut f, "device_write_bps", device_write_bps);
    rates(&mut f, "device_write_iops", device_write_iops);
    f
}

fn namespace(namespace: &Namespace) -> Value {
    match namespace {
        Namespace::Service(name) => json!(format!("service:{name}")),
        Namespace::Container(name) => json!(format!("container:{name}")),
        other @ (Namespace::Host | Namespace::Private | Namespace::Shareable | Namespace::None) => {
            json!(word(other))
        }
    }
}

fn network_mode(mode: &NetworkMode) -> Value {
    match mode {
        NetworkMode::Service(name) => json!(format!("service:{name}")),
        NetworkMode::Container(name) => json!(format!("container:{name}")),
        other @ (NetworkMode::None | NetworkMode::Host | NetworkMode::Bridge) => json!(word(other)),
    }
}

fn logging(logging: &Logging) -> Value {
    let Logging { driver, options } = logging;
    let mut f = Fields::new();
    f.text("driver", driver.as_ref());
    f.texts_by_name("options", options);
    f.done()
}

fn extra_host(host: &ExtraHost) -> Value {
    json!(format!("{}={}", host.host, host.address))
}

fn ulimit(ulimit: &Ulimit) -> Value {
    json!({ "soft": ulimit.soft, "hard": ulimit.hard })
}

fn file_mount(mount: &FileMount) -> Value {
    let FileMount { source, target, uid, gid, mode } = mount;
    let mut f = Fields::new();
    f.text("source", Some(source));
    f.text("target", Some(target));
    f.text("uid", uid.as_ref());
    f.text("gid", gid.as_ref());
    f.number("mode", mode.map(octal));
    f.done()
}

fn x_wharf(x_wharf: &XWharf) -> Fields {
    let XWharf { hosts, route, health, rollout, before_switch, drift, reschedule } = x_wharf;
    let mut f = Fields::new();
    f.number(
        "hosts",
        hosts.as_ref().map(|hosts| match hosts {
            HostSelector::Any => json!("any"),
            HostSelector::Pool(pool) => json!(format!("pool({pool})")),
            HostSelector::Label(key, value) => json!(format!("label({key}={value})")),
            HostSelector::Host(host) => json!(format!("host({host})")),
        }),
    );
    if let Some(Route { host, path, port, balance, timeout }) = route {
        let mut route = Fields::new();
        route.text("host", host.as_ref());
        route.text("path", Some(path));
        route.put("port", json!(port));
        route.put("balance", json!(word(balance)));
        route.duration("timeout", *timeout);
        f.put("route", route.done());
    }
    if let Some(Health { path, port, interval, timeout, rise, fall, start_period }) = health {
        let mut health = Fields::new();
        health.text("path", path.as_ref());
        health.number("port", *port);
        health.duration("interval", Some(*interval));
        health.duration("timeout", Some(*timeout));
        health.put("rise", json!(rise));
        health.put("fall", json!(fall));
        health.duration("start_period", Some(*start_period));
        f.put("health", health.done());
    }
    if let Some(Rollout { strategy, drain }) = rollout {
        let mut rollout = Fields::new();
        rollout.put("strategy", json!(word(strategy)));
        rollout.duration("drain", Some(*drain));
        f.put("rollout", rollout.done());
    }
    f.list(
        "before_switch",
        before_switch,
        |one| json!({ "command": one.command, "timeout": wharf_base::duration::format(one.timeout) }),
    );
    f.number("drift", drift.as_ref().map(|policy| json!(word(policy))));
    f.number("reschedule", reschedule.as_ref().map(|policy| json!(word(policy))));
    f
}
