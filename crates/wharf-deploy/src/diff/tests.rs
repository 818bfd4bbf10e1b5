use proptest::prelude::*;
use serde_json::json;
use wharf_base::UnixMillis;

use super::*;

fn release(number: u32, services: Value) -> Release {
    let project = json!({ "name": "shop", "services": services, "volumes": { "data": {}, "old": {} } });
    content(
        number,
        Content {
            secrets: BTreeMap::new(),
            project: serde_json::from_value(project).unwrap(),
            images: BTreeMap::new(),
            files: BTreeMap::new(),
            contexts: BTreeMap::new(),
        },
    )
}

fn content(number: u32, content: Content) -> Release {
    Release {
        number,
        created: UnixMillis(i64::from(number)),
        author: "ann".to_owned(),
        message: String::new(),
        content,
        has_served: true,
        images_gone: false,
    }
}

fn compare(from: &Release, to: &Release) -> Vec<Change> {
    diff(&"shop".parse().unwrap(), from, to).changes
}

/// Each change as a line: `+`, `-` or `~`, the path, and what is shown of the values.
fn lines(from: Value, to: Value) -> Vec<String> {
    let line = |change: Change| {
        let sign = match change.kind {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        let values = match (change.before, change.after) {
            (Some(before), Some(after)) => format!(": {before} → {after}"),
            (Some(value), None) | (None, Some(value)) => format!(": {value}"),
            (None, None) => String::new(),
        };
        format!("{sign} {}{values}{}", change.path, if change.is_hidden { " (hidden)" } else { "" })
    };
    compare(&release(1, from), &release(2, to)).into_iter().map(line).collect()
}

#[test]
fn the_same_content_has_no_changes() {
    let web = json!({ "web": { "image": "web:1", "environment": { "A": "1" } } });
    assert_eq!(lines(web.clone(), web), [""; 0]);
}

#[test]
fn what_changed_is_told_key_by_key() {
    let from = json!({ "web": {
        "image": "web:1", "restart": "always", "init": true, "stop_grace_period": "10s",
        "ports": [{ "host_ip": null, "published": 80, "target": 8000, "protocol": "tcp" }],
        "volumes": [{ "kind": "volume", "source": "data", "target": "/data", "read_only": false }],
        "deploy": { "replicas": 2, "limits": { "memory_bytes": 268_435_456 } },
        "x_wharf": { "route": { "host": null, "path": "/", "port": 8000, "balance": "round_robin", "timeout": null } },
    } });
    let to = json!({ "web": {
        "image": "web:2", "restart": "always", "stop_grace_period": "30s",
        "ports": [
            { "host_ip": "127.0.0.1", "published": 53, "target": 53, "protocol": "udp" },
            { "host_ip": null, "published": 80, "target": 8000, "protocol": "tcp" },
        ],
        "volumes": [{ "kind": "volume", "source": "data", "target": "/data", "read_only": true }],
        "deploy": { "replicas": 3, "limits": { "memory_bytes": 268_435_456, "cpus": 0.5 } },
        "x_wharf": { "route": { "host": "shop.example", "path": "/", "port": 8000, "balance": "least_conn", "timeout": null } },
    } });
    assert_eq!(
        lines(from, to),
        [
            "+ services.web.deploy.limits.cpus: 0.5",
            "~ services.web.deploy.replicas: 2 → 3",
            "~ services.web.image: web:1 → web:2",
            "- services.web.init: yes",
            "+ services.web.ports: 127.0.0.1:53:53/udp",
            "~ services.web.stop_grace_period: 10s → 30s",
            "- services.web.volumes: data:/data",
            "+ services.web.volumes: data:/data:ro",
            "~ services.web.x-wharf.route.balance: round_robin → least_conn",
            "+ services.web.x-wharf.route.host: shop.example",
        ]
    );
}

#[test]
fn a_service_that_comes_or_goes_is_one_line() {
    let (web, worker) = (json!({ "image": "web:1" }), json!({ "image": "worker:1", "init": true }));
    assert_eq!(
        lines(json!({ "web": web, "worker": worker }), json!({ "web": web, "cron": { "image": "cron:1" } })),
        ["+ services.cron: cron:1", "- services.worker: worker:1"]
    );
}

#[test]
fn values_that_may_be_secrets_are_named_and_not_shown() {
    let service = |secret: &str| {
        json!({ "environment": {
            "image": "x", "environment": { "PASSWORD": secret, "SAME": "1" }, "command": ["run", "--password", secret],
            "entrypoint": ["sh", "-c", secret], "labels": { "auth": secret }, "user": "app",
            "healthcheck": { "test": ["CMD", "ping", secret] },
            "deploy": { "labels": { "auth": secret } },
            "build": { "context": ".", "args": { "TOKEN": secret } },
        } })
    };
    let found = lines(service("s3cr3t-one"), service("s3cr3t-two"));
    assert_eq!(
        found,
        [
            "~ services.environment.build.args.TOKEN (hidden)",
            "~ services.environment.command (hidden)",
            "~ services.environment.deploy.labels.auth (hidden)",
            "~ services.environment.entrypoint (hidden)",
            "~ services.environment.environment.PASSWORD (hidden)",
            "~ services.environment.healthcheck.test (hidden)",
            "~ services.environment.labels.auth (hidden)",
        ]
    );
}

#[test]
fn volumes_and_networks_of_the_application_are_compared() {
    let (from, mut to) = (release(1, json!({ "web": {} })), release(2, json!({ "web": {} })));
    to.content.project.volumes.remove("old");
    let data = to.content.project.volumes.get_mut("data").unwrap();
    data.external = true;
    data.driver_opts.insert("o".to_owned(), "password=x".to_owned());
    let changes = compare(&from, &to);
    let told: Vec<_> =
        changes.iter().map(|one| (one.path.as_str(), one.after.as_deref(), one.is_hidden)).collect();
    let external = ("volumes.data.external", Some("yes"), false);
    assert_eq!(told, [("volumes.data.driver_opts.o", None, true), external, ("volumes.old", None, false)]);
    to.content.project.volumes.insert("new".to_owned(), to.content.project.volumes["data"].clone());
    let new = compare(&from, &to).remove(2);
    assert_eq!(
        (new.path.as_str(), new.after.as_deref()),
        ("volumes.new", Some("driver_opts=… external=yes"))
    );
}

#[test]
fn built_images_and_files_are_compared_by_digest() {
    let (mut from, mut to) = (release(1, json!({ "web": {} })), release(2, json!({ "web": {} })));
    for (release, digit) in [(&mut from, "1"), (&mut to, "2")] {
        let digest = format!("sha256:{}", digit.repeat(64));
        release.content.images.insert("web".to_owned(), format!("r/shop/web@{digest}"));
        let file = json!({ "digest": digest, "size": 7, "is_file": true });
        release.content.files.insert("./nginx.conf".to_owned(), serde_json::from_value(file).unwrap());
    }
    let changes = compare(&from, &to);
    let told: Vec<_> = changes.iter().map(|one| (one.part.as_str(), one.path.as_str())).collect();
    assert_eq!(told, [("image", "services.web.image"), ("files", "./nginx.conf")]);
    assert_eq!(changes[1].after.as_deref(), Some("sha256:222222222222, 7 bytes"));
}

fn any_service() -> impl Strategy<Value = Value> {
    let environment = prop::collection::btree_map("[A-C]", "[a-z]{0,3}", 0..3);
    let replicas = prop::option::of(0_u32..4);
    let ports = prop::collection::vec(1_u16..4, 0..3);
    (environment, replicas, ports, prop::option::of("[ab]:[12]")).prop_map(
        |(environment, replicas, ports, image)| {
            let port =
                |target| json!({ "host_ip": null, "published": null, "target": target, "protocol": "tcp" });
            json!({ "image": image, "environment": environment, "deploy": { "replicas": replicas },
            "ports": ports.into_iter().map(port).collect::<Vec<_>>() })
        },
    )
}

proptest! {
    /// Back is forth with the sides swapped, and only the same content has no changes.
    #[test]
    fn a_diff_read_backwards_is_the_diff_of_the_other_direction(from in any_service(), to in any_service()) {
        let (from, to) = (release(1, json!({ "web": from })), release(2, json!({ "web": to })));
        let turned = |change: Change| Change {
            kind: match change.kind {
                ChangeKind::Added => ChangeKind::Removed,
                ChangeKind::Removed => ChangeKind::Added,
                ChangeKind::Changed => ChangeKind::Changed,
            },
            before: change.after,
            after: change.before,
            ..change
        };
        let sorted = |mut changes: Vec<Change>| {
            changes.sort_by_key(|change| format!("{change:?}"));
            changes
        };
        let (forth, back) = (compare(&from, &to), compare(&to, &from));
        prop_assert_eq!(sorted(forth.clone()), sorted(back.into_iter().map(turned).collect()));
        prop_assert!(compare(&from, &from).is_empty());
        if from.content.project.services["web"].environment != to.content.project.services["web"].environment {
            prop_assert!(!forth.is_empty());
        }
    }
}
