//! Servers are upgraded first: a server of this build works with agents of the build before.
//!
//! `WHARF_PREVIOUS=/path/to/wharf` names the program of the build before (CI: the last release's). Without it the agent is of
//! this build, so that the way from joining to serving over the network protocol is gone in any case.

use std::path::PathBuf;
use std::process::Command;

use wharf_test_support::{Child, DEADLINE, require, temp_dir};

use crate::app::App;
use crate::docker::containers;
use crate::server::{Server, WHARF};
use crate::support::{eventually, run};
use crate::web;

#[test]
fn an_agent_of_the_build_before_joins_serves_and_follows() {
    require!(Docker, Root);
    let previous = std::env::var_os("WHARF_PREVIOUS").map_or_else(|| PathBuf::from(WHARF), PathBuf::from);
    let server = Server::start_with(&["docker.is_host=false"]);
    let directory = temp_dir();
    let command = |args: &[&str]| {
        let mut command = Command::new(&previous);
        command.args(args).arg("--data").arg(directory.path()).env("XDG_CONFIG_HOME", "/nonexistent");
        for name in ["WHARF_SERVER", "WHARF_TOKEN", "WHARF_DATA"] {
            command.env_remove(name);
        }
        command
    };
    let token = server.json(&["host", "token"])["token"].as_str().unwrap().to_owned();
    let url = format!("http://127.0.0.1:{}", server.api);
    run(&mut command(&["join", &url, "--token", &token, "--name", "old", "--address", "127.0.0.1"]))
        .expect(0);
    let agent = Child::spawn(&mut command(&["agent"]));
    eventually("the host is up", DEADLINE, || {
        (server.json(&["host", "ls"])["hosts"][0]["liveness"] == "up").then_some(())
    });

    let app = App::web(&server, "one");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "one");
    app.text("two");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "two");
    server.ok(&["scale", "--app", &app.name, "web=2"]);
    assert_eq!(containers(&app.name).len(), 2);
    assert_eq!(server.json(&["host", "ls"])["hosts"][0]["problem"], serde_json::Value::Null);
    server.ok(&["rm", &app.name]);
    assert!(containers(&app.name).is_empty());
    drop(agent);
}
