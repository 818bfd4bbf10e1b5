//! An agent alone dies at each step of a converge: server and balancer live on, the other host serves, and the agent's
//! next start finishes or undoes what was begun, nothing twice.

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::hosts::Site;
use crate::load::Load;
use crate::support::eventually;

/// Each with whether the deploy can go on without the host: from the switch on it does.
const POINTS: &[(&str, bool)] = &[
    ("agent pull begins", false),
    ("agent pull done", false),
    ("agent create begins", false),
    ("agent create done", false),
    ("agent start begins", false),
    ("agent start done", false),
    ("agent stop begins", true),
    ("agent stop done", true),
    ("agent remove begins", true),
    ("agent remove done", true),
];

fn compose(text: &str) -> String {
    format!(
        "services:\n  web:\n    build: .\n    environment: {{ TEXT: {text} }}\n    deploy: {{ replicas: 2 }}\n    x-wharf:\n      \
         route: {{ host: NAME.test, port: 8000 }}\n      health: {{ path: /up, interval: 200ms }}\n"
    )
}

/// State of the newest deploy, once it is not the one before and has ended.
fn ended(site: &Site, app: &App, before: u64) -> Option<(u64, String)> {
    let list = site.server.json(&["deploy", "ls", &app.name]);
    let newest = list["deploys"].as_array()?.iter().max_by_key(|one| one["id"].as_u64())?;
    let (id, state) = (newest["id"].as_u64()?, newest["state"].as_str()?.to_owned());
    (id > before && state != "running").then_some((id, state))
}

#[test]
fn an_agent_that_dies_at_any_step_is_finished_or_undone_and_no_request_is_lost() {
    require!(Lab, Docker);
    // Nothing moves away from the host whose agent is dead for a moment: that is another story.
    let site = Site::new("whcrash", "10.81.0", 2, &["deploy.reschedule=false"]);
    let server = &site.server;
    for (host, name) in [(1, "one"), (2, "two")] {
        site.join(host, name, &site.token(&[])).expect(0);
        site.start_agent(host);
        site.wait_for(name, "up", DEADLINE);
    }
    let app = App::with(server, &compose("text0"));
    server.deploy(app.path());
    assert_eq!([1, 2].map(|host| site.containers(host).len()), [1, 1]);
    let load = Load::start(server.balancer, &app.host());
    let (mut text, mut newest) = ("text0".to_owned(), 1);
    for (number, (point, goes_on)) in (1..).zip(POINTS) {
        site.kill_agent(2);
        site.start_agent_until(2, point);
        site.wait_for("two", "up", DEADLINE);
        let next = format!("text{number}");
        app.compose(&compose(&next));
        let _client = server.spawn(&["deploy", &app.dir()]);
        eventually(&format!("`{point}`: the agent is dead"), DEADLINE, || {
            (!site.agent_runs(2)).then_some(())
        });
        let (id, state) =
            eventually(&format!("`{point}`: the deploy has ended"), DEADLINE, || ended(&site, &app, newest));
        newest = id;
        let is_done = state == "succeeded";
        assert!(is_done || !goes_on, "`{point}`: {state}");
        if is_done {
            text = next;
        }
        site.start_agent(2);
        site.wait_for("two", "up", DEADLINE);
        eventually(&format!("`{point}`: one container on each host, all healthy"), DEADLINE, || {
            let counts = [1, 2].map(|host| site.containers(host).len());
            let listed = server.json(&["ps", &app.name]);
            let all = listed["instances"].as_array()?;
            let is_well = all.len() == 2 && all.iter().all(|one| one["state"]["state"] == "healthy");
            (counts == [1, 1] && is_well).then_some(())
        });
        eventually(&format!("`{point}`: both serve {text}"), DEADLINE, || {
            let all = (0..6).map(|_| crate::web::get(server.balancer, &app.host(), "/"));
            all.into_iter().all(|got| matches!(got, Ok((200, got)) if got == text)).then_some(())
        });
    }
    let outcome = load.end_without_failure();
    assert!(outcome.texts.len() >= 2, "{outcome:?}");
    server.ok(&["rm", &app.name]);
}
