//! Certificates of hosts are renewed in time, over the connection that stands, and nobody notices.

use std::sync::Arc;
use std::time::Duration;

use wharf_base::{Clock as _, ErrorCode, ManualClock, SystemClock, UnixMillis};
use wharf_fleet::agent::{AgentDeps, BalancerDeps, Connector};
use wharf_model::ports::Hosts as _;
use wharf_model::{BalancerView, Event, HostView, Liveness};
use wharf_test_support::{DEADLINE, require};

use crate::world::{Server, World, name, wait};

const DAY: Duration = Duration::from_secs(86_400);

fn host(server: &Server, host: &str) -> HostView {
    server.handle.hosts().into_iter().find(|view| view.name == name(host)).unwrap()
}

async fn is(server: &Server, what: &str, liveness: Liveness) {
    let is_so = |observed: &wharf_model::Observed| {
        observed.hosts.get(&name("h1")).is_some_and(|(is, _)| *is == liveness)
    };
    server.observe(what, is_so).await;
}

/// Waits until the host's newest certificate ends later than `expires`, and the host has stored it.
async fn renewed(world: &World, server: &Server, expires: UnixMillis) -> UnixMillis {
    let wait = async {
        loop {
            let now = host(server, "h1").certificate_expires.unwrap();
            let stored = std::fs::read_to_string(world.path("h1").join("identity.json")).unwrap();
            if now > expires && stored.contains(&now.0.to_string()) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the certificate is renewed")
}

/// What a request with the certificate that lies in the host's directory is answered; an error where there is no
/// connection.
async fn asks(world: &World, host: &str) -> Result<u16, String> {
    let deps = AgentDeps::joined(world.path(host), Arc::clone(&world.clock)).unwrap();
    let Connector::Network { servers, .. } = deps.connector else { panic!("not over the network") };
    let endpoint = servers.current().unwrap();
    let (mut sender, driver) =
        wharf_http::connect_h2(&endpoint, None, None).await.map_err(|error| error.to_string())?;
    let request = http::Request::get(format!("https://{}/agent/v1/desired", endpoint.authority()));
    let response = sender.send_request(request.body(wharf_http::empty()).unwrap());
    tokio::select! {
        response = response => response.map(|one| one.status().as_u16()).map_err(|error| error.to_string()),
        ended = driver => Err(format!("{ended:?}")),
    }
}

async fn losses(server: &Server) -> usize {
    let records = server.events.newest(1_000).await.unwrap();
    records.iter().filter(|record| matches!(record.event, Event::HostLost { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_after_two_thirds_and_an_expired_one_is_told() {
    require!(Docker);
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let mut world = World::new();
    world.clock = Arc::clone(&clock) as _;
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let first = host(&server, "h1").certificate_expires.unwrap();
    assert_eq!(first.0 / 1_000, clock.now().plus(90 * DAY).0 / 1_000);

    // A copy of what joining has left: an agent that was killed after the server had signed and before it had stored.
    let copy = |from: &str, to: &str| {
        let (from, to) = (world.directory.path().join(from), world.directory.path().join(to));
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(copied.success());
    };
    copy("h1", "killed");
    clock.advance(61 * DAY);
    let agent = world.agent("h1").await;
    let second = renewed(&world, &server, first).await;
    assert_eq!(second.0 / 1_000, clock.now().plus(90 * DAY).0 / 1_000);
    is(&server, "h1 to be up", Liveness::Up).await;
    agent.stop().await;
    assert_eq!(asks(&world, "h1").await, Ok(200));
    assert_eq!(asks(&world, "killed").await, Ok(200), "the one before is good until it ends");
    // And it may ask again; then the one that nobody has stored is forgotten.
    std::fs::rename(world.directory.path().join("h1"), world.directory.path().join("never-stored")).unwrap();
    std::fs::rename(world.directory.path().join("killed"), world.directory.path().join("h1")).unwrap();
    clock.advance(Duration::from_secs(2));
    let agent = world.agent("h1").await;
    let third = renewed(&world, &server, second).await;
    agent.stop().await;
    assert_eq!(asks(&world, "h1").await, Ok(200));
    assert_eq!(asks(&world, "never-stored").await, Ok(401));

    // All of it outlives the server.
    server.stop().await;
    let server = world.server().await;
    assert_eq!(host(&server, "h1").certificate_expires, Some(third));
    assert_eq!(asks(&world, "h1").await, Ok(200));

    // Off for longer than the certificate lives. The server's own was renewed: it is not what fails.
    clock.advance(91 * DAY);
    asks(&world, "h1").await.expect_err("the handshake fails");
    let problem = host(&server, "h1").problem.unwrap();
    for part in ["certificate of host `h1` expired at", "hint:", "wharf host token --host h1"] {
        assert!(problem.contains(part), "{problem}");
    }
    // The agent runs on without the server, and joining again is what helps.
    let agent = world.agent("h1").await;
    assert_eq!(host(&server, "h1").liveness, Liveness::Lost);
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_on_a_connection_that_stands() {
    require!(Docker);
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let mut world = World::new();
    world.clock = Arc::clone(&clock) as _;
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let deps = AgentDeps::joined(world.path("h1"), Arc::clone(&world.clock)).unwrap();
    let Connector::Network { servers, .. } = deps.connector else { panic!("not over the network") };
    let endpoint = servers.current().unwrap();
    let (mut sender, driver) = wharf_http::connect_h2(&endpoint, None, None).await.unwrap();
    let ask = async {
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let request = http::Request::get(format!("https://{}/agent/v1/desired", endpoint.authority()));
            let response = sender.send_request(request.body(wharf_http::empty()).unwrap()).await.unwrap();
            statuses.push(response.status().as_u16());
            clock.advance(91 * DAY);
        }
        statuses
    };
    let statuses = tokio::select! {
        statuses = ask => statuses,
        _ = driver => panic!("the connection ended"),
    };
    assert_eq!(statuses, [200, 401]);
    let error = wharf_fleet::Error::CertificateExpired { host: name("h1"), expires: UnixMillis(0) };
    assert_eq!(error.code(), ErrorCode::Unauthenticated);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_lived_certificates_are_renewed_again_and_again_and_no_host_is_lost() {
    require!(Docker);
    let mut world = World::new();
    world.certificate_lifetime = Duration::from_secs(6);
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let labels = [("role".to_owned(), "balancer".to_owned())].into();
    let request = wharf_fleet::server::NewToken { labels, ..Default::default() };
    let token = server.handle.make_token(request, "test").await.unwrap();
    wharf_fleet::agent::join(world.join_options(&token.token, "lb1")).await.unwrap();

    let agent = world.agent("h1").await;
    let tasks = wharf_base::Tasks::new();
    let (_views, views) = tokio::sync::watch::channel(Arc::new(BalancerView::default()));
    let deps = BalancerDeps { data: world.path("lb1"), views, clock: Arc::clone(&world.clock) };
    let link = wharf_fleet::agent::start_balancer(deps, &tasks).await.unwrap();
    is(&server, "h1 to be up", Liveness::Up).await;
    let mut balancers = server.handle.balancers();
    wait(&mut balancers, "lb1", |pools| pools.balancers.len() == 1).await;

    let mut expires = host(&server, "h1").certificate_expires.unwrap();
    for _ in 0..3 {
        expires = renewed(&world, &server, expires).await;
    }
    // Both still hear of what is new, over connections with certificates that did not exist when they were started.
    let generation = world.commit(&server, Some(world.desired(vec![]))).await;
    let mut tables = link.tables.clone();
    let is_new = |table: &Option<Arc<wharf_model::Table>>| {
        table.as_ref().is_some_and(|table| table.generation == generation)
    };
    tokio::time::timeout(DEADLINE, tables.wait_for(is_new)).await.unwrap().unwrap();
    server.converged("h1", generation).await;
    assert_eq!(losses(&server).await, 0);
    tasks.stop(Duration::from_secs(10)).await;
    agent.stop().await;
    server.stop().await;
}
