//! Services that keep data or a fixed port are stopped, then started, and keep what they have.

use wharf_test_support::{free_port, require};

use crate::app::App;
use crate::docker::{containers, docker, named};
use crate::server::Server;
use crate::web;

#[test]
fn a_service_with_a_volume_and_a_fixed_port_is_stopped_then_started_and_keeps_its_data() {
    require!(Docker);
    let server = Server::start();
    let port = free_port();
    let compose = |text: &str, more: &str| {
        format!(
            "services:\n  db:\n    build: .\n    environment: {{ TEXT: {text}{more} }}\n    ports: ['127.0.0.1:{port}:8000']\n    \
             volumes: ['rows:/data']\nvolumes: {{ rows: {{ }} }}\n"
        )
    };
    let app = App::with(&server, &compose("one", ""));
    server.deploy(app.path());
    assert_eq!(web::body(port, "x", "/add"), "1");
    assert_eq!(web::body(port, "x", "/add"), "2");
    assert_eq!(named("volume", &app.name), [format!("{}_rows", app.name)]);

    app.compose(&compose("two", ""));
    let plan = server.ok(&["plan", &app.dir()]);
    assert!(plan.contains("stop"), "the plan says that it is stopped: {plan}");
    server.run(&["deploy", &app.dir()]).expect(0).says("✓ clear");
    assert_eq!((web::body(port, "x", "/"), web::body(port, "x", "/add")), ("two".to_owned(), "3".to_owned()));
    assert_eq!(containers(&app.name).len(), 1);

    // One that fails is replaced by the one that ran before.
    app.compose(&compose("three", ", DIE: 'yes'"));
    server.run(&["deploy", &app.dir()]).expect(1).says("no such drawer");
    assert_eq!((web::body(port, "x", "/"), web::body(port, "x", "/add")), ("two".to_owned(), "4".to_owned()));

    server.ok(&["rollback", &app.name]);
    assert_eq!((web::body(port, "x", "/"), web::body(port, "x", "/add")), ("one".to_owned(), "5".to_owned()));

    server.run(&["rm", &app.name]).expect(0).says("its volumes stay");
    assert!(containers(&app.name).is_empty());
    assert_eq!(named("volume", &app.name), [format!("{}_rows", app.name)], "data is never removed");
    app.compose(&compose("again", ""));
    server.deploy(app.path());
    assert_eq!(web::body(port, "x", "/add"), "6");
}

#[test]
fn a_taken_host_port_fails_the_deploy_and_is_named() {
    require!(Docker);
    let server = Server::start();
    let port = free_port();
    let _holder = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let app = App::with(
        &server,
        &format!("services:\n  db:\n    build: .\n    ports: ['127.0.0.1:{port}:8000']\n"),
    );
    server.run(&["deploy", &app.dir()]).expect(1).says(&port.to_string());
    assert!(containers(&app.name).is_empty());
    assert!(!docker(&["ps", "-a"]).contains(&app.name));
}

#[test]
fn a_strategy_that_the_service_cannot_have_is_refused_with_the_reason() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(
        &server,
        "services:\n  db:\n    build: .\n    volumes: ['rows:/data']\n    x-wharf: { rollout: { strategy: blue-green } }\n\
         volumes: { rows: { } }\n",
    );
    let ran = server.run(&["deploy", &app.dir()]).says("it writes to a volume").says("hint:");
    assert_ne!(ran.status, 0);
    app.compose("services:\n  db:\n    build: .\n    volumes: ['./rows:/data']\n");
    std::fs::create_dir(app.path().join("rows")).unwrap();
    let ran = server.run(&["deploy", &app.dir()]).says("hint:").says("rows");
    assert_ne!(ran.status, 0);
    assert!(containers(&app.name).is_empty());
}
