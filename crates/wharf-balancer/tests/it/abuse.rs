//! Bytes that a proxy must refuse, and clients that take their time. Bytes in, answer out, then the end.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use wharf_base::ByteSize;

use crate::backend::App;
use crate::client::Client;
use crate::setup::{Balancer, table};

/// What is sent, and the status that answers it.
const REFUSED: &[(&str, &str, u16)] = &[
    (
        "CL and TE",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        400,
    ),
    (
        "TE and CL",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
        400,
    ),
    ("two CL", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    ("two equal CL", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    ("CL list", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1, 1\r\n\r\na", 400),
    ("CL with sign", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +1\r\n\r\na", 400),
    ("negative CL", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\na", 400),
    ("hex CL", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x1\r\n\r\na", 400),
    ("huge CL", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\na", 400),
    ("empty CL", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: \r\n\r\n", 400),
    ("space before colon", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 1\r\n\r\na", 400),
    ("TE identity", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\n", 400),
    ("TE xchunked", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    (
        "TE chunked, identity",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "TE gzip, chunked",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "TE twice",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("TE with tab", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("TE in 1.0", "POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("folded TE", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("folded header", "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n", 400),
    ("two hosts", "GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n", 400),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("host with path", "GET / HTTP/1.1\r\nHost: t/x\r\n\r\n", 400),
    ("host with user", "GET / HTTP/1.1\r\nHost: a@t\r\n\r\n", 400),
    ("bare LF", "GET / HTTP/1.1\nHost: t\n\n", 400),
    ("bare LF in a header", "GET / HTTP/1.1\r\nHost: t\r\nX: a\nY: b\r\n\r\n", 400),
    ("bare CR", "GET / HTTP/1.1\r\nHost: t\r\nX: a\rY: b\r\n\r\n", 400),
    ("NUL in a header", "GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n", 400),
    ("no colon", "GET / HTTP/1.1\r\nHost: t\r\nnonsense\r\n\r\n", 400),
    ("no method", "\x16\x03\x01\x02\0\x01\r\n\r\n", 400),
    ("CONNECT", "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", 405),
];

#[tokio::test]
async fn what_two_programs_may_read_differently_is_refused_and_the_connection_closed() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    for (name, bytes, status) in REFUSED {
        let mut client = Client::connect(balancer.address()).await;
        client.send(bytes).await;
        let response = client.response().await.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(response.status, *status, "{name}: {}", response.head);
        assert!(client.is_closed().await, "{name} was not closed");
    }
    assert_eq!(app.requests.load(std::sync::atomic::Ordering::Relaxed), 0);
    let lines = balancer.log_lines().await;
    assert_eq!(lines.len(), REFUSED.len());
    assert!(lines.iter().all(|line| line.contains(" 400 ") || line.contains(" 405 ")), "{lines:#?}");
}

#[tokio::test]
async fn a_bad_request_behind_a_good_one_is_refused_as_well() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    let good = "POST /count HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    client.send([good, good, REFUSED[0].1].concat()).await;
    assert_eq!(client.response().await.unwrap().text(), "2");
    assert_eq!(client.response().await.unwrap().text(), "2");
    let response = client.response().await.unwrap();
    assert_eq!(response.status, 400);
    assert!(response.text().contains("both given\nside: client\nrequest: "), "{}", response.text());
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn malformed_chunks_end_the_request() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    for body in
        ["zz\r\nhi\r\n0\r\n\r\n", "2\nhi\r\n0\r\n\r\n", "2\r\nhixx\r\n0\r\n\r\n", "ffffffffffffffffff\r\n"]
    {
        let mut client = Client::connect(balancer.address()).await;
        client
            .send(format!("POST /count HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
            .await;
        let response = client.response().await.unwrap_or_else(|| panic!("{body:?}: no answer"));
        assert_eq!(response.status, 400, "{body:?}");
        assert!(client.is_closed().await, "{body:?}");
    }
}

#[tokio::test]
async fn limits_of_heads_and_bodies_hold() {
    let balancer = Balancer::with(|config| {
        config.limits.header_bytes = ByteSize(8 << 10);
        config.limits.body_bytes = Some(ByteSize(10));
    })
    .await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let ask = async |bytes: String| {
        let mut client = Client::connect(balancer.address()).await;
        client.send(bytes).await;
        let response = client.response().await.unwrap();
        (response.status, response.text())
    };
    let cookie = |size: usize| format!("GET / HTTP/1.1\r\nHost: t\r\nCookie: {}\r\n\r\n", "x".repeat(size));
    assert_eq!(ask(cookie(8000)).await.0, 200);
    assert_eq!(ask(cookie(9000)).await.0, 431);
    assert_eq!(ask(cookie(200_000)).await.0, 431);
    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(ask(many(90)).await.0, 200);
    assert_eq!(ask(many(200)).await.0, 431);
    let post = "POST /count HTTP/1.1\r\nHost: t\r\n";
    assert_eq!(ask(format!("{post}Content-Length: 10\r\n\r\n0123456789")).await, (200, "10".into()));
    assert_eq!(ask(format!("{post}Content-Length: 11\r\n\r\n01234567890")).await.0, 413);
    let chunked =
        format!("{post}Transfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n");
    assert_eq!(ask(chunked).await.0, 413);
}

#[tokio::test]
async fn slow_heads_idle_connections_and_stalled_bodies_run_out_of_time() {
    let balancer = Balancer::with(|config| {
        config.timeouts.header = Duration::from_millis(200);
        config.timeouts.keep_alive = Duration::from_millis(200);
        config.timeouts.response = Duration::from_millis(300);
    })
    .await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let mut idle = Client::connect(balancer.address()).await;
    assert_eq!(idle.get("/").await.status, 200);
    assert!(idle.is_closed().await);
    let mut slow = Client::connect(balancer.address()).await;
    slow.send("GET / HTTP/1.1\r\nHo").await;
    assert!(slow.is_closed().await);
    let mut stalled = Client::connect(balancer.address()).await;
    stalled.send("POST /count HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc").await;
    assert_eq!(stalled.response().await.unwrap().status, 408);
    let mut late = Client::connect(balancer.address()).await;
    let response = late.get("/slow?5000").await;
    assert_eq!(response.status, 504);
    assert!(response.text().contains("side: backend"), "{}", response.text());
    let lines = balancer.log_lines().await;
    let terms: Vec<&str> =
        lines.iter().map(|line| line.split(" term=").nth(1).unwrap().split(' ').next().unwrap()).collect();
    assert_eq!(terms, ["--", "cR", "cD", "sH"], "{lines:#?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_holds_no_memory() {
    let balancer = Balancer::with(|config| config.timeouts.idle = Duration::from_millis(300)).await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    let size = 64 << 20;
    client.send(format!("GET /size?{size} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
    let pools =
        balancer.observed("the request is cut", |pools| crate::setup::traffic(pools, 1).requests == 1).await;
    let traffic = crate::setup::traffic(&pools, 1);
    // Kernel buffers and our own hold what was taken of it.
    assert!(traffic.client_aborts == 1 && traffic.bytes_out < 32 << 20, "{traffic:?}");
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest).await;
    assert!(rest.len() < size);
}

#[tokio::test]
async fn the_limit_on_connections_lets_others_wait() {
    let balancer = Balancer::with(|config| {
        config.limits.connections = 2;
        config.workers = 1;
    })
    .await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let mut first = Client::connect(balancer.address()).await;
    let mut second = Client::connect(balancer.address()).await;
    assert_eq!((first.get("/").await.status, second.get("/").await.status), (200, 200));
    let mut third = Client::connect(balancer.address()).await;
    third.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let waiting = tokio::time::timeout(Duration::from_millis(200), third.stream.readable()).await;
    assert!(waiting.is_err());
    drop(first);
    assert_eq!(third.response().await.unwrap().status, 200);
}
