//! `x-wharf.before_switch`: a migration runs once, in the new image, before anybody is served by it, or refuses the deploy.

use wharf_test_support::require;

use crate::app::App;
use crate::docker::{containers, containers_of};
use crate::load::Load;
use crate::server::Server;
use crate::web;

/// `tell NAME STATUS` prints a variable and ends so.
fn compose(text: &str, status: u32) -> String {
    format!(
        "services:\n  web:\n    build: .\n    environment: {{ TEXT: {text}, SAID: \"migrating to {text}\" }}\n    \
         depends_on: [store]\n    x-wharf:\n      route: {{ host: NAME.test, port: 8000 }}\n      \
         health: {{ path: /up, interval: 200ms }}\n      \
         before_switch: {{ command: [tell, SAID, \"{status}\"], timeout: 30s }}\n  store:\n    build: .\n    restart: always\n"
    )
}

#[test]
fn a_migration_runs_before_the_switch_or_refuses_the_deploy() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, &compose("one", 0));
    server
        .run(&["plan", &app.dir()])
        .expect(0)
        .says("> before the switch, web runs `tell SAID 0` (at most 30s)");
    let said = server.deploy(app.path());
    assert!(said.contains("web | migrating to one") && said.contains("web | complaint"), "{said}");
    let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("no {what} in {said}"));
    assert!(at("store-r1-1") < at("migrating to one") && at("migrating to one") < at("✓ switch"), "{said}");
    assert_eq!(containers(&app.name).len(), 2, "the one-off container is gone");

    let load = Load::start(server.balancer, &app.host());
    let (web, store) = (containers_of(&app.name, "web"), containers_of(&app.name, "store"));
    app.compose(&compose("two", 3));
    let refused = server.run(&["deploy", &app.dir()]).expect(1);
    let refused =
        refused.says("web | migrating to two").says("ended with status 3").says("hint: nothing was switched");
    assert!(!refused.stdout.contains("✓ switch"), "{}", refused.stdout);
    assert_eq!((containers_of(&app.name, "web"), containers_of(&app.name, "store")), (web, store.clone()));
    let list = server.json(&["deploy", "ls", &app.name]);
    let failed = &list["deploys"][0];
    assert_eq!(failed["log_tail"].as_array().unwrap().len(), 2, "{failed}");
    server.run(&["events", "--app", &app.name, "--limit", "200"]).expect(0).says("ended with status 3");

    app.compose(&compose("three", 0));
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "three");
    assert_eq!(containers_of(&app.name, "store"), store);
    // Nothing has changed: nothing is run.
    let again = server.deploy(app.path());
    assert!(again.contains("up to date") && !again.contains("migrating"), "{again}");
    let outcome = load.end_without_failure();
    assert_eq!(outcome.texts.keys().collect::<Vec<_>>(), ["one", "three"]);
    server.ok(&["rm", &app.name]);
}
