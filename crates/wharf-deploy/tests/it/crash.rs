//! The server loses power at every commit, before and after it, and at every wait: it finishes or undoes.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf_base::Tasks;
use wharf_deploy::api::DeployState;

use crate::server::*;
use crate::world::*;

/// What changes between the two releases: one service beside the old, one stopped first, one removed.
fn before() -> Value {
    json!({ "web": web("v1", 2), "db": db("d1"), "old": { "image": "o" } })
}

fn after() -> Value {
    json!({ "web": web("v2", 2), "db": db("d2"), "new": { "image": "n" } })
}

/// Deploys both releases and cuts the power in the second one. Returns whether the cut ever came.
async fn cut_and_restart(cut: Cut) -> bool {
    let (world, data, agents) = (World::new(&["a", "b"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let first = server(&world, data.path()).await;
    assert_ok(&first.deploy(before()).await);
    let old = world.desired();

    world.cut_at(Some(cut));
    let started = first.handle.deploy(&name("shop"), request(after()), "ann").await.unwrap();
    let mut is_cut = world.is_cut.subscribe();
    let came = tokio::select! {
        _ = is_cut.wait_for(|is_cut| *is_cut) => true,
        _ = first.end_of(started.deploy) => false,
    };
    first.kill().await;
    world.cut_at(None);

    let second = server(&world, data.path()).await;
    let view = second.end_of(started.deploy).await;
    let new = vec![
        "db-r2-1@a".to_owned(),
        "new-r2-1@b".to_owned(),
        "web-r2-1@a".to_owned(),
        "web-r2-2@b".to_owned(),
    ];
    match view.state {
        DeployState::Succeeded => assert_eq!(world.desired().1, [2], "{cut:?}"),
        DeployState::Failed => {
            assert_eq!(world.desired(), old, "{cut:?}");
            let error = view.error.unwrap();
            assert!(error.starts_with("the server was stopped in the middle of it"), "{error}");
        }
        other => panic!("{cut:?}: {other:?}"),
    }
    // Either way the application is free and the next deploy brings what was wanted.
    let next = second.deploy(after()).await;
    assert_ok(&next);
    let mut instances: Vec<String> = world.desired().0;
    instances.sort();
    let instances: Vec<String> = instances.iter().map(|one| one.replace("-r3-", "-r2-")).collect();
    let services = |list: &[String]| -> Vec<String> {
        list.iter().map(|one| one.split('@').next().unwrap().to_owned()).collect()
    };
    assert_eq!(services(&instances), services(&new), "{cut:?}");
    assert_eq!(world.gaps(), [""; 0], "{cut:?}");
    second.kill().await;
    came
}

#[tokio::test(start_paused = true)]
async fn power_lost_at_any_commit_is_finished_or_undone() {
    for make in [Cut::BeforeCommit as fn(usize) -> Cut, Cut::AfterCommit] {
        let mut commits = 0;
        while cut_and_restart(make(commits + 1)).await {
            commits += 1;
        }
        assert_eq!(commits, 5, "pull, clear, start, switch, stop");
    }
}

/// Stops the server while it waits in `step`, starts it again and tells how the deploy ended.
async fn stop_in(step: &str, hold: impl Fn(&World), release: impl Fn(&World)) -> DeployState {
    let (world, data, agents) = (World::new(&["a", "b"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let first = server(&world, data.path()).await;
    assert_ok(&first.deploy(json!({ "web": web("v1", 2) })).await);
    hold(&world);
    let next = request(json!({ "web": web("v2", 2) }));
    let started = first.handle.deploy(&name("shop"), next, "ann").await.unwrap();
    first.step_of(started.deploy, step).await;
    if step == "switch" {
        // The step begins a moment before the point of no return.
        world.committed("deploy shop release 2: switch").await;
    }
    first.kill().await;
    release(&world);
    let second = server(&world, data.path()).await;
    let view = second.end_of(started.deploy).await;
    assert_eq!(world.gaps(), [""; 0], "{step}");
    second.kill().await;
    view.state
}

#[tokio::test(start_paused = true)]
async fn a_restart_while_waiting_is_undone_before_the_switch_and_finished_after_it() {
    let silent = |world: &World| world.behave("v2", Behaviour::Silent);
    let healthy = |world: &World| world.behave("v2", Behaviour::Healthy);
    assert_eq!(stop_in("healthy", silent, healthy).await, DeployState::Failed);
    let late = |world: &World| world.balancers_follow(false);
    let follow = |world: &World| world.balancers_follow(true);
    assert_eq!(stop_in("switch", late, follow).await, DeployState::Succeeded);
    let busy = |world: &World| world.in_flight(1, 1);
    let idle = |world: &World| world.in_flight(1, 0);
    assert_eq!(stop_in("drain", busy, idle).await, DeployState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_a_build_ends_the_deploy_and_a_busy_application_stays_busy_until_it_is_settled() {
    let (world, data, agents) = (World::new(&["a"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let first = server(&world, data.path()).await;
    world.build_hangs(true);
    let next = first.built("one").await;
    let started = first.handle.deploy(&name("shop"), next, "ann").await.unwrap();
    first.step_of(started.deploy, "build").await;
    first.kill().await;
    let second = server(&world, data.path()).await;
    let view = second.end_of(started.deploy).await;
    assert_eq!(view.state, DeployState::Failed);
    assert_eq!(
        view.error.as_deref(),
        Some("the server was stopped in the middle of it; nothing was changed")
    );
    assert_eq!(world.history().len(), 0);

    assert_ok(&second.deploy(json!({ "web": web("v1", 1) })).await);
    world.behave("v2", Behaviour::Silent);
    let next = request(json!({ "web": web("v2", 1) }));
    let started = second.handle.deploy(&name("shop"), next.clone(), "ann").await.unwrap();
    second.step_of(started.deploy, "healthy").await;
    second.kill().await;
    // The third server dies while it undoes; until somebody has settled it, the application is busy.
    world.cut_at(Some(Cut::BeforeCommit(1)));
    let third = server(&world, data.path()).await;
    world.is_cut.subscribe().wait_for(|is_cut| *is_cut).await.unwrap();
    let error = third.handle.deploy(&name("shop"), next, "bob").await.unwrap_err();
    assert!(error.to_string().contains("by ann"), "{error}");
    third.kill().await;
    let fourth = server(&world, data.path()).await;
    assert_eq!(fourth.end_of(started.deploy).await.state, DeployState::Failed);
    assert_eq!(world.desired().0, ["web-r1-1@a"]);
}

/// A removal that is cut goes on: it has no way back once requests are stopped.
#[tokio::test(start_paused = true)]
async fn a_removal_is_finished_or_undone_too() {
    for cut in [Cut::BeforeCommit(1), Cut::AfterCommit(1), Cut::BeforeCommit(2), Cut::AfterCommit(2)] {
        let (world, data, agents): (Arc<World>, _, _) =
            (World::new(&["a"]), tempfile::tempdir().unwrap(), Tasks::new());
        world.run(&agents);
        let first = server(&world, data.path()).await;
        assert_ok(&first.deploy(json!({ "web": web("v1", 1) })).await);
        world.cut_at(Some(cut));
        let started = first.handle.remove(&name("shop"), "ann").await.unwrap();
        world.is_cut.subscribe().wait_for(|is_cut| *is_cut).await.unwrap();
        first.kill().await;
        world.cut_at(None);
        let second = server(&world, data.path()).await;
        let view = second.end_of(started.deploy).await;
        let apps = second.handle.apps().await.unwrap().len();
        match cut {
            Cut::BeforeCommit(1) => assert_eq!((view.state, apps), (DeployState::Failed, 1)),
            _ => assert_eq!((view.state, apps), (DeployState::Succeeded, 0), "{cut:?}"),
        }
        assert_eq!(world.desired().0.len(), apps, "{cut:?}");
    }
}
