//! The server dies in the middle of a deploy: what served serves again, the deploy is settled, the next one works.

use std::time::Duration;

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::docker::{containers, docker};
use crate::server::Server;
use crate::support::eventually;
use crate::web;

/// Kills the server as soon as `moment` is among the events of the second deploy, and starts it again.
fn crash_at(moment: &str, second: impl Fn(&App), hold: bool) -> (Server, App, String) {
    let mut server = Server::start();
    let app = App::web(&server, "old");
    server.deploy(app.path());
    second(&app);
    let in_flight = hold.then(|| request_in_flight(&server, &app));
    let events = server.spawn(&["events", "--follow"]);
    let answer = server.json(&["deploy", &app.dir(), "--detach"]);
    assert_eq!(answer["deploy"], 2);
    events.wait_for_line(&format!("deploy 2: {moment}"), DEADLINE);
    server.kill();
    drop(in_flight);
    server.run_again();
    // At once, without waiting for anybody.
    let text = web::body(server.balancer, &app.host(), "/");
    let state = eventually("deploy 2 is settled", DEADLINE, || {
        let deploys = server.json(&["deploy", "ls", &app.name]);
        let second = deploys["deploys"].as_array().unwrap().iter().find(|deploy| deploy["id"] == 2).unwrap();
        let state = second["state"].as_str().unwrap().to_owned();
        (state != "running").then_some(state)
    });
    assert!(text == "old" || text == "new", "{text}");
    (server, app, state)
}

/// A request that the old release works on for long, so that the deploy stays in its drain.
fn request_in_flight(server: &Server, app: &App) -> std::thread::JoinHandle<()> {
    let (port, host) = (server.balancer, app.host());
    let thread = std::thread::spawn(move || {
        // It is cut when the server is killed.
        let _ = web::get(port, &host, "/slow?20000");
    });
    let old = containers(&app.name).remove(0);
    eventually("the request is in flight", DEADLINE, || {
        docker(&["logs", &old]).contains("slow").then_some(())
    });
    thread
}

/// The application serves `text` from one container, and can be deployed again.
fn serves_and_can_be_deployed(server: &Server, app: &App, text: &str) {
    assert_eq!(web::body(server.balancer, &app.host(), "/"), text);
    eventually("only what serves is left", DEADLINE, || (containers(&app.name).len() == 1).then_some(()));
    app.text("newest");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "newest");
    assert_eq!(containers(&app.name).len(), 1);
}

#[test]
fn a_server_killed_after_the_build_has_not_begun_the_switch() {
    require!(Docker);
    let (server, app, state) = crash_at("build done", |app| app.text("new"), false);
    assert_eq!(state, "failed");
    serves_and_can_be_deployed(&server, &app, "old");
}

#[test]
fn a_server_killed_while_new_containers_get_healthy_undoes_the_deploy() {
    require!(Docker);
    let sick = |app: &App| {
        app.compose(
            "services:\n  web:\n    build: .\n    environment: { TEXT: new, UP: 'no' }\n    x-wharf:\n      \
             route: { host: NAME.test, port: 8000 }\n      health: { path: /up, start_period: 60s }\n",
        );
    };
    let (server, app, state) = crash_at("healthy …", sick, false);
    assert_eq!(state, "failed");
    serves_and_can_be_deployed(&server, &app, "old");
}

#[test]
fn a_server_killed_after_the_switch_finishes_the_deploy() {
    require!(Docker);
    let (server, app, state) = crash_at("switch done", |app| app.text("new"), true);
    assert_eq!(state, "succeeded");
    serves_and_can_be_deployed(&server, &app, "new");
}

#[test]
fn a_server_killed_at_any_moment_loses_nothing_that_was_answered() {
    require!(Docker);
    let mut server = Server::start();
    let app = App::web(&server, "text 0");
    server.deploy(app.path());
    for round in 1..4 {
        app.text(&format!("text {round}"));
        server.ok(&["deploy", &app.dir(), "--message", &format!("round {round}")]);
        server.kill();
        server.run_again();
        assert_eq!(web::body(server.balancer, &app.host(), "/"), format!("text {round}"));
        server.run(&["releases", &app.name]).expect(0).says(&format!("round {round}"));
        let tags = server.json(&["registry", "ls", &format!("{}/web", app.name)]);
        assert_eq!(tags.as_array().unwrap().len(), round + 1, "{tags}");
    }
    eventually("one container", DEADLINE, || (containers(&app.name).len() == 1).then_some(()));
}

#[test]
fn containers_go_on_while_the_server_is_down_and_are_not_restarted_by_its_return() {
    require!(Docker);
    let mut server = Server::start();
    let app = App::web(&server, "steady");
    server.deploy(app.path());
    let before = docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", &containers(&app.name)[0]]);
    server.kill();
    server.run_again();
    eventually("the host is up again", DEADLINE, || {
        let hosts = server.json(&["host", "ls"]);
        (hosts["hosts"][0]["liveness"] == "up" && hosts["hosts"][0]["instances_healthy"] == 1).then_some(())
    });
    let after = docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", &containers(&app.name)[0]]);
    assert_eq!(before, after);
    // One that ended while nobody looked is made to run again.
    server.kill();
    docker(&["rm", "-f", &containers(&app.name)[0]]);
    server.run_again();
    eventually("it is made again", Duration::from_secs(20), || {
        matches!(web::get(server.balancer, &app.host(), "/"), Ok((200, text)) if text == "steady")
            .then_some(())
    });
}
