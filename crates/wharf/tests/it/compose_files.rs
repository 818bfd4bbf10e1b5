//! `wharf compose`: what is said about files, and what they come to. No server takes part.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use wharf_test_support::{TempDir, temp_dir};

use crate::server::wharf;
use crate::support::{checked, run};

/// A directory with these files, some of them in directories of their own.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = temp_dir();
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn compose(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = wharf();
    for name in ["COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES"] {
        command.env_remove(name);
    }
    command.arg("compose").args(arguments).current_dir(directory);
    command
}

const SHOP: &str = "name: shop
services:
  web:
    build: {context: ./web, target: prod}
    environment: {SECRET_KEY: '${SECRET_KEY:-hunter2}'}
    depends_on: {db: {condition: service_healthy}}
    deploy: {replicas: 3, resources: {limits: {cpus: '0.5', memory: 256M}}}
    x-wharf: {hosts: pool(web), route: {host: shop.example.com, port: 8000}, rollout: {drain: 20s}}
  db:
    image: postgres:16
    ports: ['127.0.0.1:5432:5432']
    volumes: ['data:/var/lib/postgresql/data', './init:/init:ro']
    healthcheck: {test: pg_isready -U shop}
    user: '999'
  debug: {image: busybox, profiles: [tools]}
volumes: {data: }
";

#[test]
fn check_explains_what_every_service_gets() {
    let directory = directory(&[("compose.yaml", SHOP)]);
    let said = checked(&mut compose(directory.path(), &["check"]));
    for expected in [
        "built from web (Dockerfile, stage prod)",
        "3 containers on hosts of the pool web",
        "new containers start beside the old ones, with 20s for requests in flight",
        "shop.example.com, path / → port 8000 (in turn)",
        "db is healthy",
        "0.5 CPUs, 256.0 MiB of memory",
        "SECRET_KEY",
        "old containers stop, then new ones start, because it publishes a fixed host port",
        "127.0.0.1:5432 → 5432/tcp",
        "data → /var/lib/postgresql/data, ./init → /init (read-only)",
        "when `pg_isready -U shop` succeeds",
        "user        999",
        "shop: 2 services, 1 network, 1 volume",
        "not active: debug (profiles: tools)",
    ] {
        assert!(said.contains(expected), "nothing of `{expected}` in:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    let json = checked(&mut compose(directory.path(), &["check", "--profile", "tools", "--output", "json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["ok"], &json["name"]), (&Value::Bool(true), &Value::from("shop")));
    assert_eq!(json["services"]["debug"]["image"], "busybox");
    assert_eq!(json["inactive"], serde_json::json!({}));
}

#[test]
fn check_ends_with_1_for_mistakes_in_files_and_with_2_for_wrong_usage() {
    let directory = directory(&[
        ("wrong.yaml", "services:\n  web:\n    image: a\n    isolation: x\n    imgae: b\n"),
        ("good/compose.yaml", "services: {web: {image: a}}\n"),
        ("empty/readme", ""),
        (
            "clash.yaml",
            "services:\n  a: {image: a, x-wharf: {route: {port: 80}}}\n  b: {image: b, x-wharf: {route: {port: 80}}}\n",
        ),
    ]);
    let ran = run(&mut compose(directory.path(), &["check", "wrong.yaml"])).expect(1);
    assert_eq!(ran.stdout, "");
    ran.says("error: wrong.yaml:4:5: `isolation` in service `web` is not supported yet\n  hint: it is for Windows; remove it")
        .says("warning: wrong.yaml:5:5: unknown key `imgae` in service `web`\n  hint: did you mean `image`?");
    let ran = run(&mut compose(directory.path(), &["check", "wrong.yaml", "--output", "json"])).expect(1);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["ok"], false);
    let error = &json["errors"][0];
    assert_eq!((&error["file"], &error["line"]), (&Value::from("wrong.yaml"), &Value::from(4)));
    assert_eq!(error["kind"], "unsupported");
    assert_eq!(json["warnings"][0]["hint"], "did you mean `image`?");
    run(&mut compose(directory.path(), &["check", "good"])).expect(0);
    // What only the server would find.
    run(&mut compose(directory.path(), &["check", "clash.yaml"]))
        .expect(1)
        .says("error: clash.yaml:3:27: services.b.x-wharf.route: `a` has the route */ already");
    let ran = run(&mut compose(directory.path(), &["check", "clash.yaml", "--output", "json"])).expect(1);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["ok"], false);
    run(&mut compose(directory.path(), &["check", "empty"]))
        .expect(2)
        .says("there is no compose.yaml in empty");
    run(&mut compose(directory.path(), &["check", "nowhere"])).expect(2).says("no file or directory nowhere");
    run(&mut compose(directory.path(), &["check", "good", "empty"])).expect(2).says("is a directory");
    run(&mut compose(directory.path(), &["render", "wrong.yaml"])).expect(1).says("wrong.yaml:4:5");
}

#[test]
fn what_is_rendered_is_a_compose_file_that_says_the_same() {
    let directory = directory(&[
        (
            "compose.yaml",
            "include: [db/compose.yaml]\nservices:\n  web:\n    extends: {file: common.yaml, service: base}\n    environment: [PRICE=5$$]\n",
        ),
        ("compose.override.yaml", "services: {web: {user: '5'}}\n"),
        ("common.yaml", "services: {base: {image: 'web:${TAG}', command: 'sh -c \"a\n  b\"'}}\n"),
        ("db/compose.yaml", "services: {db: {image: db, env_file: db.env, volumes: ['./init:/init:ro']}}\n"),
        ("db/db.env", "MODE=fast\n"),
        (".env", "TAG=3\n"),
    ]);
    let once = checked(&mut compose(directory.path(), &["render", "--app", "shop"]));
    for expected in
        ["name: shop", "image: web:3", "MODE: fast", "source: ./db/init", "user: \"5\"", "PRICE: \"5$$\""]
    {
        assert!(once.contains(expected), "nothing of `{expected}` in:\n{once}");
    }
    std::fs::write(directory.path().join("rendered.yaml"), &once).unwrap();
    assert_eq!(checked(&mut compose(directory.path(), &["render", "rendered.yaml"])), once);
    let json = checked(&mut compose(directory.path(), &["render", "--app", "shop", "--output", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["services"]["web"]["user"], "5");
    std::fs::write(directory.path().join("rendered.json"), &json).unwrap();
    assert_eq!(checked(&mut compose(directory.path(), &["render", "rendered.json"])), once);
}

#[test]
fn files_and_profiles_come_from_variables_and_from_standard_input() {
    let directory = directory(&[
        ("a.yaml", "services: {a: {image: a}, tool: {image: t, profiles: [tools]}}\n"),
        ("b.yaml", "services: {b: {image: b}}\n"),
        ("compose.yaml", "services: {other: {image: o}}\n"),
        ("with-dotenv/.env", "COMPOSE_FILE=x.yaml\nCOMPOSE_PROFILES=tools\nCOMPOSE_PROJECT_NAME=named\n"),
        ("with-dotenv/x.yaml", "services: {x: {image: x, profiles: [tools]}}\n"),
    ]);
    let said = checked(
        compose(directory.path(), &["check"])
            .env("COMPOSE_FILE", "a.yaml:b.yaml")
            .env("COMPOSE_PROFILES", "tools"),
    );
    assert!(said.contains(": 3 services"), "{said}");
    let said =
        checked(compose(directory.path(), &["check", "with-dotenv"]).env_remove("COMPOSE_PROJECT_NAME"));
    assert!(said.contains("named: 1 service"), "{said}");
    // A file that is named wins.
    let said = checked(compose(directory.path(), &["check", "b.yaml"]).env("COMPOSE_FILE", "a.yaml"));
    assert!(said.contains(": 1 service"), "{said}");

    let mut child = compose(directory.path(), &["render", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"name: piped\nservices: {web: {image: a}}\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("name: piped\n"));
}

#[test]
fn the_schema_offers_x_wharf() {
    let directory = temp_dir();
    let schema: Value = serde_json::from_str(&checked(&mut compose(directory.path(), &["schema"]))).unwrap();
    let service = &schema["properties"]["services"]["additionalProperties"]["properties"];
    assert_eq!(service["x-wharf"]["properties"]["route"]["required"], serde_json::json!(["port"]));
    assert!(service["image"].is_object() && service["credential_spec"]["deprecated"] == true);
}
