//! Cases: a specification in, the body that the Engine gets out.

use serde_json::json;
use wharf_model::{
    ContainerSpec, MountSource, MountSpec, NetworkAttachment, PublishedPort, ResourceLimits, RestartPolicy,
    Serve,
};

use super::*;
use crate::testing::{instance, name};

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
        shares: &BTreeMap::from([(name("db"), "0db0".to_owned())]),
        subpaths: &HashMap::new(),
        api: 41,
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
        labels: [("team".to_owned(), "x".to_owned()), (labels::APP.to_owned(), "forged".to_owned())].into(),
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
                ..Default::default()
            },
            MountSpec {
                source: MountSource::Files("sha256:f".to_owned()),
                target: "/f".to_owned(),
                ..Default::default()
            },
            MountSpec { source: MountSource::Tmpfs, target: "/t".to_owned(), ..Default::default() },
        ],
        networks: vec![NetworkAttachment {
            network: "shop_default".to_owned(),
            aliases: vec!["web".to_owned()],
            ..Default::default()
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
            ..Default::default()
        },
        ..Default::default()
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
        ("/Labels/wharf.shares", json!("db=0db0")),
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
        ("/HostConfig/PortBindings", json!({ "5353/udp": [{ "HostIp": "127.0.0.1", "HostPort": "53" }] })),
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

/// What later Composes can say, each in a specification of its own: field, value, place in the body, what is there.
#[test]
fn every_further_key_reaches_the_engine_in_its_words() {
    for (field, value, pointer, expected) in [
        ("domainname", json!("d"), "/Domainname", json!("d")),
        ("mac_address", json!("02:42:ac:11:00:99"), "/MacAddress", json!("02:42:ac:11:00:99")),
        ("tty", json!(true), "/Tty", json!(true)),
        ("stdin_open", json!(true), "/OpenStdin", json!(true)),
        ("network_mode", json!({ "named": "host" }), "/HostConfig/NetworkMode", json!("host")),
        ("network_mode", json!({ "service": "db" }), "/HostConfig/NetworkMode", json!("container:0db0")),
        ("network_mode", json!({ "container": "x" }), "/HostConfig/NetworkMode", json!("container:x")),
        ("extra_hosts", json!(["a:1.2.3.4"]), "/HostConfig/ExtraHosts", json!(["a:1.2.3.4"])),
        ("dns", json!(["1.1.1.1"]), "/HostConfig/Dns", json!(["1.1.1.1"])),
        ("dns_opt", json!(["ndots:1"]), "/HostConfig/DnsOptions", json!(["ndots:1"])),
        ("dns_search", json!(["x"]), "/HostConfig/DnsSearch", json!(["x"])),
        ("ipc", json!({ "service": "db" }), "/HostConfig/IpcMode", json!("container:0db0")),
        ("pid", json!({ "named": "host" }), "/HostConfig/PidMode", json!("host")),
        ("uts", json!({ "named": "host" }), "/HostConfig/UTSMode", json!("host")),
        ("userns_mode", json!({ "named": "host" }), "/HostConfig/UsernsMode", json!("host")),
        ("cgroup", json!({ "named": "host" }), "/HostConfig/CgroupnsMode", json!("host")),
        ("cgroup_parent", json!("/p"), "/HostConfig/CgroupParent", json!("/p")),
        ("cap_add", json!(["SYS_TIME"]), "/HostConfig/CapAdd", json!(["SYS_TIME"])),
        ("cap_drop", json!(["ALL"]), "/HostConfig/CapDrop", json!(["ALL"])),
        ("privileged", json!(true), "/HostConfig/Privileged", json!(true)),
        ("read_only", json!(true), "/HostConfig/ReadonlyRootfs", json!(true)),
        ("security_opt", json!(["label=disable"]), "/HostConfig/SecurityOpt", json!(["label=disable"])),
        ("group_add", json!(["7"]), "/HostConfig/GroupAdd", json!(["7"])),
        (
            "devices",
            json!([{ "source": "/dev/null", "target": "/dev/x", "permissions": "r" }]),
            "/HostConfig/Devices",
            json!([{ "PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r" }]),
        ),
        (
            "devices",
            json!([{ "source": "vendor.com/gpu=0", "target": "", "permissions": "" }]),
            "/HostConfig/DeviceRequests",
            json!([{ "Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=0"] }]),
        ),
        ("device_cgroup_rules", json!(["c 1:3 r"]), "/HostConfig/DeviceCgroupRules", json!(["c 1:3 r"])),
        (
            "device_requests",
            json!([{ "count": -1, "capabilities": ["gpu", "utility"] }]),
            "/HostConfig/DeviceRequests",
            json!([{ "Count": -1, "Capabilities": [["gpu", "utility"]] }]),
        ),
        (
            "logging",
            json!({ "driver": "local", "options": { "max-size": "1m" } }),
            "/HostConfig/LogConfig",
            json!({ "Type": "local", "Config": { "max-size": "1m" } }),
        ),
        ("oom_kill_disable", json!(true), "/HostConfig/OomKillDisable", json!(true)),
        ("oom_score_adj", json!(-5), "/HostConfig/OomScoreAdj", json!(-5)),
        ("runtime", json!("runsc"), "/HostConfig/Runtime", json!("runsc")),
        ("isolation", json!("process"), "/HostConfig/Isolation", json!("process")),
        ("shm_size_bytes", json!(1024), "/HostConfig/ShmSize", json!(1024)),
        ("storage_opt", json!({ "size": "1G" }), "/HostConfig/StorageOpt", json!({ "size": "1G" })),
        ("sysctls", json!({ "a": "1" }), "/HostConfig/Sysctls", json!({ "a": "1" })),
        ("annotations", json!({ "a": "1" }), "/HostConfig/Annotations", json!({ "a": "1" })),
        ("tmpfs", json!({ "/run": "size=1m" }), "/HostConfig/Tmpfs", json!({ "/run": "size=1m" })),
        (
            "ulimits",
            json!({ "nofile": { "soft": 1, "hard": 2 } }),
            "/HostConfig/Ulimits",
            json!([{ "Name": "nofile", "Soft": 1, "Hard": 2 }]),
        ),
        (
            "volumes_from",
            json!([{ "from": { "service": "db" }, "read_only": true },
                { "from": { "container": "x" }, "read_only": false }]),
            "/HostConfig/VolumesFrom",
            json!(["0db0:ro", "x"]),
        ),
        ("resources", json!({ "memory_swap_bytes": -1 }), "/HostConfig/MemorySwap", json!(-1)),
        ("resources", json!({ "memory_swappiness": 0 }), "/HostConfig/MemorySwappiness", json!(0)),
        ("resources", json!({ "cpu_shares": 5 }), "/HostConfig/CpuShares", json!(5)),
        ("resources", json!({ "cpu_period": 5 }), "/HostConfig/CpuPeriod", json!(5)),
        ("resources", json!({ "cpu_quota": 5 }), "/HostConfig/CpuQuota", json!(5)),
        ("resources", json!({ "cpu_rt_period": 5 }), "/HostConfig/CpuRealtimePeriod", json!(5)),
        ("resources", json!({ "cpu_rt_runtime": 5 }), "/HostConfig/CpuRealtimeRuntime", json!(5)),
        ("resources", json!({ "cpu_count": 5 }), "/HostConfig/CpuCount", json!(5)),
        ("resources", json!({ "cpu_percent": 5 }), "/HostConfig/CpuPercent", json!(5)),
        ("resources", json!({ "cpuset": "0" }), "/HostConfig/CpusetCpus", json!("0")),
        ("resources", json!({ "blkio": { "weight": 10 } }), "/HostConfig/BlkioWeight", json!(10)),
        (
            "resources",
            json!({ "blkio": { "weight_device": { "/dev/a": 10 } } }),
            "/HostConfig/BlkioWeightDevice",
            json!([{ "Path": "/dev/a", "Weight": 10 }]),
        ),
        (
            "resources",
            json!({ "blkio": { "device_read_bps": { "/dev/a": 10 } } }),
            "/HostConfig/BlkioDeviceReadBps",
            json!([{ "Path": "/dev/a", "Rate": 10 }]),
        ),
        (
            "resources",
            json!({ "blkio": { "device_write_iops": { "/dev/a": 10 } } }),
            "/HostConfig/BlkioDeviceWriteIOps",
            json!([{ "Path": "/dev/a", "Rate": 10 }]),
        ),
        (
            "networks",
            json!([{ "network": "n", "aliases": [], "ipv4_address": "10.0.0.9", "link_local_ips": ["169.254.1.1"],
                "driver_opts": { "a": "1" }, "settings": "x" }]),
            "/NetworkingConfig/EndpointsConfig/n",
            json!({ "Aliases": [], "DriverOpts": { "a": "1" },
                "IPAMConfig": { "IPv4Address": "10.0.0.9", "LinkLocalIPs": ["169.254.1.1"] } }),
        ),
        (
            "mounts",
            json!([{ "source": "tmpfs", "target": "/t", "read_only": false,
                "options": { "size_bytes": 9, "mode": 511 } }]),
            "/HostConfig/Mounts/0/TmpfsOptions",
            json!({ "SizeBytes": 9, "Mode": 511 }),
        ),
        (
            "mounts",
            json!([{ "source": { "host_path": "/a" }, "target": "/t", "read_only": true,
                "options": { "propagation": "rslave" } }]),
            "/HostConfig/Mounts/0/BindOptions",
            json!({ "Propagation": "rslave" }),
        ),
        (
            "mounts",
            json!([{ "source": { "host_path": "/a" }, "target": "/t", "read_only": true,
                "options": { "selinux": "z" } }]),
            "/HostConfig/Binds",
            json!(["/a:/t:ro,z"]),
        ),
        (
            "mounts",
            json!([{ "source": { "volume": "v" }, "target": "/t", "read_only": true,
                "options": { "no_copy": true } }]),
            "/HostConfig/Mounts/0/VolumeOptions",
            json!({ "NoCopy": true }),
        ),
    ] {
        let mut spec = json!({ "image": "i" });
        spec[field] = value;
        let body = body_json(serde_json::from_value(spec).unwrap(), None, None);
        assert_eq!(body.pointer(pointer), Some(&expected), "{field} at {pointer} in {body:#}");
    }
}

#[test]
fn links_are_names_on_the_network() {
    let spec = ContainerSpec {
        links: ["db:database".to_owned()].into(),
        networks: vec![NetworkAttachment { network: "n".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let body = body_json(spec, None, None);
    assert_eq!(body["NetworkingConfig"]["EndpointsConfig"]["n"]["Links"], json!(["db:database"]));
}

#[test]
fn a_container_without_interfaces_of_its_own_publishes_nothing_for_balancers() {
    let mode = Some(SharedPlace::Named("host".to_owned()));
    let spec = ContainerSpec { network_mode: mode, ..Default::default() };
    let body = body_json(spec, Some(80), Some("10.77.0.11"));
    assert_eq!(body["HostConfig"]["PortBindings"], json!({}));
    assert!(body.get("NetworkingConfig").is_none_or(serde_json::Value::is_null));
}
