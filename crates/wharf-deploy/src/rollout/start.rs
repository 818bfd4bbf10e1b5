//! Steps `clear` (what can't run twice stops) and `start` (new beside old).

use std::time::Duration;

use super::{Halt, healthy, stop};
use crate::engine::Engine;
use crate::plan::Rollout;
use crate::run::Run;

/// Stops what must be gone before its successor starts.
pub(super) async fn clear(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    if rollout.stages.cleared.is_none() {
        return Ok(());
    }
    let leaving = &rollout.stopped_first;
    let ids: Vec<&str> = leaving.iter().map(|one| one.id.as_str()).collect();
    engine
        .step(run, "clear", format!("stopping {}", ids.join(", ")), async {
            let generation = engine.commit(run, &rollout.stages.cleared, "clear").await?;
            let deadline = engine.config.stop_deadline + stop::longest_grace(leaving);
            let late = engine.unless_ended(run, stop::gone(engine, leaving, generation, deadline)).await?;
            match late.first() {
                None => Ok(((), format!("{} stopped", leaving.len()))),
                Some(one) => Err(Halt::failed(format!(
                    "{} on {} did not stop within {}",
                    one.service,
                    one.host,
                    wharf_base::duration::format(Duration::from_secs(deadline.as_secs()))
                ))),
            }
        })
        .await
}

/// Starts what the commands before the switch need, and waits until it is healthy.
pub(super) async fn ground(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    let Some(grounded) = &rollout.stages.grounded else { return Ok(()) };
    let is_in = |id: &str| grounded.instances.iter().any(|one| one.id == id);
    let mut first = rollout.clone();
    first.coming.retain(|one| is_in(&one.id));
    let ids: Vec<&str> = first.coming.iter().map(|one| one.id.as_str()).collect();
    let detail = format!("first what the commands before the switch need: {}", ids.join(", "));
    let generation = engine
        .step(run, "start", detail.clone(), async {
            engine.unless_ended(run, std::future::ready(())).await?;
            let generation = engine.commit(run, &rollout.stages.grounded, "ground").await?;
            Ok((generation, format!("{detail}: generation {generation}")))
        })
        .await?;
    healthy::healthy(engine, run, &first, generation).await
}

/// Makes the generation with the new instances; returns its number.
pub(super) async fn start(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<u64, Halt> {
    let count = rollout.coming.len();
    let mut hosts: Vec<&str> = rollout.coming.iter().map(|one| one.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let detail = format!("{count} new on {}", hosts.join(", "));
    engine
        .step(run, "start", detail.clone(), async {
            engine.unless_ended(run, std::future::ready(())).await?;
            let generation = engine.commit(run, &rollout.stages.started, "start").await?;
            Ok((generation, format!("{detail}: generation {generation}")))
        })
        .await
}
