//! A host loses power, another is cut off: what may run twice runs elsewhere, and in the end nothing runs twice.

use std::time::{Duration, Instant};

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::hosts::Site;
use crate::load::Load;
use crate::support::eventually;

const COMPOSE: &str = "services:
  web:
    build: .
    environment: { TEXT: here }
    deploy: { replicas: 3 }
    x-wharf:
      route: { host: NAME.test, port: 8000 }
      health: { path: /up, interval: 200ms }
  keeper:
    build: .
    restart: always
    x-wharf: { hosts: host(two) }
";

/// Containers of hosts whose Engines answer.
fn total(site: &Site, hosts: &[u32]) -> usize {
    hosts.iter().map(|host| site.containers(*host).len()).sum()
}

#[test]
fn what_a_lost_host_ran_runs_elsewhere_and_nothing_runs_twice_when_it_is_back() {
    require!(Lab, Docker);
    let site = Site::new("whlost", "10.78.0", 3, &[]);
    let server = &site.server;
    for (host, name) in [(1, "one"), (2, "two"), (3, "three")] {
        site.join(host, name, &site.token(&[])).expect(0);
        site.start_agent(host);
    }
    ["one", "two", "three"].iter().for_each(|name| site.wait_for(name, "up", DEADLINE));
    let app = App::with(server, COMPOSE);
    server.deploy(app.path());
    assert_eq!([1, 2, 3].map(|host| site.containers(host).len()), [1, 2, 1]);

    // Power loss.
    let load = Load::start(server.balancer, &app.host());
    let began = Instant::now();
    site.runtime.block_on(site.lab.kill(2)).unwrap();
    site.wait_for("two", "lost", DEADLINE);
    let noticed = began.elapsed();
    let healthy_elsewhere = || {
        let listed = server.json(&["ps", &app.name]);
        let up = listed["instances"].as_array()?.iter().filter(|one| {
            one["service"] == "web" && one["host"] != "two" && one["state"]["state"] == "healthy"
        });
        (up.count() == 3).then_some(())
    };
    eventually("three run elsewhere", DEADLINE, healthy_elsewhere);
    println!("power loss: noticed after {noticed:?}, running elsewhere after {:?}", began.elapsed());
    assert_eq!(total(&site, &[1, 3]), 3);
    eventually("what stays is said", DEADLINE, || {
        let events = server.ok(&["events", "--limit", "500"]);
        events.contains("keeper stays on two, which is lost").then_some(())
    });
    // It is back: it keeps what is single and gets nothing else.
    site.runtime.block_on(site.lab.start(2)).unwrap();
    site.start_agent(2);
    site.wait_for("two", "up", DEADLINE);
    eventually("only the single one is on two", DEADLINE, || {
        let has_converged = site.host("two")?["generation"] == site.host("one")?["generation"];
        (has_converged && site.containers(2).len() == 1).then_some(())
    });
    assert_eq!(total(&site, &[1, 3]), 3);

    // A cut link: the containers run on, also elsewhere, until the link is back.
    let (before, there) = (site.containers(2), site.containers(3));
    site.runtime.block_on(site.lab.cut(3)).unwrap();
    site.wait_for("three", "lost", DEADLINE);
    eventually("its share runs elsewhere", DEADLINE, || (total(&site, &[1, 2]) == 4).then_some(()));
    assert_eq!(site.containers(3), there, "the host that is cut off goes on");
    assert!(before.iter().all(|one| site.containers(2).contains(one)), "what is single was not touched");
    site.runtime.block_on(site.lab.heal(3)).unwrap();
    eventually("what has moved is removed from three", Duration::from_secs(30), || {
        site.containers(3).is_empty().then_some(())
    });
    assert_eq!(total(&site, &[1, 2, 3]), 4);
    let outcome = load.end_without_failure();
    assert_eq!(outcome.texts.keys().collect::<Vec<_>>(), ["here"]);
    server.ok(&["rm", &app.name]);
}
