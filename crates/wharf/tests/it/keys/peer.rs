//! The same file given to Debian's docker-compose, and what `docker inspect` shows of both.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Map, Value};
use wharf_test_support::temp_dir;

use crate::app::App;
use crate::docker::{docker, inspect};
use crate::support::{checked, run};

/// Where our containers are meant to differ: service (`*` for all), place, reason.
const INTENDED: &[(&str, &str, &str)] = &[
    ("*", "/HostConfig/Binds", "we use the Engine's mount API; `Mounts` below shows the same for both"),
    ("*", "/HostConfig/Mounts", "docker-compose uses binds; `Mounts` below shows the same for both"),
    (
        "*",
        "/Config/Volumes",
        "docker-compose names targets there too, which makes anonymous volumes of the rest",
    ),
    (
        "security-opt",
        "/HostConfig/SecurityOpt",
        "the Engine reads `no-new-privileges:true` and `=true` alike",
    ),
    (
        "volumes-from",
        "/HostConfig/VolumesFrom",
        "the mounts are copied, so that the order of creation does not matter",
    ),
    ("*", "/HostConfig/RestartPolicy/Name", "`no` and nothing are the same"),
];

/// Removes docker-compose's containers, networks and volumes.
struct Peer {
    project: String,
    directory: wharf_test_support::TempDir,
}

impl Peer {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker-compose");
        command.env("COMPOSE_API_VERSION", "1.41").env("DOCKER_API_VERSION", "1.41");
        command.current_dir(self.directory.path()).args(["-p", &self.project]).args(args);
        command
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        run(&mut self.command(&["down", "-v", "-t", "0"]));
    }
}

/// Fails with all differences that are not intended.
pub(super) fn compare(app: &App, text: &str, ours: &BTreeMap<&'static str, String>) {
    if Command::new("docker-compose").arg("version").output().is_err() {
        assert!(
            std::env::var("WHARF_REQUIRE").is_err(),
            "docker-compose is missing (script/setup test installs it)"
        );
        eprintln!("SKIPPED: no docker-compose here to compare with");
        return;
    }
    let peer = Peer { project: format!("{}p", app.name), directory: temp_dir() };
    // What is fixed can't be there twice: containers are created and not started, and the network has another range.
    let text = text.replace("conf: { file: ./conf.txt }", "");
    std::fs::write(peer.directory.path().join("docker-compose.yml"), text.replace("10.2", "10.1")).unwrap();
    checked(&mut peer.command(&["up", "--no-start"]));
    let listed =
        docker(&["ps", "-aq", "--filter", &format!("label=com.docker.compose.project={}", peer.project)]);
    let mut differences = Vec::new();
    let mut compared = BTreeSet::new();
    for id in listed.lines() {
        let theirs = inspect(id);
        let service = theirs["Config"]["Labels"]["com.docker.compose.service"].as_str().unwrap().to_owned();
        compared.insert(service.clone());
        let Some(ours) = ours.get(service.as_str()) else { continue };
        let ours = inspect(ours);
        let (ours, theirs) = (view(&ours, &app.name), view(&theirs, &peer.project));
        for (place, ours, theirs) in different("", &ours, &theirs) {
            let is_intended =
                |(of, at, _): &&(&str, &str, &str)| (*of == "*" || *of == service) && place.starts_with(at);
            if !INTENDED.iter().any(|one| is_intended(&one)) {
                differences.push(format!("{service}: {place}: ours {ours}, docker-compose's {theirs}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(compared.len(), text.matches("    image: ").count(), "{compared:?}");
}

/// What both have to agree on, with names of the project taken out.
fn view(container: &Value, project: &str) -> Value {
    let mut config = container["Config"].as_object().unwrap().clone();
    let labels = config.remove("Labels").unwrap_or_default();
    let users = labels.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("com.example."));
    config.insert("Labels".to_owned(), users.map(|(key, value)| (key.clone(), value.clone())).collect());
    // Unless somebody sets it, it is the container's id.
    let id = container["Id"].as_str().unwrap();
    if config.get("Hostname").and_then(Value::as_str).is_some_and(|name| id.starts_with(name)) {
        config.remove("Hostname");
    }
    sort(&mut config, "Env");
    let mut host = container["HostConfig"].as_object().unwrap().clone();
    for list in ["CapAdd", "CapDrop", "SecurityOpt", "GroupAdd", "Binds"] {
        sort(&mut host, list);
    }
    let mut mounts: Vec<Value> = container["Mounts"].as_array().cloned().unwrap_or_default();
    for mount in &mut mounts {
        let mount = mount.as_object_mut().unwrap();
        // `z` and `rw` are how a bind is written, and no property of it.
        mount.remove("Mode");
    }
    mounts.sort_by_key(|mount| mount["Destination"].to_string());
    let networks = container["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
    let networks: Map<String, Value> = networks
        .into_iter()
        .map(|(name, one)| {
            (name, serde_json::json!({ "IPAMConfig": one["IPAMConfig"], "DriverOpts": one["DriverOpts"] }))
        })
        .collect();
    let all =
        serde_json::json!({ "Config": config, "HostConfig": host, "Mounts": mounts, "Networks": networks });
    serde_json::from_str(&all.to_string().replace(project, "PROJECT").replace("10.1", "10.2")).unwrap()
}

fn sort(members: &mut Map<String, Value>, key: &str) {
    if let Some(Value::Array(all)) = members.get_mut(key) {
        all.sort_by_key(Value::to_string);
    }
}

/// Places at which the two differ; nothing, zero and empty are the same.
fn different(place: &str, ours: &Value, theirs: &Value) -> Vec<(String, Value, Value)> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let of = |all: &Map<String, Value>, key: &String| all.get(key).cloned().unwrap_or_default();
            keys.into_iter()
                .flat_map(|key| different(&format!("{place}/{key}"), &of(a, key), &of(b, key)))
                .collect()
        }
        _ if ours == theirs || (is_nothing(ours) && is_nothing(theirs)) => vec![],
        _ => vec![(place.to_owned(), ours.clone(), theirs.clone())],
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.iter().all(is_nothing),
        Value::Object(all) => all.values().all(is_nothing),
    }
}
