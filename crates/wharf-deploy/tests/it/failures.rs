//! Failures at every step: before the switch nothing has happened, after it the rollout goes forward.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf_base::{ErrorCode, Tasks};
use wharf_deploy::api::{DeployState, DeployView};
use wharf_model::ports::Hosts as _;
use wharf_model::{Event, Liveness};

use crate::server::*;
use crate::world::*;

async fn start_world(hosts: &[&str]) -> (Arc<World>, Server, tempfile::TempDir, Tasks) {
    let (world, data, agents) = (World::new(hosts), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    (world, server, data, agents)
}

/// A world with release 1 of a routed service on `a` and `b`.
async fn serving() -> (Arc<World>, Server, tempfile::TempDir, Tasks) {
    let (world, server, data, agents) = start_world(&["a", "b"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 2) })).await);
    (world, server, data, agents)
}

/// Nothing is different from before, and the next deploy works.
async fn assert_undone(world: &World, server: &Server, view: &DeployView, reason: &str) {
    assert_eq!(first_line(view), reason, "{view:#?}");
    assert_eq!(world.desired(), (vec!["web-r1-1@a".into(), "web-r1-2@b".into()], vec![1]));
    assert_eq!(world.gaps(), [""; 0]);
    let failed = world.events().iter().any(|event| matches!(event, Event::DeployFailed { .. }));
    assert!(failed);
    world.behave("v9", Behaviour::Healthy);
    let next = server.deploy(json!({ "web": web("v9", 2) })).await;
    assert_ok(&next);
    assert_eq!(world.gaps(), [""; 0]);
}

async fn check(behaviour: Behaviour, settings: Value, reason: &str) {
    let (world, server, _data, _agents) = serving().await;
    world.behave("v2", behaviour);
    let mut service = web("v2", 2);
    for (key, value) in settings.as_object().unwrap() {
        service[key] = value.clone();
    }
    let view = server.deploy(json!({ "web": service })).await;
    assert_eq!(view.state, DeployState::Failed);
    assert_eq!(steps(&view), ["plan", "start", "healthy", "undo"]);
    let failed: Vec<bool> = view.steps.iter().map(|step| step.failed).collect();
    assert_eq!(failed, [false, false, true, false]);
    assert_undone(&world, &server, &view, reason).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_never_served_is_marked_and_not_gone_back_to() {
    let (world, server, _data, _agents) = serving().await;
    let shop = name("shop");
    world.behave("v2", Behaviour::Exit(1));
    assert_eq!(server.deploy(json!({ "web": web("v2", 2) })).await.state, DeployState::Failed);
    assert_ok(&server.deploy(json!({ "web": web("v3", 2) })).await);
    let releases = server.handle.releases(&shop).await.unwrap();
    let served: Vec<(u32, bool)> = releases.iter().map(|one| (one.number, one.has_served)).collect();
    assert_eq!(served, [(3, true), (2, false), (1, true)]);
    let error = server.handle.rollback(&shop, Some(2), "ann").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert!(error.to_string().starts_with("release 2 of shop has never served"), "{error}");
    let back = server.handle.rollback(&shop, Some(1), "ann").await.unwrap();
    assert_ok(&server.end_of(back.deploy).await);
}

#[tokio::test(start_paused = true)]
async fn an_application_whose_only_deploy_failed_can_be_removed() {
    let (world, server, _data, _agents) = start_world(&["a"]).await;
    let shop = name("shop");
    world.behave("v1", Behaviour::Exit(1));
    assert_eq!(server.deploy(json!({ "web": web("v1", 1) })).await.state, DeployState::Failed);
    assert_eq!(server.handle.apps().await.unwrap().len(), 1);
    let error = server.handle.scale(&shop, &map([("web", 2)]), "ann").await.unwrap_err();
    assert!(error.to_string().starts_with("shop has no release that serves\n  hint: "), "{error}");
    let removed = server.handle.remove(&shop, "ann").await.unwrap();
    assert_ok(&server.end_of(removed.deploy).await);
    assert!(server.handle.apps().await.unwrap().is_empty() && world.generation().apps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn containers_that_fail_in_every_way_are_undone() {
    check(Behaviour::Fail, json!({}), "web on a can't be started: no such file").await;
    check(Behaviour::Exit(3), json!({}), "web on a ended with status 3").await;
    check(Behaviour::Unhealthy, json!({}), "web on a is unhealthy after 30s: connection refused").await;
    check(Behaviour::Silent, json!({}), "web on a is not healthy after 1m30s: starting").await;
    check(
        Behaviour::CrashLoop,
        json!({ "restart": "always" }),
        "web on a was restarted 3 times; the last time it ended with status 1",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_build_changes_nothing_and_its_number_is_used_again() {
    let (world, server, _data, _agents) = serving().await;
    world.build_fails(true);
    let request = server.built("one").await;
    let started = server.handle.deploy(&name("shop"), request.clone(), "ann").await.unwrap();
    let view = server.end_of(started.deploy).await;
    assert_eq!(view.error.as_deref(), Some("building web: COPY failed: no such file"));
    assert_eq!(steps(&view), ["build"]);
    assert_eq!(world.history().last().unwrap().reason, "deploy shop release 1: switch");
    world.build_fails(false);
    let started = server.handle.deploy(&name("shop"), request, "ann").await.unwrap();
    assert_eq!(started.release, 2);
    assert_ok(&server.end_of(started.deploy).await);
}

#[tokio::test(start_paused = true)]
async fn a_host_lost_while_starting_is_undone_and_says_so() {
    let (world, server, _data, _agents) = serving().await;
    world.behave("v2", Behaviour::Silent);
    let started =
        server.handle.deploy(&name("shop"), request(json!({ "web": web("v2", 2) })), "ann").await.unwrap();
    server.step_of(started.deploy, "healthy").await;
    world.set_liveness("b", Liveness::Lost);
    let view = server.end_of(started.deploy).await;
    assert_eq!(first_line(&view), "web on b can't become healthy: the host is lost");
    world.set_liveness("b", Liveness::Up);
    assert_undone(&world, &server, &view, "web on b can't become healthy: the host is lost").await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_nothing_is_named() {
    let (world, server, _data, _agents) = serving().await;
    world.freeze("b", true);
    let view = server.deploy(json!({ "web": web("v2", 2) })).await;
    assert_eq!(
        view.error.as_deref(),
        Some("web on b is not healthy after 1m30s: the host has not taken it up")
    );
    world.freeze("b", false);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_for_a_while_is_waited_for_and_for_long_is_a_failure() {
    let (world, server, _data, _agents) = serving().await;
    world.refuse_commits(5);
    assert_ok(&server.deploy(json!({ "web": web("v2", 2) })).await);
    world.refuse_commits(10);
    let view = server.deploy(json!({ "web": web("v3", 2) })).await;
    assert_eq!(view.error.as_deref(), Some("the disk refuses"));
    assert_eq!(world.desired().1, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_recreated_service_comes_back_when_its_successor_fails() {
    let (world, server, _data, _agents) = serving().await;
    let services = |image: &str| json!({ "db": db(image), "web": web("v1", 2) });
    assert_ok(&server.deploy(services("d1")).await);
    let before = world.desired();
    world.behave("d2", Behaviour::Exit(1));
    let view = server.deploy(services("d2")).await;
    assert_eq!(first_line(&view), "db on a ended with status 1");
    assert_eq!(steps(&view), ["plan", "pull", "clear", "start", "healthy", "undo"]);
    assert_eq!(view.steps.last().unwrap().detail, "everything is as it was");
    assert_eq!(world.desired(), before);
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_engine_does_not_answer_is_refused() {
    let (world, server, _data, _agents) = serving().await;
    world.set_problem("b", Some("the Docker Engine does not answer")).await;
    let next = request(json!({ "web": web("v2", 2) }));
    let error = server.handle.deploy(&name("shop"), next, "ann").await.unwrap_err();
    let expected =
        "`web` is to run on b, where nothing can be started now: the Docker Engine does not answer\n  hint: ";
    assert!(error.to_string().starts_with(expected), "{error}");
    world.set_problem("b", None).await;
    assert_ok(&server.deploy(json!({ "web": web("v2", 2) })).await);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_exist_stops_nothing() {
    let (world, server, _data, _agents) = serving().await;
    let services = |image: &str| json!({ "db": db(image), "web": web("v1", 2) });
    assert_ok(&server.deploy(services("d1")).await);
    let before = world.desired();
    world.behave("d2", Behaviour::NoImage);
    let generations = world.history().len();
    let view = server.deploy(services("d2")).await;
    let expected = "d2 can't be pulled on a: not found";
    assert_eq!(view.error.as_deref(), Some(expected));
    assert_eq!(steps(&view), ["plan", "pull", "undo"]);
    for generation in world.history().iter().skip(generations) {
        let instances = &generation.apps[&name("shop")].instances;
        assert!(instances.iter().any(|one| one.id == "shop-db-r2-1"), "{generation:?}");
    }
    assert_eq!(world.desired(), before);
    assert!(world.generation().apps[&name("shop")].images.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_stop_in_time_fails_before_its_successor_starts() {
    let (world, server, _data, _agents) = serving().await;
    let services = |image: &str| json!({ "db": db(image), "web": web("v1", 2) });
    assert_ok(&server.deploy(services("d1")).await);
    world.stops_hang("a", true);
    let view = server.deploy(services("d2")).await;
    let error = view.error.as_deref().unwrap();
    assert!(error.starts_with("db on a did not stop within 40s; undoing it failed too: db on a"), "{error}");
    world.stops_hang("a", false);
    assert_ok(&server.deploy(services("d2")).await);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_nothing_is_named_before_anything_is_stopped() {
    let (world, server, _data, _agents) = serving().await;
    let services = |image: &str| json!({ "db": db(image), "web": web("v1", 2) });
    assert_ok(&server.deploy(services("d1")).await);
    world.freeze("a", true);
    let view = server.deploy(services("d2")).await;
    let error = view.error.as_deref().unwrap();
    assert!(error.starts_with("d2 on a: the host has not taken it up after 1m"), "{error}");
    world.freeze("a", false);
    assert_ok(&server.deploy(services("d2")).await);
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_does_not_follow_the_switch_undoes_it() {
    let (world, server, _data, _agents) = serving().await;
    world.balancers_follow(false);
    let view = server.deploy(json!({ "web": web("v2", 2) })).await;
    assert_eq!((view.state, view.release), (DeployState::Failed, 2));
    assert_eq!(steps(&view), ["plan", "start", "healthy", "switch", "undo"]);
    let switched = world.events().iter().filter(|event| matches!(event, Event::Switched { .. })).count();
    assert_eq!(switched, 1, "only the first release has switched");
    let app = server.handle.app(&name("shop")).await.unwrap();
    assert_eq!((app.release, app.previous_release), (Some(1), None));
    let old = ["web-r1-1", "web-r1-2"].map(|id| format!("shop-{id}"));
    for generation in world.history().iter().skip(2) {
        let instances = &generation.apps[&name("shop")].instances;
        assert!(old.iter().all(|id| instances.iter().any(|one| one.id == *id)), "{generation:?}");
    }
    world.balancers_follow(true);
    let reason = "1 of 1 balancer did not take over the new table within 5s: local";
    assert_undone(&world, &server, &view, reason).await;
}

#[tokio::test(start_paused = true)]
async fn an_application_without_routes_does_not_need_balancers() {
    let (world, server, _data, _agents) = start_world(&["a"]).await;
    world.balancers_follow(false);
    let view = server.deploy(json!({ "worker": { "image": "w" } })).await;
    assert_ok(&view);
    let switch = view.steps.iter().find(|one| one.step == "switch").unwrap();
    assert!(switch.detail.ends_with("not yet: local"), "{}", switch.detail);
}

#[tokio::test(start_paused = true)]
async fn a_route_of_another_application_is_refused_before_anything_is_built() {
    let (world, server, _data, _agents) = serving().await;
    let mut other = request(json!({ "web": web("v1", 1) }));
    other.project.name = "other".to_owned();
    let app = name("other");
    let expected = "route */ is already taken by shop (service web)\n  hint: ";
    for error in [
        server.handle.plan(&app, &other).await.unwrap_err(),
        server.handle.deploy(&app, other.clone(), "ann").await.unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::Conflict);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    assert!(server.handle.app(&app).await.is_err() && world.desired().1 == [1]);
}

#[tokio::test(start_paused = true)]
async fn a_host_lost_after_the_switch_does_not_stop_it() {
    let (world, server, _data, _agents) = serving().await;
    world.in_flight(1, 1);
    let started =
        server.handle.deploy(&name("shop"), request(json!({ "web": web("v2", 2) })), "ann").await.unwrap();
    server.step_of(started.deploy, "drain").await;
    world.set_liveness("a", Liveness::Lost);
    world.in_flight(1, 0);
    assert_ok(&server.end_of(started.deploy).await);
    assert_eq!(world.desired(), (vec!["web-r2-1@a".into(), "web-r2-2@b".into()], vec![2]));
}

#[tokio::test(start_paused = true)]
async fn an_abort_undoes_before_the_switch_and_is_refused_after_it() {
    let (world, server, _data, _agents) = serving().await;
    world.behave("v2", Behaviour::Silent);
    let started =
        server.handle.deploy(&name("shop"), request(json!({ "web": web("v2", 2) })), "ann").await.unwrap();
    server.step_of(started.deploy, "healthy").await;
    server.handle.abort(started.deploy, "bob").await.unwrap();
    let view = server.end_of(started.deploy).await;
    assert_eq!((view.state, view.error.as_deref()), (DeployState::Aborted, Some("bob ended it")));
    assert_eq!(server.handle.abort(started.deploy, "bob").await.unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(server.handle.abort(999, "bob").await.unwrap_err().code(), ErrorCode::NotFound);

    world.in_flight(1, 1);
    let started =
        server.handle.deploy(&name("shop"), request(json!({ "web": web("v3", 2) })), "ann").await.unwrap();
    server.step_of(started.deploy, "drain").await;
    let error = server.handle.abort(started.deploy, "bob").await.unwrap_err();
    assert!(error.to_string().contains("requests go to the new release"), "{error}");
    world.in_flight(1, 0);
    assert_ok(&server.end_of(started.deploy).await);
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_a_build() {
    let (world, server, _data, _agents) = serving().await;
    world.build_hangs(true);
    let request = server.built("one").await;
    let started = server.handle.deploy(&name("shop"), request, "ann").await.unwrap();
    server.step_of(started.deploy, "build").await;
    server.handle.abort(started.deploy, "bob").await.unwrap();
    assert_eq!(server.end_of(started.deploy).await.state, DeployState::Aborted);
    assert_eq!(world.desired().1, [1]);
}

#[tokio::test(start_paused = true)]
async fn one_deploy_at_a_time_and_the_second_hears_who_and_since_when() {
    let (world, server, _data, _agents) = serving().await;
    world.behave("v2", Behaviour::Silent);
    let started =
        server.handle.deploy(&name("shop"), request(json!({ "web": web("v2", 2) })), "ann").await.unwrap();
    let error = server.handle.rollback(&name("shop"), Some(1), "bob").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("shop is busy: deploy {} by ann runs since 2", started.deploy)),
        "{text}"
    );
    assert!(text.contains("hint: "), "{text}");
    server.end_of(started.deploy).await;
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_answered_at_once_and_start_nothing() {
    let (_world, server, _data, _agents) = serving().await;
    let shop = name("shop");
    let no_host = json!({ "web": { "image": "i", "x_wharf": { "hosts": { "pool": "gpu" } } } });
    let writable = json!({ "web": { "image": "i",
        "volumes": [{ "kind": "bind", "source": "./d", "target": "/d", "read_only": false }] } });
    let many = json!({ "web": web("v", 101) });
    let unbuilt = json!({ "web": { "build": { "context": "." } } });
    for (services, expected) in [
        (no_host, "no host can run `web` (x-wharf.hosts: pool(gpu)): a does not match, b does not match"),
        (writable, "services.web.volumes: `./d` is mounted writable"),
        (many, "web: 101 instances are more than 100"),
        (unbuilt, "services.web.build: its context did not come along"),
        (json!({}), "0 services"),
    ] {
        let error = server.handle.deploy(&shop, request(services), "ann").await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = server.handle.deploy(&name("other"), request(json!({})), "ann").await.unwrap_err();
    assert_eq!(error.to_string(), "the project is `shop`, not `other`");
    let error = server.handle.scale(&shop, &map([("wbe", 2)]), "ann").await.unwrap_err();
    assert_eq!(error.to_string(), "shop has no service `wbe`\n  hint: did you mean `web`?");
    for error in [
        server.handle.rollback(&shop, Some(7), "ann").await.unwrap_err(),
        server.handle.app(&name("nope")).await.unwrap_err(),
        server.handle.deploy_view(99).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    }
    let error = server.handle.rollback(&shop, None, "ann").await.unwrap_err();
    assert!(error.to_string().starts_with("shop has no release before this one"), "{error}");
    assert_eq!(server.handle.deploys(None, 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_image_for_other_processors_is_refused_before_anything_starts() {
    let (world, server, _data, _agents) = serving().await;
    let shop = name("shop");
    world.is_for("i:2", "linux/amd64", "a", "aarch64");
    // Of the other host nothing is known: it may.
    let plan = server.handle.plan(&shop, &request(json!({ "job": { "image": "i:2" } }))).await.unwrap();
    let job = plan.services.iter().find(|service| *service.service == *"job").unwrap();
    assert_eq!(job.created.iter().map(|place| place.host.as_str()).collect::<Vec<_>>(), ["b"]);
    world.is_for("i:2", "linux/amd64", "b", "riscv64");
    let asked =
        [json!({ "job": { "image": "i:2" } }), json!({ "job": { "image": "x", "platform": "linux/amd64" } })];
    for (services, image) in asked.into_iter().zip(["i:2", "x"]) {
        let error = server.handle.deploy(&shop, request(services), "ann").await.unwrap_err().to_string();
        let expected = format!(
            "no host can run `job` (x-wharf.hosts: any): a is linux/arm64 and the image {image} of `job` is for linux/amd64, \
             b is linux/riscv64 and the image {image} of `job` is for linux/amd64\n  hint: build the image"
        );
        assert!(error.starts_with(&expected), "{error}");
    }
    assert_eq!(server.handle.deploys(None, 10).await.unwrap().len(), 1, "nothing was started");
}

#[tokio::test(start_paused = true)]
async fn placement_that_became_impossible_meanwhile_fails_the_deploy() {
    let (world, server, _data, _agents) = serving().await;
    world.set_liveness("a", Liveness::Lost);
    world.set_liveness("b", Liveness::Lost);
    let error = server
        .handle
        .deploy(&name("shop"), request(json!({ "web": web("v2", 2) })), "ann")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a is lost, b is lost"), "{error}");
}
