//! Mistakes in wharf.yaml and `--set`, and what `wharf config` says.

use std::collections::BTreeSet;

use serde_json::Value;
use wharf_test_support::{Child, DEADLINE, free_port, temp_dir};

use crate::server::{Server, wharf};
use crate::support::{checked, run};

#[test]
fn mistakes_are_named_with_line_and_suggestion_and_end_with_2() {
    let directory = temp_dir();
    for (text, expected) in [
        (
            "api:\n  lisen: 127.0.0.1:1\n",
            "wharf.yaml:2:3: unknown key `api.lisen`\n  hint: did you mean `listen`?",
        ),
        ("balancr: {}\n", "wharf.yaml:1:1: unknown key `balancr`\n  hint: did you mean `balancer`?"),
        ("docker:\n  is_host: maybe\n", "`docker.is_host`"),
        ("api: [\n", "wharf.yaml:2"),
        ("balancer:\n  timeouts:\n    connect: fast\n", "`balancer.timeouts.connect`"),
        ("registry:\n  listen: here\n", "`registry.listen`"),
        ("version: 7\n", "version 7 is not known"),
    ] {
        std::fs::write(directory.path().join("wharf.yaml"), text).unwrap();
        for command in [&["up"][..], &["config", "check"]] {
            run(wharf().args(command).current_dir(directory.path())).expect(2).says(expected);
        }
    }
    assert!(!directory.path().join("wharf-data").exists(), "a wrong file changes nothing");
}

#[test]
fn mistakes_of_set_are_named_as_such() {
    for (set, expected) in [
        ("api", "--set api: it has no `=`"),
        ("api.lisen=1", "--set api.lisen=1: unknown key `api.lisen`\n  hint: did you mean `listen`?"),
        ("api.listen=7700", "--set api.listen=7700: `api.listen`"),
        ("docker.labels={pool: [", "--set docker.labels={pool: [:"),
    ] {
        run(wharf().args(["config", "check", "--set", set])).expect(2).says(expected);
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    run(wharf().args(["up", "--config", "/nonexistent/w.yaml"]))
        .expect(1)
        .says("cannot read /nonexistent/w.yaml")
        .says("hint: there is no such file");
}

#[test]
fn the_schema_knows_every_key_of_the_default_configuration() {
    let schema: Value = serde_json::from_str(&checked(wharf().args(["config", "schema"]))).unwrap();
    let directory = temp_dir();
    let check = checked(wharf().args(["config", "check"]).current_dir(directory.path()));
    let config: Value = serde_json::from_str(&check).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut count = 0;
    compare(&schema, &schema, &config, "wharf.yaml", &mut count);
    assert!(count > 50, "only {count} keys were compared");
}

/// Each key of `config` is a property of `schema`, and each property a key.
fn compare(root: &Value, schema: &Value, config: &Value, place: &str, count: &mut u32) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let (Some(properties), Some(values)) = (schema["properties"].as_object(), config.as_object()) else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{place} takes unknown keys");
    let known: BTreeSet<&String> = properties.keys().collect();
    let used: BTreeSet<&String> = values.keys().collect();
    assert_eq!(known, used, "{place}");
    for (key, value) in values {
        *count += 1;
        let property = &properties[key];
        assert!(
            property["description"].is_string() || property["$ref"].is_string(),
            "{place}.{key} is not described"
        );
        compare(root, property, value, &format!("{place}.{key}"), count);
    }
}

#[test]
fn what_config_check_prints_is_a_configuration_again() {
    let directory = temp_dir();
    let first = checked(
        wharf().args(["config", "check", "--set", "api.insecure=true"]).current_dir(directory.path()),
    );
    std::fs::write(directory.path().join("printed.yaml"), &first).unwrap();
    let said = run(wharf().args(["config", "check"]).current_dir(directory.path())).expect(0);
    assert!(said.stderr.contains("there is no ./wharf.yaml"), "{}", said.stderr);
    let again =
        checked(wharf().args(["config", "check", "--config", "printed.yaml"]).current_dir(directory.path()));
    assert_eq!(first, again);
}

#[test]
fn a_taken_port_is_named_with_its_key() {
    let taken = free_port();
    let _holder = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
    for key in ["api.listen", "registry.listen", "balancer.http", "agents.listen"] {
        let server = Server::prepare(&[&format!("{key}=127.0.0.1:{taken}"), "docker.is_host=false"]);
        let ran = run(&mut server.up_command()).expect(1).says(key).says(&format!("127.0.0.1:{taken}"));
        assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
    }
}

#[test]
fn a_second_server_on_the_same_directory_names_the_first_ones_pid() {
    let mut first = Server::start_with(&["docker.is_host=false"]);
    let pid = first.child().pid();
    let mut second = Server::prepare(&["docker.is_host=false"]).up_command();
    let data = first.data();
    // The last --data wins over the one that `up_command` gave.
    let args: Vec<_> = second.get_args().map(std::ffi::OsStr::to_owned).collect();
    let args =
        args.iter().map(|arg| if arg.to_string_lossy().ends_with("/data") { data.as_os_str() } else { arg });
    let ran = run(wharf().args(args)).expect(1).says(&pid.to_string());
    assert!(ran.stderr.contains(&data.display().to_string()), "{}", ran.stderr);
    second.env_clear();
    first.ok(&["host", "ls"]);
}

#[test]
fn listeners_off_loopback_that_have_no_tls_are_refused_or_asked_for() {
    let server = Server::prepare(&["balancer.http=0.0.0.0:0", "docker.is_host=false"]);
    run(&mut server.up_command()).expect(2).says("balancer.http").says("insecure");
}

#[test]
fn the_token_and_the_key_of_the_ca_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start_with(&["docker.is_host=false"]);
    let mode = |name: &str| {
        let path = server.data().join(name);
        std::fs::metadata(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("token"), 0o600);
    for file in std::fs::read_dir(server.data().join("ca")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if name.contains("key") {
            assert_eq!(mode(&format!("ca/{name}")), 0o600, "{name}");
        }
    }
}

#[test]
fn a_server_without_an_engine_runs_and_says_so() {
    let server = Server::prepare(&["docker.socket=/nonexistent/docker.sock"]);
    let child = Child::spawn(&mut server.up_command());
    child.wait_for_line("token         cat", DEADLINE);
    let hosts = server.json(&["host", "ls"]);
    assert_eq!(hosts["hosts"][0]["name"], "local");
}
