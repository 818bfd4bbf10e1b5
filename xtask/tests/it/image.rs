//! The image, loaded into a real Engine and run.

use std::process::Command;

use wharf_test_support::{DEADLINE, free_port, require, temp_dir, wharf_binary};

use crate::made::{Made, checked, eventually};

/// Removes a container in the end.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let name = &self.0;
        if std::thread::panicking() {
            eprintln!("--- {name}:\n{}", checked(Command::new("docker").args(["logs", name])));
        }
        let _ = Command::new("docker").args(["rm", "-f", name]).output();
    }
}

#[test]
fn the_image_loads_and_runs_a_server_on_the_engine_outside() {
    require!(Docker, Command("docker"), Command("skopeo"));
    let made = Made::new();
    let archive = made.file(".oci.tar");
    let docker = |args: &[&str]| checked(Command::new("docker").args(args));
    let loaded = docker(&["load", "--input", &archive.display().to_string()]);
    let version = checked(Command::new(wharf_binary()).arg("--version"));
    let (_, number) = version.split_once(' ').unwrap();
    let tag = format!("wharf:{number}");
    assert!(loaded.contains(&tag) && loaded.contains("wharf:latest"), "{loaded}");
    assert_eq!(docker(&["run", "--rm", &tag, "--version"]), version);
    assert!(docker(&["run", "--rm", &tag]).contains("Usage: wharf"));

    // Others read the same archive as an OCI layout.
    let seen =
        checked(Command::new("skopeo").args(["inspect", &format!("oci-archive:{}", archive.display())]));
    assert!(seen.contains(&format!("\"org.opencontainers.image.version\": \"{number}\"")), "{seen}");

    // As docs/guide/install.md says, with a directory and ports of the test's own.
    let (data, name) = (temp_dir(), format!("wharf-dist-test-{}", std::process::id()));
    let (path, api) = (data.path().display().to_string(), free_port());
    let container = Container(name.clone());
    let mut run = Command::new("docker");
    run.args([
        "run",
        "--detach",
        "--name",
        &name,
        "--network",
        "host",
        "--volume",
        &format!("{path}:{path}"),
    ]);
    run.args(["--volume", "/var/run/docker.sock:/var/run/docker.sock", &tag, "up", "--data", &path]);
    for (key, port) in [
        ("api.listen", api),
        ("agents.listen", free_port()),
        ("registry.listen", free_port()),
        ("balancer.http", free_port()),
    ] {
        run.args(["--set", &format!("{key}=127.0.0.1:{port}")]);
    }
    checked(&mut run);
    let server = format!("http://127.0.0.1:{api}");
    let engine = docker(&["version", "--format", "{{.Server.Version}}"]);
    eventually("its host is up, with the Engine outside", DEADLINE, || {
        let mut list = Command::new(wharf_binary());
        list.args(["host", "ls", "--server", &server, "--data", &path])
            .env("XDG_CONFIG_HOME", "/nonexistent");
        let hosts = String::from_utf8(list.output().unwrap().stdout).unwrap();
        (hosts.contains(" up ") && hosts.contains(&engine)).then_some(())
    });
    docker(&["stop", "--time", "20", &name]);
    assert_eq!(
        docker(&["inspect", "--format", "{{.State.ExitCode}}", &name]),
        "0",
        "it ends when it is asked to"
    );
    drop(container);
    docker(&["rmi", &tag, "wharf:latest"]);
}
