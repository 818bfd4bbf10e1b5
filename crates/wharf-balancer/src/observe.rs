//! From counters to what others see: [`PoolsObserved`], every 100 ms while something changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wharf_base::Shutdown;
use wharf_model::{BalancerView, PoolsObserved, ReleaseTraffic, TargetState};

use crate::release::{Latency, Release, Totals, new_latency};
use crate::shared::Shared;

/// A drain is seen to be over at most so much later.
const PERIOD: Duration = Duration::from_millis(100);
/// Over which rates and percentiles are taken.
const WINDOW: Duration = Duration::from_secs(1);

/// The last whole window of one release.
#[derive(Clone, Default)]
struct Window {
    totals: Totals,
    rate: f64,
    error_rate: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// Publishes until `shutdown`, and once more after it.
pub(crate) async fn run(
    shared: Arc<Shared>,
    name: String,
    publish: watch::Sender<Arc<PoolsObserved>>,
    shutdown: Shutdown,
) {
    let mut windows: HashMap<(String, String, u32), Window> = HashMap::new();
    let mut scratch = new_latency();
    let mut window_began = Instant::now();
    let mut applied = shared.applied();
    let mut interval = tokio::time::interval(PERIOD);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let is_over = tokio::select! {
            _ = shutdown.cancelled() => true,
            _ = interval.tick() => false,
            changed = applied.changed() => changed.is_err(),
        };
        let elapsed = window_began.elapsed();
        if elapsed >= WINDOW {
            window_began = Instant::now();
            let releases = shared.releases();
            windows.retain(|key, _| releases.iter().any(|release| key_of(release) == *key));
            for release in &releases {
                close_window(windows.entry(key_of(release)).or_default(), release, elapsed, &mut scratch);
            }
        }
        // The table first: who sees it must not see counters from before it.
        let view = view(&shared, &name, &windows);
        publish.send_if_modified(|known| {
            let is_new = known.balancers.first() != Some(&view);
            if is_new {
                *known = Arc::new(PoolsObserved { balancers: vec![view] });
            }
            is_new
        });
        if is_over {
            return;
        }
    }
}

/// What there is before the first window has ended.
pub(crate) fn now(shared: &Shared, name: &str) -> PoolsObserved {
    PoolsObserved { balancers: vec![view(shared, name, &HashMap::new())] }
}

fn key_of(release: &Release) -> (String, String, u32) {
    (release.app.clone(), release.service.clone(), release.release)
}

fn close_window(window: &mut Window, release: &Release, elapsed: Duration, scratch: &mut Latency) {
    let totals = release.totals();
    let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64();
    window.rate = per_second(totals.requests, window.totals.requests);
    window.error_rate = per_second(totals.errors, window.totals.errors);
    window.totals = totals;
    scratch.reset();
    release.take_latency(scratch);
    let percentile =
        |percent: f64| (!scratch.is_empty()).then(|| scratch.value_at_percentile(percent) as f64 / 1_000.0);
    window.p50_ms = percentile(50.0);
    window.p99_ms = percentile(99.0);
}

fn view(shared: &Shared, name: &str, windows: &HashMap<(String, String, u32), Window>) -> BalancerView {
    let table = shared.settled_table();
    let none = Window::default();
    let releases = shared.releases();
    let traffic = releases.iter().map(|release| {
        let window = windows.get(&key_of(release)).unwrap_or(&none);
        let totals = release.totals();
        ReleaseTraffic {
            app: release.app.clone(),
            service: release.service.clone(),
            release: release.release,
            requests: totals.requests,
            errors: totals.errors,
            client_aborts: totals.client_aborts,
            in_flight: totals.in_flight,
            bytes_out: totals.bytes_out,
            rate: window.rate,
            error_rate: window.error_rate,
            p50_ms: window.p50_ms,
            p99_ms: window.p99_ms,
            is_active: table.routes.iter().any(|route| Arc::ptr_eq(&route.release, release)),
        }
    });
    let targets = table.routes.iter().flat_map(|route| route.targets.iter());
    let draining = targets
        .filter(|target| target.control() == TargetState::Draining)
        .map(|target| (target.id.clone(), u64::from(target.in_flight())));
    BalancerView {
        name: name.to_owned(),
        table_version: table.version,
        generation: table.generation,
        traffic: traffic.collect(),
        draining: draining.collect(),
        is_awaited: false,
    }
}
