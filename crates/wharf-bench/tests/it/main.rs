//! Loads against real servers on loopback: an honest one, and ones that stall, fail, reset, close and keep silent.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod peer;
mod server;

use std::sync::Arc;
use std::time::Duration;

use wharf_base::Tasks;
use wharf_bench::{Error, FailureCause, Load, LoadConfig, LoadReport};

use server::{Answer, Server};

fn config(server: &Server, rate: f64, millis: u64) -> LoadConfig {
    LoadConfig { duration: Some(Duration::from_millis(millis)), ..LoadConfig::new(server.url(), rate) }
}

async fn run(config: LoadConfig) -> LoadReport {
    let load = Load::start(config, &Tasks::new()).await.unwrap();
    load.ended().await;
    load.stop().await
}

#[tokio::test]
async fn every_request_is_sent_at_its_rate_and_counted_alike_on_both_sides() {
    let server = Server::start(Arc::new(|_| Answer::Ok)).await;
    let report = run(config(&server, 1000.0, 1000)).await;
    let total = &report.total;
    assert_eq!((total.due, total.sent, total.ok, total.failed.total()), (1000, 1000, 1000, 0), "{report:?}");
    assert_eq!(server.requests(), 1000);
    assert!((0.99..1.5).contains(&total.seconds), "{total:?}");
    assert_eq!(report.sent_share(), 1.0);
    assert!(total.p50_ms <= total.p99_ms && total.p99_ms <= total.max_ms && total.max_ms > 0.0);
    assert!(report.connections_opened < 500, "kept alive: {}", report.connections_opened);
}

#[tokio::test]
async fn stall_is_charged_with_every_request_that_was_due_in_it() {
    // Silent for 500 ms in the middle of a second and a half.
    let server = Server::start(Arc::new(|since: Duration| {
        let stall = Duration::from_millis(500)..Duration::from_millis(1000);
        if stall.contains(&since) { Answer::After(stall.end - since) } else { Answer::Ok }
    }))
    .await;
    let report = run(config(&server, 200.0, 1500)).await;
    assert_eq!((report.total.due, report.total.ok), (300, 300));
    assert!((400.0..1000.0).contains(&report.total.max_ms), "{report:?}");
    // Uniform arrivals: P(latency > x) = (D - x) / T, so a third waits, 1 % at least 485 ms of the 500.
    assert!(report.total.p99_ms > 400.0, "{report:?}");
    assert!(report.total.p50_ms < 250.0, "{report:?}");
    assert!(report.connections_most > 80, "a request never waits for another: {}", report.connections_most);
}

#[tokio::test]
async fn other_statuses_are_failures_with_their_time() {
    let server = Server::start(Arc::new(|_| Answer::Status(500))).await;
    let report = run(config(&server, 100.0, 200)).await;
    assert_eq!((report.total.sent, report.total.ok, report.total.failed.status), (20, 0, 20));
    let failure = &report.failures[0];
    assert_eq!((failure.cause, failure.detail.as_str()), (FailureCause::Status, "500"));
    assert!(failure.due >= report.started && failure.failed >= failure.due);
    assert!(report.connections_opened < 20, "an answer keeps its connection: {}", report.connections_opened);
}

#[tokio::test]
async fn reset_and_closed_connections_are_told_apart_from_silence() {
    for (answer, detail) in [
        (Answer::Reset, "Connection reset by peer"),
        (Answer::Close, "the server closed the connection before it answered"),
        (Answer::Half, "the server closed the connection in mid-answer"),
        (Answer::Nonsense, "the answer is no HTTP"),
    ] {
        let server = Server::start(Arc::new(move |_| answer)).await;
        let report = run(config(&server, 100.0, 100)).await;
        assert_eq!((report.total.sent, report.total.failed.reset), (10, 10), "{answer:?} {report:?}");
        assert!(report.failures[0].detail.contains(detail), "{:?}", report.failures[0]);
        assert_eq!(report.total.max_ms, 0.0, "no latency");
    }
    let server = Server::start(Arc::new(|_| Answer::Never)).await;
    let report = run(LoadConfig { timeout: Duration::from_millis(150), ..config(&server, 100.0, 100) }).await;
    assert_eq!((report.total.sent, report.total.failed.timeout), (10, 10));
    assert!(report.total.max_ms >= 150.0);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let url = format!("http://{}/", wharf_test_support::free_addr());
    let load = LoadConfig { duration: Some(Duration::from_millis(100)), ..LoadConfig::new(url, 100.0) };
    let report = run(load).await;
    assert_eq!((report.total.due, report.total.sent, report.total.failed.connect), (10, 0, 10));
    assert_eq!(report.sent_share(), 0.0);
}

#[tokio::test]
async fn requests_beyond_the_bound_wait_in_line_on_their_own_clock() {
    let server = Server::start(Arc::new(|_| Answer::After(Duration::from_millis(100)))).await;
    let report = run(LoadConfig { connections_max: 2, ..config(&server, 100.0, 100) }).await;
    assert_eq!((report.total.ok, report.connections_most), (10, 2));
    // The last of ten goes out when four pairs have had 100 ms each.
    assert!(report.total.max_ms > 380.0, "{report:?}");

    // Ten become due per millisecond; when the one that was sent is given up, the time of others is over as well.
    let server = Server::start(Arc::new(|_| Answer::Never)).await;
    let load = LoadConfig {
        connections_max: 1,
        timeout: Duration::from_millis(50),
        ..config(&server, 10_000.0, 10)
    };
    let report = run(load).await;
    assert_eq!((report.total.due, report.total.failed.timeout), (100, 100));
    assert!(report.total.sent < 100);
    assert!(report.failures.iter().any(|failure| failure.detail == "all 1 connections were busy"));
}

#[tokio::test]
async fn connections_that_the_server_ends_are_not_used_again() {
    for answer in [Answer::OkAndClose, Answer::OkThenHangUp] {
        let server = Server::start(Arc::new(move |_| answer)).await;
        let report = run(config(&server, 100.0, 300)).await;
        assert_eq!((report.total.ok, report.total.failed.total()), (30, 0), "{answer:?} {report:?}");
        assert_eq!(report.connections_opened, 30, "{answer:?}");
    }
}

#[tokio::test]
async fn phases_and_snapshots_add_up() {
    let server = Server::start(Arc::new(|_| Answer::Ok)).await;
    let tasks = Tasks::new();
    let load = Load::start(LoadConfig::new(server.url(), 500.0), &tasks).await.unwrap();
    load.mark("first").unwrap();
    let at_least = async |count: u64| {
        while load.snapshot().total.ok < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), at_least(100)).await.unwrap();
    load.mark("second").unwrap();
    tokio::time::timeout(Duration::from_secs(10), at_least(250)).await.unwrap();
    let snapshot = load.snapshot();
    assert_eq!(snapshot.phase.name, "second");
    assert!(snapshot.total.due >= 250 && snapshot.connections > 0, "{snapshot:?}");
    let report = load.stop().await;
    let names: Vec<&str> = report.phases.iter().map(|phase| phase.name.as_str()).collect();
    // Requests may have been due before the first mark.
    assert!(names.ends_with(&["first", "second"]), "{names:?}");
    let due: u64 = report.phases.iter().map(|phase| phase.due).sum();
    assert_eq!((due, report.total.ok), (report.total.due, report.total.due));
    assert_eq!(server.requests(), report.total.sent);
    let again: LoadReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again, report);
}

#[tokio::test]
async fn stopped_load_finishes_what_is_in_flight() {
    let server = Server::start(Arc::new(|_| Answer::After(Duration::from_millis(200)))).await;
    let tasks = Tasks::new();
    let load = Load::start(LoadConfig::new(server.url(), 100.0), &tasks).await.unwrap();
    let in_flight = async {
        while load.snapshot().total.sent < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), in_flight).await.unwrap();
    let report = load.stop().await;
    assert!(report.total.due >= 3);
    assert_eq!(report.total.ok, report.total.due, "{report:?}");
    assert!(tasks.stop(Duration::from_secs(2)).await.aborted.is_empty());
}

#[tokio::test]
async fn stopping_the_tasks_ends_the_load() {
    let server = Server::start(Arc::new(|_| Answer::Ok)).await;
    let tasks = Tasks::new();
    let load = Load::start(LoadConfig::new(server.url(), 100.0), &tasks).await.unwrap();
    assert!(tasks.stop(Duration::from_secs(5)).await.aborted.is_empty());
    load.ended().await;
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let message = async |config: LoadConfig| match Load::start(config, &Tasks::new()).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    let good = LoadConfig::new("http://127.0.0.1:1/", 1.0);
    assert_eq!(
        message(LoadConfig { rate: f64::NAN, ..good.clone() }).await,
        "rate must be from 0.01 to 1000000 per second, not NaN"
    );
    assert_eq!(
        message(LoadConfig { timeout: Duration::from_secs(90), ..good.clone() }).await,
        "timeout must be up to 1m, not 1m30s"
    );
    assert!(
        message(LoadConfig { connections_max: 0, ..good.clone() }).await.starts_with("connections must be")
    );
    let bad = LoadConfig { url: "https://x/".to_owned(), ..good };
    assert!(matches!(Load::start(bad, &Tasks::new()).await.err().unwrap(), Error::Url(_)));
}
