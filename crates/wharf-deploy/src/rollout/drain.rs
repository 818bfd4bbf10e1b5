//! Step `drain`: requests in flight on old containers finish; at the deadline what is left is cut and counted.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use wharf_model::{BalancerView, Liveness, Name};

use super::Halt;
use super::switch::counted;
use crate::engine::{Engine, Look, watch_until};
use crate::plan::{Leaving, Rollout};
use crate::run::Run;

/// Waits until nothing is in flight on what leaves.
pub(super) async fn drain(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    // What is in flight on a lost host nobody can wait for.
    let observed = engine.hosts.observed().borrow().clone();
    let is_up =
        |one: &&Leaving| observed.hosts.get(&one.host).is_some_and(|(liveness, _)| *liveness == Liveness::Up);
    // After a restart: what is not desired any more was drained before its removal was committed, and no balancer counts it.
    let desired = engine.desired(&run.app).unwrap_or_default();
    let is_desired = |one: &&Leaving| desired.instances.iter().any(|instance| instance.id == one.id);
    let leaving: Vec<Leaving> = rollout
        .leaving
        .iter()
        .filter(|one| one.is_routed)
        .filter(is_up)
        .filter(is_desired)
        .cloned()
        .collect();
    if leaving.is_empty() {
        return Ok(());
    }
    let deadline = Duration::from_millis(rollout.drain_ms);
    // The table in use is the one of the switch or a later one.
    let generation = engine.hosts.generation().number;
    let detail = format!("requests in flight get {}", wharf_base::duration::format(deadline));
    engine
        .step(run, "drain", detail, async {
            let left = wait_for(engine, run, &leaving, generation, rollout.drain_ms, None).await?;
            Ok(((), told(run, left)))
        })
        .await
}

/// Takes requests away from what is about to be stopped, where others of its service get them.
pub(super) async fn before_clear(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    if rollout.stages.drained.is_none() {
        return Ok(());
    }
    let deadline = wharf_base::duration::format(Duration::from_millis(rollout.drain_ms));
    let detail = format!("requests in flight get {deadline}");
    engine
        .step(run, "drain", detail, async {
            let generation = engine.commit(run, &rollout.stages.drained, "drain").await?;
            let leaving = &rollout.stopped_first;
            let waited = wait_for(engine, run, leaving, generation, rollout.drain_ms, None);
            Ok(((), told(run, engine.unless_ended(run, waited).await??)))
        })
        .await
}

/// What has come of it, in words.
fn told(run: &Run, left: InFlight) -> String {
    match left {
        InFlight::Known(0) => "no request was cut".to_owned(),
        InFlight::Known(count) => {
            tracing::warn!(app = %run.app, count, "requests are cut at the end of the drain");
            format!("{} cut at the deadline", counted(count as usize, "request"))
        }
        InFlight::Unknown => "waited to the deadline, no count".to_owned(),
    }
}

/// Waits until nothing is in flight on `leaving`, or for so long; returns what is left. With `only`, other balancers don't
/// count.
pub(super) async fn wait_for(
    engine: &Engine,
    run: &Run,
    leaving: &[Leaving],
    generation: u64,
    millis: u64,
    only: Option<&BTreeSet<String>>,
) -> Result<InFlight, Halt> {
    let until = Instant::now() + Duration::from_millis(millis);
    let watched = watch_until(engine.pools.observed(), |pools| {
        let balancers = pools.balancers.iter().filter(|one| only.is_none_or(|only| only.contains(&one.name)));
        match in_flight(balancers, &run.app, leaving, generation) {
            InFlight::Known(0) => Look::Done(InFlight::Known(0)),
            left if Instant::now() >= until => Look::Done(left),
            left => {
                if let InFlight::Known(count) = left {
                    engine.detail(run, format!("{} in flight", counted(count as usize, "request")));
                }
                Look::Wait(until)
            }
        }
    });
    engine.unless_stopping(watched).await
}

/// Requests in flight on what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InFlight {
    Known(u64),
    /// A balancer has not followed yet, or does not count a single target.
    Unknown,
}

fn in_flight<'a>(
    balancers: impl Iterator<Item = &'a BalancerView>,
    app: &Name,
    leaving: &[Leaving],
    generation: u64,
) -> InFlight {
    let releases: BTreeSet<(&Name, u32)> =
        leaving.iter().filter(|one| !one.shares_release).map(|one| (&one.service, one.release)).collect();
    let alone: Vec<&Leaving> = leaving.iter().filter(|one| one.shares_release).collect();
    let mut count = 0;
    for balancer in balancers {
        if balancer.generation < generation {
            return InFlight::Unknown;
        }
        count += releases
            .iter()
            .map(|(service, release)| of_release(balancer, app, service, *release))
            .sum::<u64>();
        for one in &alone {
            match balancer.draining.get(&one.id) {
                Some(requests) => count += requests,
                None => return InFlight::Unknown,
            }
        }
    }
    InFlight::Known(count)
}

fn of_release(balancer: &BalancerView, app: &str, service: &str, release: u32) -> u64 {
    let is_it = |traffic: &&wharf_model::ReleaseTraffic| {
        traffic.app == app && traffic.service == service && traffic.release == release
    };
    balancer.traffic.iter().filter(is_it).map(|traffic| traffic.in_flight).sum()
}

#[cfg(test)]
mod tests {
    use wharf_model::ReleaseTraffic;

    use super::*;

    fn leaving(id: &str, release: u32, shares_release: bool) -> Leaving {
        Leaving {
            id: id.to_owned(),
            service: "web".parse().unwrap(),
            host: "a".parse().unwrap(),
            release,
            is_routed: true,
            shares_release,
            grace_ms: 0,
        }
    }

    fn balancer(generation: u64, release: u32, in_flight: u64, draining: &[(&str, u64)]) -> BalancerView {
        let (app, service) = ("shop".to_owned(), "web".to_owned());
        BalancerView {
            generation,
            traffic: vec![ReleaseTraffic { app, service, release, in_flight, ..ReleaseTraffic::default() }],
            draining: draining.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect(),
            ..BalancerView::default()
        }
    }

    #[test]
    fn counts_releases_and_single_targets_over_all_balancers() {
        let app: Name = "shop".parse().unwrap();
        let (old, single) = (leaving("old", 1, false), leaving("single", 2, true));
        for (balancers, leaving, expected) in [
            (vec![], vec![old.clone()], InFlight::Known(0)),
            (vec![balancer(5, 1, 2, &[]), balancer(6, 1, 1, &[])], vec![old.clone()], InFlight::Known(3)),
            (vec![balancer(4, 1, 0, &[])], vec![old.clone()], InFlight::Unknown),
            (vec![balancer(5, 2, 9, &[])], vec![old.clone()], InFlight::Known(0)),
            (vec![balancer(5, 2, 9, &[("single", 1)])], vec![single.clone()], InFlight::Known(1)),
            (vec![balancer(5, 2, 9, &[])], vec![single.clone()], InFlight::Unknown),
        ] {
            let found = in_flight(balancers.iter(), &app, &leaving, 5);
            assert_eq!(found, expected, "{balancers:?}");
        }
    }
}
