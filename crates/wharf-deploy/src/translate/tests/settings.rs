//! Every further setting of a service, network or mount, from the project's JSON form to the agent's.

use super::*;

/// A key of a service with a value, and what of the specification it makes.
fn settings() -> Vec<(&'static str, Value, Value)> {
    let rates = json!({ "/dev/sda": 1024 });
    let blkio = json!({ "weight": 300, "weight_device": { "/dev/sda": 400 }, "device_read_bps": rates,
        "device_read_iops": rates, "device_write_bps": rates, "device_write_iops": rates });
    let device = json!([{ "source": "/dev/fuse", "target": "/dev/fuse", "permissions": "rw" }]);
    let gpu = json!([{ "driver": "nvidia", "count": -1, "device_ids": [], "capabilities": ["gpu"],
        "options": { "a": "b" } }]);
    let limit = json!({ "nofile": { "soft": 10, "hard": 20 } });
    let log = json!({ "driver": "json-file", "options": { "max-size": "1m" } });
    let same = |key: &'static str, value: Value| (key, value.clone(), json!({ key: value }));
    vec![
        ("blkio_config", blkio.clone(), json!({ "resources": { "blkio": blkio } })),
        ("cap_add", json!(["SYS_TIME", "KILL"]), json!({ "cap_add": ["KILL", "SYS_TIME"] })),
        same("cap_drop", json!(["ALL"])),
        ("cgroup", json!("host"), json!({ "cgroup": { "named": "host" } })),
        same("cgroup_parent", json!("/x")),
        ("cpu_period", json!(9), json!({ "resources": { "cpu_period": 9 } })),
        ("cpu_quota", json!(9), json!({ "resources": { "cpu_quota": 9 } })),
        ("cpu_rt_period", json!(9), json!({ "resources": { "cpu_rt_period": 9 } })),
        ("cpu_rt_runtime", json!(9), json!({ "resources": { "cpu_rt_runtime": 9 } })),
        ("cpu_shares", json!(9), json!({ "resources": { "cpu_shares": 9 } })),
        ("cpuset", json!("0,1"), json!({ "resources": { "cpuset": "0,1" } })),
        same("device_cgroup_rules", json!(["c 1:3 mr"])),
        same("device_requests", gpu),
        same("devices", device),
        same("dns", json!(["1.1.1.1"])),
        same("dns_opt", json!(["ndots:1"])),
        same("dns_search", json!(["example.com"])),
        same("domainname", json!("example.com")),
        ("extra_hosts", json!([{ "host": "a", "address": "::1" }]), json!({ "extra_hosts": ["a:::1"] })),
        same("group_add", json!(["1000", "wheel"])),
        ("ipc", json!("shareable"), json!({ "ipc": { "named": "shareable" } })),
        same("logging", log),
        same("mac_address", json!("02:42:ac:11:00:02")),
        ("mem_swappiness", json!(0), json!({ "resources": { "memory_swappiness": 0 } })),
        ("memswap_limit_bytes", json!(-1), json!({ "resources": { "memory_swap_bytes": -1 } })),
        ("network_mode", json!("host"), json!({ "network_mode": { "named": "host" } })),
        ("network_mode", json!({ "container": "x" }), json!({ "network_mode": { "container": "x" } })),
        same("oom_kill_disable", json!(true)),
        same("oom_score_adj", json!(-5)),
        ("pid", json!("host"), json!({ "pid": { "named": "host" } })),
        same("platform", json!("linux/amd64")),
        same("privileged", json!(true)),
        same("pull_policy", json!("always")),
        same("pull_policy", json!("never")),
        ("pull_policy", json!("build"), json!({})),
        same("read_only", json!(true)),
        same("runtime", json!("runsc")),
        same("security_opt", json!(["no-new-privileges:true"])),
        ("security_opt", json!(["seccomp:unconfined"]), json!({ "security_opt": ["seccomp=unconfined"] })),
        ("security_opt", json!(["seccomp={}"]), json!({ "security_opt": ["seccomp={}"] })),
        same("shm_size_bytes", json!(1024)),
        same("stdin_open", json!(true)),
        same("storage_opt", json!({ "size": "1G" })),
        same("sysctls", json!({ "net.core.somaxconn": "9" })),
        same("tmpfs", json!({ "/run": "size=1m" })),
        same("tty", json!(true)),
        same("ulimits", limit),
        ("userns_mode", json!("host"), json!({ "userns_mode": { "named": "host" } })),
        ("uts", json!("host"), json!({ "uts": { "named": "host" } })),
        (
            "healthcheck",
            json!({ "start_interval": "2s" }),
            json!({ "healthcheck": { "start_interval_ms": 2000 } }),
        ),
    ]
}

/// Whether `all` holds what `part` says.
fn holds(all: &Value, part: &Value) -> bool {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => {
            part.iter().all(|(key, part)| all.get(key).is_some_and(|all| holds(all, part)))
        }
        (all, part) => all == part,
    }
}

#[test]
fn every_setting_of_a_service_reaches_the_specification() {
    let plain = serde_json::to_value(web(json!({ "image": "i" })).spec).unwrap();
    for (key, value, expected) in settings() {
        let spec = web(json!({ "image": "i", key: value.clone() })).spec;
        let spec = serde_json::to_value(spec).unwrap();
        assert!(holds(&spec, &expected), "{key}: {value} makes {spec}");
        let is_changed = expected != json!({});
        assert_eq!(spec != plain, is_changed, "{key}: {value}");
    }
}

#[test]
fn options_of_mounts_and_networks_are_carried_over() {
    let mount = |kind: &str, source: Option<&str>, options: Value| {
        json!({ "kind": kind, "source": source,
        "target": "/x", "read_only": false, "options": options })
    };
    let spec = web(json!({ "image": "i",
        "volumes": [
            mount("bind", Some("/srv"), json!({ "propagation": "rshared", "selinux": "private", "create_host_path": false })),
            mount("volume", Some("data"), json!({ "no_copy": true })),
            mount("tmpfs", None, json!({ "size_bytes": 9, "mode": 0o700 })) ],
        "networks": {
            "default": {},
            "own": { "priority": 5, "ipv4_address": "10.5.0.9", "ipv6_address": "fd00::9", "link_local_ips": ["169.254.1.1"],
                "mac_address": "02:42:ac:11:00:02", "driver_opts": { "a": "b" } } } }))
    .spec;
    let options: Vec<Value> =
        spec.mounts.iter().map(|mount| serde_json::to_value(&mount.options).unwrap()).collect();
    assert_eq!(
        options,
        [
            json!({ "propagation": "rshared", "selinux": "Z", "must_exist": true }),
            json!({ "no_copy": true }),
            json!({ "size_bytes": 9, "mode": 0o700 })
        ]
    );
    let networks: Vec<&str> = spec.networks.iter().map(|part| part.network.as_str()).collect();
    assert_eq!(networks, ["lan", "shop_default"], "the highest priority is joined first");
    assert_eq!(
        serde_json::to_value(&spec.networks[0]).unwrap(),
        json!({ "network": "lan", "aliases": ["web"], "ipv4_address": "10.5.0.9", "ipv6_address": "fd00::9",
            "link_local_ips": ["169.254.1.1"], "mac_address": "02:42:ac:11:00:02", "driver_opts": { "a": "b" } })
    );
}

#[test]
fn another_network_needs_other_containers() {
    let with = |network: Value| {
        let model = translated(json!({ "name": "shop", "networks": { "default": network },
            "services": { "web": { "image": "i", "networks": { "default": {} } } } }))
        .unwrap();
        (model.services["web"].spec.networks[0].settings.clone(), model.networks[0].clone())
    };
    let (plain, _) = with(json!({ "labels": { "a": "b" } }));
    assert_eq!(plain, None);
    let pool = |subnet: &str| {
        json!({ "driver_opts": { "x": "y" }, "attachable": true, "enable_ipv6": true,
        "ipam": { "driver": "default", "options": { "o": "p" }, "config": [{ "subnet": subnet,
            "gateway": "10.5.0.1", "ip_range": "10.5.1.0/24", "aux_addresses": { "r": "10.5.0.2" } }] } })
    };
    let (one, network) = with(pool("10.5.0.0/16"));
    let (other, _) = with(pool("10.6.0.0/16"));
    assert!(one.is_some() && other.is_some() && one != other);
    let expected = json!({ "name": "shop_default", "external": false, "driver": null, "internal": false, "labels": {},
        "attachable": true, "enable_ipv6": true, "driver_opts": { "x": "y" }, "ipam": { "driver": "default",
            "options": { "o": "p" }, "config": [{ "subnet": "10.5.0.0/16", "ip_range": "10.5.1.0/24",
                "gateway": "10.5.0.1", "aux_addresses": { "r": "10.5.0.2" } }] } });
    assert_eq!(serde_json::to_value(network).unwrap(), expected);
    assert_eq!(with(json!({ "external": true, "internal": true })).0, None);
}

#[test]
fn who_shares_with_another_changes_with_it() {
    let shop = |image: &str| {
        translated(json!({ "name": "shop", "services": {
            "vpn": { "image": image },
            "web": { "image": "i", "network_mode": { "service": "vpn" } },
            "spy": { "image": "i", "pid": { "service": "web" } } } }))
        .unwrap()
    };
    let (one, other) = (shop("a"), shop("b"));
    assert_ne!(one.services["web"].spec, other.services["web"].spec);
    assert_ne!(one.services["spy"].spec, other.services["spy"].spec, "over two steps");
    assert_eq!(one.services, shop("a").services);
    let web = &one.services["web"];
    assert_eq!(web.after.get("vpn"), Some(&WaitFor::Started));
    assert!(web.links.contains("vpn"), "both are on one host");
}

#[test]
fn configs_are_files_of_the_container() {
    let with = |config: Value, source: Value| {
        let project = json!({ "name": "shop", "configs": { "conf": source },
            "services": { "web": { "image": "i", "configs": [config] } } });
        let project: Project = serde_json::from_value(project).unwrap();
        let upload = UploadedFile { digest: digest("cd").parse().unwrap(), size: 3, is_file: true };
        let files = BTreeMap::from([(config_upload("conf"), upload)]);
        translate(&"shop".parse().unwrap(), &project, &BTreeMap::new(), &files, &BTreeMap::new())
    };
    let content = || json!({ "content": "x" });
    let plain = with(json!({ "source": "conf", "target": "/conf" }), content()).unwrap();
    let mount = &plain.services["web"].spec.mounts[0];
    assert_eq!((&mount.source, mount.target.as_str()), (&MountSource::Files(digest("cd")), "/conf"));
    assert!(mount.read_only && mount.options.owner.is_none() && plain.files.len() == 1);
    let owned =
        with(json!({ "source": "conf", "target": "/c", "uid": "103", "gid": "5" }), content()).unwrap();
    let owner = owned.services["web"].spec.mounts[0].options.owner.unwrap();
    assert_eq!((owner.uid, owner.gid, owner.mode), (103, 5, 0o444));
    for (config, source, expected) in [
        (
            json!({ "source": "nope", "target": "/c" }),
            content(),
            "services.web.configs.nope: the config `nope` is not declared",
        ),
        (
            json!({ "source": "conf", "target": "/c", "uid": "www" }),
            content(),
            "services.web.configs.conf.uid: `www` is a name",
        ),
        (
            json!({ "source": "conf", "target": "/c" }),
            json!({ "external": true }),
            "configs.conf.external: an Engine keeps no configs",
        ),
    ] {
        let error = with(config, source).unwrap_err().to_string();
        assert!(error.starts_with(expected) && error.contains("\n  hint: "), "{error}");
    }
}

#[test]
fn what_can_not_be_is_named() {
    let route = json!({ "host": null, "path": "/", "port": 1, "balance": "round_robin", "timeout": null });
    for (value, expected) in [
        (json!({ "pid": { "service": "nope" } }), "services.web.pid: there is no service `nope`"),
        (
            json!({ "network_mode": "none", "x_wharf": { "route": route } }),
            "services.web.x-wharf.route: with this `network_mode`",
        ),
        (json!({ "security_opt": ["seccomp:./p.json"] }), "services.web.security_opt: the seccomp profile"),
        (json!({ "secrets": [{ "source": "s", "target": "/s" }] }), "services.web.secrets"),
    ] {
        let mut one = value;
        one["image"] = json!("i");
        let error = service(one).unwrap_err().to_string();
        assert!(error.starts_with(expected) && error.contains("\n  hint: "), "{error}");
    }
}
