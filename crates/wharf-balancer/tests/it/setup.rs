//! A balancer per test, on a free port of loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wharf_balancer::{Config, Deps, Handle, start};
use wharf_base::{SystemClock, TaskReport, Tasks};
use wharf_model::{Balance, HealthCheck, PoolsObserved, ReleaseTraffic, Route, Table, Target, TargetState};

/// Longer than anything that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running balancer with its directory.
pub(crate) struct Balancer {
    pub(crate) handle: Handle,
    pub(crate) tasks: Tasks,
    pub(crate) dir: tempfile::TempDir,
}

impl Balancer {
    pub(crate) async fn start() -> Balancer {
        Balancer::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Balancer {
        let dir = tempfile::tempdir().unwrap();
        let (handle, tasks) = launch(dir.path().to_owned(), change).await;
        Balancer { handle, tasks, dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.addresses()[0]
    }

    pub(crate) fn apply(&self, table: Table) {
        self.handle.apply(table).unwrap();
    }

    pub(crate) async fn stop(&self) -> TaskReport {
        self.tasks.stop(DEADLINE).await
    }

    /// Waits until what the balancer publishes fits.
    pub(crate) async fn observed(
        &self,
        what: &str,
        fits: impl FnMut(&PoolsObserved) -> bool,
    ) -> PoolsObserved {
        let mut fits = fits;
        let mut observed = self.handle.observed();
        let wait = observed.wait_for(|pools| fits(pools));
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(Ok(pools)) => PoolsObserved::clone(&pools),
            _ => panic!("never seen: {what}; last: {:?}", self.handle.observed().borrow()),
        }
    }

    /// Lines of the access log, after a flush.
    pub(crate) async fn log_lines(&self) -> Vec<String> {
        self.handle.flush().await;
        self.log_file()
    }

    /// Lines of the access log as they are.
    pub(crate) fn log_file(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// `GET /routes` of the API.
    pub(crate) async fn routes(&self) -> serde_json::Value {
        self.api("/routes").await
    }

    pub(crate) async fn api(&self, path: &str) -> serde_json::Value {
        use tower::ServiceExt;
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response =
            axum::Router::from(wharf_balancer::routes(self.handle.clone())).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

pub(crate) async fn launch(dir: PathBuf, change: impl FnOnce(&mut Config)) -> (Handle, Tasks) {
    let mut config = Config { http: vec![([127, 0, 0, 1], 0).into()], workers: 2, ..Config::default() };
    change(&mut config);
    let deps = Deps { clock: Arc::new(SystemClock), name: "local".into(), dir: Some(dir), tables: None };
    let tasks = Tasks::new();
    let handle = start(config, deps, &tasks).await.unwrap();
    (handle, tasks)
}

/// A table with one route for everything to `targets`.
pub(crate) fn table(version: u64, release: u32, targets: &[SocketAddr]) -> Table {
    Table { version, generation: version, routes: vec![route(release, targets)] }
}

pub(crate) fn route(release: u32, targets: &[SocketAddr]) -> Route {
    let target = |address: &SocketAddr| Target {
        id: format!("t{}", address.port()),
        address: *address,
        host: "here".into(),
        state: TargetState::Active,
    };
    Route {
        app: "shop".into(),
        service: "web".into(),
        release,
        host: None,
        path: "/".into(),
        balance: Balance::RoundRobin,
        timeout_ms: None,
        health: Some(quick_check()),
        targets: targets.iter().map(target).collect(),
    }
}

pub(crate) fn quick_check() -> HealthCheck {
    HealthCheck { path: None, interval_ms: 50, timeout_ms: 200, rise: 1, fall: 2 }
}

/// Traffic of one release as published.
pub(crate) fn traffic(pools: &PoolsObserved, release: u32) -> ReleaseTraffic {
    let of_release = pools.balancers.iter().flat_map(|balancer| &balancer.traffic);
    of_release.into_iter().find(|traffic| traffic.release == release).cloned().unwrap_or_default()
}
