//! What a reverse proxy does all day.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf_balancer::StaticRoute;
use wharf_model::Balance;

use crate::backend::{App, Script, read_head};
use crate::client::Client;
use crate::setup::{Balancer, route, table, traffic};

#[tokio::test]
async fn requests_of_one_client_share_one_connection_to_the_backend() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    for _ in 0..20 {
        let response = client.get("/").await;
        assert_eq!((response.status, response.text().as_str()), (200, "a"));
    }
    assert_eq!(app.connections.load(Ordering::Relaxed), 1);
    let pools = balancer.observed("20 requests", |pools| traffic(pools, 1).requests == 20).await;
    let traffic = traffic(&pools, 1);
    assert_eq!((traffic.errors, traffic.in_flight, traffic.bytes_out), (0, 0, 20));
}

#[tokio::test]
async fn round_robin_spreads_and_hosts_and_paths_route() {
    let balancer = Balancer::start().await;
    let (a, b, c) = (App::start("a").await, App::start("b").await, App::start("c").await);
    let mut everything = table(1, 1, &[a.address, b.address]);
    let mut api = route(7, &[c.address]);
    (api.host, api.path) = (Some("test".into()), "/api".into());
    everything.routes.push(api);
    balancer.apply(everything);
    let mut client = Client::connect(balancer.address()).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(client.get("/").await.text());
    }
    seen.sort();
    assert_eq!(seen, ["a", "a", "b", "b"]);
    assert_eq!(client.get("/api/x?y").await.text(), "c");
    assert_ne!(client.get("/apis").await.text(), "c");
    let other = client.ask("GET /api HTTP/1.1\r\nHost: other\r\n\r\n").await;
    assert_ne!(other.text(), "c");
}

#[tokio::test]
async fn least_conn_avoids_the_busy_target() {
    let balancer = Balancer::with(|config| config.workers = 1).await;
    let (a, b) = (App::start("a").await, App::start("b").await);
    let mut table = table(1, 1, &[a.address, b.address]);
    table.routes[0].balance = Balance::LeastConn;
    balancer.apply(table);
    let mut slow = Client::connect(balancer.address()).await;
    slow.send("GET /slow?1500 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    balancer.observed("one in flight", |pools| traffic(pools, 1).in_flight == 1).await;
    let mut client = Client::connect(balancer.address()).await;
    let first = client.get("/").await.text();
    for _ in 0..10 {
        assert_eq!(client.get("/").await.text(), first);
    }
    assert_ne!(slow.response().await.unwrap().text(), first);
}

#[tokio::test]
async fn headers_arrive_as_a_proxy_should_send_them() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    let response = client
        .ask(
            "GET /echo?x=1 HTTP/1.1\r\nHost: Shop.example.com\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
             Keep-Alive: timeout=5\r\nTE: trailers\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
             X-Request-Id: mine-1\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nCookie: a=b\r\n\r\n",
        )
        .await;
    assert_eq!(
        response.text(),
        "GET /echo?x=1 HTTP/1.1\ncookie: a=b\nhost: Shop.example.com\nx-forwarded-for: 127.0.0.1\n\
         x-forwarded-host: Shop.example.com\nx-forwarded-proto: http\nx-request-id: mine-1\n\n"
    );
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_a_request_id_is_made() {
    let balancer = Balancer::with(|config| config.trusted_proxies = vec!["127.0.0.0/8".into()]).await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    let response = client
        .ask(
            "GET http://abs.example/echo HTTP/1.1\r\nHost: lies\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X-Forwarded-Proto: https\r\n\r\n",
        )
        .await
        .text();
    for expected in [
        "GET /echo HTTP/1.1\n",
        "host: abs.example\n",
        "x-forwarded-for: 6.6.6.6, 127.0.0.1\n",
        "x-forwarded-proto: https\n",
        "x-request-id: ",
    ] {
        assert!(response.contains(expected), "{expected:?} in {response}");
    }
}

#[tokio::test]
async fn http_1_0_clients_are_served_and_backends_always_spoken_to_in_1_1() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    let response = client.ask("GET /echo HTTP/1.0\r\n\r\n").await;
    assert!(response.head.starts_with("HTTP/1.0 200"), "{}", response.head);
    assert!(response.text().starts_with("GET /echo HTTP/1.1\n"), "{}", response.text());
    assert!(client.is_closed().await);
    let mut client = Client::connect(balancer.address()).await;
    for _ in 0..3 {
        assert_eq!(client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await.text(), "a");
    }
    assert!(app.connections.load(Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn bodies_stream_both_ways_with_length_and_in_chunks() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    let response =
        client.ask("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello").await.text();
    assert!(response.contains("content-length: 5\n") && response.ends_with("\n\nhello"), "{response}");
    for method in ["POST", "GET"] {
        let response = client
            .ask(format!(
                "{method} /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n"
            ))
            .await
            .text();
        assert!(response.contains("transfer-encoding: chunked\n"), "{response}");
        assert!(response.ends_with("\n\nhello"), "{response}");
    }
    let size = 8 << 20;
    client.send(format!("POST /count HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n")).await;
    client.send(vec![b'x'; size]).await;
    assert_eq!(client.response().await.unwrap().text(), size.to_string());
    let response = client.get(&format!("/size?{size}")).await;
    assert_eq!(response.body.len(), size);
    assert_eq!(client.get("/").await.text(), "a");
}

#[tokio::test]
async fn parts_of_a_body_are_passed_on_as_they_come() {
    let (balancer, script) = (Balancer::start().await, Script::bind().await);
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    let (mut backend, head) = script.request().await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    let mut part = [0u8; 8];
    backend.read_exact(&mut part).await.unwrap();
    assert_eq!(&part, b"3\r\none\r\n");
    // The response begins while the request is still being sent.
    backend.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"2\r\nhi\r\n") {
        client.stream.read_buf(&mut seen).await.unwrap();
    }
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    let mut rest = [0u8; 13];
    backend.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"3\r\ntwo\r\n0\r\n\r\n");
    backend.write_all(b"0\r\n\r\n").await.unwrap();
    let mut end = [0u8; 5];
    client.stream.read_exact(&mut end).await.unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_and_the_backend_is_not_asked() {
    let (balancer, script) = (Balancer::start().await, Script::bind().await);
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("PUT /x HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n").await;
    let (mut backend, head) = script.request().await;
    assert!(!head.contains("expect"), "{head}");
    assert_eq!(client.response().await.unwrap().status, 100);
    client.send("hi").await;
    let mut body = [0u8; 2];
    backend.read_exact(&mut body).await.unwrap();
    backend.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 201);
}

#[tokio::test]
async fn head_204_and_304_have_no_body_and_count_as_complete() {
    let (balancer, script) = (Balancer::start().await, Script::bind().await);
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let (mut backend, _) = script.request().await;
    backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nX-A: b\r\n\r\n").await.unwrap();
    let response = client.head_response().await.unwrap();
    assert_eq!(response.header("content-length").as_deref(), Some("4096"));
    for status in ["204 No Content", "304 Not Modified"] {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
        read_head(&mut backend).await.unwrap();
        backend.write_all(format!("HTTP/1.1 {status}\r\nETag: x\r\n\r\n").as_bytes()).await.unwrap();
        let response = client.response().await.unwrap();
        assert!(response.head.contains(status), "{}", response.head);
    }
    let pools = balancer.observed("3 requests", |pools| traffic(pools, 1).requests == 3).await;
    assert_eq!(traffic(&pools, 1).client_aborts, 0);
}

#[tokio::test]
async fn a_response_without_length_ends_with_the_backends_connection() {
    let (balancer, script) = (Balancer::start().await, Script::bind().await);
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let (mut backend, _) = script.request().await;
    backend.write_all(b"HTTP/1.0 200 OK\r\nConnection: X-Gone\r\nX-Gone: 1\r\n\r\nall of it").await.unwrap();
    drop(backend);
    let response = client.response().await.unwrap();
    assert!(response.is_chunked && response.header("x-gone").is_none(), "{}", response.head);
    assert_eq!(response.text(), "all of it");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send([one("/slow?50"), one("/echo?2"), one("/size?3")].concat()).await;
    assert_eq!(client.response().await.unwrap().text(), "a");
    assert!(client.response().await.unwrap().text().starts_with("GET /echo?2 "));
    assert_eq!(client.response().await.unwrap().text(), "xxx");
}

#[tokio::test]
async fn routes_of_wharf_yaml_work_without_a_control_plane() {
    let app = App::start("static").await;
    let target = format!("http://localhost:{}", app.address.port());
    let route = StaticRoute { host: Some("static.test".into()), targets: vec![target], ..Default::default() };
    let balancer = Balancer::with(|config| config.routes = vec![route]).await;
    let mut client = Client::connect(balancer.address()).await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: static.test\r\n\r\n").await.text(), "static");
    let missing = client.get("/").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("side: balancer\nrequest: "), "{}", missing.text());
    // A table of the control plane comes beside it.
    let other = App::start("app").await;
    balancer.apply(table(1, 1, &[other.address]));
    assert_eq!(client.get("/").await.text(), "app");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: static.test\r\n\r\n").await.text(), "static");
}

#[tokio::test]
async fn the_api_shows_routes_and_traffic() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(4, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.get("/").await;
    let routes = balancer.routes().await;
    assert_eq!(routes["version"], 4);
    assert_eq!(routes["routes"][0]["targets"][0]["requests"], 1);
    assert_eq!(routes["routes"][0]["targets"][0]["is_healthy"], true);
    balancer.observed("the request", |pools| traffic(pools, 1).requests == 1).await;
    let traffic = balancer.api("/traffic").await;
    assert_eq!(traffic["balancers"][0]["name"], "local");
    assert_eq!(traffic["balancers"][0]["traffic"][0]["requests"], 1);
}

#[tokio::test]
async fn tables_are_followed_and_the_last_one_stays_when_the_control_plane_goes() {
    use std::sync::Arc;
    let (a, b) = (App::start("a").await, App::start("b").await);
    let (tables, follow) = tokio::sync::watch::channel(Arc::default());
    let config = wharf_balancer::Config { http: vec![([127, 0, 0, 1], 0).into()], ..Default::default() };
    let clock = Arc::new(wharf_base::SystemClock);
    let deps = wharf_balancer::Deps { clock, name: "edge-1".into(), dir: None, tables: Some(follow) };
    let config = wharf_balancer::Config { access_log: "off".into(), ..config };
    let tasks = wharf_base::Tasks::new();
    let handle = wharf_balancer::start(config, deps, &tasks).await.unwrap();
    let mut client = Client::connect(handle.addresses()[0]).await;
    assert_eq!(client.get("/").await.status, 404);
    let mut observed = handle.observed();
    for (version, app) in [(1, &a), (2, &b)] {
        tables.send_replace(Arc::new(table(version, 1, &[app.address])));
        observed
            .wait_for(|pools| pools.balancers.iter().any(|view| view.table_version == version))
            .await
            .unwrap();
        assert_eq!(client.get("/").await.text(), if version == 1 { "a" } else { "b" });
    }
    let mut bad = table(3, 1, &[a.address]);
    bad.routes[0].targets[0].address.set_port(0);
    tables.send_replace(Arc::new(bad));
    drop(tables);
    assert_eq!(client.get("/").await.text(), "b");
    handle.flush().await;
    drop(client);
    assert!(tasks.stop(crate::setup::DEADLINE).await.aborted.is_empty());
}

#[tokio::test]
async fn traffic_is_streamed_as_events() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let balancer = Balancer::start().await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    Client::connect(balancer.address()).await.get("/").await;
    balancer.observed("the request", |pools| traffic(pools, 1).requests == 1).await;
    let request = http::Request::get("/traffic/stream").body(axum::body::Body::empty()).unwrap();
    let response =
        axum::Router::from(wharf_balancer::routes(balancer.handle.clone())).oneshot(request).await.unwrap();
    let mut body = response.into_body();
    let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let text = String::from_utf8(event.to_vec()).unwrap();
    assert!(text.contains("event: traffic\n") && text.contains("\"requests\":1"), "{text}");
    balancer.stop().await;
    while body.frame().await.is_some() {}
}
