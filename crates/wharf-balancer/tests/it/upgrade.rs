//! WebSockets and other upgrades.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::{App, Script};
use crate::client::Client;
use crate::setup::{Balancer, table, traffic};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: x\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                          Sec-WebSocket-Accept: y\r\n\r\nfirst";

#[tokio::test]
async fn a_websocket_is_relayed_counted_and_survives_a_new_table() {
    let balancer = Balancer::start().await;
    let (script, other) = (Script::bind().await, App::start("other").await);
    balancer.apply(table(1, 1, &[script.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send([UPGRADE, "early"].concat()).await;
    let (mut backend, head) = script.request().await;
    for expected in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-key: x\r\n"] {
        assert!(head.contains(expected), "{expected:?} in {head}");
    }
    backend.write_all(SWITCHED).await.unwrap();
    let response = client.response().await.unwrap();
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-accept").as_deref(), Some("y"));
    assert_eq!(client.exactly(5).await.unwrap(), b"first");
    let mut early = [0u8; 5];
    backend.read_exact(&mut early).await.unwrap();
    assert_eq!(&early, b"early");
    balancer.observed("in flight", |pools| traffic(pools, 1).in_flight == 1).await;
    balancer.apply(table(2, 2, &[other.address]));
    // Bytes that would be a bad request are none any more.
    client.send("GET / HTTP/1.1\nHost: a\nHost: b\n\n").await;
    let mut bytes = [0u8; 32];
    backend.read_exact(&mut bytes).await.unwrap();
    let large = vec![7u8; 1 << 20];
    let (sent, received) = tokio::join!(backend.write_all(&large), client.exactly(1 << 20));
    sent.unwrap();
    assert_eq!(received.unwrap(), large);
    let pools = balancer.observed("still in flight", |pools| traffic(pools, 2).is_active).await;
    assert_eq!(traffic(&pools, 1).in_flight, 1);
    // One side ends, the other may still say something.
    client.stream.shutdown().await.unwrap();
    assert_eq!(backend.read(&mut [0u8; 1]).await.unwrap(), 0);
    backend.write_all(b"bye").await.unwrap();
    assert_eq!(client.exactly(3).await.unwrap(), b"bye");
    drop(backend);
    assert!(client.is_closed().await);
    balancer.observed("drained", |pools| traffic(pools, 1).in_flight == 0).await;
    let lines = balancer.log_lines().await;
    assert!(lines[0].contains(&format!("\" 101 {} ", 5 + (1 << 20) + 3)), "{}", lines[0]);
    assert!(lines[0].contains(" term=-- "), "{}", lines[0]);
}

#[tokio::test]
async fn an_upgrade_that_the_backend_declines_is_a_plain_answer() {
    let (balancer, app) = (Balancer::start().await, App::start("a").await);
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    for _ in 0..3 {
        let response = client.ask(UPGRADE).await;
        assert_eq!((response.status, response.text().as_str()), (200, "a"));
    }
}

#[tokio::test]
async fn a_silent_tunnel_ends_after_its_timeout_and_at_a_stop() {
    let balancer = Balancer::with(|config| {
        config.timeouts.tunnel = Duration::from_millis(300);
        config.timeouts.stop = Duration::from_millis(500);
    })
    .await;
    let script = Script::bind().await;
    balancer.apply(table(1, 1, &[script.address]));
    for term in [" term=cD ", " term=KD "] {
        let mut client = Client::connect(balancer.address()).await;
        client.send(UPGRADE).await;
        let (mut backend, _) = script.request().await;
        backend.write_all(SWITCHED).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 101);
        client.exactly(5).await.unwrap();
        if term == " term=KD " {
            let report = {
                let tasks = balancer.tasks.clone();
                let stopping = tasks.stop(crate::setup::DEADLINE);
                let chatting = async {
                    // Keeps the tunnel busy until it is cut.
                    while client.stream.write_all(b"x").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                tokio::join!(stopping, chatting).0
            };
            assert!(report.aborted.is_empty(), "{report:?}");
        } else {
            assert!(client.is_closed().await);
            balancer.handle.flush().await;
        }
        let lines = balancer.log_file();
        assert!(lines.last().unwrap().contains(term), "{lines:?}");
    }
}
