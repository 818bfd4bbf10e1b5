//! Backends that die, hang, lie or come back.

use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use wharf_model::{HealthCheck, TargetState};

use crate::backend::{App, Script, read_head};
use crate::client::Client;
use crate::setup::{Balancer, table, traffic};

/// An address that takes no connection and refuses none, as a host without power: a listener whose queue is full.
struct BlackHole {
    address: std::net::SocketAddr,
    _sockets: Vec<Socket>,
}

impl BlackHole {
    fn start() -> BlackHole {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut sockets = vec![listener];
        // Linux takes one more than the backlog says; further SYNs are dropped.
        for _ in 0..4 {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address.into());
            sockets.push(filler);
        }
        BlackHole { address, _sockets: sockets }
    }
}

#[tokio::test]
async fn a_pooled_connection_that_the_backend_closed_is_no_error() {
    let balancer = Balancer::with(|config| config.workers = 1).await;
    let script = Script::bind().await;
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    for method in ["GET", "POST", "GET", "POST"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n")).await;
        let (mut backend, _) = script.request().await;
        backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{method}");
        // The backend closes without having said so.
        drop(backend);
    }
}

#[tokio::test]
async fn a_get_on_a_connection_that_breaks_at_its_arrival_is_sent_again() {
    let balancer = Balancer::with(|config| config.workers = 1).await;
    let script = Script::bind().await;
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("GET /1 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let (mut backend, _) = script.request().await;
    backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    client.response().await.unwrap();
    client.send("GET /2 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert!(read_head(&mut backend).await.unwrap().starts_with("GET /2 "));
    drop(backend);
    let (mut backend, head) = script.request().await;
    assert!(head.starts_with("GET /2 "), "{head}");
    backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 200);
    // A POST that was taken is not sent twice.
    client.send("POST /3 HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx").await;
    assert!(read_head(&mut backend).await.unwrap().starts_with("POST /3 "));
    drop(backend);
    let response = client.response().await.unwrap();
    assert_eq!(response.status, 502);
    assert!(response.text().contains("side: backend"), "{}", response.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_killed_under_load_loses_no_get() {
    let balancer = Balancer::start().await;
    let mut apps = [App::start("a").await, App::start("b").await, App::start("c").await];
    balancer.apply(table(1, 1, &apps.iter().map(|app| app.address).collect::<Vec<_>>()));
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let address = balancer.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut statuses = Vec::new();
            for _ in 0..150 {
                statuses.push(client.get("/slow?2").await.status);
            }
            statuses
        });
    }
    balancer.observed("load", |pools| traffic(pools, 1).requests > 200).await;
    apps[1].kill();
    let statuses: Vec<u16> = clients.join_all().await.concat();
    let lost = statuses.iter().filter(|status| **status != 200).count();
    assert_eq!((statuses.len(), lost), (2400, 0));
    let pools = balancer.observed("all", |pools| traffic(pools, 1).requests == 2400).await;
    assert_eq!(traffic(&pools, 1).errors, 0);
}

#[tokio::test]
async fn a_target_that_swallows_connections_costs_one_connect_timeout_at_most() {
    let balancer = Balancer::start().await;
    let (hole, app) = (BlackHole::start(), App::start("a").await);
    let mut table = table(1, 1, &[hole.address, app.address]);
    // No check that would find it first.
    table.routes[0].health =
        Some(HealthCheck { path: None, interval_ms: 60_000, timeout_ms: 60_000, rise: 1, fall: 9 });
    balancer.apply(table);
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let address = balancer.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut answers = Vec::new();
            for _ in 0..5 {
                let response = client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi").await;
                answers.push((response.status, response.text()));
            }
            answers
        });
    }
    for answer in clients.join_all().await.concat() {
        assert_eq!(answer, (200, "a".to_owned()));
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    let routes = balancer.routes().await;
    assert_eq!(routes["routes"][0]["targets"][0]["is_ejected"], true);
    assert_eq!(routes["routes"][0]["targets"][0]["ejections"], 1);
}

#[tokio::test]
async fn gets_that_hang_on_a_dead_host_move_once_its_checks_fail() {
    let balancer = Balancer::with(|config| config.workers = 1).await;
    let app = App::start("a").await;
    // Takes connections and answers nothing, not even checks: a host without power, with its connections open.
    let dead = Script::bind().await;
    let mut table = table(1, 1, &[dead.address, app.address]);
    // The defaults of wharf.yaml.
    table.routes[0].health =
        Some(HealthCheck { path: Some("/up".into()), interval_ms: 500, timeout_ms: 500, rise: 2, fall: 2 });
    balancer.apply(table);
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..6 {
        let address = balancer.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let method = if number < 3 { "GET" } else { "OPTIONS" };
            let response = client.ask(format!("{method} / HTTP/1.1\r\nHost: t\r\n\r\n")).await;
            (response.status, response.text())
        });
    }
    for answer in clients.join_all().await {
        assert_eq!(answer, (200, "a".to_owned()));
    }
    assert!(began.elapsed() < Duration::from_millis(1800), "{:?}", began.elapsed());
    let moved = balancer.routes().await["counters"]["moved"].as_u64().unwrap();
    assert!(moved >= 2, "{moved}");
    assert_eq!(
        balancer.log_lines().await.iter().filter(|line| line.contains(" attempt=2 ")).count() as u64,
        moved
    );
}

#[tokio::test]
async fn a_host_that_the_control_plane_calls_lost_gives_its_gets_back_at_once() {
    let balancer = Balancer::with(|config| config.workers = 1).await;
    let (dead, app) = (Script::bind().await, App::start("a").await);
    balancer.apply(table(1, 1, &[dead.address]));
    let mut get = Client::connect(balancer.address()).await;
    get.send("GET /g HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let (_get, _) = dead.request().await;
    let mut post = Client::connect(balancer.address()).await;
    post.send("POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx").await;
    let (mut posted, _) = dead.request().await;
    let mut lost = table(2, 1, &[dead.address, app.address]);
    lost.routes[0].targets[0].state = TargetState::Lost;
    let began = Instant::now();
    balancer.apply(lost);
    assert_eq!(get.response().await.unwrap().text(), "a");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    // The POST may have done its work; it is left to the target, which in fact answers.
    posted.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
    assert_eq!(post.response().await.unwrap().text(), "done");
    for _ in 0..4 {
        assert_eq!(get.get("/").await.text(), "a");
    }
}

#[tokio::test]
async fn checks_take_a_target_out_and_back_in() {
    let balancer = Balancer::start().await;
    let (mut a, b) = (App::start("a").await, App::start("b").await);
    let address = a.address;
    balancer.apply(table(1, 1, &[address, b.address]));
    a.kill();
    let is_healthy = async |expected: bool| {
        let until = Instant::now() + crate::setup::DEADLINE;
        while balancer.routes().await["routes"][0]["targets"][0]["is_healthy"] != expected {
            assert!(Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    is_healthy(false).await;
    let mut client = Client::connect(balancer.address()).await;
    for _ in 0..6 {
        assert_eq!(client.get("/").await.text(), "b");
    }
    let a = App::start_at("a again", address).await;
    is_healthy(true).await;
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..2 {
        seen.push(client.get("/").await.text());
    }
    seen.sort();
    assert_eq!(seen, ["a again", "b"]);
    drop(a);
}

#[tokio::test]
async fn when_all_are_out_all_are_used_and_without_any_it_is_503() {
    let balancer = Balancer::start().await;
    let app = App::start("a").await;
    let mut panicking = table(1, 1, &[app.address]);
    // The check asks for what the application does not have (it takes 5 s for it).
    panicking.routes[0].health = Some(HealthCheck {
        path: Some("/slow?5000".into()),
        interval_ms: 20,
        timeout_ms: 20,
        rise: 1,
        fall: 1,
    });
    balancer.apply(panicking.clone());
    let until = Instant::now() + crate::setup::DEADLINE;
    while balancer.routes().await["routes"][0]["targets"][0]["is_healthy"] != false {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut client = Client::connect(balancer.address()).await;
    assert_eq!(client.get("/").await.text(), "a");
    panicking.version = 2;
    panicking.routes[0].targets.clear();
    balancer.apply(panicking);
    let response = client.get("/").await;
    assert_eq!(response.status, 503);
    assert!(response.text().contains("side: backend\nrequest: "), "{}", response.text());
    let pools = balancer.observed("the error", |pools| traffic(pools, 1).errors == 1).await;
    assert_eq!(traffic(&pools, 1).requests, 2);
    // The client's connection has survived all of it.
    balancer.apply(table(3, 1, &[app.address]));
    assert_eq!(client.get("/").await.text(), "a");
}

#[tokio::test]
async fn repeats_stay_within_the_budget() {
    let balancer = Balancer::with(|config| config.workers = 1).await;
    let (first, second) = (Script::bind().await, Script::bind().await);
    let mut table = table(1, 1, &[first.address, second.address]);
    table.routes[0].health =
        Some(HealthCheck { path: None, interval_ms: 60_000, timeout_ms: 60_000, rise: 1, fall: 9 });
    balancer.apply(table);
    // Both take each request and hang up: an overload that repeats would double.
    let mut hang_up = JoinSet::new();
    for script in [first, second] {
        hang_up.spawn(async move {
            loop {
                let _ = script.request().await;
            }
        });
    }
    let mut client = Client::connect(balancer.address()).await;
    for _ in 0..100 {
        assert_eq!(client.get("/").await.status, 502);
    }
    let counters = balancer.routes().await["counters"].clone();
    let (retries, refused) =
        (counters["retries"].as_u64().unwrap(), counters["retries_over_budget"].as_u64().unwrap());
    // 10 to begin with and 20 % of 100; each request may use one.
    assert!((25..=31).contains(&retries), "{counters}");
    assert!(refused >= 60, "{counters}");
}

#[tokio::test]
async fn answers_that_are_no_http_are_the_backends_fault() {
    let balancer = Balancer::with(|config| config.workers = 1).await;
    let script = Script::bind().await;
    balancer.apply(table(1, 1, &[script.address]));
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let mut client = Client::connect(balancer.address()).await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        let (mut backend, _) = script.request().await;
        backend.write_all(answer.as_bytes()).await.unwrap();
        let response = client.response().await.unwrap();
        assert_eq!(response.status, 502, "{answer:?}");
    }
    // Half a body: the client must notice.
    let mut client = Client::connect(balancer.address()).await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let (mut backend, _) = script.request().await;
    backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    drop(backend);
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest).await;
    assert!(rest.ends_with(b"half"), "{}", String::from_utf8_lossy(&rest));
    let lines = balancer.log_lines().await;
    assert!(lines[3].contains(" term=SD "), "{}", lines[3]);
}

#[tokio::test]
async fn an_early_answer_to_a_large_upload_reaches_the_client() {
    let balancer = Balancer::start().await;
    let script = Script::bind().await;
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nbegin").await;
    let (mut backend, _) = script.request().await;
    backend
        .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        .await
        .unwrap();
    let response = client.response().await.unwrap();
    assert_eq!((response.status, response.text().as_str()), (413, "no"));
}

#[tokio::test]
async fn the_timeout_of_a_route_holds_for_requests_with_a_body_too() {
    let balancer = Balancer::with(|config| config.timeouts.response = Duration::from_millis(300)).await;
    let app = App::start("a").await;
    let mut patient = table(1, 1, &[app.address]);
    patient.routes[0].timeout_ms = Some(10_000);
    balancer.apply(patient);
    let mut client = Client::connect(balancer.address()).await;
    let request = "POST /slow?800 HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(client.ask(request).await.status, 200);
}

#[tokio::test]
async fn clients_that_go_away_are_counted_and_their_requests_ended() {
    let balancer = Balancer::start().await;
    let script = Script::bind().await;
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("GET /gone HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let (mut backend, _) = script.request().await;
    drop(client);
    // The backend is told by the end of its connection.
    assert_eq!(backend.read(&mut [0u8; 1]).await.unwrap_or(0), 0);
    let pools = balancer.observed("the abort", |pools| traffic(pools, 1).client_aborts == 1).await;
    let traffic = traffic(&pools, 1);
    assert_eq!((traffic.requests, traffic.errors, traffic.in_flight), (1, 0, 0));
    let lines = balancer.log_lines().await;
    assert!(
        lines[0].contains("\"GET /gone HTTP/1.1\" 499 ") && lines[0].contains(" term=CH "),
        "{}",
        lines[0]
    );
    assert_eq!(balancer.routes().await["routes"][0]["targets"][0]["in_flight"].as_u64(), Some(0));
}
