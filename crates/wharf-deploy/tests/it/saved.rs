//! Saved plans: carried out exactly, or refused with what has moved.

use serde_json::json;
use wharf_base::{ErrorCode, Tasks};
use wharf_deploy::Error;
use wharf_deploy::api::{DeployRequest, DeployState, ItemChange, ItemKind, PlanView};
use wharf_model::Liveness;

use crate::server::*;
use crate::world::*;

async fn planned(server: &Server, request: &DeployRequest) -> (PlanView, DeployRequest) {
    let plan = server.handle.plan(&name("shop"), request).await.unwrap();
    let saved = DeployRequest { plan: Some(Box::new(plan.clone())), ..request.clone() };
    (plan, saved)
}

async fn refused(server: &Server, saved: DeployRequest) -> String {
    let error = server.handle.deploy(&name("shop"), saved, "ann").await.unwrap_err();
    assert!(matches!(error, Error::Moved { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Conflict);
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_changes_where_and_why_and_writes_nothing() {
    let (world, data, agents) = (World::new(&["a", "b"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 2), "db": db("d1") })).await);
    let (generations, events) = (world.history().len(), world.events().len());

    let mut changed = web("v2", 2);
    changed["environment"] = json!({ "KEY": "hush" });
    let (plan, _) = planned(&server, &request(json!({ "web": changed }))).await;
    let of = |kind: ItemKind, change: ItemChange| {
        let all = plan.items.iter().filter(move |item| item.kind == kind && item.change == change);
        all.map(|item| {
            let host = item.host.as_ref().map_or_else(String::new, |host| format!("@{host}"));
            format!("{}{host}: {}", item.name, item.why.join("; "))
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(
        of(ItemKind::Container, ItemChange::Create),
        [
            "shop-web-r2-1@a: environment KEY; image: v1 → v2",
            "shop-web-r2-2@b: environment KEY; image: v1 → v2"
        ]
    );
    let removed = of(ItemKind::Container, ItemChange::Remove);
    assert!(removed[0].starts_with("shop-db-r1-1@") && removed[0].contains("not in the file any more"));
    let replaced = removed[1..].iter().filter(|line| line.contains(": replaced by shop-web-r2-"));
    assert_eq!(replaced.count(), 2, "{removed:?}");
    assert_eq!(of(ItemKind::Route, ItemChange::Change), ["*/: release: 1 → 2"]);
    let kept = of(ItemKind::Volume, ItemChange::Keep);
    assert!(kept[0].contains("its data stays"), "{kept:?}");
    assert!(
        !serde_json::to_string(&plan).unwrap().contains("hush"),
        "values of the environment are never shown"
    );
    assert_eq!((world.history().len(), world.events().len()), (generations, events));
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_carried_out_or_refused_with_what_has_moved() {
    let (world, data, agents) = (World::new(&["a", "b"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 1) })).await);

    let (plan, saved) = planned(&server, &request(json!({ "web": web("v2", 1) }))).await;
    let started = server.handle.deploy(&name("shop"), saved.clone(), "ann").await.unwrap();
    assert_ok(&server.end_of(started.deploy).await);
    let created: Vec<String> = plan.services[0].created.iter().map(|one| one.id.clone()).collect();
    assert_eq!(created, ["shop-web-r2-1"]);
    assert_eq!(world.desired().1, [2]);

    // The same plan again: what it was made for is past.
    let message = refused(&server, saved).await;
    assert!(message.contains("shop is to be release 2 now"), "{message}");

    // A host that is lost, drains or joins may change where things go.
    let (_, saved) = planned(&server, &request(json!({ "web": web("v3", 1) }))).await;
    world.set_liveness("b", Liveness::Lost);
    let message = refused(&server, saved).await;
    assert!(message.contains("host b was up, is lost") && message.contains("hint: "), "{message}");
    assert_eq!(world.desired().1, [2], "nothing was changed");
    world.set_liveness("b", Liveness::Up);

    // A plan that somebody has edited is not what the server would do.
    let (_, mut saved) = planned(&server, &request(json!({ "web": web("v3", 1) }))).await;
    saved.project = request(json!({ "web": web("v4", 2) })).project;
    let message = refused(&server, saved).await;
    assert!(message.contains("this server would do something else now"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_an_unbuilt_image_builds_its_context_and_looks_again_after_the_build() {
    let (world, data, agents) = (World::new(&["a", "b"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    let (plan, saved) = planned(&server, &server.built("one").await).await;
    assert_eq!(plan.builds, ["web"]);
    let started = server.handle.deploy(&name("shop"), saved, "ann").await.unwrap();
    assert_ok(&server.end_of(started.deploy).await);

    let (plan, saved) = planned(&server, &server.built("two").await).await;
    let image = plan.services[0].why.iter().find(|why| why.field == "image").unwrap();
    assert!(image.new.as_ref().unwrap().starts_with("built from context "), "{image:?}");
    // It is accepted, and before it is built a host is lost: the deploy ends and changes nothing. On this runtime of one
    // thread its task has not run yet when the call returns.
    let started = server.handle.deploy(&name("shop"), saved, "ann").await.unwrap();
    world.set_liveness("b", Liveness::Lost);
    let end = server.end_of(started.deploy).await;
    assert_eq!(end.state, DeployState::Failed);
    assert!(end.error.as_deref().unwrap().contains("host b was up, is lost"), "{end:?}");
    assert_eq!(world.desired().1, [1]);
}
