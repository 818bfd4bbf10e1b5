//! What a Compose file says is what the container has.

use serde_json::Value;
use wharf_test_support::require;

use crate::app::App;
use crate::docker::{containers_of, docker, inspect};
use crate::server::Server;
use crate::support::run;
use crate::web;

#[test]
fn the_settings_of_a_service_are_those_of_its_container() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(
        &server,
        "services:\n  web:\n    build:\n      context: .\n      args: { FLAVOUR: mint }\n\
         \x20   entrypoint: [/program]\n    command: [serve, 'two words']\n    working_dir: /work\n    user: '1000:1000'\n\
         \x20   hostname: till\n    stop_signal: SIGKILL\n    stop_grace_period: 7s\n    restart: unless-stopped\n\
         \x20   environment: { TEXT: \"${GREETING:-hello}\", EMPTY: '', FROM_SHELL: }\n    env_file: [more.env]\n\
         \x20   labels: { com.example.team: till }\n\
         \x20   healthcheck: { test: [CMD, /program, check], interval: 1s, timeout: 3s, retries: 4, start_period: 2s }\n\
         \x20   deploy: { resources: { limits: { cpus: '0.5', memory: 32M, pids: 50 } } }\n\
         \x20   volumes: ['./settings.txt:/settings.txt:ro', { type: tmpfs, target: /scratch }]\n\
         \x20   x-wharf: { route: { host: NAME.test, port: 8000 } }\n",
    );
    std::fs::write(app.path().join("more.env"), "FROM_FILE='a b'\nTEXT=overridden\n").unwrap();
    std::fs::write(app.path().join(".env"), "GREETING=from .env\n").unwrap();
    std::fs::write(app.path().join("settings.txt"), "colour: red\n").unwrap();
    let dockerfile = std::fs::read_to_string(app.path().join("Dockerfile")).unwrap();
    let with_arg = format!("{dockerfile}ARG FLAVOUR\nENV FLAVOUR=$FLAVOUR\n");
    std::fs::write(app.path().join("Dockerfile"), with_arg).unwrap();
    run(server.command(&["deploy", &app.dir()]).env("FROM_SHELL", "yes")).expect(0);

    let container = inspect(&containers_of(&app.name, "web")[0]);
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    assert_eq!(config["Entrypoint"], serde_json::json!(["/program"]));
    assert_eq!(config["Cmd"], serde_json::json!(["serve", "two words"]));
    for (key, expected) in
        [("WorkingDir", "/work"), ("User", "1000:1000"), ("Hostname", "till"), ("StopSignal", "SIGKILL")]
    {
        assert_eq!(config[key], expected, "{key}");
    }
    let environment: Vec<&str> = config["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for expected in ["TEXT=from .env", "EMPTY=", "FROM_SHELL=yes", "FROM_FILE=a b", "FLAVOUR=mint"] {
        assert!(environment.contains(&expected), "no {expected} in {environment:?}");
    }
    let labels = &config["Labels"];
    assert_eq!(labels["com.example.team"], "till");
    for (label, expected) in [
        ("wharf.app", app.name.as_str()),
        ("wharf.service", "web"),
        ("wharf.release", "1"),
        ("wharf.slot", "1"),
    ] {
        assert_eq!(labels[label], expected, "{label}");
    }
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/program", "check"]));
    assert_eq!(config["Healthcheck"]["Interval"], 1_000_000_000u64);
    assert_eq!(config["Healthcheck"]["Retries"], 4);
    assert_eq!(host["NanoCpus"], 500_000_000u64);
    assert_eq!(host["Memory"], 32u64 << 20);
    assert_eq!(host["PidsLimit"], 50);
    assert_eq!(config["StopTimeout"], 7);
    assert!(container.to_string().contains("/scratch"));
    assert_eq!(container["State"]["Health"]["Status"], "healthy");
    let host = app.host();
    assert_eq!(web::body(server.balancer, &host, "/read?/settings.txt"), "colour: red\n");
    assert_eq!(web::body(server.balancer, &host, "/host"), "till");
    server.run(&["plan", &app.dir()]).expect(0).says("web");

    // A file that is mounted is part of the application: a change of it is a release.
    std::fs::write(app.path().join("settings.txt"), "colour: blue\n").unwrap();
    run(server.command(&["deploy", &app.dir()]).env("FROM_SHELL", "yes")).expect(0).says("release 2 serves");
    assert_eq!(web::body(server.balancer, &host, "/read?/settings.txt"), "colour: blue\n");
}

#[test]
fn services_find_each_other_by_name_and_wait_for_each_others_health() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(
        &server,
        "services:\n  web:\n    build: .\n    environment: { TEXT: front }\n    depends_on: { db: { condition: service_healthy } }\n\
         \x20   x-wharf: { route: { host: NAME.test, port: 8000 } }\n\
         \x20 db:\n    build: .\n    environment: { TEXT: rows }\n    networks: { default: { aliases: [store] } }\n\
         \x20   healthcheck: { test: [CMD, /program, check], interval: 500ms }\n\
         \x20 other:\n    build: .\n    environment: { TEXT: apart }\n    networks: [apart]\n\
         networks: { apart: { } }\n",
    );
    server.deploy(app.path());
    let host = app.host();
    assert_eq!(web::body(server.balancer, &host, "/ask?db:8000"), "rows");
    assert_eq!(web::body(server.balancer, &host, "/ask?store:8000"), "rows");
    assert_ne!(web::body(server.balancer, &host, "/ask?other:8000"), "apart", "it is on another network");
    let started = |service: &str| {
        let container = inspect(&containers_of(&app.name, service)[0]);
        container["State"]["StartedAt"].as_str().unwrap().to_owned()
    };
    assert!(started("db") < started("web"), "web waits for db");

    // A change of one service leaves the other's container alone.
    let db = containers_of(&app.name, "db");
    let text = std::fs::read_to_string(app.path().join("compose.yaml")).unwrap();
    std::fs::write(app.path().join("compose.yaml"), text.replace("TEXT: front", "TEXT: shop front")).unwrap();
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &host, "/"), "shop front");
    assert_eq!(containers_of(&app.name, "db"), db);
    assert_eq!(web::body(server.balancer, &host, "/ask?db:8000"), "rows");
}

#[test]
fn a_service_from_an_image_of_the_registry_is_pulled_from_there() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "built");
    server.deploy(app.path());
    let image = format!("127.0.0.1:{}/{}/web:r1", server.registry, app.name);
    let other = App::with(
        &server,
        &format!(
            "services:\n  web:\n    image: {image}\n    environment: {{ TEXT: pulled }}\n    x-wharf: {{ route: {{ host: NAME.test, port: 8000 }} }}\n"
        ),
    );
    server.deploy(other.path());
    assert_eq!(web::body(server.balancer, &other.host(), "/"), "pulled");
    other.compose("services:\n  web:\n    image: 127.0.0.1:1/none/such:1\n");
    server.run(&["deploy", &other.dir()]).expect(1).says("127.0.0.1:1/none/such");
    assert_eq!(web::body(server.balancer, &other.host(), "/"), "pulled");
    assert!(docker(&["images", "-q", &image]).len() > 5);
}

#[test]
fn several_files_and_another_name_are_read_as_compose_reads_them() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "base");
    let renamed = format!("{}b", app.name);
    server.note(&renamed);
    let more = format!(
        "services: {{ web: {{ environment: {{ TEXT: over }}, x-wharf: {{ route: {{ host: {renamed}.test, port: 8000 }} }} }} }}\n"
    );
    std::fs::write(app.path().join("over.yaml"), more).unwrap();
    let files = [app.path().join("compose.yaml"), app.path().join("over.yaml")]
        .map(|path| path.display().to_string());
    server.ok(&["deploy", "--file", &files[0], "--file", &files[1], "--app", &renamed]);
    assert_eq!(web::body(server.balancer, &format!("{renamed}.test"), "/"), "over");
    assert!(server.ok(&["apps"]).contains(&renamed));
    // In the application's own directory no name is needed.
    let ran = run(server.command(&["releases"]).current_dir(app.path()));
    assert_eq!(ran.status, 1, "the name of the file is not that of --app");
    assert!(ran.stderr.contains(&app.name), "{}", ran.stderr);
}
