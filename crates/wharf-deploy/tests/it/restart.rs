//! Restarts: one container after the other, the same in the end, and every failure leaves what is not restarted alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use wharf_base::{ErrorCode, Tasks};
use wharf_deploy::api::DeployState;
use wharf_model::Liveness;

use crate::server::*;
use crate::world::*;

async fn start(hosts: &[&str], services: Value) -> (Arc<World>, Server, tempfile::TempDir, Tasks) {
    let (world, data, agents) = (World::new(hosts), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    assert_ok(&server.deploy(services).await);
    (world, server, data, agents)
}

/// A routed service that can be once on a host.
fn fixed(replicas: u32) -> Value {
    let mut web = web("v1", replicas);
    web["ports"] = json!([{ "host_ip": null, "published": 8080, "target": 80, "protocol": "tcp" }]);
    web
}

fn all_services(replicas: u32) -> Value {
    let mut web = web("v1", replicas);
    web["depends_on"] = json!({ "db": { "condition": "service_started", "required": true } });
    json!({ "db": db("d1"), "web": web })
}

#[tokio::test(start_paused = true)]
async fn containers_are_replaced_one_after_the_other_dependencies_first() {
    let (world, server, _data, _agents) = start(&["a"], all_services(3)).await;
    let before = world.history().len();
    let restarted = server.handle.restart(&name("shop"), &[], "ann").await.unwrap();
    let view = server.end_of(restarted.deploy).await;
    assert_ok(&view);
    assert_eq!(view.release, 1);
    let once = ["restart", "pull", "clear", "start", "healthy", "switch", "stop"];
    let beside = ["restart", "start", "healthy", "switch", "drain", "stop"];
    assert_eq!(steps(&view), [&["plan"], &once[..], &beside, &beside, &beside].concat());
    let expected = "one after the other: shop-db-r1-1, shop-web-r1-1, shop-web-r1-2, shop-web-r1-3";
    assert_eq!(view.steps[0].detail, expected);
    let (mut instances, routes) = world.desired();
    instances.sort();
    // The first web makes room for the second, and so on.
    assert_eq!(instances, ["db-r1-2@a", "web-r1-1@a", "web-r1-2@a", "web-r1-4@a"]);
    assert_eq!(routes, [1]);
    assert_eq!(world.gaps(), [""; 0]);
    for generation in world.history().iter().skip(before) {
        let desired = &generation.apps[&name("shop")];
        let web = desired.instances.iter().filter(|one| one.service == name("web"));
        let serving = web.clone().filter(|one| !desired.draining.contains(&one.id)).count();
        assert!(serving >= 3 && web.count() <= 4, "{generation:?}");
    }
    // Nothing is different for the next deploy.
    let again = server.deploy(all_services(3)).await;
    assert_ok(&again);
    assert!(again.steps[0].detail.contains("up to date"), "{again:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_first_loses_its_requests_to_the_others_before() {
    let (world, server, _data, _agents) = start(&["a", "b"], json!({ "web": fixed(2) })).await;
    let before = world.history().len();
    let restarted = server.handle.restart(&name("shop"), &["web".to_owned()], "ann").await.unwrap();
    let view = server.end_of(restarted.deploy).await;
    assert_ok(&view);
    let round = ["restart", "pull", "drain", "clear", "start", "healthy", "switch", "stop"];
    assert_eq!(steps(&view), [&["plan"], &round[..], &round].concat());
    assert_eq!(world.gaps(), [""; 0], "the other one serves");
    let history = world.history();
    let drained: Vec<&String> = history
        .iter()
        .skip(before)
        .filter(|generation| generation.reason.ends_with(": drain"))
        .flat_map(|generation| &generation.apps[&name("shop")].draining)
        .collect();
    assert_eq!(drained, ["shop-web-r1-1", "shop-web-r1-2"]);
    assert_eq!(world.desired().0.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_come_back_ends_the_restart_and_is_undone() {
    let (world, server, _data, _agents) = start(&["a", "b"], json!({ "web": web("v1", 2) })).await;
    let before = world.desired();
    world.behave("v1", Behaviour::Exit(3));
    let restarted = server.handle.restart(&name("shop"), &[], "ann").await.unwrap();
    let view = server.end_of(restarted.deploy).await;
    assert_eq!(view.state, DeployState::Failed);
    let error = view.error.unwrap();
    assert!(error.starts_with("web on a ended with status 3"), "{error}");
    assert!(error.contains("not restarted: shop-web-r1-1, shop-web-r1-2\n  hint: "), "{error}");
    assert_eq!(world.desired(), before);
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_abort_between_two_containers_keeps_what_is_done() {
    let (world, server, _data, _agents) = start(&["a"], json!({ "web": web("v1", 2) })).await;
    // The second one never gets healthy.
    let restarted = server.handle.restart(&name("shop"), &[], "ann").await.unwrap();
    world.committed("restart shop release 1: stop").await;
    world.behave("v1", Behaviour::Silent);
    server.step_of(restarted.deploy, "healthy").await;
    while server.handle.abort(restarted.deploy, "bob").await.is_err() {
        tokio::task::yield_now().await;
    }
    let view = server.end_of(restarted.deploy).await;
    assert_eq!((view.state, view.error.as_deref()), (DeployState::Aborted, Some("bob ended it")));
    assert_eq!(world.desired().0, ["web-r1-2@a", "web-r1-3@a"]);
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_restarted_is_named() {
    let (world, server, _data, _agents) =
        start(&["a", "b"], json!({ "web": web("v1", 2), "once": { "image": "o" } })).await;
    let shop = name("shop");
    let error = server.handle.restart(&shop, &["wbe".to_owned()], "ann").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert_eq!(error.to_string(), "shop has no service `wbe`\n  hint: did you mean `web`?");
    let error = server.handle.restart(&name("nope"), &[], "ann").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    world.set_liveness("b", Liveness::Lost);
    let restarted = server.handle.restart(&shop, &["web".to_owned()], "ann").await.unwrap();
    let view = server.end_of(restarted.deploy).await;
    assert_ok(&view);
    let left_out = "! left out: shop-web-r1-1 on b (its host is lost)";
    assert!(view.steps[0].detail.ends_with(left_out), "{}", view.steps[0].detail);
    world.set_liveness("a", Liveness::Lost);
    let restarted = server.handle.restart(&shop, &[], "ann").await.unwrap();
    let error = server.end_of(restarted.deploy).await.error.unwrap();
    assert!(error.starts_with("no container of shop can be restarted: "), "{error}");
    assert!(error.contains("hint: "), "{error}");
}

/// Cuts the power in a restart. Returns whether the cut ever came.
async fn cut_and_go_on(cut: Cut) -> bool {
    let (world, first, data, agents) = start(&["a"], all_services(2)).await;
    world.cut_at(Some(cut));
    let started = first.handle.restart(&name("shop"), &[], "ann").await.unwrap();
    let mut is_cut = world.is_cut.subscribe();
    let came = tokio::select! {
        _ = is_cut.wait_for(|is_cut| *is_cut) => true,
        _ = first.end_of(started.deploy) => false,
    };
    first.kill().await;
    world.cut_at(None);
    let second = server(&world, data.path()).await;
    let view = second.end_of(started.deploy).await;
    let services = |world: &World| -> Vec<String> {
        let mut services: Vec<String> =
            world.desired().0.iter().map(|one| one.split('-').next().unwrap().to_owned()).collect();
        services.sort();
        services
    };
    assert_eq!(services(&world), ["db", "web", "web"], "{cut:?}: {view:#?}");
    let old: BTreeSet<&str> = ["db-r1-1@a", "web-r1-1@a", "web-r1-2@a"].into();
    match view.state {
        DeployState::Succeeded => {}
        DeployState::Failed => {
            let error = view.error.unwrap();
            assert!(error.starts_with("the server was stopped in the middle of it"), "{error}");
            let left = world.desired().0.iter().filter(|one| old.contains(one.as_str())).count();
            assert!(left > 0, "{cut:?}: something is not restarted");
        }
        other => panic!("{cut:?}: {other:?}"),
    }
    let again = second.handle.restart(&name("shop"), &[], "ann").await.unwrap();
    assert_ok(&second.end_of(again.deploy).await);
    assert_eq!(services(&world), ["db", "web", "web"], "{cut:?}");
    assert_eq!(world.gaps(), [""; 0], "{cut:?}");
    second.kill().await;
    drop(agents);
    came
}

#[tokio::test(start_paused = true)]
async fn power_lost_at_any_commit_of_a_restart_is_finished_or_undone() {
    for make in [Cut::BeforeCommit as fn(usize) -> Cut, Cut::AfterCommit] {
        let mut commits = 0;
        while cut_and_go_on(make(commits + 1)).await {
            commits += 1;
        }
        // db: pull, clear, start, stop (its switch changes nothing); each web: start, switch, stop.
        assert_eq!(commits, 4 + 2 * 3);
    }
}
