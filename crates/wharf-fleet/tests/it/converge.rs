//! Containers become what the desired state says.

use std::time::Duration;

use wharf_fleet::server::NewToken;
use wharf_http::{Client, Endpoint};
use wharf_model::{
    AppDesired, FileBundle, Healthcheck, InstanceState, MountSource, MountSpec, NetworkAttachment,
    NetworkSpec, Probe, RestartPolicy, Serve, TargetState, VolumeSpec, WaitFor,
};
use wharf_test_support::require;

use crate::world::{World, docker, inspect, name, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_over_tls_converges_and_then_stays_untouched() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let agent = world.agent("h1").await;

    let mut web = world.instance("h1", "web", &["serve", "8000", "hello"]);
    web.serve = Some(Serve { port: 8000 });
    let mut desired = world.desired(vec![web]);
    desired.routes = vec![world.route("web", 1)];
    let generation = world.commit(&server, Some(desired.clone())).await;
    let report = server.healthy("web").await;
    server.converged("h1", generation).await;

    let mut tables = server.handle.tables();
    let has_target = |table: &wharf_model::Table| table.routes.iter().any(|route| !route.targets.is_empty());
    let table = wait(&mut tables, "a target", has_target).await;
    let target = &table.routes[0].targets[0];
    assert_eq!((target.address, target.state), (report.address.unwrap(), TargetState::Active));
    assert!(target.address.ip().is_loopback() && target.address.port() != 8000, "{target:?}");
    let client = Client::new(Endpoint::parse(&format!("http://{}", target.address), None).unwrap());
    assert_eq!(client.get_text("/").await.unwrap(), "hello");

    // The same again, under a new number: the agent follows the number and does nothing.
    let before =
        (world.containers(), inspect(&world.containers()[0], "{{.State.StartedAt}} {{.RestartCount}}"));
    let since = docker(&["info", "--format", "{{.SystemTime}}"]).remove(0);
    let next = world.commit(&server, Some(desired)).await;
    assert_eq!(next, generation + 1);
    server.converged("h1", next).await;
    let after =
        (world.containers(), inspect(&world.containers()[0], "{{.State.StartedAt}} {{.RestartCount}}"));
    assert_eq!(before, after);
    let until = docker(&["info", "--format", "{{.SystemTime}}"]).remove(0);
    let label = format!("label=wharf.app={}", world.app);
    let events = docker(&["events", "--since", &since, "--until", &until, "--filter", &label]);
    assert!(events.is_empty(), "{events:?}");

    // And gone.
    let last = world.commit(&server, None).await;
    server.converged("h1", last).await;
    assert!(world.containers().is_empty());
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_spec_replaces_and_a_removed_container_comes_back() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let mut web = world.instance("local", "web", &["serve", "8000", "one"]);
    web.serve = Some(Serve { port: 8000 });
    web.probe = Some(Probe {
        port: 8000,
        path: Some("/".to_owned()),
        interval_ms: 200,
        timeout_ms: 500,
        rise: 1,
        fall: 2,
    });
    world.commit(&server, Some(world.desired(vec![web.clone()]))).await;
    let first = server.healthy("web").await;
    let address = first.address.unwrap();
    assert_eq!(address.port(), 8000, "on the server's host, the container's own address");

    web.spec.command = Some(vec!["serve".to_owned(), "8000".to_owned(), "two".to_owned()]);
    world.commit(&server, Some(world.desired(vec![web.clone()]))).await;
    let is_new = |one: &wharf_model::InstanceReport| {
        one.state.is_healthy() && one.container_id.is_some() && one.container_id != first.container_id
    };
    let second = server.instance("web", is_new).await;
    let client = Client::new(Endpoint::parse(&format!("http://{}", second.address.unwrap()), None).unwrap());
    assert_eq!(client.get_text("/").await.unwrap(), "two");
    assert_eq!(world.containers(), [second.container_id.clone().unwrap()], "the old one is gone");

    let begun = std::time::Instant::now();
    docker(&["rm", "-f", second.container_id.as_ref().unwrap()]);
    let third =
        server.instance("web", |one| one.state.is_healthy() && one.container_id != second.container_id).await;
    assert_ne!(third.container_id, second.container_id);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "repaired by the event, not by the net: {:?}",
        begun.elapsed()
    );

    // Stopped by hand: with `always` it is started again.
    web.spec.restart = RestartPolicy::Always;
    let generation = world.commit(&server, Some(world.desired(vec![web.clone()]))).await;
    server.converged("local", generation).await;
    let before = server.healthy("web").await;
    let container = before.container_id.clone().unwrap();
    docker(&["stop", &container]);
    let is_again = |one: &wharf_model::InstanceReport| one.state.is_healthy() && one.since > before.since;
    assert_eq!(server.instance("web", is_again).await.container_id, before.container_id);
    assert_eq!(inspect(&container, "{{.State.Running}}"), "true");

    // When the agent and the server stop, it runs on.
    agent.stop().await;
    server.stop().await;
    assert_eq!(inspect(&container, "{{.State.Running}}"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_start_in_order_by_their_conditions() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let mut db = world.instance("local", "db", &["wait"]);
    db.spec.healthcheck = Some(Healthcheck {
        test: vec!["CMD".to_owned(), "/program".to_owned(), "true".to_owned()],
        interval_ms: Some(300),
        ..Default::default()
    });
    let migrate = world.instance("local", "migrate", &["end", "0", "200"]);
    let mut web = world.instance("local", "web", &["wait"]);
    web.after.insert(name("db"), WaitFor::Healthy);
    web.after.insert(name("migrate"), WaitFor::Completed);
    let generation = world.commit(&server, Some(world.desired(vec![web, db, migrate]))).await;
    server.instance("web", |one| one.state == InstanceState::Waiting).await;
    let web = server.healthy("web").await;
    server.converged("local", generation).await;
    let migrate = server.instance("migrate", |one| one.state == InstanceState::Exited { code: 0 }).await;
    let web_started = inspect(&web.container_id.unwrap(), "{{.State.StartedAt}}");
    let migrate_ended = inspect(&migrate.container_id.unwrap(), "{{.State.FinishedAt}}");
    assert!(web_started > migrate_ended, "{web_started} {migrate_ended}");
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_volumes_and_files_are_made_and_only_volumes_stay() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let agent = world.agent("h1").await;

    let archive = archive_of("greeting", "hello from a file");
    let digest = {
        use sha2::Digest as _;
        wharf_base::Digest::from_sha256(sha2::Sha256::digest(&archive).into())
    };
    std::fs::write(world.path("bundles").join(digest.hex()), &archive).unwrap();
    let (front, back) = (format!("{}_front", world.app), format!("{}_back", world.app));
    let volume = format!("{}_data", world.app);
    let attach = |network: &str, alias: &str| NetworkAttachment {
        network: network.to_owned(),
        aliases: vec![alias.to_owned()],
        ..Default::default()
    };
    let mut db = world.instance("h1", "db", &["serve", "5432"]);
    db.spec.networks = vec![attach(&back, "database")];
    db.spec.mounts = vec![MountSpec {
        source: MountSource::Volume(volume.clone()),
        target: "/data".to_owned(),
        ..Default::default()
    }];
    let mut web = world.instance("h1", "web", &["connect", "database:5432"]);
    // The second network is connected after creation; the name is found only there.
    web.spec.networks = vec![attach(&front, "web"), attach(&back, "web")];
    web.spec.restart = RestartPolicy::Always;
    let mut reader = world.instance("h1", "reader", &["print", "/etc/greeting"]);
    reader.spec.mounts = vec![MountSpec {
        source: MountSource::Files(digest.to_string()),
        target: "/etc/greeting".to_owned(),
        read_only: true,
        ..Default::default()
    }];
    let network = |name: &str| NetworkSpec { name: name.to_owned(), ..Default::default() };
    let desired = AppDesired {
        networks: vec![network(&front), network(&back)],
        volumes: vec![VolumeSpec { name: volume.clone(), ..Default::default() }],
        files: vec![FileBundle { digest: digest.clone(), size: archive.len() as u64, is_file: true }],
        ..world.desired(vec![web, db, reader])
    };
    let generation = world.commit(&server, Some(desired)).await;
    server.converged("h1", generation).await;
    server.healthy("web").await;
    let reader = server.healthy("reader").await;
    let log = docker(&["logs", &reader.container_id.unwrap()]).join(" ");
    assert_eq!(log, "hello from a file");
    let networks = |name: &str| docker(&["network", "ls", "-q", "--filter", &format!("name={name}")]).len();
    assert_eq!((networks(&front), networks(&back)), (1, 1));
    let bundle = world.path("h1").join("files").join(digest.hex());
    assert!(bundle.exists());

    let generation = world.commit(&server, None).await;
    server.converged("h1", generation).await;
    // The tidying follows the report: the agent's end waits for it.
    server
        .observe("no instance", |observed| {
            observed.hosts.values().all(|(_, report)| report.instances.is_empty())
        })
        .await;
    agent.stop().await;
    assert_eq!((networks(&front), networks(&back)), (0, 0));
    assert!(!bundle.exists());
    assert_eq!(docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]), [volume]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_port_moves_to_the_next_release() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let port = wharf_test_support::free_port();
    let release = |number: u32| {
        let mut web = world.instance("local", "web", &["serve", "8000", &number.to_string()]);
        web.id = format!("{}-web-r{number}-1", world.app);
        web.release = number;
        web.spec.ports = vec![wharf_model::PublishedPort {
            host_ip: Some("127.0.0.1".to_owned()),
            host_port: Some(port),
            container_port: 8000,
            transport: wharf_model::Transport::Tcp,
        }];
        web
    };
    for number in [1, 2] {
        let generation = world.commit(&server, Some(world.desired(vec![release(number)]))).await;
        server.converged("local", generation).await;
        server.instance("web", |one| one.release == number && one.state.is_healthy()).await;
    }
    let client = Client::new(Endpoint::parse(&format!("http://127.0.0.1:{port}"), None).unwrap());
    assert_eq!(client.get_text("/").await.unwrap(), "2");
    let log = server.events.newest(100).await.unwrap();
    let failed = log.iter().any(|record| format!("{:?}", record.event).contains("\"failed\""));
    assert!(!failed, "the port was free before the successor started");
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_another_agent_are_left_alone() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let token = server.handle.make_token(NewToken::default(), "test").await.unwrap();
    wharf_fleet::agent::join(world.join_options(&token.token, "h1")).await.unwrap();
    // Two agents on one Engine: each host's part is empty for the other.
    let (local, other) = (world.inside_agent(&server).await, world.agent("h1").await);
    let web = world.instance("local", "web", &["wait"]);
    let worker = world.instance("h1", "worker", &["wait"]);
    let generation = world.commit(&server, Some(world.desired(vec![web, worker]))).await;
    for host in ["local", "h1"] {
        server.converged(host, generation).await;
    }
    let ids = world.containers();
    assert_eq!(ids.len(), 2);
    let generation =
        world.commit(&server, Some(world.desired(vec![world.instance("local", "web", &["wait"])]))).await;
    for host in ["local", "h1"] {
        server.converged(host, generation).await;
    }
    assert_eq!(world.containers().len(), 1, "each removes only its own");
    local.stop().await;
    other.stop().await;
    server.stop().await;
}

fn archive_of(file: &str, content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, file, content.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}
