//! What must not work: requests without a token, damaged files, directories that can't be written.

use std::process::Command;

use wharf_test_support::{Child, DEADLINE, require};

use crate::app::App;
use crate::docker::containers;
use crate::server::{Server, wharf};
use crate::support::{checked, run};
use crate::web;

#[test]
fn nothing_of_the_api_answers_without_a_token() {
    let server = Server::start_with(&["docker.is_host=false"]);
    for path in [
        "/apps",
        "/instances",
        "/hosts",
        "/events",
        "/events/stream",
        "/deploys",
        "/deploys/1/stream",
        "/session",
        "/registry/repositories",
        "/registry/stats",
        "/balancers",
        "/nothing",
        "/uploads",
        "/join-tokens",
    ] {
        let (status, body) = web::get(server.api, "127.0.0.1", &format!("/api/v1{path}")).unwrap();
        assert_eq!(status, 401, "{path}: {body}");
        let document: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(document.to_string().contains("token"), "{path}: {body}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let url = format!("http://127.0.0.1:{}/api/v1/apps/x/deploys", server.api);
        let status = checked(Command::new("curl").args([
            "-so",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            method,
            &url,
        ]));
        assert_eq!(status, "401", "{method}");
    }
    assert_eq!(web::get(server.api, "127.0.0.1", "/healthz").unwrap(), (200, "ok\n".to_owned()));
}

#[test]
fn a_damaged_database_is_named_and_a_damaged_table_does_no_harm() {
    let mut server = Server::start_with(&["docker.is_host=false"]);
    server.child().signal(15);
    server.child().wait(DEADLINE);
    let table = server.data().join("balancer/table.json");
    std::fs::create_dir_all(table.parent().unwrap()).unwrap();
    std::fs::write(&table, "{ half a tab").unwrap();
    server.run_again();
    server.child().signal(15);
    server.child().wait(DEADLINE);
    let database = server.data().join("state.db");
    for left_over in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(server.data().join(left_over));
    }
    std::fs::write(
        &database,
        "this is no database, but it is long enough to be looked at as one".repeat(100),
    )
    .unwrap();
    run(&mut server.up_command()).expect(1).says("state.db");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    run(wharf().args(["up", "--data", "/proc/wharf-data"])).expect(1).says("/proc/wharf-data");
    run(wharf().args(["agent", "--data", "/nonexistent/agent"])).expect(1).says("/nonexistent/agent");
    let directory = wharf_test_support::temp_dir();
    std::fs::write(directory.path().join("file"), "").unwrap();
    run(wharf().args(["up", "--data", "file"]).current_dir(directory.path())).expect(1).says("file");
}

#[test]
fn two_servers_on_one_engine_leave_each_others_containers_alone() {
    require!(Docker);
    let (one, two) = (Server::start(), Server::start());
    let (first, second) = (App::web(&one, "first"), App::web(&two, "second"));
    one.deploy(first.path());
    two.deploy(second.path());
    let before = containers(&first.name);
    // The same name at the other server: it is told that the name of the container is taken.
    let text = std::fs::read_to_string(first.path().join("compose.yaml")).unwrap();
    let same = App::with(&two, "");
    std::fs::write(same.path().join("compose.yaml"), text).unwrap();
    two.run(&["deploy", &same.dir()])
        .expect(1)
        .says("another container, not made by this agent, has the name");
    two.ok(&["rm", &second.name]);
    assert_eq!(containers(&first.name), before);
    assert_eq!(web::body(one.balancer, &first.host(), "/"), "first");
    assert!(one.json(&["apps"]).to_string().contains(&first.name));
    assert!(!two.json(&["ps"]).to_string().contains(&before[0]));
}

#[test]
fn scale_and_rollback_refuse_what_they_cannot_do() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "one");
    server.deploy(app.path());
    let before = containers(&app.name);
    server.run(&["rollback", &app.name]).expect(1).says("hint:");
    server.run(&["rollback", &app.name, "--to", "9"]).expect(1).says("9");
    server.run(&["scale", "--app", &app.name, "wbe=2"]).expect(2).says("wbe").says("did you mean `web`?");
    server.run(&["scale", "--app", &app.name, "web=1000000"]).expect(2).says("1000000");
    assert_eq!(containers(&app.name), before);
    // To nothing and back.
    server.ok(&["scale", "--app", &app.name, "web=0"]);
    assert!(containers(&app.name).is_empty());
    assert_eq!(web::get(server.balancer, &app.host(), "/").unwrap().0, 503);
    server.ok(&["scale", "--app", &app.name, "web=1"]);
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "one");
}

#[test]
fn the_load_generator_reports_what_the_balancer_answered() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(
        &server,
        "services:\n  web:\n    build: .\n    environment: { TEXT: hello }\n    x-wharf: { route: { port: 8000 } }\n",
    );
    server.deploy(app.path());
    let url = format!("http://127.0.0.1:{}/", server.balancer);
    let report = server.json(&["bench", &url, "--rate", "100", "--duration", "1s"]);
    assert_eq!(report["total"]["due"], 100, "{report}");
    assert_eq!(report["total"]["ok"], 100, "{report}");
    server.run(&["bench", &url, "--rate", "100", "--duration", "1s"]).expect(0).says("100");
    let mut early = Child::spawn(&mut server.command(&["bench", &url, "--rate", "50", "--duration", "60s"]));
    crate::support::eventually("requests arrive", DEADLINE, || {
        let log = std::fs::read_to_string(server.data().join("balancer/access.log")).ok()?;
        (log.lines().count() > 220).then_some(())
    });
    early.signal(2);
    early.wait(DEADLINE);
    early.wait_for_line("ok", DEADLINE);
}

#[test]
fn a_route_of_the_operators_own_file_is_not_taken_by_an_application() {
    let server =
        Server::start_with(&["balancer.routes=[{host: admin.test, targets: [\"http://127.0.0.1:9\"]}]"]);
    let app = App::web(&server, "mine");
    let compose = std::fs::read_to_string(app.path().join("compose.yaml")).unwrap();
    std::fs::write(app.path().join("compose.yaml"), compose.replace(&app.host(), "Admin.test")).unwrap();
    server
        .run(&["deploy", &app.dir()])
        .expect(1)
        .says("route admin.test/ is taken by balancer.routes[0] of the server's wharf.yaml\n  hint: give it another");
    assert!(containers(&app.name).is_empty());
}
