//! Step `switch`: one generation in which every route points to the new release.
//!
//! It counts once every connected balancer has taken the table over. Until then the old containers are all there, so a
//! balancer that can't follow makes the deploy fail and everything goes back; from then on there is no way back.

use std::collections::BTreeSet;

use tokio::time::Instant;
use wharf_model::{AppDesired, BalancerView, Event, Instance, PoolsObserved};

use super::{Halt, drain};
use crate::engine::{Engine, Look, watch_until};
use crate::plan::{Leaving, Rollout};
use crate::run::Run;

/// Switches and waits until every balancer has followed. An `Err` means that nothing was switched, or not by all.
pub(super) async fn switch(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    let stages = &rollout.stages;
    let previous = stages.before.as_ref().map(|before| before.release);
    let detail = match previous {
        Some(previous) if previous != run.release() => format!("requests go to release {}", run.release()),
        _ => "balancers take over the new table".to_owned(),
    };
    engine
        .step(run, "switch", detail, async {
            if !run.close_gate() {
                return Err(Halt::Aborted);
            }
            engine.store.switching(run.id).await?;
            let generation = engine.commit(run, &stages.switched, "switch").await?;
            Ok(((), confirm(engine, run, rollout, generation).await?))
        })
        .await
}

/// Waits for the balancers, then stores the switch and tells it. Returns what to say about it.
///
/// Errors: a connected balancer has not followed in time, and requests depend on it. It may be undone.
pub(super) async fn confirm(
    engine: &Engine,
    run: &Run,
    rollout: &Rollout,
    generation: u64,
) -> Result<String, Halt> {
    let (count, late) = followed(engine, generation).await?;
    if !late.is_empty() && has_routes(rollout) {
        withdraw(engine, run, rollout, generation).await?;
        let deadline = wharf_base::duration::format(engine.config.switch_deadline);
        return Err(Halt::failed(format!(
            "{} of {} did not take over the new table within {deadline}: {}",
            late.len(),
            counted(count, "balancer"),
            late.join(", ")
        )));
    }
    Ok(conclude(engine, run, rollout, generation, count, &late).await)
}

/// Like [`confirm`] for a switch that was confirmed before: old containers may be gone, so late ones are only told.
pub(super) async fn confirm_again(
    engine: &Engine,
    run: &Run,
    rollout: &Rollout,
    generation: u64,
) -> Result<String, Halt> {
    let (count, late) = followed(engine, generation).await?;
    Ok(conclude(engine, run, rollout, generation, count, &late).await)
}

async fn conclude(
    engine: &Engine,
    run: &Run,
    rollout: &Rollout,
    generation: u64,
    count: usize,
    late: &[String],
) -> String {
    if let Err(error) = engine.store.switched(run.id, &run.app, run.release()).await {
        // The generation is made: a restart compares it with the stored one and comes to the same conclusion.
        tracing::error!(%error, deploy = run.id, "the switch could not be stored");
    }
    let stages = &rollout.stages;
    let routes = |desired: &Option<AppDesired>| desired.as_ref().map(|one| one.routes.clone());
    if routes(&stages.before) != routes(&stages.switched) {
        let previous = stages.before.as_ref().map(|before| before.release);
        let (app, release) = (run.app.clone(), run.release());
        engine.emit(Event::Switched { app, release, previous: previous.filter(|old| *old != release) });
    }
    let mut told = format!("generation {generation}, {}", counted(count, "balancer"));
    if !late.is_empty() {
        tracing::warn!(balancers = ?late, generation, "balancers have not taken over the new table in time");
        told.push_str(&format!(", not yet: {}", late.join(", ")));
    }
    told
}

/// Waits until every balancer uses `generation`. Returns how many there are, and those that don't in time.
///
/// A balancer that is awaited after the server's start is neither on time nor late: the deadline begins once it has
/// connected or is given up, which happens after the fleet's `reconnect_grace`.
async fn followed(engine: &Engine, generation: u64) -> Result<(usize, Vec<String>), Halt> {
    let deadline = engine.config.switch_deadline;
    let mut until = Instant::now() + deadline;
    let watched = watch_until(engine.pools.observed(), |pools| {
        let late = late(pools, generation);
        if late.iter().any(|balancer| balancer.is_awaited) {
            until = Instant::now() + deadline;
        }
        match late.is_empty() || Instant::now() >= until {
            true => Look::Done((
                pools.balancers.len(),
                late.into_iter().map(|balancer| balancer.name.clone()).collect(),
            )),
            false => Look::Wait(until),
        }
    });
    engine.unless_stopping(watched).await
}

fn late(pools: &PoolsObserved, generation: u64) -> Vec<&BalancerView> {
    pools.balancers.iter().filter(|balancer| balancer.generation < generation).collect()
}

/// Whether it matters to anybody which table a balancer has.
fn has_routes(rollout: &Rollout) -> bool {
    let stages = [&rollout.stages.before, &rollout.stages.switched];
    stages.into_iter().flatten().any(|desired| !desired.routes.is_empty())
}

/// Turns the balancers that have followed back and waits for what is in flight on the new containers, which still run, so
/// that the undo cuts nobody.
async fn withdraw(engine: &Engine, run: &Run, rollout: &Rollout, switched: u64) -> Result<(), Halt> {
    let mut back = rollout.stages.started.clone();
    if let Some(back) = &mut back {
        // Listed as draining, so that balancers count what is in flight there.
        back.draining = rollout.coming.iter().map(|one| one.id.clone()).collect();
    }
    let generation = engine.commit(run, &back, "switch back").await?;
    let until = Instant::now() + engine.config.switch_deadline;
    let followers: BTreeSet<String> = {
        let pools = engine.pools.observed().borrow().clone();
        let has_followed = pools.balancers.iter().filter(|one| one.generation >= switched);
        has_followed.map(|one| one.name.clone()).collect()
    };
    let watched = watch_until(engine.pools.observed(), |pools| {
        let mut followers = pools.balancers.iter().filter(|one| followers.contains(&one.name));
        match followers.all(|one| one.generation >= generation) || Instant::now() >= until {
            true => Look::Done(()),
            false => Look::Wait(until),
        }
    });
    engine.unless_stopping(watched).await?;
    let left =
        drain::wait_for(engine, run, &new_ones(rollout), generation, rollout.drain_ms, Some(&followers))
            .await?;
    if left != drain::InFlight::Known(0) {
        tracing::warn!(app = %run.app, ?left, "requests on new containers are cut, because the switch failed");
    }
    Ok(())
}

/// The new instances that requests may have reached, as ones that leave.
fn new_ones(rollout: &Rollout) -> Vec<Leaving> {
    let Some(started) = &rollout.stages.started else { return Vec::new() };
    let is_new = |one: &&Instance| rollout.coming.iter().any(|coming| coming.id == one.id);
    let is_listed = |one: &Instance| started.routes.iter().any(|route| route.service == one.service);
    let leaving = |one: &Instance| Leaving {
        id: one.id.clone(),
        service: one.service.clone(),
        host: one.host.clone(),
        release: one.release,
        is_routed: true,
        // Where the service has a route each is listed and counted by itself.
        shares_release: is_listed(one),
        grace_ms: 0,
    };
    started.instances.iter().filter(is_new).filter(|one| one.serve.is_some()).map(leaving).collect()
}

/// `1 balancer`, `2 balancers`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
