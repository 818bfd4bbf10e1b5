//! SIGTERM and Ctrl-C: what is in flight is finished, streams end, nothing is left behind.

use std::time::{Duration, Instant};

use wharf_test_support::{Child, DEADLINE, require};

use crate::app::App;
use crate::docker::{containers, docker};
use crate::server::Server;
use crate::support::eventually;
use crate::web;

#[test]
fn sigterm_finishes_the_request_in_flight_ends_streams_and_is_over_soon() {
    require!(Docker);
    let mut server = Server::start();
    let app = App::web(&server, "whole");
    server.deploy(app.path());
    let events = server.spawn(&["events", "--follow"]);
    events.wait_for_line("succeeded", DEADLINE);
    let (port, host) = (server.balancer, app.host());
    let request = std::thread::spawn(move || web::get(port, &host, "/slow?1500"));
    let container = containers(&app.name).remove(0);
    eventually("the request is in flight", DEADLINE, || {
        docker(&["logs", &container]).contains("slow").then_some(())
    });
    let began = Instant::now();
    server.child().signal(15);
    assert_eq!(request.join().unwrap().unwrap(), (200, "whole".to_owned()));
    assert_eq!(server.child().wait(DEADLINE).code(), Some(0), "{}", server.child().output());
    assert!(began.elapsed() < Duration::from_secs(8), "took {:?}", began.elapsed());
    events.wait_for_line("the connection to the server is lost; trying again", DEADLINE);
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &container]), "true", "containers run on");
    server.run_again();
    events.wait_for_line("connected again", DEADLINE);
}

#[test]
fn ctrl_c_stops_an_idle_server_at_once() {
    let mut server = Server::start_with(&["docker.is_host=false"]);
    let began = Instant::now();
    server.child().signal(2);
    assert_eq!(server.child().wait(DEADLINE).code(), Some(0), "{}", server.child().output());
    assert!(began.elapsed() < Duration::from_secs(3), "took {:?}", began.elapsed());
}

#[test]
fn a_server_told_to_stop_during_a_deploy_stops_and_settles_it_later() {
    require!(Docker);
    let mut server = Server::start();
    let app = App::web(&server, "old");
    server.deploy(app.path());
    app.compose(
        "services:\n  web:\n    build: .\n    environment: { TEXT: new, UP: 'no' }\n    x-wharf:\n      \
         route: { host: NAME.test, port: 8000 }\n      health: { path: /up, start_period: 60s }\n",
    );
    let events = server.spawn(&["events", "--follow"]);
    let mut deploy = server.spawn(&["deploy", &app.dir()]);
    events.wait_for_line("deploy 2: healthy …", DEADLINE);
    let began = Instant::now();
    server.child().signal(15);
    assert_eq!(server.child().wait(DEADLINE).code(), Some(0), "{}", server.child().output());
    assert!(began.elapsed() < Duration::from_secs(8), "took {:?}", began.elapsed());
    assert_eq!(deploy.wait(DEADLINE).code(), Some(1));
    server.run_again();
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "old");
    eventually("the deploy is settled", DEADLINE, || {
        (server.json(&["deploy", "ls"])["deploys"][0]["state"] == "failed").then_some(())
    });
    eventually("its container is gone", DEADLINE, || (containers(&app.name).len() == 1).then_some(()));
}

#[test]
fn ctrl_c_ends_the_showing_of_a_deploy_and_not_the_deploy() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "going on");
    let mut deploy = Child::spawn(&mut server.command(&["deploy", &app.dir()]));
    deploy.wait_for_line("built", DEADLINE);
    deploy.signal(2);
    assert_eq!(deploy.wait(DEADLINE).code(), Some(1));
    deploy.wait_for_line("goes on there", DEADLINE);
    eventually("the deploy succeeds", DEADLINE, || {
        (server.json(&["deploy", "ls"])["deploys"][0]["state"] == "succeeded").then_some(())
    });
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "going on");
}
