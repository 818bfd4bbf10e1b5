//! The server dies at each step of `wharf host drain`: after its start the host is emptied all the same, nothing runs
//! twice, and what kept its data stayed. And a link that is cut: what is single runs on where it is, and nowhere else.

use std::os::unix::process::ExitStatusExt as _;

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::hosts::Site;
use crate::support::eventually;
use crate::web;

const SIGABRT: i32 = 6;

const POINTS: &[&str] = &[
    "move plan begins",
    "move plan done",
    "move start begins",
    "move start committed",
    "move healthy done",
    "move switch begins",
    "move switch committed",
    "move drain done",
    "move stop committed",
    "move stop done",
];

const COMPOSE: &str = "services:
  web:
    build: .
    environment: { TEXT: here }
    deploy: { replicas: 2 }
    x-wharf:
      route: { host: NAME.test, port: 8000 }
      health: { path: /up, interval: 200ms }
  keeper:
    build: .
    restart: always
    x-wharf: { hosts: host(two) }
    volumes: ['data:/data']
volumes: { data: {} }
";

#[test]
fn a_drain_survives_the_server_and_a_cut_link_starts_nothing_single_twice() {
    require!(Lab, Docker);
    let mut site = Site::new("whdrain", "10.82.0", 2, &[]);
    for (host, name) in [(1, "one"), (2, "two")] {
        site.join(host, name, &site.token(&[])).expect(0);
        site.start_agent(host);
        site.wait_for(name, "up", DEADLINE);
    }
    let app = App::with(&site.server, COMPOSE);
    site.server.deploy(app.path());
    let counts = |site: &Site| [1, 2].map(|host| site.containers(host).len());
    assert_eq!(counts(&site), [1, 2]);
    let keeper = |site: &Site| {
        let socket = site.lab.docker_socket(2);
        let ids = crate::docker::docker_at(&socket, &["ps", "-q", "--filter", "label=wharf.service=keeper"]);
        ids.expect(0).stdout.trim().to_owned()
    };
    let kept = keeper(&site);
    for point in POINTS {
        site.server.kill();
        site.server.run_until(point);
        ["one", "two"].iter().for_each(|name| site.wait_for(name, "up", DEADLINE));
        let _client = site.server.spawn(&["host", "drain", "two"]);
        let died = site.server.child().wait(DEADLINE);
        assert_eq!(died.signal(), Some(SIGABRT), "{point}: {}", site.server.child().output());
        site.server.run_again();
        eventually(&format!("`{point}`: the host is emptied, but for its data"), DEADLINE, || {
            (counts(&site) == [2, 1]).then_some(())
        });
        eventually(&format!("`{point}`: the application serves"), DEADLINE, || {
            let got = web::get(site.server.balancer, &app.host(), "/").ok()?;
            (got == (200, "here".to_owned())).then_some(())
        });
        assert_eq!(keeper(&site), kept, "`{point}`: what has data was not touched");
        ["one", "two"].iter().for_each(|name| site.wait_for(name, "up", DEADLINE));
        // Back to where it was: nothing moves back by itself, a new number does.
        site.server.ok(&["host", "drain", "two", "--undo"]);
        for number in ["web=1", "web=2"] {
            eventually(&format!("`{point}`: {number}"), DEADLINE, || {
                let ran = site.server.run(&["scale", "--app", &app.name, number]);
                (ran.status == 0).then_some(())
            });
        }
        eventually(&format!("`{point}`: one on each"), DEADLINE, || (counts(&site) == [1, 2]).then_some(()));
    }

    // The link of the host with the single service is cut: it runs on there, the other service goes elsewhere.
    site.runtime.block_on(site.lab.cut(2)).unwrap();
    site.wait_for("two", "lost", DEADLINE);
    eventually("its share of web runs elsewhere", DEADLINE, || (counts(&site) == [2, 2]).then_some(()));
    eventually("what stays is said", DEADLINE, || {
        let events = site.server.ok(&["events", "--limit", "500"]);
        events.contains("keeper stays on two").then_some(())
    });
    assert_eq!((keeper(&site), site.containers(1).len()), (kept.clone(), 2));
    site.runtime.block_on(site.lab.heal(2)).unwrap();
    site.wait_for("two", "up", DEADLINE);
    eventually("what has moved is gone from two", DEADLINE, || (counts(&site) == [2, 1]).then_some(()));
    assert_eq!(keeper(&site), kept);
    site.server.ok(&["rm", &app.name]);
}
