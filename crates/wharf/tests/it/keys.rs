//! Every service key that an Engine carries out, on a real Engine: one service for each.
//!
//! The containers are compared with those that Debian's docker-compose makes from the same file; a second deploy of the same
//! file touches nothing; another value of a key replaces the containers of that key and no others.

mod cases;
mod peer;

use std::collections::BTreeMap;

use wharf_test_support::{DEADLINE, free_port, require};

use crate::app::App;
use crate::docker::{containers_of, docker};
use crate::server::Server;
use crate::support::eventually;
use crate::web;

use cases::{CASES, Case, NO_PROPERTY, NOT_IN_PEER};

/// What the test's file is made with.
struct File {
    image: String,
    ports: [u16; 2],
    /// `10.X.Y`.
    subnet: String,
}

impl File {
    fn new() -> File {
        let image = format!("wharf-keys-test:{}", std::process::id());
        let id = std::process::id();
        // Private networks that neither Docker's default pools nor the lab use.
        let subnet = format!("10.{}.{}", 200 + id % 40, id / 40 % 250);
        File { image, ports: [free_port(), free_port()], subnet }
    }

    /// The Compose file with those cases; of some the second value.
    fn text<'a>(&self, cases: impl Iterator<Item = &'a Case>, is_second: impl Fn(&Case) -> bool) -> String {
        let mut text = "services:\n".to_owned();
        for case in cases {
            text += &format!("  {}:\n    image: {}\n", case.name, self.image);
            for (key, default) in [
                ("stop_grace_period", "1s"),
                ("stop_signal", "SIGKILL"),
                ("command", "[wait]"),
                ("entrypoint", "[/program]"),
            ] {
                let has = |value: &str| value.trim_start().starts_with(&format!("{key}:"));
                if !has(case.first) {
                    text += &format!("    {key}: {default}\n");
                }
            }
            let value = if is_second(case) { case.second } else { case.first };
            text += &format!("    {value}\n");
        }
        // What others refer to, and what never changes itself.
        text +=
            &format!("  base:\n    image: {}\n    entrypoint: [/program]\n    command: [wait]\n", self.image);
        text += "    stop_signal: SIGKILL\n    volumes: ['data:/data']\n";
        text += "volumes: { data: {} }\nconfigs: { conf: { file: ./conf.txt } }\n";
        text += "networks:\n  lan: { ipam: { config: [{ subnet: SUBNET.0/24 }] } }\n";
        text.replace("HOST1", &self.ports[0].to_string())
            .replace("HOST2", &self.ports[1].to_string())
            .replace("SUBNET", &self.subnet)
    }
}

/// The image of the tests, under a name of this test; gone with it.
struct Image(String);

impl Image {
    fn build(app: &App, name: &str) -> Image {
        let context = app.dir();
        crate::support::checked(
            std::process::Command::new("docker")
                .env("DOCKER_API_VERSION", "1.41")
                .env("DOCKER_BUILDKIT", "0")
                .args(["build", "-q", "-t", name, &context]),
        );
        Image(name.to_owned())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["rmi", "-f", &self.0]).output();
    }
}

#[test]
fn every_key_makes_what_docker_compose_makes_and_changes_only_its_own_container() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, "services: {}\n");
    std::fs::write(app.path().join("conf.txt"), "colour: red\n").unwrap();
    let file = File::new();
    let _image = Image::build(&app, &file.image);

    app.compose(&file.text(CASES.iter(), |_| false));
    server.deploy(app.path());
    let first = containers(&app);
    let theirs = CASES.iter().filter(|case| NOT_IN_PEER.iter().all(|(name, _)| *name != case.name));
    peer::compare(&app, &file.text(theirs, |_| false), &first);

    server.deploy(app.path());
    assert_eq!(containers(&app), first, "the same file again touches nothing");

    // First the keys at even places, then the others: each time the neighbours stay.
    let is_even = |case: &Case| CASES.iter().position(|one| one.name == case.name).unwrap().is_multiple_of(2);
    app.compose(&file.text(CASES.iter(), is_even));
    server.deploy(app.path());
    let second = containers(&app);
    check_replaced(&first, &second, is_even);

    app.compose(&file.text(CASES.iter(), |_| true));
    server.deploy(app.path());
    check_replaced(&second, &containers(&app), |case| !is_even(case));
}

fn check_replaced(
    before: &BTreeMap<&'static str, String>,
    after: &BTreeMap<&'static str, String>,
    is_changed: impl Fn(&Case) -> bool,
) {
    for case in CASES {
        let is_replaced = before[case.name] != after[case.name];
        let expected = is_changed(case) && !NO_PROPERTY.contains(&case.name);
        assert_eq!(is_replaced, expected, "{}: `{}` → `{}`", case.name, case.first, case.second);
    }
}

/// The one container of each service.
fn containers(app: &App) -> BTreeMap<&'static str, String> {
    CASES
        .iter()
        .map(|case| {
            let ids = containers_of(&app.name, case.name);
            assert_eq!(ids.len(), 1, "{} has one container", case.name);
            (case.name, ids[0].clone())
        })
        .collect()
}

/// Whether this machine may do it: a container in a container may not give away all capabilities.
#[test]
fn a_privileged_container_has_all_devices() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, "services: { web: { build: ., privileged: true } }\n");
    let image = format!("wharf-keys-privileged:{}", std::process::id());
    let _image = Image::build(&app, &image);
    let may = std::process::Command::new("docker")
        .args(["run", "--rm", "--privileged", "--entrypoint", "/program", &image, "tell", "HOME", "0"])
        .output()
        .unwrap();
    let deploy = server.run(&["deploy", &app.dir()]);
    if may.status.success() {
        deploy.expect(0);
        let id = &containers_of(&app.name, "web")[0];
        assert_eq!(docker(&["inspect", "--format", "{{.HostConfig.Privileged}}", id]), "true");
    } else {
        // The Engine's own refusal reaches the user.
        deploy.expect(1).says("operation not permitted");
    }
}

#[test]
fn who_lives_in_anothers_network_is_made_again_with_it() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, "services: {}\n");
    let write = |text: &str, beside: &str| {
        app.compose(&format!(
            "services:\n  web:\n    build: .\n    environment: {{ TEXT: {text} }}\n    \
             x-wharf: {{ route: {{ host: NAME.test, port: 8000 }} }}\n  \
             side:\n    build: .\n    command: [wait]\n    network_mode: service:web\n    pid: service:web\n  \
             beside:\n    build: .\n    command: [{beside}]\n"
        ));
        server.deploy(app.path());
        let of = |service: &str| containers_of(&app.name, service)[0].clone();
        (of("web"), of("side"), of("beside"))
    };
    let mode =
        |id: &str, key: &str| docker(&["inspect", "--format", &format!("{{{{.HostConfig.{key}}}}}"), id]);
    let (web, side, beside) = write("one", "wait");
    assert_eq!(mode(&side, "NetworkMode"), format!("container:{web}"));
    assert_eq!(mode(&side, "PidMode"), format!("container:{web}"));

    let (next, with, same) = write("two", "wait");
    assert_ne!(next, web);
    assert_ne!(with, side, "its interfaces were those of a container that is gone");
    assert_eq!(mode(&with, "NetworkMode"), format!("container:{next}"));
    assert_eq!(same, beside);
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "two");

    // Somebody removes the container: it and who lives in it come back together.
    docker(&["rm", "-f", &next]);
    eventually("both are there again", DEADLINE, || {
        let (web, side) = (containers_of(&app.name, "web"), containers_of(&app.name, "side"));
        let (web, side) = (web.first()?, side.first()?);
        let runs = mode_of(side, "State.Running") == "true";
        (*web != next && runs && mode_of(side, "HostConfig.NetworkMode") == format!("container:{web}"))
            .then_some(())
    });
}

/// A member of an inspect, or what docker says of a container that goes this moment.
fn mode_of(id: &str, path: &str) -> String {
    let ran = crate::support::run(std::process::Command::new("docker").args([
        "inspect",
        "--format",
        &format!("{{{{.{path}}}}}"),
        id,
    ]));
    ran.stdout.trim().to_owned()
}

#[test]
fn configs_and_builds_are_as_the_file_says() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, "services: {}\n");
    let tag = format!("wharf-keys-extra:{}", std::process::id());
    let _image = Image(tag.clone());
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let write = |text: &str| {
        app.compose(&format!(
            "services:\n  web:\n    build:\n      context: .\n      dockerfile_inline: |\n        FROM scratch\n        \
             COPY program /program\n        STOPSIGNAL SIGKILL\n        ENTRYPOINT [\"/program\"]\n        \
             LABEL made=inline\n      tags: ['{tag}']\n      network: none\n      \
             platforms: [linux/{architecture}]\n      shm_size: 2m\n      ulimits: {{ nofile: 100 }}\n      \
             extra_hosts: ['a.example:192.0.2.1']\n    \
             configs:\n      - text\n      - {{ source: colour, target: /etc/colour, uid: '1000', gid: '1000', mode: 0400 }}\n      \
             - {{ source: who, target: /etc/who }}\n    \
             user: '1000:1000'\n    x-wharf: {{ route: {{ host: NAME.test, port: 8000 }} }}\n\
             configs:\n  text: {{ content: '{text}' }}\n  colour: {{ file: ./colour.txt }}\n  who: {{ environment: WHO }}\n"
        ));
    };
    std::fs::write(app.path().join("colour.txt"), "red").unwrap();
    write("hello");
    let deploy = || crate::support::run(server.command(&["deploy", &app.dir()]).env("WHO", "Ada"));
    deploy().expect(0);
    let read = |path: &str| web::body(server.balancer, &app.host(), &format!("/read?{path}"));
    assert_eq!(
        (read("/text").as_str(), read("/etc/colour").as_str(), read("/etc/who").as_str()),
        ("hello", "red", "Ada")
    );
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Config.Labels.made}}", &tag]), "inline");
    let first = containers_of(&app.name, "web");
    deploy().expect(0);
    assert_eq!(containers_of(&app.name, "web"), first, "the same again touches nothing");
    write("goodbye");
    deploy().expect(0);
    assert_eq!(read("/text"), "goodbye");
    // What can't be read is said before anything happens.
    std::fs::remove_file(app.path().join("colour.txt")).unwrap();
    deploy().expect(2).says("configs.colour.file: cannot read");
    std::fs::write(app.path().join("colour.txt"), "red").unwrap();
    crate::support::run(&mut server.command(&["deploy", &app.dir()]))
        .expect(2)
        .says("the variable `WHO` is not set");
}
