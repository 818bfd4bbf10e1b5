//! Step `switch`: one generation in which every route points to the new release. From here on there is no way back.

use tokio::time::Instant;
use wharf_model::Event;

use super::Halt;
use crate::engine::{Engine, Look, watch_until};
use crate::plan::Rollout;
use crate::run::Run;

/// Switches and waits until every balancer has followed. An `Err` means that nothing was switched.
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
            Ok((generation, confirm(engine, run, rollout, generation).await))
        })
        .await?;
    Ok(())
}

/// Stores the switch, tells it, and waits for the balancers. Returns what to say about it.
pub(super) async fn confirm(engine: &Engine, run: &Run, rollout: &Rollout, generation: u64) -> String {
    if let Err(error) = engine.store.switched(run.id, &run.app, run.release()).await {
        // The generation is made: a restart compares it with the stored one and comes to the same conclusion.
        tracing::error!(%error, deploy = run.id, "the switch could not be stored");
    }
    let stages = &rollout.stages;
    let routes = |desired: &Option<wharf_model::AppDesired>| desired.as_ref().map(|one| one.routes.clone());
    if routes(&stages.before) != routes(&stages.switched) {
        let previous = stages.before.as_ref().map(|before| before.release);
        let (app, release) = (run.app.clone(), run.release());
        engine.emit(Event::Switched { app, release, previous: previous.filter(|old| *old != release) });
    }
    let until = Instant::now() + engine.config.switch_deadline;
    let applied = watch_until(engine.pools.observed(), |pools| {
        let late: Vec<String> = pools
            .balancers
            .iter()
            .filter(|balancer| balancer.generation < generation)
            .map(|balancer| balancer.name.clone())
            .collect();
        match late.is_empty() || Instant::now() >= until {
            true => Look::Done((pools.balancers.len(), late)),
            false => Look::Wait(until),
        }
    });
    // A server that stops has switched all the same; the step then ends early.
    let (count, late) = engine.unless_stopping(applied).await.unwrap_or_default();
    let mut told = format!("generation {generation}, {}", counted(count, "balancer"));
    if !late.is_empty() {
        tracing::warn!(balancers = ?late, generation, "balancers have not taken over the new table in time");
        told.push_str(&format!(", not yet: {}", late.join(", ")));
    }
    told
}

/// `1 balancer`, `2 balancers`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
