//! Two deploys of one application at once: the second hears who is at it and since when, and whoever is killed meanwhile
//! leaves nothing locked.

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::server::Server;
use crate::support::eventually;
use crate::web;

/// Its container does not become healthy within a minute.
fn sick(app: &App) {
    app.compose(
        "services:\n  web:\n    build: .\n    environment: { TEXT: new, UP: 'no' }\n    x-wharf:\n      \
         route: { host: NAME.test, port: 8000 }\n      health: { path: /up, start_period: 60s }\n",
    );
}

#[test]
fn the_second_deploy_hears_of_the_first_and_who_is_killed_leaves_no_lock() {
    require!(Docker);
    let mut server = Server::start();
    let app = App::web(&server, "old");
    server.deploy(app.path());

    sick(&app);
    let events = server.spawn(&["events", "--follow"]);
    let mut first = server.spawn(&["deploy", &app.dir()]);
    events.wait_for_line("deploy 2: healthy …", DEADLINE);
    let refused = || {
        let said = server.run(&["deploy", &app.dir()]).expect(1);
        said.says("is busy: deploy 2 by ").says("runs since 20").says("wharf deploy abort 2");
    };
    refused();
    // The deploy is the server's: it goes on without the command that asked for it.
    first.kill();
    refused();
    server.ok(&["deploy", "abort", "2"]);
    app.text("second");
    eventually("the next deploy is taken", DEADLINE, || {
        (server.run(&["deploy", &app.dir()]).status == 0).then_some(())
    });
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "second");

    sick(&app);
    drop(events);
    let events = server.spawn(&["events", "--follow"]);
    let asked = server.json(&["deploy", &app.dir(), "--detach"]);
    events.wait_for_line(&format!("deploy {}: healthy …", asked["deploy"]), DEADLINE);
    server.kill();
    server.run_again();
    app.text("third");
    eventually("the deploy of the killed server holds nothing", DEADLINE, || {
        (server.run(&["deploy", &app.dir()]).status == 0).then_some(())
    });
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "third");
}
