//! Lost hosts: what may run twice is started elsewhere, what is single stays, and nothing runs twice once they are back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wharf_base::Tasks;
use wharf_model::ports::Hosts as _;
use wharf_model::{Event, Liveness};

use crate::server::*;
use crate::world::*;

async fn start(hosts: &[&str]) -> (Arc<World>, Server, tempfile::TempDir, Tasks) {
    let (world, data, agents) = (World::new(hosts), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    (world, server, data, agents)
}

fn warnings(world: &World) -> Vec<String> {
    let message = |event| match event {
        Event::Warning { message, .. } => Some(message),
        _ => None,
    };
    world.events().into_iter().filter_map(message).collect()
}

/// Waits until a warning has this in it.
async fn warned(world: &World, part: &str) {
    let mut told = world.told();
    while !warnings(world).iter().any(|one| one.contains(part)) {
        told.changed().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_run_twice_is_started_elsewhere_and_nothing_runs_twice_in_the_end() {
    let (world, server, _data, _agents) = start(&["a", "b", "c"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 3), "db": db("d1") })).await);
    assert_eq!(world.desired().0, ["db-r1-1@a", "web-r1-1@b", "web-r1-2@c", "web-r1-3@a"]);
    world.set_liveness("a", Liveness::Lost);
    let deploy = world.begun("move").await;
    let view = server.end_of(deploy).await;
    assert_ok(&view);
    assert_eq!(steps(&view), ["plan", "start", "healthy", "switch", "stop"], "nobody waits for what is lost");
    assert_eq!(world.desired().0, ["db-r1-1@a", "web-r1-1@b", "web-r1-2@c", "web-r1-4@b"]);
    assert_eq!(world.running().len(), 5, "the lost host may still run what it had");
    let said = warnings(&world);
    assert_eq!(said, ["shop: db stays on a, which is lost: its volume `shop_data` is there"]);

    world.set_liveness("a", Liveness::Up);
    let mut observed = world.observed();
    let generation = world.generation().number;
    observed.wait_for(|seen| seen.hosts[&name("a")].1.generation == generation).await.unwrap();
    let mut running = world.running();
    running.sort();
    assert_eq!(running, ["db-r1-1@a", "web-r1-1@b", "web-r1-2@c", "web-r1-4@b"]);
    assert_eq!(world.gaps(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_back_in_time_keeps_everything() {
    let (world, server, _data, _agents) = start(&["a", "b"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 2) })).await);
    let before = world.desired();
    // The clock of this test is paused: 1.5 s pass at once, as soon as everybody has done what they would.
    for _ in 0..5 {
        world.set_liveness("b", Liveness::Lost);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        world.set_liveness("b", Liveness::Up);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    assert_eq!(world.desired(), before);
    assert_eq!(warnings(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_single_service_waits_for_the_operator() {
    let (world, server, _data, _agents) = start(&["a", "b"]).await;
    let cache = json!({ "image": "c" });
    assert_ok(&server.deploy(json!({ "cache": cache, "db": db("d1") })).await);
    let hosts_of = |world: &World, service: &str| {
        let desired = world.desired().0;
        desired.into_iter().filter(|one| one.starts_with(service)).collect::<Vec<_>>()
    };
    let lost = if hosts_of(&world, "cache") == ["cache-r1-1@a"] { "a" } else { "b" };
    let other = if lost == "a" { "b" } else { "a" };
    let db_is_lost = hosts_of(&world, "db") == [format!("db-r1-1@{lost}")];
    world.set_liveness(lost, Liveness::Lost);
    warned(&world, "cache stays on").await;
    assert_eq!(hosts_of(&world, "cache"), [format!("cache-r1-1@{lost}")]);

    // The operator knows that it is dead.
    world.remove_host(lost);
    let deploy = world.begun("move").await;
    assert_ok(&server.end_of(deploy).await);
    assert_eq!(hosts_of(&world, "cache"), [format!("cache-r1-1@{other}")]);
    if db_is_lost {
        assert_eq!(hosts_of(&world, "db"), [""; 0]);
        assert!(warnings(&world).iter().any(|one| one.contains("db is not started elsewhere")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sees_hardly_anybody_moves_nothing() {
    let (world, server, _data, _agents) = start(&["a", "b", "c"]).await;
    assert_ok(&server.deploy(json!({ "web": web("v1", 3) })).await);
    let before = world.desired();
    world.set_liveness("a", Liveness::Lost);
    world.set_liveness("b", Liveness::Lost);
    warned(&world, "2 of 3 hosts are lost at once").await;
    assert_eq!(world.desired(), before);
    world.set_liveness("a", Liveness::Up);
    let deploy = world.begun("move").await;
    assert_ok(&server.end_of(deploy).await);
    assert_eq!(world.desired().0, ["web-r1-1@a", "web-r1-3@c", "web-r1-4@a"]);
}
