//! Images of others: docker and skopeo against the running server's registry.

use std::process::Command;

use wharf_test_support::{require, temp_dir};

use crate::docker::{docker, sweep_images};
use crate::program;
use crate::server::{Server, wharf};
use crate::support::{checked, run};

/// Images whose names begin with this are removed at the end.
struct Images(String);

impl Drop for Images {
    fn drop(&mut self) {
        sweep_images(&self.0);
    }
}

#[test]
fn docker_pushes_and_pulls_and_what_was_pushed_survives_a_crash() {
    require!(Docker);
    let mut server = Server::start_with(&["docker.is_host=false"]);
    let images = Images(format!("127.0.0.1:{}/", server.registry));
    let image = format!("{}tools/story:v1", images.0);
    let context = temp_dir();
    std::fs::copy(program::built(), context.path().join("program")).unwrap();
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY program /program\n").unwrap();
    docker(&["build", "-q", "-t", &image, &context.path().display().to_string()]);
    let pushed = docker(&["push", &image]);
    let digest = pushed.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap().to_owned();

    server.kill();
    server.run_again();
    sweep_images(&images.0);
    docker(&["pull", &image]);
    docker(&["pull", &format!("{}tools/story@{digest}", images.0)]);
    let tags = server.json(&["registry", "ls", "tools/story"]);
    assert_eq!((tags[0]["name"].as_str(), tags[0]["digest"].as_str()), (Some("v1"), Some(digest.as_str())));
    server.run(&["registry", "ls"]).expect(0).says("tools/story");
    let missing = format!("{}tools/story:v2", images.0);
    run(Command::new("docker").env("DOCKER_API_VERSION", "1.41").args(["pull", &missing]))
        .expect(1)
        .says("not found");
}

#[test]
fn skopeo_copies_in_and_out_byte_for_byte() {
    require!(Command("skopeo"));
    let server = Server::start_with(&["docker.is_host=false"]);
    let files = temp_dir();
    let path = |name: &str| files.path().join(name).display().to_string();
    // An OCI layout by hand: one layer, one configuration.
    std::fs::write(files.path().join("hello"), "hello\n").unwrap();
    checked(Command::new("tar").args(["-C", &path(""), "-cf", &path("layer.tar"), "hello"]));
    let remote = format!("docker://127.0.0.1:{}/mirror/hello:1", server.registry);
    checked(Command::new("skopeo").args([
        "copy",
        "--insecure-policy",
        "--dest-tls-verify=false",
        &format!("tarball:{}", path("layer.tar")),
        &remote,
    ]));
    for name in ["one", "two"] {
        checked(Command::new("skopeo").args([
            "copy",
            "--insecure-policy",
            "--src-tls-verify=false",
            &remote,
            &format!("dir:{}", path(name)),
        ]));
    }
    checked(Command::new("diff").args(["-r", &path("one"), &path("two")]));
    let inspected = checked(Command::new("skopeo").args(["inspect", "--tls-verify=false", &remote]));
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let tags = server.json(&["registry", "ls", "mirror/hello"]);
    assert_eq!(tags[0]["digest"], inspected["Digest"]);
}

#[test]
fn the_registry_runs_alone() {
    require!(Command("skopeo"));
    let server = Server::prepare(&[]);
    let mut command = server.up_command();
    command.args(["--only", "registry"]);
    let child = wharf_test_support::Child::spawn(&mut command);
    child.wait_for_line("registry", wharf_test_support::DEADLINE);
    child.wait_for_line("wharf ", wharf_test_support::DEADLINE);
    let remote = format!("docker://127.0.0.1:{}/none", server.registry);
    run(Command::new("skopeo").args(["list-tags", "--tls-verify=false", &remote])).expect(1).says("404");
    run(wharf().args(["ps", "--server", &format!("http://127.0.0.1:{}", server.api)]))
        .expect(1)
        .says("refused");
}
