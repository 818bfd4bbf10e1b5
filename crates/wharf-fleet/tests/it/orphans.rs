//! What no generation names: shown, removed only on request, and never what is not ours.

use serde_json::{Value, json};
use wharf_model::{AppDesired, MountSource, MountSpec, OrphanKind, OrphanOwner, VolumeSpec};
use wharf_test_support::require;

use crate::world::{World, docker, name};

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_listed_and_only_ours_are_removed_on_request() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let volume = format!("{}_rows", world.app);
    let mut db = world.instance("local", "db", &["wait"]);
    db.spec.mounts = vec![MountSpec {
        source: MountSource::Volume(volume.clone()),
        target: "/data".to_owned(),
        ..Default::default()
    }];
    let volumes = vec![VolumeSpec { name: volume.clone(), ..VolumeSpec::default() }];
    let with_data = AppDesired { volumes, ..world.desired(vec![db]) };
    let generation = world.commit(&server, Some(with_data.clone())).await;
    server.converged("local", generation).await;

    // A container of the application's Compose project that Wharf did not make, and one of another agent.
    let label = |key: &str, value: &str| format!("{key}={value}");
    let stranger = format!("{}-stranger", world.app);
    let other = format!("{}-other", world.app);
    let project = label("com.docker.compose.project", world.app.as_str());
    docker(&["create", "--name", &stranger, "--label", &project, &world.image()]);
    let (owner, app) = (label("wharf.owner", "elsewhere"), label("wharf.app", world.app.as_str()));
    let other_id =
        docker(&["create", "--name", &other, "--label", &owner, "--label", &app, &world.image()]).remove(0);

    // The service goes, its volume stays and is an orphan from then on.
    let web = world.instance("local", "web", &["wait"]);
    let generation = world.commit(&server, Some(world.desired(vec![web]))).await;
    let find = |observed: &wharf_model::Observed, wanted: &str| {
        let report = &observed.hosts[&name("local")].1;
        report.orphans.iter().find(|one| one.name == wanted).cloned()
    };
    let observed = server
        .observe("all orphans", |observed| {
            observed.hosts[&name("local")].1.generation >= generation
                && [&volume, &stranger, &other].iter().all(|one| find(observed, one).is_some())
        })
        .await;
    let found = [&volume, &stranger, &other].map(|one| find(&observed, one).unwrap());
    assert_eq!(
        found.each_ref().map(|one| (one.kind, one.owner)),
        [
            (OrphanKind::Volume, OrphanOwner::ThisAgent),
            (OrphanKind::Container, OrphanOwner::Foreign),
            (OrphanKind::Container, OrphanOwner::OtherAgent),
        ]
    );

    let remove = async |kind: &str, id: &str| {
        let body = json!({ "orphans": [{ "host": "local", "kind": kind, "id": id }] });
        server.client.post::<Value>("/api/v1/orphans/remove", &body).await
    };
    let refused = remove("container", &found[1].id).await.unwrap_err().to_string();
    assert!(refused.contains("was not made by Wharf"), "{refused}");
    let unknown = remove("volume", "no-such-volume").await.unwrap_err().to_string();
    assert!(unknown.contains("hint: `wharf ps --orphans`"), "{unknown}");
    assert_eq!(
        docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]),
        std::slice::from_ref(&volume)
    );

    for (kind, id) in [("volume", volume.as_str()), ("container", other_id.as_str())] {
        let answer = remove(kind, id).await.unwrap();
        assert_eq!((answer["removed"][0]["id"].as_str(), &answer["failed"]), (Some(id), &json!([])));
    }
    assert!(docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]).is_empty());
    let left = docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", &format!("name={}", world.app)]);
    assert!(left.contains(&stranger) && !left.contains(&other), "{left:?}");

    // A volume that is wanted again is no orphan, and is not removed although somebody asks for it.
    let generation = world.commit(&server, Some(with_data)).await;
    server.converged("local", generation).await;
    server.observe("no volume", |observed| find(observed, &volume).is_none()).await;
    assert!(remove("volume", &volume).await.is_err());
    docker(&["rm", "-f", &stranger]);
    agent.stop().await;
    server.stop().await;
}
