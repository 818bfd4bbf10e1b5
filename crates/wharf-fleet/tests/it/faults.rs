//! What goes wrong: images, checks, crashes, a server that is gone, a link that is cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use wharf_fleet::agent::AgentDeps;
use wharf_model::ports::Hosts as _;
use wharf_model::{
    Event, Healthcheck, ImageSpec, ImageState, InstanceState, Liveness, Probe, RestartPolicy, Serve, Table,
    TargetState,
};
use wharf_test_support::require;

use crate::world::{World, docker, inspect, name, wait};

#[tokio::test(flavor = "multi_thread")]
async fn images_to_have_are_pulled_and_reported_without_any_container() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let present = world.instance("local", "any", &[]).spec.image;
    let missing = "127.0.0.1:1/nothing:here".to_owned();
    let image = |image: &String| ImageSpec { host: name("local"), image: image.clone() };
    let mut desired = world.desired(vec![]);
    desired.images = vec![image(&missing), image(&present)];
    world.commit(&server, Some(desired.clone())).await;
    let is_settled = |observed: &wharf_model::Observed| {
        let report = &observed.hosts[&name("local")].1;
        let state =
            |image: &String| report.images.iter().find(|one| one.image == *image).map(|one| &one.state);
        let has_failed =
            matches!(state(&missing), Some(ImageState::Failed { reason }) if reason.contains(&missing));
        has_failed && state(&present) == Some(&ImageState::Present) && report.generation == 0
    };
    server.observe("one image there and one not", is_settled).await;

    desired.images.remove(0);
    let generation = world.commit(&server, Some(desired)).await;
    server.converged("local", generation).await;
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_reported_with_their_reason_and_the_last_lines_of_the_log() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let mut no_image = world.instance("local", "no-image", &["wait"]);
    no_image.spec.image = "127.0.0.1:1/nothing:here".to_owned();
    let mut no_program = world.instance("local", "no-program", &[]);
    no_program.spec.entrypoint = Some(vec!["/nothing".to_owned()]);
    let ends = world.instance("local", "ends", &["end", "3", "0", "out of ideas"]);
    let mut loops = world.instance("local", "loops", &["end", "4", "0", "again and again"]);
    loops.spec.restart = RestartPolicy::Always;
    let mut sick = world.instance("local", "sick", &["serve", "8000"]);
    sick.spec.healthcheck = Some(Healthcheck {
        test: ["CMD", "/program", "false", "no database"].map(str::to_owned).to_vec(),
        interval_ms: Some(200),
        retries: Some(1),
        ..Default::default()
    });
    let mut probed = world.instance("local", "probed", &["serve", "8000"]);
    probed.probe = Some(Probe {
        port: 8000,
        path: Some("/bad".to_owned()),
        interval_ms: 100,
        timeout_ms: 1_000,
        rise: 1,
        fall: 2,
    });
    let mut deaf = world.instance("local", "deaf", &["wait"]);
    deaf.serve = Some(Serve { port: 8000 });
    let all = vec![no_image, no_program, ends, loops, sick, probed, deaf];
    world.commit(&server, Some(world.desired(all))).await;

    let failed = |part: &'static str| move |one: &wharf_model::InstanceReport| matches!(&one.state, InstanceState::Failed { reason } if reason.contains(part));
    server.instance("no-image", failed("pull 127.0.0.1:1/nothing:here")).await;
    server.instance("no-program", failed("/nothing")).await;
    let ends = server.instance("ends", |one| one.state == InstanceState::Exited { code: 3 }).await;
    assert_eq!(ends.log_tail, ["out of ideas"]);
    let unhealthy = |part: &'static str, tail: &'static str| {
        move |one: &wharf_model::InstanceReport| {
            let is_unhealthy =
                matches!(&one.state, InstanceState::Unhealthy { reason } if reason.contains(part));
            is_unhealthy && (tail.is_empty() || one.log_tail.iter().any(|line| line.contains(tail)))
        }
    };
    server.instance("loops", unhealthy("ended with status 4 and is restarted", "again and again")).await;
    server.instance("sick", unhealthy("health check fails: no database", "serving")).await;
    server.instance("probed", unhealthy("GET /bad: status 503", "serving")).await;
    server.instance("deaf", unhealthy("cannot connect", "")).await;

    // A container with `restart: no` that ended stays ended.
    let container = ends.container_id.unwrap();
    assert_eq!(inspect(&container, "{{.State.ExitCode}} {{.RestartCount}}"), "3 0");
    let observed = server.handle.observed().borrow().clone();
    assert_eq!(observed.hosts[&name("local")].1.generation, 0, "not converged: two can't be made");
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_an_agent_goes_on_also_after_its_own_restart() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let agent = world.agent("h1").await;
    let generation =
        world.commit(&server, Some(world.desired(vec![world.instance("h1", "web", &["wait"])]))).await;
    server.converged("h1", generation).await;
    let first = world.containers();
    server.stop().await;
    agent.stop().await;
    docker(&["rm", "-f", &first[0]]);

    let deps = AgentDeps::joined(world.path("h1"), Arc::clone(&world.clock)).unwrap();
    let tasks = wharf_base::Tasks::new();
    let handle = wharf_fleet::agent::start(wharf_fleet::AgentConfig::default(), deps, &tasks).await.unwrap();
    let mut reports = handle.reports();
    wait(&mut reports, "the container to be back", |report| {
        report.instances.len() == 1
            && report.instances[0].state.is_healthy()
            && report.generation == generation
    })
    .await;
    let second = world.containers();
    assert_ne!(first, second);

    // The server comes back with all that it knew, and the agent finds it.
    let server = world.server().await;
    assert_eq!(server.handle.generation().number, generation);
    let is_up = |observed: &wharf_model::Observed| has_liveness(observed, Liveness::Up);
    server.observe("h1 to be up", is_up).await;
    server.healthy("web").await;
    assert_eq!(world.containers(), second, "nothing was touched");
    tasks.stop(Duration::from_secs(10)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_lost_is_up_only_with_a_new_report() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let agent = world.agent("h1").await;
    let desired = world.desired(vec![world.instance("h1", "web", &["serve", "80"])]);
    world.commit(&server, Some(desired)).await;
    let old = server.healthy("web").await;

    agent.stop().await;
    server.observe("h1 to be lost", |observed| has_liveness(observed, Liveness::Lost)).await;
    docker(&["rm", "-f", old.container_id.as_deref().unwrap()]);
    let agent = world.agent("h1").await;
    let back = server.observe("h1 to be up", |observed| has_liveness(observed, Liveness::Up)).await;
    let is_old = |report: &wharf_model::InstanceReport| report.container_id == old.container_id;
    assert!(!back.hosts.values().any(|(_, report)| report.instances.iter().any(is_old)), "{back:?}");
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_is_noticed_within_three_seconds_and_heals() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    let identity = world.join(&server, "h1").await.unwrap();
    let proxy = Proxy::start(identity.agents_url.strip_prefix("https://").unwrap().parse().unwrap()).await;
    // The agent connects through the proxy, which can swallow everything without closing anything.
    let path = world.path("h1").join("identity.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&identity.agents_url, &format!("https://{}", proxy.address))).unwrap();
    let agent = world.agent("h1").await;
    let liveness =
        |expected: Liveness| move |observed: &wharf_model::Observed| has_liveness(observed, expected);
    server.observe("h1 to be up", liveness(Liveness::Up)).await;

    let begun = Instant::now();
    proxy.cut.send_replace(true);
    server.observe("h1 to be lost", liveness(Liveness::Lost)).await;
    let noticed = begun.elapsed();
    assert!(noticed < Duration::from_secs(3), "noticed after {noticed:?}");
    println!("noticed after {noticed:?}");

    proxy.cut.send_replace(false);
    server.observe("h1 to be back", liveness(Liveness::Up)).await;
    let is_about_h1 = |event: &Event| match event {
        Event::HostUp { host } => Some(("up", host.clone())),
        Event::HostLost { host } => Some(("lost", host.clone())),
        _ => None,
    };
    agent.stop().await;
    server.observe("h1 to be gone", liveness(Liveness::Lost)).await;
    let told = || async {
        let records = server.events.newest(100).await.unwrap();
        records
            .iter()
            .filter_map(|record| is_about_h1(&record.event))
            .map(|(word, _)| word)
            .collect::<Vec<_>>()
    };
    let mut events = server.events.subscribe();
    while told().await != ["up", "lost", "up", "lost"] {
        tokio::time::timeout(wharf_test_support::DEADLINE, events.recv()).await.unwrap().unwrap();
    }
    server.stop().await;
}

fn has_liveness(observed: &wharf_model::Observed, expected: Liveness) -> bool {
    observed.hosts.get(&name("h1")).is_some_and(|(liveness, _)| *liveness == expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_follow_their_hosts_through_drain_loss_and_a_restart_of_the_server() {
    use TargetState::{Active, Draining, Lost};
    require!(Docker);
    let mut world = World::new();
    world.config.lost_targets_kept = Duration::from_secs(1);
    let server = world.server().await;
    for host in ["h1", "h2"] {
        world.join(&server, host).await.unwrap();
    }
    let (first, second) = (world.agent("h1").await, world.agent("h2").await);
    let replica = |host: &str, slot: u32| {
        let mut web = world.instance(host, "web", &["serve", "8000"]);
        web.id = format!("{}-web-r1-{slot}", world.app);
        web.slot = slot;
        web.serve = Some(Serve { port: 8000 });
        web
    };
    let mut desired = world.desired(vec![replica("h1", 1), replica("h2", 2)]);
    desired.routes = vec![world.route("web", 1)];
    world.commit(&server, Some(desired)).await;

    let mut tables = server.handle.tables();
    let mut shows = async |expected: &[TargetState]| {
        let is_so = |table: &Table| states(table) == expected;
        wait(&mut tables, &format!("{expected:?}"), is_so).await;
    };
    shows(&[Active, Active]).await;
    server.handle.drain("h1", true, "test").await.unwrap();
    shows(&[Draining, Active]).await;
    server.handle.drain("h1", false, "test").await.unwrap();
    shows(&[Active, Active]).await;
    second.stop().await;
    shows(&[Active, Lost]).await;
    shows(&[Active]).await;
    let second = world.agent("h2").await;
    shows(&[Active, Active]).await;

    // An agent that starts anew does not report what serves as starting: the target stays.
    second.stop().await;
    shows(&[Active, Lost]).await;
    let second = world.agent("h2").await;
    shows(&[Active, Active]).await;
    let observed = server.handle.observed();
    let mut reports = second.reports();
    wait(&mut reports, "a report", |report| !report.agent_version.is_empty()).await;
    let state = |report: &wharf_model::HostReport| report.instances[0].state.clone();
    assert_eq!(state(&reports.borrow()), InstanceState::Healthy);
    assert_eq!(state(&observed.borrow().hosts[&name("h2")].1), InstanceState::Healthy);

    // The first table that a restarted server shows has what it knew, though no agent has come back yet.
    first.stop().await;
    second.stop().await;
    server.stop().await;
    let server = world.server().await;
    assert_eq!(states(&server.handle.tables().borrow()), [Active, Active]);
    server.stop().await;
}

fn states(table: &Table) -> Vec<TargetState> {
    table.routes.iter().flat_map(|route| &route.targets).map(|target| target.state).collect()
}

/// Forwards TCP until it is cut; then what arrives is swallowed and nothing is closed.
struct Proxy {
    address: SocketAddr,
    cut: watch::Sender<bool>,
}

impl Proxy {
    async fn start(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = watch::channel(false);
        wharf_base::Tasks::new().spawn("proxy", async move {
            let tasks = wharf_base::Tasks::new();
            loop {
                let (inner, _) = listener.accept().await.unwrap();
                let is_cut = is_cut.clone();
                if *is_cut.borrow() {
                    // Held open, never served.
                    tasks.spawn("held", async move {
                        let _inner = inner;
                        std::future::pending::<()>().await;
                    });
                    continue;
                }
                tasks.spawn("forward", async move {
                    let outer = TcpStream::connect(target).await.unwrap();
                    let ((a, b), (c, d)) = (inner.into_split(), outer.into_split());
                    tokio::join!(copy(a, d, is_cut.clone()), copy(c, b, is_cut));
                });
            }
        });
        Proxy { address, cut }
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    is_cut: watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut buffer = vec![0; 16 << 10];
    let mut was_cut = false;
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        was_cut |= *is_cut.borrow();
        // A byte that was swallowed breaks TLS for good: a connection that was cut stays so.
        if was_cut {
            if read == 0 {
                std::future::pending::<()>().await;
            }
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
