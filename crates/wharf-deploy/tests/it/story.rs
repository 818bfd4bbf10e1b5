//! What goes well.

use std::sync::Arc;

use serde_json::json;
use wharf_base::Tasks;
use wharf_deploy::Config;
use wharf_deploy::api::{DeployState, StreamItem};
use wharf_model::{Event, Liveness};

use crate::server::*;
use crate::world::*;

async fn start(hosts: &[&str]) -> (Arc<World>, Server, tempfile::TempDir, Tasks) {
    let (world, data, agents) = (World::new(hosts), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    (world, server, data, agents)
}

#[tokio::test(start_paused = true)]
async fn the_whole_story_blue_green_scale_rollback_remove() {
    let (world, server, _data, _agents) =
        start(&["g1:green", "g2:green", "g3:green", "b1:blue", "b2:blue", "b3:blue"]).await;
    let first = server.deploy(json!({ "web": web("v1", 3) })).await;
    assert_ok(&first);
    assert_eq!(steps(&first), ["plan", "start", "healthy", "switch", "stop"]);
    assert_eq!(
        world.desired(),
        (vec!["web-r1-1@g1".into(), "web-r1-2@g2".into(), "web-r1-3@g3".into()], vec![1])
    );

    let second = server.deploy(json!({ "web": web("v2", 3) })).await;
    assert_ok(&second);
    assert_eq!(steps(&second), ["plan", "start", "healthy", "switch", "drain", "stop"]);
    assert_eq!(
        world.desired(),
        (vec!["web-r2-1@b1".into(), "web-r2-2@b2".into(), "web-r2-3@b3".into()], vec![2])
    );

    world.behave("v3", Behaviour::Unhealthy);
    let third = server.deploy(json!({ "web": web("v3", 3) })).await;
    assert_eq!((third.state, third.release), (DeployState::Failed, 3));
    let error = first_line(&third);
    assert_eq!(error, "web on g1 is unhealthy after 30s: connection refused");
    assert_eq!(third.log_tail, ["listening on the wrong port"]);
    assert_eq!(steps(&third), ["plan", "start", "healthy", "undo"]);
    assert_eq!(world.desired().1, [2]);

    let scaled = server.handle.scale(&name("shop"), &map([("web", 5)]), "ann").await.unwrap();
    assert_ok(&server.end_of(scaled.deploy).await);
    assert_eq!(world.desired().0.len(), 5);
    assert!(world.desired().0.iter().all(|one| one.contains("@b")), "{:?}", world.desired());

    world.set_liveness("b2", Liveness::Lost);
    let back = server.handle.rollback(&name("shop"), Some(1), "ann").await.unwrap();
    let back = server.end_of(back.deploy).await;
    assert_ok(&back);
    let (instances, routes) = world.desired();
    assert_eq!((instances.len(), routes), (5, vec![1]), "the scale still holds: {instances:?}");
    let app = server.handle.app(&name("shop")).await.unwrap();
    assert_eq!((app.release, app.previous_release), (Some(1), Some(2)));
    assert_eq!((app.services[0].replicas_desired, app.services[0].replicas_healthy), (5, 5));
    let releases = server.handle.releases(&name("shop")).await.unwrap();
    let numbers: Vec<(u32, bool)> =
        releases.iter().map(|release| (release.number, release.is_active)).collect();
    assert_eq!(numbers, [(3, false), (2, false), (1, true)]);
    assert_eq!(world.gaps(), [""; 0]);

    let removed = server.handle.remove(&name("shop"), "ann").await.unwrap();
    assert_ok(&server.end_of(removed.deploy).await);
    assert_eq!(world.desired(), (vec![], vec![]));
    assert!(server.handle.apps().await.unwrap().is_empty());
    let again = server.deploy(json!({ "web": web("v1", 1) })).await;
    assert_eq!((again.state, again.release), (DeployState::Succeeded, 1));
}

#[tokio::test(start_paused = true)]
async fn builds_stream_their_output_and_the_same_context_is_up_to_date() {
    let (world, server, _data, _agents) = start(&["a"]).await;
    let request = server.built("one").await;
    let plan = server.handle.plan(&name("shop"), &request).await.unwrap();
    assert_eq!((plan.builds, plan.is_up_to_date), (vec!["web".to_owned()], false));
    let started = server.handle.deploy(&name("shop"), request.clone(), "ann").await.unwrap();
    let live = server.story_of(started.deploy).await;
    assert_ok(&server.end_of(started.deploy).await);
    let output = live.iter().filter(|item| matches!(item, StreamItem::Output(_))).count();
    assert_eq!(output, 2, "{live:#?}");
    assert!(matches!(live.last(), Some(StreamItem::End(_))));
    assert_eq!(server.story_of(started.deploy).await, live, "the stored story is the one that was told");

    let generations = world.history().len();
    assert!(server.handle.plan(&name("shop"), &request).await.unwrap().is_up_to_date);
    let again = server.handle.deploy(&name("shop"), request, "ann").await.unwrap();
    let again = server.end_of(again.deploy).await;
    assert_eq!((again.state, again.release), (DeployState::Succeeded, 1));
    assert!(again.steps[1].detail.contains("up to date"), "{again:#?}");
    assert_eq!(world.history().len(), generations);
    assert_eq!(server.handle.releases(&name("shop")).await.unwrap().len(), 1);

    let changed = server.built("two").await;
    let plan = server.handle.plan(&name("shop"), &changed).await.unwrap();
    assert_eq!(plan.services[0].changes, ["image, if the build gives another one"]);
    let last = plan.lines.last().unwrap();
    assert_eq!(last, "! built first, whether it changes is known after the build: web");
    assert_ok(
        &server.end_of(server.handle.deploy(&name("shop"), changed, "ann").await.unwrap().deploy).await,
    );
    assert_eq!(world.desired().1, [2]);
    let releases = server.handle.releases(&name("shop")).await.unwrap();
    assert!(releases[0].images["web"].starts_with("reg:5000/shop/web:two@sha256:"), "{releases:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_with_data_keeps_its_container_and_is_stopped_first_when_it_changes() {
    let (world, server, _data, _agents) = start(&["a", "b"]).await;
    let services = |db_image: &str, web_image: &str| {
        let mut web = web(web_image, 1);
        web["depends_on"] = json!({ "db": { "condition": "service_started", "required": true } });
        json!({ "db": db(db_image), "web": web })
    };
    assert_ok(&server.deploy(services("d1", "v1")).await);
    assert_ok(&server.deploy(services("d1", "v2")).await);
    assert_eq!(world.desired().0, ["db-r1-1@a", "web-r2-1@a"]);
    let third = server.deploy(services("d2", "v2")).await;
    assert_ok(&third);
    assert_eq!(steps(&third), ["plan", "pull", "clear", "start", "healthy", "switch", "stop"]);
    assert_eq!(world.desired(), (vec!["db-r3-1@a".into(), "web-r2-1@a".into()], vec![2]));
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn several_writers_of_one_volume_are_warned_of_and_not_scaled_to() {
    let (world, server, _data, _agents) = start(&["a"]).await;
    let shop = name("shop");
    let several = |replicas: u32| {
        let mut db = db("d");
        db["deploy"] = json!({ "replicas": replicas });
        json!({ "db": db })
    };
    assert_ok(&server.deploy(several(1)).await);
    let error = server.handle.scale(&shop, &map([("db", 3)]), "ann").await.unwrap_err().to_string();
    let expected = "db: 3 containers would write the volume `data` at the same time\n  hint: ";
    assert!(error.starts_with(expected), "{error}");

    let plan = server.handle.plan(&shop, &request(several(2))).await.unwrap();
    let expected = "! db: 2 containers write the volume `shop_data` at the same time";
    assert!(plan.lines.iter().any(|line| line.starts_with(expected)), "{:?}", plan.lines);
    assert_ok(&server.deploy(several(2)).await);
    let scaled = server.handle.scale(&shop, &map([("db", 3)]), "ann").await.unwrap();
    assert_ok(&server.end_of(scaled.deploy).await);
    assert_eq!(world.desired().0.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_waited_for_and_what_is_cut_is_counted() {
    let (world, server, _data, _agents) = start(&["a"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 1) })).await);
    world.in_flight(1, 3);
    let started =
        server.handle.deploy(&name("shop"), request(json!({ "web": web("v2", 1) })), "ann").await.unwrap();
    server.step_of(started.deploy, "drain").await;
    assert!(world.desired().0.contains(&"web-r1-1@a".to_owned()), "the old one runs while it drains");
    world.in_flight(1, 0);
    let view = server.end_of(started.deploy).await;
    let drain = view.steps.iter().find(|step| step.step == "drain").unwrap();
    assert_eq!(drain.detail, "no request was cut");

    world.in_flight(2, 2);
    let view = server.deploy(json!({ "web": web("v3", 1) })).await;
    assert_ok(&view);
    let drain = view.steps.iter().find(|step| step.step == "drain").unwrap();
    assert_eq!(drain.detail, "2 requests cut at the deadline");
    assert!(drain.millis >= 30_000, "{drain:?}");
}

#[tokio::test(start_paused = true)]
async fn scaling_down_drains_only_what_goes() {
    let (world, server, _data, _agents) = start(&["a", "b", "c"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 3) })).await);
    world.in_flight(1, 100);
    let scaled = server.handle.scale(&name("shop"), &map([("web", 1)]), "ann").await.unwrap();
    let view = server.end_of(scaled.deploy).await;
    assert_ok(&view);
    assert_eq!(steps(&view), ["plan", "switch", "drain", "stop"]);
    let drained: Vec<usize> =
        world.history().iter().map(|one| one.apps.values().map(|app| app.draining.len()).sum()).collect();
    assert!(drained.contains(&2), "{drained:?}");
    assert_eq!(world.desired().0, ["web-r1-1@a"]);
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_scale_holds_until_the_file_states_another_number() {
    let (world, server, _data, _agents) = start(&["a"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 1) })).await);
    let scaled = server.handle.scale(&name("shop"), &map([("web", 3)]), "ann").await.unwrap();
    assert_ok(&server.end_of(scaled.deploy).await);
    assert_ok(&server.deploy(json!({ "web": web("v2", 1) })).await);
    assert_eq!(world.desired().0.len(), 3);
    assert_ok(&server.deploy(json!({ "web": web("v2", 2) })).await);
    assert_eq!(world.desired().0.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_draining_host_is_emptied_but_for_data() {
    let (world, data, agents) = (World::new(&["a", "b"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server_with(&world, data.path(), Config::default()).await;
    assert_ok(&server.deploy(json!({ "db": db("d"), "web": web("v1", 2) })).await);
    assert_eq!(world.desired().0, ["db-r1-1@a", "web-r1-1@b", "web-r1-2@a"]);
    world.set_draining("a");
    let moved = world.begun("move").await;
    let view = server.end_of(moved).await;
    assert_ok(&view);
    assert_eq!(view.by, "wharf");
    assert_eq!(world.desired().0, ["db-r1-1@a", "web-r1-1@b", "web-r1-3@b"]);
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn events_tell_the_story_in_order() {
    let (world, server, _data, _agents) = start(&["a"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 1) })).await);
    let told: Vec<String> = world
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::DeployStarted { what, by, .. } => Some(format!("{what} by {by}")),
            Event::DeployStep { step, ended: true, .. } => Some(step.clone()),
            Event::Switched { release, previous, .. } => Some(format!("{previous:?} to {release}")),
            Event::DeploySucceeded { .. } => Some("done".to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["deploy by ann", "plan", "start", "healthy", "None to 1", "switch", "stop", "done"]);
}
