//! Tokens, certificates, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use wharf_base::{Clock as _, ErrorCode, ManualClock, SystemClock};
use wharf_fleet::agent::{self, AgentDeps, BalancerDeps};
use wharf_fleet::server::NewToken;
use wharf_fleet::{Error, JoinToken};
use wharf_model::ports::Hosts as _;
use wharf_model::{BalancerView, Liveness};
use wharf_test_support::require;

use crate::world::{World, name, wait};

fn refused(result: Result<agent::Identity, Error>, code: ErrorCode, part: &str) {
    let error = result.expect_err(part);
    assert!(error.to_string().contains(part), "{error}");
    assert_eq!(error.code(), code, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_admits_as_often_as_long_and_whom_it_says() {
    require!(Docker);
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let mut world = World::new();
    world.clock = Arc::clone(&clock) as _;
    let server = world.server().await;
    let make = async |request: NewToken| server.handle.make_token(request, "test").await.unwrap().token;
    let join = async |token: &str, host: &str| agent::join(world.join_options(token, host)).await;

    let once = make(NewToken::default()).await;
    let identity = join(&once, "h1").await.unwrap();
    assert_eq!(identity.registry.as_ref().unwrap().username, "host-h1");
    refused(join(&once, "h2").await, ErrorCode::PermissionDenied, "it has been used");

    let twice = make(NewToken { uses: 2, ..NewToken::default() }).await;
    refused(join(&twice, "h1").await, ErrorCode::AlreadyExists, "a host named `h1` has joined already");
    join(&twice, "h2").await.unwrap();
    join(&twice, "h3").await.unwrap();
    refused(join(&twice, "h4").await, ErrorCode::PermissionDenied, "it has been used");

    let short = make(NewToken { ttl: Duration::from_secs(60), ..NewToken::default() }).await;
    clock.advance(Duration::from_secs(61));
    refused(join(&short, "h5").await, ErrorCode::PermissionDenied, "it has expired");

    let named = make(NewToken { host: Some(name("h1")), ..NewToken::default() }).await;
    refused(join(&named, "h6").await, ErrorCode::PermissionDenied, "it was made for the host `h1`");
    let again = join(&named, "h1").await.unwrap();
    assert_ne!(again.host_id, identity.host_id, "a token for the name replaces the host");

    let forged = JoinToken::new(server.authority.fingerprint()).to_string();
    refused(join(&forged, "h7").await, ErrorCode::PermissionDenied, "the server does not know it");
    let good = make(NewToken::default()).await;
    let other_secret = format!("{}{}", &good[..good.len() - 40], "0".repeat(40));
    refused(join(&other_secret, "h7").await, ErrorCode::PermissionDenied, "the server does not know it");
    let other_server = JoinToken::new(wharf_base::Digest::from_sha256([7; 32])).to_string();
    refused(join(&other_server, "h7").await, ErrorCode::Unavailable, "not the one that the token pins");
    refused(join("hello", "h7").await, ErrorCode::InvalidArgument, "not a join token");
    join(&good, "h7").await.unwrap();

    let names: Vec<String> = server.handle.hosts().iter().map(|host| host.name.to_string()).collect();
    assert_eq!(names, ["h1", "h2", "h3", "h7"]);
    let password = again.registry.unwrap().password;
    assert!(server.handle.check_registry("host-h1", &password).is_some_and(|user| !user.may_push));
    assert!(server.handle.check_registry("host-h1", &identity.registry.unwrap().password).is_none());
    assert!(server.handle.check_registry("host-h2", &password).is_none());
    assert!(world.path("certs.d").join("127.0.0.1:5999/ca.crt").exists(), "the Engine trusts our registry");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_host_is_cut_off_at_once_and_refused() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let agent = world.agent("h1").await;
    server
        .observe("h1 to be up", |observed| observed.hosts.values().any(|(is, _)| *is == Liveness::Up))
        .await;
    world.commit(&server, Some(world.desired(vec![world.instance("h1", "web", &["wait"])]))).await;
    server.healthy("web").await;

    let error = server.handle.remove("h1", false, "test").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    server.handle.remove("h1", true, "test").await.unwrap();
    server.observe("no hosts", |observed| observed.hosts.is_empty()).await;
    let generation = server.handle.generation();
    assert!(generation.apps[&world.app].instances.is_empty() && generation.number == 2);
    agent.stop().await;

    // Its certificate is still signed by our CA, and yet refused.
    let deps = AgentDeps::joined(world.path("h1"), Arc::clone(&world.clock)).unwrap();
    let agent::Connector::Network { servers, .. } = deps.connector else { panic!("not over the network") };
    let endpoint = servers.current().unwrap();
    let (mut sender, driver) = wharf_http::connect_h2(&endpoint, None, None).await.unwrap();
    let request = http::Request::get(format!("https://{}/agent/v1/desired", endpoint.authority()));
    let response = sender.send_request(request.body(wharf_http::empty()).unwrap());
    let response = tokio::select! {
        response = response => response.unwrap(),
        _ = driver => panic!("the connection ended"),
    };
    assert_eq!(response.status(), 401);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_joins_follows_the_table_and_reports() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    let labels = [("role".to_owned(), "balancer".to_owned())].into();
    let token = server.handle.make_token(NewToken { labels, ..NewToken::default() }, "test").await.unwrap();
    agent::join(world.join_options(&token.token, "lb1")).await.unwrap();
    let (views, receiver) = tokio::sync::watch::channel(Arc::new(BalancerView::default()));
    let deps =
        || BalancerDeps { data: world.path("lb1"), views: receiver.clone(), clock: Arc::clone(&world.clock) };
    let tasks = wharf_base::Tasks::new();
    let mut link = agent::start_balancer(deps(), &tasks).await.unwrap();
    let generation = world.commit(&server, Some(world.desired(vec![]))).await;
    let is_new = |table: &Option<Arc<wharf_model::Table>>| {
        table.as_ref().is_some_and(|table| table.generation == generation)
    };
    let table =
        tokio::time::timeout(wharf_test_support::DEADLINE, link.tables.wait_for(is_new)).await.unwrap();
    let table = table.unwrap().clone().unwrap();

    views.send_replace(Arc::new(BalancerView {
        generation,
        table_version: table.version,
        ..Default::default()
    }));
    let mut balancers = server.handle.balancers();
    let pools =
        wait(&mut balancers, "lb1", |pools| pools.balancers.len() == 1 && pools.have_applied(generation))
            .await;
    assert_eq!((pools.balancers[0].name.as_str(), pools.balancers[0].generation), ("lb1", generation));
    tasks.stop(Duration::from_secs(10)).await;
    wait(&mut balancers, "nobody", |pools| pools.balancers.is_empty()).await;
    server.stop().await;

    // A server that has just started can't tell yet what it routes by, so nothing may be stopped under it.
    let server = world.server().await;
    let pools = server.handle.balancers().borrow().clone();
    assert_eq!((pools.balancers.len(), pools.have_applied(generation)), (1, false));
    server.stop().await;

    // Without a server its last table is there at once.
    let tasks = wharf_base::Tasks::new();
    let link = agent::start_balancer(deps(), &tasks).await.unwrap();
    assert_eq!(link.tables.borrow().clone().unwrap(), table);
    tasks.stop(Duration::from_secs(10)).await;
}
