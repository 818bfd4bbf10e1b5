//! Images of old releases go, and nobody is led to believe that they are there.

use serde_json::json;
use wharf_base::Tasks;
use wharf_deploy::Config;
use wharf_deploy::api::DeployState;

use crate::server::{assert_ok, request, server_with, steps};
use crate::world::{World, name};

#[tokio::test(start_paused = true)]
async fn images_of_releases_that_are_not_kept_go_and_a_rollback_to_them_is_refused() {
    let (world, data, agents) = (World::new(&["a", "b"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let config =
        Config { keep_releases: 2, move_check: std::time::Duration::from_secs(86_400), ..Config::default() };
    let server = server_with(&world, data.path(), config).await;
    let deploy = async |content: &str, side: &str| {
        let mut request = server.built(content).await;
        let beside = request_of(side);
        request.project.services.extend(beside.project.services);
        let started = server.handle.deploy(&name("shop"), request, "ann").await.unwrap();
        server.end_of(started.deploy).await
    };
    for (content, side) in [("one", "side:1"), ("two", "side:1")] {
        let view = deploy(content, side).await;
        assert_ok(&view);
        assert!(!steps(&view).contains(&"images"), "{view:#?}");
    }
    assert!(world.removed().is_empty());
    // `deploy` gives the third release the image of the first again: that one stays.
    let view = deploy("one", "side:2").await;
    assert_ok(&view);
    assert_eq!(
        world.removed(),
        ["reg:5000/shop/web:r1", "reg:5000/shop/web:r1 on a", "reg:5000/shop/web:r1 on b"]
    );
    let possible = async || {
        let releases = server.handle.releases(&name("shop")).await.unwrap();
        let possible = releases.into_iter().filter(|release| release.can_roll_back);
        possible.map(|release| release.number).collect::<Vec<_>>()
    };
    assert_eq!(possible().await, [2, 1], "its image is that of release 3");

    let view = deploy("four", "side:2").await;
    assert_ok(&view);
    let last = view.steps.last().unwrap();
    assert_eq!(
        (last.step.as_str(), last.detail.as_str()),
        ("images", "release 2 can't be gone back to any more")
    );
    let removed = world.removed();
    let two = removed.iter().find(|image| image.contains("@sha256:") && image.ends_with(" on a")).unwrap();
    assert!(removed.contains(&two.replace(" on a", "")), "{removed:?}");
    assert!(
        removed.contains(&"side:1 on b".to_owned()) && !removed.contains(&"side:1".to_owned()),
        "{removed:?}"
    );
    assert!(removed.iter().all(|image| !image.contains("side:2")), "{removed:?}");
    assert_eq!(possible().await, [3, 1]);

    let error = server.handle.rollback(&name("shop"), Some(2), "ann").await.unwrap_err().to_string();
    for part in
        ["the images of release 2 of shop are gone", "the newest 2 releases", "hint: `wharf releases`"]
    {
        assert!(error.contains(part), "{error}");
    }
    let started = server.handle.rollback(&name("shop"), Some(3), "ann").await.unwrap();
    assert_eq!(server.end_of(started.deploy).await.state, DeployState::Succeeded);
    server.kill().await;
}

fn request_of(image: &str) -> wharf_deploy::api::DeployRequest {
    request(json!({ "side": { "image": image } }))
}
