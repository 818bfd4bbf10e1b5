//! `wharf restart` under load: every container is another one afterwards, and no request has noticed.

use std::collections::BTreeSet;

use wharf_test_support::require;

use crate::app::App;
use crate::docker::{containers, containers_of};
use crate::load::Load;
use crate::server::Server;

const COMPOSE: &str = "services:
  web:
    build: .
    environment: { TEXT: steady }
    depends_on: [keeper]
    deploy: { replicas: 2 }
    x-wharf:
      route: { host: NAME.test, port: 8000 }
      health: { path: /up, interval: 200ms }
  keeper:
    build: .
    restart: always
";

fn ids(of: Vec<String>) -> BTreeSet<String> {
    of.into_iter().collect()
}

#[test]
fn a_restart_replaces_every_container_and_loses_no_request() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, COMPOSE);
    server.deploy(app.path());
    let load = Load::start(server.balancer, &app.host());
    let (web, keeper) = (ids(containers_of(&app.name, "web")), ids(containers_of(&app.name, "keeper")));

    // A service: the other one is not touched.
    let said = server.ok(&["restart", "web", "--app", &app.name]);
    assert!(said.contains(&format!("{} is restarted; release 1 serves", app.name)), "{said}");
    assert!(said.contains("1 of 2: ") && said.contains("2 of 2: "), "{said}");
    let restarted = ids(containers_of(&app.name, "web"));
    assert!(restarted.len() == 2 && restarted.is_disjoint(&web), "{web:?} → {restarted:?}");
    assert_eq!(ids(containers_of(&app.name, "keeper")), keeper);

    // The whole application, by its name alone, and by its directory.
    let all = ids(containers(&app.name));
    let deploy = server.json(&["restart", &app.name]);
    assert_eq!((&deploy["what"], &deploy["state"]), (&"restart".into(), &"succeeded".into()), "{deploy}");
    let after = ids(containers(&app.name));
    assert!(after.len() == 3 && after.is_disjoint(&all), "{all:?} → {after:?}");
    let here = crate::support::run(server.command(&["restart", "keeper"]).current_dir(app.path()));
    here.expect(0).says("stopped first");
    assert_eq!(ids(containers_of(&app.name, "web")).intersection(&after).count(), 2);

    let outcome = load.end_without_failure();
    assert_eq!(outcome.texts.keys().collect::<Vec<_>>(), ["steady"]);
    // It is told who did it, and wrong names are refused.
    server.run(&["events", "--app", &app.name, "--limit", "500"]).expect(0).says("restart");
    server.run(&["restart", "wbe", "--app", &app.name]).expect(2).says("did you mean `web`?");
    server.run(&["restart", "web", "keeper"]).expect(2).says("--app");
    server.run(&["restart", "nothing"]).expect(1).says("there is no application `nothing`");
    server.ok(&["rm", &app.name]);
}
