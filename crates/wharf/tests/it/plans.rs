//! Plans as an operator uses them: read, saved, applied, refused; and what is left over, shown and removed.

use wharf_test_support::{DEADLINE, require, temp_dir};

use crate::app::App;
use crate::docker::{containers, docker, inspect, named};
use crate::server::Server;
use crate::support::eventually;

#[test]
fn a_plan_is_read_saved_applied_and_refused_once_the_world_has_moved() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "one");
    server.deploy(app.path());
    let dir = temp_dir();
    let file = dir.path().join("shop.plan").display().to_string();

    app.text("two");
    let plan = server.ok(&["plan", &app.dir(), "--save", &file]);
    for words in ["on the balancers", "release: 1 → 2", "container", "built from context", "wharf apply"] {
        assert!(plan.contains(words), "{words} is not in {plan}");
    }
    let before = containers(&app.name);
    assert!(server.ok(&["releases", &app.name]).lines().count() <= 3, "a plan makes no release");
    assert_eq!(containers(&app.name), before, "a plan touches nothing");

    server.run(&["apply", &file]).expect(0);
    assert_ne!(containers(&app.name), before);
    // What it was made for is past.
    server.run(&["apply", &file]).expect(1).says("the world has moved");
    server.run(&["deploy", "--plan", &file]).expect(1).says("is to be release 2 now");

    std::fs::write(&file, "services: {}").unwrap();
    server.run(&["apply", &file]).expect(2).says("this is no saved plan");
    server.run(&["apply", "/no/such/plan"]).expect(1).says("cannot read /no/such/plan");
}

#[test]
fn volumes_go_only_when_that_is_said_twice() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(
        &server,
        "services:\n  db:\n    build: .\n    volumes: ['rows:/data']\nvolumes: { rows: {} }\n",
    );
    server.deploy(app.path());
    let volume = format!("{}_rows", app.name);
    server.run(&["rm", &app.name, "--volumes"]).expect(2).says("say --yes");
    assert_eq!(containers(&app.name).len(), 1, "nothing was removed");
    server.ok(&["rm", &app.name]);
    assert_eq!(named("volume", &app.name), std::slice::from_ref(&volume));
    eventually("the agent reports the volume", DEADLINE, || {
        server.ok(&["ps", "--orphans", &app.name]).contains(&volume).then_some(())
    });
    server.run(&["prune", &app.name, "--volumes"]).expect(2).says(&volume);
    server.ok(&["prune", &app.name]);
    assert_eq!(named("volume", &app.name), std::slice::from_ref(&volume), "volumes only with --volumes");
    server.run(&["prune", &app.name, "--volumes", "--yes"]).expect(0).says(&volume);
    assert!(docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]).is_empty());
}

/// A network with the labels of an agent, which no generation names.
fn leave_network(app: &App, name: &str, owner: &str) -> String {
    let network = format!("{}_{name}", app.name);
    let (owner, of) = (format!("wharf.owner={owner}"), format!("wharf.app={}", app.name));
    docker(&["network", "create", "--label", &owner, "--label", &of, &network]);
    network
}

#[test]
fn orphans_go_with_a_deploy_that_says_so_and_those_of_other_agents_only_when_named() {
    require!(Docker);
    let mut server = Server::start();
    let app = App::web(&server, "hello");
    server.deploy(app.path());
    let container = inspect(&containers(&app.name)[0]);
    let owner = container["Config"]["Labels"]["wharf.owner"].as_str().unwrap();
    let image = container["Config"]["Image"].as_str().unwrap();
    // An agent removes a network of its own that nothing uses; this one is held by a container that is not Wharf's. The
    // agent must not see it before it is held.
    server.kill();
    let ours = leave_network(&app, "ours", owner);
    let label = format!("wharf.app={}", app.name);
    let holder = docker(&["run", "-d", "--label", &label, "--network", &ours, image]);
    let others = leave_network(&app, "others", "elsewhere");
    server.run_again();
    let default = format!("{}_default", app.name);
    let networks = || named("network", &app.name);
    for (name, whose) in [(&ours, "ours"), (&others, "of another agent")] {
        eventually("the agent reports the orphans", DEADLINE, || {
            let text = server.ok(&["ps", "--orphans", &app.name]);
            text.lines().any(|line| line.contains(name.as_str()) && line.contains(whose)).then_some(())
        });
    }

    // A deploy leaves orphans alone unless it says so; what is in use can't go, which is said, and the deploy holds.
    app.text("two");
    server.run(&["deploy", &app.dir()]).expect(0);
    app.text("three");
    server.run(&["deploy", &app.dir(), "--remove-orphans"]).expect(1).says("not removed: network");
    assert_eq!(crate::web::body(server.balancer, &app.host(), "/"), "three");
    assert_eq!(networks(), [default.clone(), others.clone(), ours.clone()]);
    server.run(&["deploy", &app.dir(), "--remove-orphans", "--detach"]).expect(2).says("--detach");
    docker(&["rm", "-f", &holder]);
    eventually("it is gone, on request or by itself", DEADLINE, || {
        server.ok(&["deploy", &app.dir(), "--remove-orphans"]);
        (!networks().contains(&ours)).then_some(())
    });

    // What another agent has made goes only when that is said.
    server.run(&["prune", &app.name]).expect(0).says("no orphans to remove");
    let elsewhere = ["prune", &app.name, "--all-agents", "--host", "elsewhere"];
    server.run(&elsewhere).expect(0).says("no orphans to remove");
    assert_eq!(networks(), [default.clone(), others.clone()]);
    let removed = format!("removed network {others} on local");
    server.run(&["prune", &app.name, "--all-agents"]).expect(0).says(&removed);
    assert_eq!(networks(), [default]);
    server.run(&["events", "--kind", "orphan_removed", "--who", "admin"]).expect(0).says(&others);
}
