//! The access log agrees with what clients counted.

use std::time::Duration;

use tokio::task::JoinSet;
use wharf_balancer::LogFormat;

use crate::backend::App;
use crate::client::Client;
use crate::setup::{Balancer, table};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_one_line_per_request_after_a_flush_and_after_a_stop() {
    let balancer = Balancer::start().await;
    let (a, b) = (App::start("a").await, App::start("b").await);
    balancer.apply(table(1, 3, &[a.address, b.address]));
    let mut clients = JoinSet::new();
    for number in 0..20 {
        let address = balancer.address();
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            for _ in 0..100 {
                assert_eq!(client.get(&format!("/c{number}?q=x")).await.status, 200);
            }
            // All leave in the middle of an answer that they wait for.
            client.send("GET /slow?10000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
            client
        });
    }
    let waiting = clients.join_all().await;
    balancer.observed("all wait", |pools| crate::setup::traffic(pools, 3).in_flight == 20).await;
    drop(waiting);
    balancer.observed("all 2020", |pools| crate::setup::traffic(pools, 3).requests == 2020).await;
    assert_eq!(balancer.log_lines().await.len(), 2020);
    let mut client = Client::connect(balancer.address()).await;
    client.get("/last").await;
    let report = balancer.stop().await;
    assert!(report.aborted.is_empty() && report.panicked == 0, "{report:?}");
    let lines = balancer.log_file();
    assert_eq!(lines.len(), 2021);
    assert_eq!(lines.iter().filter(|line| line.contains(" 499 ")).count(), 20);
    assert_eq!(balancer.handle.log_lines_dropped(), 0);
    let line = lines.iter().find(|line| line.contains(" 200 ")).unwrap();
    let is_combined =
        line.starts_with("127.0.0.1 - - [") && line.contains("?q=x HTTP/1.1\" 200 1 \"-\" \"-\" 0.0");
    assert!(is_combined, "{line}");
    assert!(line.contains(" app=shop service=web release=3 target=t"), "{line}");
    assert!(line.contains(" attempt=1 term=-- id="), "{line}");
}

#[tokio::test]
async fn json_lines_have_the_phases_in_microseconds() {
    let balancer = Balancer::with(|config| config.access_log_format = LogFormat::Json).await;
    let app = App::start("a").await;
    balancer.apply(table(1, 3, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.ask("POST /slow?20 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nUser-Agent: x\r\n\r\nhi").await;
    let lines = balancer.log_lines().await;
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["status"], 200);
    assert_eq!(line["user_agent"], "x");
    assert_eq!((line["bytes_in"].as_u64(), line["bytes_out"].as_u64()), (Some(2), Some(1)));
    let micros = |key: &str| Duration::from_micros(line[key].as_u64().unwrap());
    assert!(micros("t_ttfb") >= Duration::from_millis(19) && micros("t_total") >= micros("t_ttfb"), "{line}");
    assert!(micros("t_connect") < micros("t_ttfb"), "{line}");
}

#[tokio::test]
async fn a_request_whose_client_ends_at_once_is_logged_as_well() {
    let balancer = Balancer::start().await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    for count in 1..=10 {
        let mut client = Client::connect(balancer.address()).await;
        client.send("GET /slow?10000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
        drop(client);
        while balancer.log_lines().await.len() < count {
            tokio::task::yield_now().await;
        }
    }
    assert!(balancer.log_lines().await.iter().all(|line| line.contains("\" 499 0 ")));
}

#[tokio::test]
async fn a_log_in_a_directory_that_is_not_there_is_refused_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("misspelt/access.log");
    let config = wharf_balancer::Config {
        http: vec![([127, 0, 0, 1], 0).into()],
        access_log: path.display().to_string(),
        ..wharf_balancer::Config::default()
    };
    let clock = std::sync::Arc::new(wharf_base::SystemClock);
    let deps = wharf_balancer::Deps { clock, name: "local".into(), dir: None, tables: None };
    let Err(error) = wharf_balancer::start(config, deps, &wharf_base::Tasks::new()).await else {
        panic!("it must not start");
    };
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("misspelt is no directory; hint: make it"), "{cause}");
    assert!(!path.parent().unwrap().exists(), "nothing is made");
}
