//! A host's dockerd is restarted under its containers, and disks of a host are full: what serves, serves on.

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::hosts::Site;
use crate::load::Load;
use crate::support::eventually;
use crate::web;

fn healthy(site: &Site, app: &App, count: usize) {
    eventually("all are healthy", DEADLINE, || {
        let listed = site.server.json(&["ps", &app.name]);
        let states = listed["instances"].as_array()?;
        (states.len() == count && states.iter().all(|one| one["state"]["state"] == "healthy")).then_some(())
    });
}

#[test]
fn with_live_restore_containers_run_on_while_dockerd_is_restarted() {
    require!(Lab, Docker);
    let site = Site::with_dockerd("whlive", "10.82.0", 2, &[], &["--live-restore"]);
    for (host, name) in [(1, "one"), (2, "two")] {
        site.join(host, name, &site.token(&[])).expect(0);
        site.start_agent(host);
        site.wait_for(name, "up", DEADLINE);
    }
    let server = &site.server;
    let app = App::web(server, "steady");
    app.web_with("steady", "    deploy: { replicas: 2 }");
    server.deploy(app.path());
    let before = [1, 2].map(|host| site.containers(host));
    assert_eq!(before.each_ref().map(Vec::len), [1, 1]);

    let load = Load::start(server.balancer, &app.host());
    for host in [1, 2] {
        site.runtime.block_on(site.lab.dockerd_restart(host)).unwrap();
        healthy(&site, &app, 2);
    }
    // The agent follows the new dockerd: it hears of a container that is removed by hand, and the other one is left alone.
    assert_eq!([1, 2].map(|host| site.containers(host)), before, "the same processes since the same time");
    site.sh(1, "docker rm -f $(docker ps -q)").expect(0);
    eventually("the container that was removed is made again", DEADLINE, || {
        let now = site.containers(1);
        (now.len() == 1 && now != before[0]).then_some(())
    });
    healthy(&site, &app, 2);
    assert_eq!(site.containers(2), before[1]);
    let outcome = load.end_without_failure();
    assert_eq!(outcome.texts.keys().collect::<Vec<_>>(), ["steady"]);
    // Deploys work on it as before.
    app.text("next");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "next");
    server.ok(&["rm", &app.name]);
}

/// An image of its own for each `number`, with 4 MiB that no other has.
fn ballast(app: &App, number: u8) {
    let mut state = u64::from(number);
    let next = || {
        // xorshift64 (Marsaglia 2003): what a registry can't make smaller.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let bytes: Vec<u8> = std::iter::repeat_with(next).take(512 << 10).flatten().collect();
    std::fs::write(app.path().join("ballast"), bytes).unwrap();
    let dockerfile = app.path().join("Dockerfile");
    let text = std::fs::read_to_string(&dockerfile).unwrap();
    if !text.contains("ballast") {
        std::fs::write(&dockerfile, text.replace("ENTRYPOINT", "COPY ballast /ballast\nENTRYPOINT")).unwrap();
    }
    app.text(&format!("text{number}"));
}

#[test]
fn on_a_full_disk_a_deploy_fails_with_what_to_do_and_works_once_there_is_space() {
    require!(Lab, Docker);
    let site = Site::new("whfull", "10.83.0", 1, &["deploy.healthy_deadline=15s"]);
    let server = &site.server;
    // Both directories on small disks of their own.
    site.sh(1, "mount -t tmpfs -o size=96m full /var/lib/docker").expect(0);
    site.sh(1, "mkdir -p /var/lib/wharf && mount -t tmpfs -o size=1m,mode=0700 full /var/lib/wharf")
        .expect(0);
    site.runtime.block_on(site.lab.dockerd_restart(1)).unwrap();
    site.join(1, "one", &site.token(&[])).expect(0);
    site.start_agent(1);
    site.wait_for("one", "up", DEADLINE);
    let app = App::web(server, "text1");
    ballast(&app, 1);
    server.deploy(app.path());
    let serves = |text: &str| assert_eq!(web::body(server.balancer, &app.host(), "/"), text);
    serves("text1");

    // The Engine's.
    site.sh(1, "cat /dev/zero >/var/lib/docker/filler; sync").says("o space left");
    ballast(&app, 2);
    let failed = server.run(&["deploy", &app.dir()]).expect(1);
    failed.says("no space left on device").says("hint: the disk of that host's Engine is full");
    serves("text1");
    healthy(&site, &app, 1);
    site.sh(1, "rm /var/lib/docker/filler").expect(0);
    server.deploy(app.path());
    serves("text2");

    // The agent's.
    site.sh(1, "cat /dev/zero >/var/lib/wharf/filler").says("o space left");
    ballast(&app, 3);
    let failed = server.run(&["deploy", &app.dir()]).expect(1);
    failed.says("the agent can't store what is to run").says("hint: free space");
    serves("text2");
    site.sh(1, "rm /var/lib/wharf/filler").expect(0);
    server.deploy(app.path());
    serves("text3");
    server.ok(&["rm", &app.name]);
}
