//! What all workers share: the table, and the rule by which a request claims a target.
//!
//! **Claim rule.** A worker counts the request in (release and target), *then* reads the table's serial again. If it
//! has changed, the request is counted out and routed anew. [`Shared::apply`] swaps the table, *then* raises the
//! serial, then returns. All four are SeqCst, so in their one order either the count comes before the serial's rise,
//! and whoever reads the counters after `apply` sees it, or the worker sees the new serial and lets go. Hence: after
//! `apply` has returned, no request is assigned by an older table, and a release that is in no route and has 0 in
//! flight stays at 0.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use wharf_model::{HealthCheck, Table, TargetState};

use crate::Error;
use crate::backend::Backend;
use crate::pick::pick;
use crate::registry::Registry;
use crate::release::Release;
use crate::table::{Compiled, Route, check_host, check_path};

/// See the module.
pub(crate) struct Shared {
    pub(crate) workers: usize,
    targets_max: usize,
    health: HealthCheck,
    fixed_routes: Vec<wharf_model::Route>,
    table: ArcSwap<Compiled>,
    serial: AtomicU64,
    applied: watch::Sender<u64>,
    registry: Mutex<Registry>,
    pub(crate) counts: Counts,
}

/// Counters of the whole balancer.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) connections_waited: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) requests_refused: AtomicU64,
    pub(crate) no_route: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) retries_over_budget: AtomicU64,
    pub(crate) moved: AtomicU64,
    pub(crate) log_lines: AtomicU64,
    pub(crate) log_lines_dropped: AtomicU64,
    pub(crate) tables_refused: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        workers: usize,
        targets_max: usize,
        health: HealthCheck,
        fixed_routes: Vec<wharf_model::Route>,
    ) -> Shared {
        Shared {
            workers,
            targets_max,
            health,
            fixed_routes,
            table: ArcSwap::from_pointee(Compiled::new(0, 0, 0, Vec::new())),
            serial: AtomicU64::new(0),
            applied: watch::Sender::new(0),
            registry: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// The table in use.
    pub(crate) fn table(&self) -> arc_swap::Guard<Arc<Compiled>> {
        self.table.load()
    }

    /// The table in use, once `apply` is done with it: unlike [`Shared::table`] never one whose predecessor may still
    /// assign requests.
    pub(crate) fn settled_table(&self) -> Arc<Compiled> {
        let _applying = self.registry.lock().expect("no holder panics");
        self.table.load_full()
    }

    /// Changes with each table.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The table as it was given, without the routes from wharf.yaml.
    pub(crate) fn newest(&self) -> Table {
        self.registry.lock().expect("no holder panics").newest.clone()
    }

    /// Every target of the current table.
    #[cfg(test)]
    pub(crate) fn backends(&self) -> Vec<Arc<Backend>> {
        self.registry.lock().expect("no holder panics").backends.values().cloned().collect()
    }

    /// Every release that is remembered.
    pub(crate) fn releases(&self) -> Vec<Arc<Release>> {
        self.registry.lock().expect("no holder panics").releases.clone()
    }

    /// Puts `table` into use. A bad one is refused whole and changes nothing.
    pub(crate) fn apply(&self, table: Table) -> Result<(), Error> {
        let mut registry = self.registry.lock().expect("no holder panics");
        let routes = self.routes_of(&table).inspect_err(|_| {
            self.counts.tables_refused.fetch_add(1, Ordering::Relaxed);
        })?;
        let serial = self.serial.load(Ordering::SeqCst) + 1;
        let mut keep: HashMap<(String, SocketAddr), Arc<Backend>> = HashMap::new();
        let mut compiled = Vec::with_capacity(routes.len());
        for route in &routes {
            let targets = route.targets.iter().map(|target| registry.backend(target, &mut keep)).collect();
            let release = registry.release(route, self.workers);
            let health = route.health.clone().unwrap_or_else(|| self.health.clone());
            compiled.push(Arc::new(Route::new(route, release, health, targets, self.workers)));
        }
        // The order of these three is the claim rule.
        for (key, state) in states(&routes) {
            keep[&key].set_control(state);
        }
        self.table.store(Arc::new(Compiled::new(serial, table.version, table.generation, compiled)));
        self.serial.store(serial, Ordering::SeqCst);
        let before = std::mem::replace(&mut registry.backends, keep);
        for (key, backend) in before {
            if !registry.backends.contains_key(&key) {
                backend.retire();
            }
        }
        registry.forget_idle_releases(&self.table.load());
        registry.newest = table;
        self.applied.send_replace(serial);
        Ok(())
    }

    /// The routes of `table` and those from wharf.yaml, checked.
    fn routes_of(&self, table: &Table) -> Result<Vec<wharf_model::Route>, Error> {
        let wrong = |place: String, problem: String| Error::Table { version: table.version, place, problem };
        let mut routes = table.routes.clone();
        let mut seen = HashMap::new();
        let mut targets = 0;
        for (index, route) in routes.iter().enumerate() {
            let place = format!("route {index} ({}.{} release {})", route.app, route.service, route.release);
            if let Some(host) = &route.host {
                check_host(host).map_err(|problem| wrong(place.clone(), problem))?;
            }
            check_path(&route.path).map_err(|problem| wrong(place.clone(), problem))?;
            if let Some(before) = seen.insert(key_of(route), index) {
                let problem = format!("route {before} has the same host and path");
                return Err(wrong(place, problem));
            }
            if let Some(health) = &route.health {
                let is_path_bad = health.path.as_deref().is_some_and(|path| !path.starts_with('/'));
                if health.interval_ms == 0
                    || health.timeout_ms == 0
                    || health.rise == 0
                    || health.fall == 0
                    || is_path_bad
                {
                    let problem = "the health check has a zero, or a path without /".to_owned();
                    return Err(wrong(place, problem));
                }
            }
            if route.timeout_ms == Some(0) {
                return Err(wrong(place, "the timeout is zero".to_owned()));
            }
            if let Some(target) = route.targets.iter().find(|target| target.address.port() == 0) {
                return Err(wrong(format!("{place}, target {}", target.id), "its port is zero".to_owned()));
            }
            targets += route.targets.len();
        }
        if targets > self.targets_max {
            let problem =
                format!("{targets} targets are more than balancer.limits.targets ({})", self.targets_max);
            return Err(wrong("all routes".to_owned(), problem));
        }
        for route in &self.fixed_routes {
            if seen.contains_key(&key_of(route)) {
                tracing::warn!(route = %route.service, "route of wharf.yaml is hidden by an application's");
            } else {
                routes.push(route.clone());
            }
        }
        Ok(routes)
    }

    /// Claims a target for a request; see the module. `tried` holds the uids that it was sent to already.
    pub(crate) fn claim(
        &self,
        worker: usize,
        host: &str,
        path: &str,
        tried: &[u64],
    ) -> Result<Claim, NoClaim> {
        loop {
            let table = self.table.load();
            let route = table.find(host, path).ok_or(NoClaim::NoRoute)?;
            let Some(backend) = pick(route, worker, tried) else {
                return Err(NoClaim::NoTarget(Arc::clone(route)));
            };
            let claim = Claim::new(Arc::clone(route), Arc::clone(backend), worker);
            if self.serial.load(Ordering::SeqCst) == table.serial {
                return Ok(claim);
            }
        }
    }
}

fn key_of(route: &wharf_model::Route) -> (Option<String>, String) {
    (route.host.as_deref().map(str::to_ascii_lowercase), route.path.trim_end_matches('/').to_owned())
}

/// The state of each target; one that several routes name gets the best of what they say.
fn states(routes: &[wharf_model::Route]) -> HashMap<(String, SocketAddr), TargetState> {
    let rank = |state: TargetState| match state {
        TargetState::Active => 0,
        TargetState::Lost => 1,
        TargetState::Draining => 2,
    };
    let mut states = HashMap::new();
    for target in routes.iter().flat_map(|route| &route.targets) {
        let state = states.entry((target.id.clone(), target.address)).or_insert(target.state);
        if rank(target.state) < rank(*state) {
            *state = target.state;
        }
    }
    states
}

/// Why no target was claimed.
pub(crate) enum NoClaim {
    /// No route matches.
    NoRoute,
    /// The route has no target that may be used.
    NoTarget(Arc<Route>),
}

/// A request that is counted in at a target and its release; dropping it counts it out.
pub(crate) struct Claim {
    pub(crate) route: Arc<Route>,
    pub(crate) backend: Arc<Backend>,
    worker: usize,
}

impl Claim {
    fn new(route: Arc<Route>, backend: Arc<Backend>, worker: usize) -> Claim {
        route.release.enter(worker);
        backend.enter();
        Claim { route, backend, worker }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.backend.leave();
        self.route.release.leave(self.worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;
    use wharf_model::Target;

    fn shared(workers: usize) -> Shared {
        let health = HealthCheck { path: None, interval_ms: 100, timeout_ms: 100, rise: 1, fall: 1 };
        Shared::new(workers, 100, health, Vec::new())
    }

    fn table(version: u64, release: u32, targets: &[(&str, TargetState)]) -> Table {
        let targets = targets
            .iter()
            .map(|(id, state)| Target {
                id: (*id).to_owned(),
                address: ([127, 0, 0, 1], 9).into(),
                host: String::new(),
                state: *state,
            })
            .collect();
        let route = wharf_model::Route {
            app: "shop".into(),
            service: "web".into(),
            release,
            host: None,
            path: "/".into(),
            balance: Default::default(),
            timeout_ms: None,
            health: None,
            targets,
        };
        Table { version, generation: version, routes: vec![route] }
    }

    const ACTIVE: TargetState = TargetState::Active;

    #[test]
    fn a_target_keeps_its_counters_over_tables() {
        let shared = shared(1);
        shared.apply(table(1, 1, &[("a", ACTIVE)])).unwrap();
        let Ok(claim) = shared.claim(0, "h", "/", &[]) else { panic!("there is a target") };
        shared.apply(table(2, 2, &[("a", ACTIVE), ("b", ACTIVE)])).unwrap();
        let kept = shared.backends().into_iter().find(|backend| backend.id == "a").unwrap();
        assert!(Arc::ptr_eq(&kept, &claim.backend));
        assert_eq!(kept.in_flight(), 1);
        shared.apply(table(3, 2, &[("b", ACTIVE)])).unwrap();
        assert!(claim.backend.is_retired());
        drop(claim);
        assert_eq!(kept.in_flight(), 0);
    }

    #[test]
    fn a_bad_table_is_refused_whole_and_names_the_place() {
        let shared = shared(1);
        shared.apply(table(1, 1, &[("a", ACTIVE)])).unwrap();
        let mut bad = table(2, 2, &[("b", ACTIVE)]);
        bad.routes.push(bad.routes[0].clone());
        let error = shared.apply(bad).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot use table 2: route 1 (shop.web release 2): route 0 has the same host and path"
        );
        assert_eq!(shared.table().version, 1);
        let claim = shared.claim(0, "h", "/", &[]).ok().unwrap();
        assert_eq!(claim.backend.id, "a");
    }

    #[test]
    fn no_request_is_assigned_by_an_older_table_once_apply_has_returned() {
        let shared = Arc::new(shared(4));
        shared.apply(table(1, 1, &[("r1", ACTIVE)])).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..4)
            .map(|worker| {
                let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
                std::thread::spawn(move || {
                    let mut claims = 0u64;
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(claim) = shared.claim(worker, "h", "/", &[]) else { panic!("no target") };
                        std::hint::black_box(&claim);
                        claims += 1;
                    }
                    claims
                })
            })
            .collect();
        for release in 2..600u32 {
            let old = shared.releases().into_iter().find(|known| known.release == release - 1).unwrap();
            shared.apply(table(u64::from(release), release, &[(&format!("r{release}"), ACTIVE)])).unwrap();
            while old.totals().in_flight > 0 {
                std::thread::yield_now();
            }
            // A claim that was taken by the old table after this would raise the counter again for longer than
            // the moment in which a worker notices the new serial.
            let drained = old.totals().requests;
            assert_eq!(drained, 0);
        }
        stop.store(true, Ordering::Relaxed);
        let claims: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(claims > 0);
        assert!(shared.releases().iter().all(|release| release.totals().in_flight == 0));
        assert!(shared.backends().iter().all(|backend| backend.in_flight() == 0));
    }

    /// One step of the interleaving below.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Claim,
        Finish,
        Switch,
        Drain,
    }

    proptest! {
        #[test]
        fn claims_follow_the_newest_table_and_counters_add_up(
            steps in prop::collection::vec(
                prop::sample::select(vec![Step::Claim, Step::Claim, Step::Finish, Step::Switch, Step::Drain]),
                1..200,
            ),
        ) {
            let shared = shared(1);
            let (mut version, mut release) = (1, 1);
            shared.apply(table(version, release, &[("r1", ACTIVE)])).unwrap();
            let mut is_draining = false;
            let mut open: Vec<Claim> = Vec::new();
            for step in steps {
                match step {
                    Step::Claim => match shared.claim(0, "h", "/", &[]) {
                        Ok(claim) => {
                            prop_assert!(!is_draining);
                            prop_assert_eq!(claim.route.release.release, release);
                            prop_assert_eq!(&claim.backend.id, &format!("r{release}"));
                            open.push(claim);
                        }
                        Err(_) => prop_assert!(is_draining),
                    },
                    Step::Finish => drop(open.pop()),
                    Step::Switch | Step::Drain => {
                        version += 1;
                        is_draining = matches!(step, Step::Drain);
                        release += u32::from(!is_draining);
                        let state = if is_draining { TargetState::Draining } else { ACTIVE };
                        let id = format!("r{release}");
                        shared.apply(table(version, release, &[(&id, state)])).unwrap();
                    }
                }
                let counted: u64 = shared.releases().iter().map(|release| release.totals().in_flight).sum();
                prop_assert_eq!(counted, open.len() as u64);
            }
        }
    }
}
