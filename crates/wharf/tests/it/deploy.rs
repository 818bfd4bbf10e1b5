//! The daily life of an application on one machine.

use std::time::Duration;

use wharf_test_support::require;

use crate::app::App;
use crate::docker::{containers, containers_of, docker, inspect, named};
use crate::load::Load;
use crate::server::Server;
use crate::support::eventually;
use crate::web;

#[test]
fn an_application_is_deployed_changed_scaled_rolled_back_and_removed_without_a_failed_request() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "first");
    let host = app.host();
    let plan = server.ok(&["plan", &app.dir()]);
    assert!(plan.contains("release 1") && plan.contains("+ web"), "{plan}");
    assert!(containers(&app.name).is_empty(), "a plan makes nothing");

    let said = server.deploy(app.path());
    for step in ["✓ build", "✓ plan", "✓ start", "✓ healthy", "✓ switch", "release 1 serves"] {
        assert!(said.contains(step), "no `{step}` in:\n{said}");
    }
    assert_eq!(web::body(server.balancer, &host, "/"), "first");
    assert_eq!(web::get(server.balancer, "other.test", "/").unwrap().0, 404);

    let load = Load::start(server.balancer, &host);
    let first = containers(&app.name);
    assert_eq!(first.len(), 1);
    server.run(&["plan", &app.dir()]).expect(0).says("up to date");
    server.run(&["deploy", &app.dir()]).expect(0).says("up to date");
    assert_eq!(containers(&app.name), first, "nothing was to do, so nothing was done");

    app.text("second");
    let plan = server.ok(&["plan", &app.dir()]);
    assert!(plan.contains("release 2") && plan.contains("web"), "{plan}");
    server.ok(&["deploy", &app.dir(), "--message", "the second one"]);
    assert_eq!(web::body(server.balancer, &host, "/"), "second");
    let second = containers(&app.name);
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");

    server.ok(&["scale", "--app", &app.name, "web=3"]);
    assert_eq!(containers(&app.name).len(), 3);
    assert!(containers(&app.name).contains(&second[0]), "what runs is kept");
    let instances = server.json(&["ps", &app.name]);
    let healthy = |instance: &&serde_json::Value| instance["state"]["state"] == "healthy";
    assert_eq!(instances["instances"].as_array().unwrap().iter().filter(healthy).count(), 3);
    server.ok(&["scale", "--app", &app.name, "web=1"]);
    assert_eq!(containers(&app.name).len(), 1);

    server.ok(&["rollback", &app.name]);
    assert_eq!(web::body(server.balancer, &host, "/"), "first");
    let releases = server.ok(&["releases", &app.name]);
    assert!(releases.contains("the second one"), "{releases}");
    let serving: Vec<&str> = releases.lines().filter(|line| line.contains("serves")).collect();
    assert_eq!(serving.len(), 1, "{releases}");
    server.ok(&["rollback", &app.name, "--to", "2"]);
    assert_eq!(web::body(server.balancer, &host, "/"), "second");
    let outcome = load.end_without_failure();
    assert_eq!(outcome.texts.keys().collect::<Vec<_>>(), ["first", "second"]);

    server.run(&["rm", &app.name]).expect(0).says("is removed");
    assert!(containers(&app.name).is_empty());
    assert_eq!(web::get(server.balancer, &host, "/").unwrap().0, 404);
    eventually("the network goes with its last container", Duration::from_secs(15), || {
        named("network", &app.name).is_empty().then_some(())
    });
    assert!(!server.ok(&["apps"]).contains(&app.name));
}

#[test]
fn a_broken_release_is_refused_with_its_log_and_the_old_one_keeps_serving() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "good");
    server.deploy(app.path());
    let before = containers(&app.name);
    let load = Load::start(server.balancer, &app.host());

    app.web_with("dead", "      DIE: 'yes'");
    let said = server.run(&["deploy", &app.dir()]).expect(1).says("| cannot open the till: no such drawer");
    assert!(said.stdout.contains("✗ failed: ") && said.stdout.contains("web"), "{}", said.stdout);
    assert_eq!(said.stderr, "", "a failed deploy has been told already");
    assert_eq!(containers(&app.name), before, "what served still serves, what failed is gone");

    app.web_with("sick", "      UP: 'no'");
    server.run(&["deploy", &app.dir()]).expect(1).says("503").says("| serving");
    assert_eq!(containers(&app.name), before);
    let shown = server.json(&["deploy", "ls", &app.name]);
    let states: Vec<&str> =
        shown["deploys"].as_array().unwrap().iter().filter_map(|deploy| deploy["state"].as_str()).collect();
    assert_eq!(states, ["failed", "failed", "succeeded"]);

    assert_eq!(load.end_without_failure().texts.keys().collect::<Vec<_>>(), ["good"]);
    app.text("better");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "better");
}

#[test]
fn a_dockerfile_that_does_not_build_is_shown_and_changes_nothing() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "good");
    server.deploy(app.path());
    let before = containers(&app.name);
    std::fs::write(app.path().join("Dockerfile"), "FROM scratch\nCOPY nowhere /x\n").unwrap();
    server.run(&["deploy", &app.dir()]).expect(1).says("nowhere").says("✗ failed");
    std::fs::write(app.path().join("Dockerfile"), "FORM scratch\n").unwrap();
    server.run(&["deploy", &app.dir()]).expect(1).says("FORM");
    std::fs::remove_file(app.path().join("Dockerfile")).unwrap();
    let ran = server.run(&["deploy", &app.dir()]).says("Dockerfile");
    assert_ne!(ran.status, 0);
    assert_eq!(containers(&app.name), before);
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "good");
}

#[test]
fn a_mistake_in_the_compose_file_is_named_with_its_line_before_anything_happens() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, "services:\n  web:\n    build: .\n    isolation: process\n");
    server.run(&["deploy", &app.dir()]).expect(2).says("compose.yaml:5:5").says("isolation");
    app.compose("services:\n  web:\n    build: .\n    x-wharf: { rute: { port: 1 } }\n");
    server.run(&["plan", &app.dir()]).expect(2).says("did you mean `route`");
    app.compose("services:\n  web:\n    image: ${IMAGE:?say which}\n");
    server.run(&["deploy", &app.dir()]).expect(2).says("say which");
    assert!(!server.ok(&["apps"]).contains(&app.name));
}

#[test]
fn a_deploy_that_runs_is_named_to_the_next_one_and_can_be_aborted() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "old");
    server.deploy(app.path());
    // Never healthy, and given a minute for it.
    app.compose(
        "services:\n  web:\n    build: .\n    environment: { TEXT: new, UP: 'no' }\n    x-wharf:\n      \
         route: { host: NAME.test, port: 8000 }\n      health: { path: /up, start_period: 60s }\n",
    );
    let events = server.spawn(&["events", "--follow"]);
    let answer = server.json(&["deploy", &app.dir(), "--detach"]);
    let id = answer["deploy"].to_string();
    events.wait_for_line(&format!("deploy {id}: healthy …"), wharf_test_support::DEADLINE);
    server.run(&["deploy", &app.dir()]).expect(1).says("is busy").says(&format!("wharf deploy abort {id}"));
    server.ok(&["deploy", "abort", &id]);
    events.wait_for_line(&format!("deploy {id} failed"), wharf_test_support::DEADLINE);
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "old");
    assert_eq!(containers(&app.name).len(), 1);
    server.run(&["deploy", "abort", &id]).expect(1);
}

#[test]
fn applications_live_side_by_side_and_share_a_host_name_by_path() {
    require!(Docker);
    let server = Server::start();
    let front = App::web(&server, "front");
    let back = App::with(
        &server,
        &format!(
            "services:\n  web:\n    build: .\n    environment: {{ TEXT: back }}\n    x-wharf:\n      \
             route: {{ host: {}, path: /api, port: 8000 }}\n",
            front.host()
        ),
    );
    let (one, other) = (server.spawn(&["deploy", &front.dir()]), server.spawn(&["deploy", &back.dir()]));
    one.wait_for_line("release 1 serves", Duration::from_secs(60));
    other.wait_for_line("release 1 serves", Duration::from_secs(60));
    for (path, text) in [("/", "front"), ("/api", "back"), ("/api/x?y", "back"), ("/apix", "front")] {
        assert_eq!(web::body(server.balancer, &front.host(), path), text, "{path}");
    }
    let kept = containers(&front.name);
    server.ok(&["rm", &back.name]);
    assert_eq!(containers(&front.name), kept);
    assert_eq!(web::body(server.balancer, &front.host(), "/api"), "front");
}

#[test]
fn a_container_that_is_not_ours_is_never_touched() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "ours");
    server.deploy(app.path());
    let mine = containers_of(&app.name, "web").remove(0);
    let image = inspect(&mine)["Image"].as_str().unwrap().to_owned();
    // It looks like one of ours and has the name that the next release wants, but nobody of ours made it.
    let taken = inspect(&mine)["Name"].as_str().unwrap().trim_start_matches('/').replace("-r1-", "-r2-");
    let foreign =
        docker(&["run", "-d", "--name", &taken, "--label", &format!("wharf.app={}", app.name), &image]);
    app.text("next");
    server.run(&["deploy", &app.dir()]).expect(1).says(&taken);
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "ours");
    server.ok(&["rm", &app.name]);
    assert_eq!(inspect(&foreign)["State"]["Running"], true);
    assert_eq!(containers(&app.name), [foreign]);
}
