//! Which target gets a request.
//!
//! Tiers: targets that are up; else (panic) all that the control plane calls active, because a check that fails
//! everywhere says more about the check; else those on hosts that seem lost, which is better than a sure 503.
//! Draining targets are never picked.

use std::sync::Arc;

use wharf_model::{Balance, TargetState};

use crate::backend::Backend;
use crate::table::Route;

/// Picks a target whose uid is not in `tried`. `None`: there is none.
pub(crate) fn pick<'a>(route: &'a Route, worker: usize, tried: &[u64]) -> Option<&'a Arc<Backend>> {
    let is_new = |target: &Backend| !tried.contains(&target.uid);
    choose(route, worker, |target| target.is_up() && is_new(target))
        .or_else(|| choose(route, worker, |target| target.control() == TargetState::Active && is_new(target)))
        .or_else(|| choose(route, worker, |target| target.control() == TargetState::Lost && is_new(target)))
}

/// Whether a request on `target` could go to another target that is up.
pub(crate) fn has_other(route: &Route, target: u64) -> bool {
    route.targets.iter().any(|other| other.uid != target && other.is_up())
}

fn choose(route: &Route, worker: usize, is_eligible: impl Fn(&Backend) -> bool) -> Option<&Arc<Backend>> {
    let least = match route.balance {
        Balance::RoundRobin => u32::MAX,
        Balance::LeastConn => {
            let eligible = route.targets.iter().filter(|target| is_eligible(target));
            eligible.map(|target| target.in_flight()).min()?
        }
    };
    let eligible =
        || route.targets.iter().filter(|target| target.in_flight() <= least && is_eligible(target));
    // Counting first keeps the turns even when some are out. If states change between the passes, the first that
    // is left does.
    let count = eligible().count();
    let turn = route.turn(worker).checked_rem(count).unwrap_or(0);
    eligible()
        .nth(turn)
        .or_else(|| eligible().next())
        .or_else(|| route.targets.iter().find(|target| is_eligible(target)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Release;
    use wharf_model::{HealthCheck, Target};

    fn route(balance: Balance, count: u64) -> Route {
        let targets = (0..count)
            .map(|uid| {
                let address = ([127, 0, 0, 1], 1).into();
                let state = TargetState::Active;
                let target = Target { id: uid.to_string(), address, host: String::new(), state };
                Arc::new(Backend::new(uid, &target))
            })
            .collect();
        let model = wharf_model::Route {
            app: String::new(),
            service: String::new(),
            release: 0,
            host: None,
            path: "/".into(),
            balance,
            timeout_ms: None,
            health: None,
            targets: Vec::new(),
        };
        let health = HealthCheck { path: None, interval_ms: 1, timeout_ms: 1, rise: 1, fall: 1 };
        Route::new(&model, Arc::new(Release::new("", "", 0, 1)), health, targets, 1)
    }

    fn picks(route: &Route, count: usize) -> Vec<u64> {
        (0..count).map(|_| pick(route, 0, &[]).unwrap().uid).collect()
    }

    #[test]
    fn round_robin_stays_even_when_one_is_out() {
        let route = route(Balance::RoundRobin, 4);
        assert_eq!(picks(&route, 5), [0, 1, 2, 3, 0]);
        route.targets[1].set_healthy(false);
        let mut counts = [0; 4];
        for uid in picks(&route, 300) {
            counts[uid as usize] += 1;
        }
        assert_eq!(counts, [100, 0, 100, 100]);
    }

    #[test]
    fn least_conn_takes_the_idlest_and_equals_in_turn() {
        let route = route(Balance::LeastConn, 3);
        route.targets[0].enter();
        let mut seen = picks(&route, 4);
        seen.sort_unstable();
        assert_eq!(seen, [1, 1, 2, 2]);
        route.targets[1].enter();
        route.targets[1].enter();
        route.targets[2].enter();
        route.targets[2].enter();
        assert_eq!(picks(&route, 2), [0, 0]);
    }

    #[test]
    fn tiers_are_up_then_panic_then_lost_and_never_draining() {
        let route = route(Balance::RoundRobin, 3);
        route.targets[0].set_control(TargetState::Draining);
        route.targets[1].set_control(TargetState::Lost);
        assert_eq!(picks(&route, 3), [2, 2, 2]);
        route.targets[2].set_healthy(false);
        assert_eq!(picks(&route, 2), [2, 2]);
        assert_eq!(pick(&route, 0, &[2]).unwrap().uid, 1);
        assert!(pick(&route, 0, &[1, 2]).is_none());
        assert!(!has_other(&route, 1));
    }
}
