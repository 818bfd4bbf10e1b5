//! What becomes of every key that two files set.

use serde_json::{Value, json};

use crate::load_texts;

/// Puts two values of `key` of a service over each other.
#[track_caller]
fn check(key: &str, base: &str, over: &str, expected: Value) {
    check_at(
        &format!("services: {{web: {{image: a, {key}: {base}}}}}\nnetworks: {{n: }}\nvolumes: {{v: }}\n"),
        &format!("services: {{web: {{{key}: {over}}}}}"),
        &format!("/services/web/{key}"),
        expected,
    );
}

#[track_caller]
fn check_at(base: &str, over: &str, pointer: &str, expected: Value) {
    let rest = "secrets: {s: {environment: A}, t: {environment: A}}\nconfigs: {c: {content: x}}\n";
    let base = if base.contains("services:") { format!("{base}{rest}") } else { base.to_owned() };
    let loaded = load_texts(&[&base, over]).unwrap_or_else(|errors| panic!("{base}\n{over}\n{errors}"));
    let project = serde_json::to_value(&loaded.project).unwrap();
    let actual = project.pointer(pointer).unwrap_or(&Value::Null);
    assert_eq!(*actual, expected, "{pointer} of\n{base}\n{over}");
}

#[test]
fn single_values_and_commands_are_replaced() {
    for (key, base, over, expected) in [
        ("hostname", "x", "y", json!("y")),
        ("user", "'1'", "'2'", json!("2")),
        ("init", "true", "false", json!(false)),
        ("command", "[a, b]", "c d", json!(["c", "d"])),
        ("entrypoint", "a", "[b]", json!(["b"])),
        ("restart", "always", "'no'", json!("no")),
        ("stop_grace_period", "1s", "2s", json!("2s")),
        ("privileged", "true", "false", json!(false)),
        ("network_mode", "none", "host", json!("host")),
    ] {
        check(key, base, over, expected);
    }
    let test = ("services: {web: {image: a, healthcheck: {test: [CMD, a, b], retries: 3}}}\n", "");
    check_at(
        test.0,
        "services: {web: {healthcheck: {test: c}}}",
        "/services/web/healthcheck/test",
        json!(["CMD-SHELL", "c"]),
    );
    check_at(
        test.0,
        "services: {web: {healthcheck: {test: c}}}",
        "/services/web/healthcheck/retries",
        json!(3),
    );
}

#[test]
fn pairs_are_merged_by_name_in_either_form() {
    for (key, base, over, expected) in [
        ("environment", "[X=1, Y=1]", "{Y: 2, Z: 3}", json!({"X": "1", "Y": "2", "Z": "3"})),
        ("environment", "{X: 1}", "[X]", json!({})),
        ("labels", "{x: 1}", "[x=2, y]", json!({"x": "2", "y": ""})),
        (
            "sysctls",
            "{net.core.somaxconn: 1}",
            "['net.core.somaxconn=2']",
            json!({"net.core.somaxconn": "2"}),
        ),
        ("storage_opt", "{size: 1G}", "{size: 2G}", json!({"size": "2G"})),
    ] {
        check(key, base, over, expected);
    }
    let build = "services: {web: {build: {context: ., args: [A=1, B=1], labels: [l=1], tags: [t:1], extra_hosts: ['h:1.1.1.1']}}}\n";
    let over = "services: {web: {build: {args: {B: 2}, labels: {l: 2}, tags: [t:1, t:2], extra_hosts: {h: 2.2.2.2}}}}";
    for (pointer, expected) in [
        ("args", json!({"A": "1", "B": "2"})),
        ("labels", json!({"l": "2"})),
        ("tags", json!(["t:1", "t:2"])),
        ("extra_hosts", json!([{"host": "h", "address": "1.1.1.1"}, {"host": "h", "address": "2.2.2.2"}])),
    ] {
        check_at(build, over, &format!("/services/web/build/{pointer}"), expected);
    }
    check_at(
        "services: {web: {build: ./x}}\n",
        "services: {web: {build: {target: t}}}",
        "/services/web/build/context",
        json!("x"),
    );
}

#[test]
fn lists_are_appended_without_repetitions() {
    for (key, base, over, expected) in [
        ("cap_add", "[A]", "[A, B]", json!(["A", "B"])),
        ("cap_drop", "[A]", "[B]", json!(["A", "B"])),
        ("dns", "1.1.1.1", "[2.2.2.2, 1.1.1.1]", json!(["1.1.1.1", "2.2.2.2"])),
        ("dns_search", "[a]", "b", json!(["a", "b"])),
        ("dns_opt", "[a]", "[b]", json!(["a", "b"])),
        ("group_add", "[1]", "[wheel]", json!(["1", "wheel"])),
        ("security_opt", "['a:b']", "['a=b', 'c=d']", json!(["a=b", "c=d"])),
        ("device_cgroup_rules", "['c 1:3 mr']", "['c 1:5 r']", json!(["c 1:3 mr", "c 1:5 r"])),
        ("tmpfs", "/run", "['/run:size=1m', /tmp]", json!({"/run": "size=1m", "/tmp": ""})),
        (
            "expose",
            "[80]",
            "['80', 81]",
            json!([{"port": 80, "protocol": "tcp"}, {"port": 81, "protocol": "tcp"}]),
        ),
        (
            "extra_hosts",
            "['a:1.1.1.1', b=2.2.2.2]",
            "{a: 1.1.1.1, b: 3.3.3.3}",
            json!([
                {"host": "a", "address": "1.1.1.1"},
                {"host": "b", "address": "2.2.2.2"},
                {"host": "b", "address": "3.3.3.3"},
            ]),
        ),
    ] {
        check(key, base, over, expected);
    }
}

#[test]
fn what_has_one_place_in_the_container_is_there_once() {
    let mount = |source: &str, target: &str, read_only: bool| json!({"kind": "bind", "source": source, "target": target, "read_only": read_only});
    check(
        "volumes",
        "['/a:/x', '/b:/y']",
        "['/c:/x:ro', {type: bind, source: /d, target: /z}]",
        json!([mount("/c", "/x", true), mount("/b", "/y", false), mount("/d", "/z", false)]),
    );
    check(
        "devices",
        "['/dev/a:/dev/x']",
        "['/dev/b:/dev/x:r']",
        json!([{"source": "/dev/b", "target": "/dev/x", "permissions": "r"}]),
    );
    let file = |source: &str, target: &str, mode: Value| json!({"source": source, "target": target, "uid": null, "gid": null, "mode": mode});
    check(
        "secrets",
        "[s, t]",
        "[{source: t, target: s, mode: 0400}]",
        json!([file("t", "/run/secrets/s", json!(256)), file("t", "/run/secrets/t", Value::Null)]),
    );
    check("configs", "[c]", "[{source: c, mode: 0444}]", json!([file("c", "/c", json!(292))]));
    let port =
        |published: u16| json!({"host_ip": null, "published": published, "target": 80, "protocol": "tcp"});
    check("ports", "['80:80']", "['80:80', '81:80']", json!([port(80), port(81)]));
}

#[test]
fn mappings_are_merged_key_by_key() {
    let depends = |condition: &str| json!({"condition": condition, "required": true});
    check_at(
        "services: {web: {image: a, depends_on: [b, c]}, b: {image: b}, c: {image: c}}\n",
        "services: {web: {depends_on: {c: {condition: service_healthy}}}}",
        "/services/web/depends_on",
        json!({"b": depends("service_started"), "c": depends("service_healthy")}),
    );
    check_at(
        "services: {web: {image: a, networks: [n]}}\nnetworks: {n: , m: }\n",
        "services: {web: {networks: {m: {aliases: [x]}}}}",
        "/services/web/networks/m/aliases",
        json!(["x"]),
    );
    check_at(
        "services: {web: {image: a, networks: {n: {aliases: [x]}}}}\nnetworks: {n: }\n",
        "services: {web: {networks: {n: {aliases: [y]}}}}",
        "/services/web/networks/n/aliases",
        json!(["x", "y"]),
    );
    check_at(
        "services: {web: {image: a, deploy: {replicas: 2, resources: {limits: {cpus: 1, memory: 1g}}}}}\n",
        "services: {web: {deploy: {resources: {limits: {cpus: 2}}}}}",
        "/services/web/deploy/limits",
        json!({"cpus": 2.0, "memory_bytes": 1_073_741_824, "pids": null}),
    );
    check_at(
        "services: {web: {image: a, x-wharf: {route: {port: 80, path: /a}}}}\n",
        "services: {web: {x-wharf: {route: {path: /b}}}}",
        "/services/web/x_wharf/route/path",
        json!("/b"),
    );
    check_at(
        "services: {web: {image: a, networks: [n]}}\nnetworks: {n: {ipam: {config: [{subnet: 10.1.0.0/16}, {subnet: 10.2.0.0/16}]}}}\n",
        "networks: {n: {ipam: {config: [{subnet: 10.2.0.0/16, gateway: 10.2.0.9}, {subnet: 10.3.0.0/16}]}}}",
        "/networks/n/ipam/config/1/gateway",
        json!("10.2.0.9"),
    );
    check_at(
        "services: {web: {image: a, volumes: ['v:/v']}}\nvolumes: {v: {driver_opts: {a: '1', b: '1'}}}\n",
        "volumes: {v: {driver_opts: {b: '2'}, labels: [x=y]}}",
        "/volumes/v/driver_opts",
        json!({"a": "1", "b": "2"}),
    );
}

#[test]
fn a_limit_in_another_form_is_replaced_and_logging_of_another_driver_too() {
    let limit = |soft: i64, hard: i64| json!({"soft": soft, "hard": hard});
    check(
        "ulimits",
        "{nofile: {soft: 1, hard: 2}}",
        "{nofile: 5, nproc: 6}",
        json!({"nofile": limit(5, 5), "nproc": limit(6, 6)}),
    );
    check("ulimits", "{nofile: 5}", "{nofile: {soft: 1, hard: 2}}", json!({"nofile": limit(1, 2)}));
    check("ulimits", "{nofile: {soft: 1, hard: 2}}", "{nofile: {soft: 2}}", json!({"nofile": limit(2, 2)}));
    let logging = |driver: &str, options: Value| json!({"driver": driver, "options": options});
    let base = "{driver: json-file, options: {max-size: 1m, max-file: '3'}}";
    check(
        "logging",
        base,
        "{options: {max-size: 5m}}",
        logging("json-file", json!({"max-size": "5m", "max-file": "3"})),
    );
    check("logging", base, "{driver: syslog, options: {tag: x}}", logging("syslog", json!({"tag": "x"})));
}

#[test]
fn reset_and_override() {
    for (key, base, over, expected) in [
        ("ports", "['80:80']", "!reset []", json!([])),
        ("environment", "{X: 1, Y: 2}", "{X: !reset null}", json!({"Y": "2"})),
        ("cap_add", "[A]", "!override [B]", json!(["B"])),
        ("labels", "{x: 1}", "!override {y: 2}", json!({"y": "2"})),
        ("user", "'1'", "!reset null", Value::Null),
    ] {
        check(key, base, over, expected);
    }
    check_at(
        "services: {web: {image: a}, db: {image: b}}\n",
        "services: {db: !reset null}",
        "/services/db",
        Value::Null,
    );
}

#[test]
fn an_env_file_that_is_named_again_keeps_its_place() {
    let files = ["a.env", "b.env"];
    let texts = [
        "services: {web: {image: a, env_file: [a.env, b.env]}}",
        "services: {web: {env_file: {path: a.env, required: false}}}",
    ];
    let sources: Vec<wharf_compose::SourceFile> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| wharf_compose::SourceFile {
            path: format!("{index}.yaml"),
            text: (*text).to_owned(),
        })
        .collect();
    let options = wharf_compose::Options { directory_name: Some("test".to_owned()), ..Default::default() };
    let mut opened = Vec::new();
    let mut reader = |path: &str| {
        opened.push(path.to_owned());
        Ok(format!("LAST={path}"))
    };
    let loaded = wharf_compose::load(&sources, &|_| None, &mut reader, &options).unwrap();
    assert_eq!(loaded.project.services["web"].environment["LAST"], "b.env");
    assert_eq!(opened, files);
}
