//! Hosts with other processors: an image goes where it runs, and nothing starts where it can't.

use wharf_test_support::{Child, DEADLINE, TempDir, require, temp_dir};

use crate::app::App;
use crate::docker::containers;
use crate::server::{Server, wharf};
use crate::support::eventually;

/// One host without containers that says it has a processor of `architecture`, connected.
fn pretend(server: &Server, prefix: &str, architecture: &str) -> (Child, TempDir) {
    let token = server.json(&["host", "token"])["token"].as_str().unwrap().to_owned();
    let (url, directory) = (format!("http://127.0.0.1:{}", server.api), temp_dir());
    let mut command = wharf();
    command.args(["lab", "agents", &url, "--count", "1", "--prefix", prefix, "--architecture", architecture]);
    command.args(["--token", &token, "--output", "json", "--data"]).arg(directory.path());
    let child = Child::spawn(&mut command);
    child.wait_for_line(r#""connected":1"#, DEADLINE);
    (child, directory)
}

#[test]
fn an_image_goes_to_a_host_that_runs_it_and_is_refused_where_there_is_none() {
    let server = Server::start_with(&["docker.is_host=false"]);
    let _arm = pretend(&server, "arm", "aarch64");
    let dir = temp_dir();
    let path = dir.path().display().to_string();
    let compose = "name: elsewhere\nservices:\n  web:\n    image: nowhere/web:1\n    platform: linux/amd64\n";
    std::fs::write(dir.path().join("compose.yaml"), compose).unwrap();
    for verb in ["plan", "deploy"] {
        let said = server.run(&[verb, &path]).expect(1);
        said.says("arm1 is linux/arm64 and the image nowhere/web:1 of `web` is for linux/amd64")
            .says("hint: build the image for that platform");
    }
    assert!(server.ok(&["host", "ls"]).contains("aarch64"));
    assert!(server.ok(&["host", "show", "arm1"]).contains("aarch64"));

    let _pc = pretend(&server, "pc", "x86_64");
    eventually("the new host has said what it is", DEADLINE, || {
        let plan = server.run(&["plan", &path]);
        (plan.status == 0 && plan.stdout.contains("pc1") && !plan.stdout.contains("arm1")).then_some(())
    });
    server.ok(&["deploy", &path]);
    assert!(server.ok(&["ps", "elsewhere"]).contains("pc1"));
}

#[test]
fn an_image_that_was_built_for_other_processors_is_not_started() {
    require!(Docker);
    let server = Server::start();
    let other = if std::env::consts::ARCH == "aarch64" { "amd64" } else { "arm64" };
    let app = App::with(
        &server,
        &format!("services:\n  job:\n    build: {{ context: ., platforms: [linux/{other}] }}\n"),
    );
    let said = server.run(&["deploy", &app.dir()]).expect(1);
    assert!(format!("{}{}", said.stdout, said.stderr).contains(&format!("of `job` is for linux/{other}")));
    assert!(containers(&app.name).is_empty(), "nothing was started");
}
