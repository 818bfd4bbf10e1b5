//! The docker CLI against this machine's Engine, or one of the lab's.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, checked, run};

/// Runs `docker ARGS` and returns what it prints; it must succeed.
pub(crate) fn docker(args: &[&str]) -> String {
    checked(command(None).args(args))
}

/// The same against the Engine with this socket; it may fail.
pub(crate) fn docker_at(socket: &Path, args: &[&str]) -> Ran {
    run(command(Some(socket)).args(args))
}

fn command(socket: Option<&Path>) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_API_VERSION", "1.41");
    if let Some(socket) = socket {
        command.arg("-H").arg(format!("unix://{}", socket.display()));
    }
    command
}

/// Ids of all containers of an application, also of those that have ended, in order.
pub(crate) fn containers(app: &str) -> Vec<String> {
    listed(&["ps", "-aq", "--no-trunc", "--filter", &format!("label=wharf.app={app}")])
}

/// Ids of the containers of one service, in order.
pub(crate) fn containers_of(app: &str, service: &str) -> Vec<String> {
    let (app, service) = (format!("label=wharf.app={app}"), format!("label=wharf.service={service}"));
    listed(&["ps", "-aq", "--no-trunc", "--filter", &app, "--filter", &service])
}

/// Names of networks or volumes that begin with the application's name.
pub(crate) fn named(kind: &str, app: &str) -> Vec<String> {
    let prefix = format!("{app}_");
    let all = listed(&[kind, "ls", "--format", "{{.Name}}"]);
    all.into_iter().filter(|name| name.starts_with(&prefix)).collect()
}

/// `docker inspect` of one container.
pub(crate) fn inspect(id: &str) -> Value {
    let answer: Value = serde_json::from_str(&docker(&["inspect", id])).unwrap();
    answer[0].clone()
}

fn listed(args: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = docker(args).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Removes what an application left on the Engine, whatever state it is in.
pub(crate) fn sweep(app: &str) {
    for id in containers(app) {
        run(command(None).args(["rm", "-f", "-v", &id]));
    }
    for kind in ["network", "volume"] {
        for name in named(kind, app) {
            run(command(None).args([kind, "rm", &name]));
        }
    }
}

/// Removes the images whose names begin with `prefix`, such as `127.0.0.1:20001/`.
pub(crate) fn sweep_images(prefix: &str) {
    let format = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}";
    for line in listed(&["images", "--digests", "--format", format]) {
        for name in line.split(' ').filter(|name| name.starts_with(prefix) && !name.ends_with("<none>")) {
            run(command(None).args(["rmi", "-f", name]));
        }
    }
}
