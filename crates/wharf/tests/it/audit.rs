//! The event log is the audit log: what each holder of a token changed is in it, under their name.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::server::{Server, wharf};
use crate::support::{Ran, checked, eventually, run};

/// Kinds that a story below can't leave: a host that joins is in `hosts`, orphans are in `plans`.
const ELSEWHERE: &[&str] = &["host_joined", "host_removed", "orphan_removed"];

#[test]
fn every_change_is_told_with_who_made_it() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "hello");
    let made = server.json(&["token", "create", "ann", "--role", "admin"]);
    let token = made["token"].as_str().unwrap().to_owned();
    let url = format!("http://127.0.0.1:{}", server.api);
    let command = |words: &[&str]| {
        let mut command = wharf();
        command.args(["--server", &url, "--token", &token]).args(words);
        command
    };
    let ann = |words: &[&str]| -> Ran { run(&mut command(words)) };

    // Before anything runs there that would have to move.
    ann(&["host", "drain", "local"]).expect(0);
    ann(&["host", "drain", "local", "--undo"]).expect(0);
    ann(&["deploy", &app.dir()]).expect(0);
    app.text("two");
    ann(&["deploy", &app.dir()]).expect(0);
    ann(&["rollback", &app.name]).expect(0);
    ann(&["scale", "--app", &app.name, "web=2"]).expect(0);
    ann(&["restart", "web", "--app", &app.name]).expect(0);
    ann(&["exec", "web", "--app", &app.name, "-T", "--", "/program", "tell", "TEXT", "0"]).expect(0);
    ann(&["run", "web", "--app", &app.name, "-T", "--", "tell", "TEXT", "0"]).expect(0);
    ann(&["host", "token"]).expect(0);
    ann(&["token", "create", "bob", "--role", "viewer"]).expect(0);
    ann(&["token", "rm", "bob"]).expect(0);
    let body = format!("{{\"token\": \"{token}\"}}");
    checked(Command::new("curl").args([
        "-sf",
        "-H",
        "Content-Type: application/json",
        "-d",
        &body,
        &format!("{url}/api/v1/session"),
    ]));
    // A deploy that never gets healthy is ended by hand.
    app.web_with("three", "    healthcheck: { test: ['CMD', '/program', 'tell', 'TEXT', '1'], interval: 1s, retries: 100, start_period: 100s }");
    ann(&["deploy", &app.dir(), "--detach"]).expect(0);
    let number = eventually("the deploy runs", DEADLINE, || {
        let list = server.json(&["deploy", "ls", &app.name]);
        list["deploys"].as_array()?.iter().find(|one| one["state"] == "running")?["id"].as_u64()
    });
    ann(&["deploy", "abort", &number.to_string()]).expect(0);
    eventually("it is undone", DEADLINE, || {
        let list = server.json(&["deploy", "ls", &app.name]);
        (list["deploys"][0]["state"] == "aborted").then_some(())
    });
    ann(&["rm", &app.name]).expect(0);

    let document: Value = serde_json::from_str(&checked(wharf().args(["api", "openapi"]))).unwrap();
    let items =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let promised: BTreeSet<&str> =
        items.filter_map(|operation| operation["x-wharf-event"].as_str()).collect();
    let told = server.json(&["events", "--who", "ann", "--limit", "1000"]);
    let events = told["events"].as_array().unwrap();
    let kinds: BTreeSet<&str> = events.iter().filter_map(|record| record["event"]["kind"].as_str()).collect();
    let silent: Vec<&&str> =
        promised.iter().filter(|kind| !kinds.contains(**kind) && !ELSEWHERE.contains(kind)).collect();
    assert_eq!(silent, [&""; 0], "of these ann left none; she left {kinds:?}");
    // What each kind of deploy was is told as well.
    let whats: BTreeSet<&str> = events.iter().filter_map(|record| record["event"]["what"].as_str()).collect();
    for what in ["deploy", "remove", "restart", "rollback", "scale"] {
        assert!(whats.contains(what), "{what} is not among {whats:?}");
    }
    server.run(&["events", "--who", "ann"]).expect(0).says("was ended before its switch");
}
