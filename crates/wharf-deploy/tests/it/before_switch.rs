//! Commands before the switch: once per release, in the new image, with what they need, and a refusal when they fail.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf_base::Tasks;
use wharf_deploy::api::{DeployState, StreamItem};

use crate::server::*;
use crate::world::*;

async fn start() -> (Arc<World>, Server, tempfile::TempDir, Tasks) {
    let (world, data, agents) = (World::new(&["a"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    (world, server, data, agents)
}

/// A routed service that migrates a database.
fn services(image: &str, command: &str) -> Value {
    let mut web = web(image, 1);
    web["depends_on"] = json!({ "db": { "condition": "service_started", "required": true } });
    web["x_wharf"]["before_switch"] = json!([{ "command": [command], "timeout": "10m" }]);
    json!({ "db": db("d1"), "web": web })
}

#[tokio::test(start_paused = true)]
async fn commands_run_once_per_release_in_the_new_image_with_what_they_depend_on() {
    let (world, server, _data, _agents) = start().await;
    let plan = server.handle.plan(&name("shop"), &request(services("v1", "migrate"))).await.unwrap();
    let line = "> before the switch, web runs `migrate` (at most 10m)";
    assert!(plan.lines.iter().any(|one| one == line), "{:?}", plan.lines);
    assert_eq!(world.commands(), [""; 0], "a plan runs nothing");

    let first = server.deploy(services("v1", "migrate")).await;
    assert_ok(&first);
    let expected = ["plan", "start", "healthy", "before_switch", "start", "healthy", "switch", "stop"];
    assert_eq!(steps(&first), expected, "the database comes first");
    assert_eq!(world.commands(), ["migrate in v1 on a beside db"]);
    let story = server.story_of(first.id).await;
    let output: Vec<&str> = story
        .iter()
        .filter_map(|item| match item {
            StreamItem::Output(output) => Some(output.line.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(output, ["web | migrate: on its way", "web | and there"]);

    // The same again, another number, another service, an older release: what has run is not run again.
    assert_ok(&server.deploy(services("v1", "migrate")).await);
    let scaled = server.handle.scale(&name("shop"), &map([("web", 2)]), "ann").await.unwrap();
    assert_ok(&server.end_of(scaled.deploy).await);
    let mut with_more = services("v1", "migrate");
    with_more["more"] = json!({ "image": "m" });
    assert_ok(&server.deploy(with_more).await);
    assert_eq!(world.commands().len(), 1);
    let second = server.deploy(services("v2", "migrate")).await;
    assert_ok(&second);
    let expected = ["plan", "before_switch", "start", "healthy", "switch", "drain", "stop"];
    assert_eq!(steps(&second), expected);
    assert_eq!(world.commands()[1..], ["migrate in v2 on a beside db+more+web"]);
    // Another command for the same image is one that has not run.
    assert_ok(&server.deploy(services("v2", "reindex")).await);
    assert_eq!(world.commands()[2..], ["reindex in v2 on a beside db+web"]);
    let back = server.handle.rollback(&name("shop"), None, "ann").await.unwrap();
    assert_ok(&server.end_of(back.deploy).await);
    assert_eq!(world.commands().len(), 3, "a rollback runs none");
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fails_refuses_the_deploy_with_its_last_words() {
    let (world, server, _data, _agents) = start().await;
    assert_ok(&server.deploy(services("v1", "migrate")).await);
    let before = world.desired();
    world.commands_end(Some(3));
    let view = server.deploy(services("v2", "migrate")).await;
    assert_eq!(view.state, DeployState::Failed);
    assert_eq!(steps(&view), ["plan", "before_switch", "undo"]);
    let error = view.error.unwrap();
    let expected = "before_switch of web: `migrate` on a ended with status 3\n  hint: ";
    assert!(error.starts_with(expected), "{error}");
    assert_eq!(view.log_tail, ["migrate: on its way", "and there"]);
    assert_eq!(world.desired(), before);

    // One that never ends is ended, and so is one that nobody waits for any more.
    world.commands_end(None);
    let view = server.deploy(services("v2", "migrate")).await;
    let error = view.error.unwrap();
    assert!(error.contains("took longer than 10m and was ended"), "{error}");
    world.callers_are_gone().await;
    let started =
        server.handle.deploy(&name("shop"), request(services("v2", "migrate")), "ann").await.unwrap();
    server.step_of(started.deploy, "before_switch").await;
    server.handle.abort(started.deploy, "bob").await.unwrap();
    assert_eq!(server.end_of(started.deploy).await.state, DeployState::Aborted);
    world.callers_are_gone().await;
    assert_eq!(world.desired(), before);
    world.commands_end(Some(0));
    assert_ok(&server.deploy(services("v2", "migrate")).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_meanwhile_undoes_the_deploy_and_does_not_run_it_again() {
    let (world, first, data, _agents) = start().await;
    assert_ok(&first.deploy(services("v1", "migrate")).await);
    let before = world.desired();
    world.commands_end(None);
    let started =
        first.handle.deploy(&name("shop"), request(services("v2", "migrate")), "ann").await.unwrap();
    while world.commands().len() < 2 {
        tokio::task::yield_now().await;
    }
    first.kill().await;
    world.callers_are_gone().await;
    world.commands_end(Some(0));
    let second = server(&world, data.path()).await;
    let view = second.end_of(started.deploy).await;
    assert_eq!(view.state, DeployState::Failed);
    let error = view.error.unwrap();
    assert!(error.contains("except for what its commands before the switch may have done"), "{error}");
    assert_eq!((world.desired(), world.commands().len()), (before, 2));
    assert_ok(&second.deploy(services("v2", "migrate")).await);
    assert_eq!(world.commands().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_the_output_of_a_command_is_not_passed_on() {
    let (world, server, _data, _agents) = start().await;
    wharf_secrets::Redactor::process().add([&wharf_secrets::Secret::from("hushed-migration")]);
    world.commands_end(Some(3));
    let view = server.deploy(services("v1", "hushed-migration")).await;
    assert_eq!(view.state, DeployState::Failed);
    assert_eq!(view.log_tail, ["[secret]: on its way", "and there"]);
    let story = server.story_of(view.id).await;
    let outputs = story.iter().filter_map(|item| match item {
        StreamItem::Output(output) => Some(output.line.as_str()),
        _ => None,
    });
    assert_eq!(outputs.collect::<Vec<_>>(), ["web | [secret]: on its way", "web | and there"]);
}
