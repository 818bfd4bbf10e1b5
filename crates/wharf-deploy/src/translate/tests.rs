//! Cases of the translation, from the project's JSON form to what agents get.

use serde_json::{Value, json};
use wharf_model::MountSource;

use super::*;

mod settings;

fn digest(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}

fn translated(project: Value) -> Result<Model, TranslateError> {
    let project: Project = serde_json::from_value(project).unwrap();
    let images = BTreeMap::from([("built".to_owned(), "reg/shop/built@sha256:1".to_owned())]);
    let file = |name: &str| UploadedFile {
        digest: digest("ab").parse().unwrap(),
        size: 7,
        is_file: name.contains('.'),
    };
    let files = BTreeMap::from([("./nginx.conf".to_owned(), file("./nginx.conf"))]);
    translate(&"shop".parse().unwrap(), &project, &images, &files, &BTreeMap::new())
}

fn service(service: Value) -> Result<Model, TranslateError> {
    translated(json!({ "name": "shop", "services": { "web": service },
        "networks": { "default": {}, "out": { "external": true }, "own": { "name": "lan" } },
        "volumes": { "data": {}, "there": { "external": true }, "own": { "name": "disk" } } }))
}

fn web(value: Value) -> ServiceModel {
    service(value).unwrap().services.remove("web").unwrap()
}

#[test]
fn names_networks_and_volumes_as_compose_does() {
    let model = service(
        json!({ "image": "i", "networks": { "default": { "aliases": ["www"] }, "out": {}, "own": {} },
        "volumes": [
            { "kind": "volume", "source": "data", "target": "/a", "read_only": false },
            { "kind": "volume", "source": "there", "target": "/b", "read_only": true },
            { "kind": "volume", "source": "own", "target": "/c", "read_only": false },
            { "kind": "volume", "source": null, "target": "/d", "read_only": false },
            { "kind": "tmpfs", "source": null, "target": "/e", "read_only": false },
            { "kind": "bind", "source": "/srv", "target": "/f", "read_only": false },
            { "kind": "bind", "source": "./nginx.conf", "target": "/g", "read_only": true } ] }),
    )
    .unwrap();
    let spec = &model.services["web"].spec;
    let networks: Vec<String> =
        spec.networks.iter().map(|part| format!("{} {}", part.network, part.aliases.join(","))).collect();
    assert_eq!(networks, ["shop_default web,www", "out web", "lan web"]);
    let sources: Vec<&MountSource> = spec.mounts.iter().map(|mount| &mount.source).collect();
    assert_eq!(
        sources,
        [
            &MountSource::Volume("shop_data".to_owned()),
            &MountSource::Volume("there".to_owned()),
            &MountSource::Volume("disk".to_owned()),
            &MountSource::Anonymous,
            &MountSource::Tmpfs,
            &MountSource::HostPath("/srv".to_owned()),
            &MountSource::Files(digest("ab")),
        ]
    );
    let made: Vec<&str> = model.networks.iter().map(|network| network.name.as_str()).collect();
    assert_eq!(made, ["lan", "out", "shop_default"]);
    let made: Vec<&str> = model.volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(made, ["disk", "shop_data", "there"]);
    assert_eq!(model.files.len(), 1);
    assert!(model.files[0].is_file);
}

#[test]
fn carries_over_every_setting_of_the_container() {
    let spec = web(json!({ "image": "i", "command": ["a"], "entrypoint": [], "environment": { "K": "v" },
        "ports": [{ "host_ip": "127.0.0.1", "published": 80, "target": 8000, "protocol": "tcp" }],
        "expose": [{ "port": 53, "protocol": "udp" }], "labels": { "l": "1" }, "working_dir": "/w", "user": "u",
        "hostname": "h", "init": true, "restart": { "on-failure": 3 }, "stop_signal": "SIGINT",
        "stop_grace_period": "1m30s", "container_name": "c",
        "healthcheck": { "test": ["CMD", "x"], "interval": "5s", "timeout": "2s", "retries": 3, "start_period": "1s" },
        "deploy": { "limits": { "cpus": 0.5, "memory_bytes": 268435456, "pids": 9 },
            "reservations": { "memory_bytes": 1024 } } }))
    .spec;
    let expected = json!({ "image": "i", "command": ["a"], "entrypoint": [], "environment": { "K": "v" },
        "labels": { "l": "1" }, "working_dir": "/w", "user": "u", "hostname": "h", "init": true,
        "expose": [[53, "udp"]],
        "ports": [{ "host_ip": "127.0.0.1", "host_port": 80, "container_port": 8000, "transport": "tcp" }],
        "mounts": [], "networks": [],
        "healthcheck": { "test": ["CMD", "x"], "interval_ms": 5000, "timeout_ms": 2000, "retries": 3,
            "start_period_ms": 1000 },
        "restart": { "on_failure": 3 }, "stop_signal": "SIGINT", "stop_grace_ms": 90000,
        "resources": { "nano_cpus": 500000000, "memory_bytes": 268435456, "memory_reservation_bytes": 1024, "pids": 9 },
        "container_name": "c" });
    assert_eq!(serde_json::to_value(spec).unwrap(), expected);
}

#[test]
fn what_the_file_leaves_open_stays_open() {
    assert_eq!(
        web(json!({ "image": "i" })).spec,
        ContainerSpec { image: "i".to_owned(), ..Default::default() }
    );
    let disabled = web(json!({ "image": "i", "healthcheck": { "disable": true } }));
    assert_eq!(disabled.spec.healthcheck.unwrap().test, ["NONE"]);
    let built = translated(json!({ "name": "shop", "services": { "built": { "image": "x", "build": {} } } }))
        .unwrap();
    assert_eq!(built.services["built"].spec.image, "reg/shop/built@sha256:1");
}

#[test]
fn a_routed_service_always_has_some_check() {
    let route = json!({ "host": "shop.example.com", "path": "/", "port": 8000, "balance": "least_conn",
        "timeout": "30s" });
    let bare = service(json!({ "image": "i", "x_wharf": { "route": route } })).unwrap();
    assert_eq!(bare.warnings.len(), 1, "{:?}", bare.warnings);
    let web = &bare.services["web"];
    assert_eq!(web.probe.as_ref().map(|probe| (probe.port, probe.path.as_deref())), Some((8000, None)));
    assert_eq!(web.serve, Some(Serve { port: 8000 }));
    assert_eq!(web.route.as_ref().unwrap().timeout_ms, Some(30_000));

    let checked = service(
        json!({ "image": "i", "healthcheck": { "test": ["CMD", "x"] }, "x_wharf": { "route": route } }),
    )
    .unwrap();
    assert_eq!((checked.warnings.len(), &checked.services["web"].probe), (0, &None));

    let health = json!({ "path": "/up", "port": null, "interval": "1s", "timeout": "2s", "rise": 2, "fall": 3,
        "start_period": "20s" });
    let probed = service(json!({ "image": "i", "x_wharf": { "route": route, "health": health } })).unwrap();
    let web = &probed.services["web"];
    let expected = Probe {
        port: 8000,
        path: Some("/up".to_owned()),
        interval_ms: 1000,
        timeout_ms: 2000,
        rise: 2,
        fall: 3,
    };
    assert_eq!(web.probe, Some(expected));
    let expected =
        HealthCheck { path: Some("/up".to_owned()), interval_ms: 1000, timeout_ms: 2000, rise: 2, fall: 3 };
    assert_eq!(web.route.as_ref().unwrap().health, Some(expected));
    assert_eq!(bare.services["web"].route.as_ref().unwrap().health, None);
    assert_eq!(web.start_period_ms, 20_000);
}

#[test]
fn dependencies_become_order_and_links() {
    let model = translated(json!({ "name": "shop", "services": {
        "web": { "image": "i", "depends_on": {
            "db": { "condition": "service_healthy", "required": true },
            "migrate": { "condition": "service_completed_successfully", "required": true },
            "gone": { "condition": "service_started", "required": false } } },
        "db": { "image": "i" }, "migrate": { "image": "i" } } }))
    .unwrap();
    let web = &model.services["web"];
    let after: Vec<(&str, WaitFor)> = web.after.iter().map(|(name, wait)| (name.as_str(), *wait)).collect();
    assert_eq!(after, [("db", WaitFor::Healthy), ("migrate", WaitFor::Completed)]);
    assert_eq!(web.links.iter().collect::<Vec<_>>(), ["db", "migrate"]);
    assert!(model.services["migrate"].is_job && !model.services["db"].is_job);
}

#[test]
fn refuses_what_it_cannot_do_and_says_what_to_do_instead() {
    let bind = |source: &str, read_only: bool| json!({ "image": "i", "volumes": [{ "kind": "bind", "source": source, "target": "/x", "read_only": read_only }] });
    let volume = json!({ "image": "i",
        "volumes": [{ "kind": "volume", "source": "nope", "target": "/x", "read_only": false }] });
    let health = json!({ "path": "/", "port": null, "interval": "1s", "timeout": "1s", "rise": 1, "fall": 1,
        "start_period": "1s" });
    for (value, expected) in [
        (bind("./data", false), "services.web.volumes: `./data` is mounted writable"),
        (bind("./other", true), "services.web.volumes: `./other` did not come along"),
        (volume, "services.web.volumes: the volume `nope` is not declared"),
        (json!({}), "services.web: it has no image"),
        (
            json!({ "image": "i", "x_wharf": { "health": health } }),
            "services.web.x-wharf.health: it has no port",
        ),
    ] {
        let error = service(value).unwrap_err().to_string();
        assert!(error.starts_with(expected) && error.contains("\n  hint: "), "{error}");
    }
    let error = translated(json!({ "name": "shop", "services": { "WEB": { "image": "i" } } })).unwrap_err();
    assert!(error.message.contains("not a valid name"), "{error}");
    let route = json!({ "host": null, "path": "/", "port": 1, "balance": "round_robin", "timeout": null });
    let twice = json!({ "image": "i", "x_wharf": { "route": route } });
    let error = translated(json!({ "name": "shop", "services": { "a": twice, "b": twice } })).unwrap_err();
    assert_eq!(error.message, "`a` has the route */ already");
}
