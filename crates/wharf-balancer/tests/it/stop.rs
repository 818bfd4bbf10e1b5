//! Stopping and starting again.

use std::io::ErrorKind;

use tokio::net::TcpStream;

use crate::backend::App;
use crate::client::Client;
use crate::setup::{Balancer, launch, table, traffic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_is_in_flight_and_says_close() {
    let balancer = Balancer::start().await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let mut busy = Client::connect(balancer.address()).await;
    busy.send("GET /slow?600 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let mut idle = Client::connect(balancer.address()).await;
    assert_eq!(idle.get("/").await.header("connection"), None);
    balancer.observed("in flight", |pools| traffic(pools, 1).in_flight == 1).await;
    let address = balancer.address();
    let tasks = balancer.tasks.clone();
    #[expect(clippy::disallowed_methods, reason = "the test needs both at once")]
    let stopping = tokio::spawn(async move { tasks.stop(crate::setup::DEADLINE).await });
    // Closed for new connections soon after.
    loop {
        match TcpStream::connect(address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
            _ => tokio::task::yield_now().await,
        }
    }
    // An idle client may send one more, and is told that it was the last.
    let last = idle.get("/").await;
    assert_eq!((last.text().as_str(), last.header("connection").as_deref()), ("a", Some("close")));
    assert!(idle.is_closed().await);
    let response = busy.response().await.unwrap();
    assert_eq!((response.text().as_str(), response.header("connection").as_deref()), ("a", Some("close")));
    let report = stopping.await.unwrap();
    assert!(report.aborted.is_empty() && report.panicked == 0, "{report:?}");
    assert_eq!(balancer.log_file().len(), 3);
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_deadline_and_logged() {
    let balancer =
        Balancer::with(|config| config.timeouts.stop = std::time::Duration::from_millis(300)).await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("GET /slow?60000 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    balancer.observed("in flight", |pools| traffic(pools, 1).in_flight == 1).await;
    let report = balancer.stop().await;
    assert!(report.aborted.is_empty(), "{report:?}");
    assert!(client.is_closed().await);
    let lines = balancer.log_file();
    assert!(lines.len() == 1 && lines[0].contains(" term=KD "), "{lines:?}");
}

#[tokio::test]
async fn a_restart_without_the_control_plane_serves_by_the_last_table() {
    let app = App::start("a").await;
    let dir = tempfile::tempdir().unwrap();
    let (handle, tasks) = launch(dir.path().to_owned(), |_| {}).await;
    for version in 1..=5 {
        handle.apply(table(version, 1, &[app.address])).unwrap();
    }
    assert!(tasks.stop(crate::setup::DEADLINE).await.aborted.is_empty());
    let (handle, tasks) = launch(dir.path().to_owned(), |_| {}).await;
    let mut client = Client::connect(handle.addresses()[0]).await;
    assert_eq!(client.get("/").await.text(), "a");
    let mut observed = handle.observed();
    let pools = observed.wait_for(|pools| !pools.balancers.is_empty()).await.unwrap().clone();
    assert_eq!((pools.balancers[0].table_version, pools.balancers[0].generation), (5, 5));
    drop(client);
    assert!(tasks.stop(crate::setup::DEADLINE).await.aborted.is_empty());
}

#[tokio::test]
async fn a_bad_table_changes_nothing_and_a_taken_port_is_explained() {
    let balancer = Balancer::start().await;
    let app = App::start("a").await;
    balancer.apply(table(1, 1, &[app.address]));
    let mut bad = table(2, 1, &[app.address]);
    bad.routes[0].path = "no-slash".into();
    let error = balancer.handle.apply(bad).unwrap_err();
    assert!(error.to_string().contains("route 0 (shop.web release 1)"), "{error}");
    let mut client = Client::connect(balancer.address()).await;
    assert_eq!(client.get("/").await.text(), "a");
    let config = wharf_balancer::Config { http: vec![balancer.address()], ..Default::default() };
    let deps = wharf_balancer::Deps {
        clock: std::sync::Arc::new(wharf_base::SystemClock),
        name: "second".into(),
        dir: None,
        tables: None,
    };
    let error = wharf_balancer::start(config, deps, &wharf_base::Tasks::new()).await.err().unwrap();
    assert!(error.to_string().contains(&format!("process {} (", std::process::id())), "{error}");
}
