//! Step `undo`: after a failure before the switch, one generation restores exactly what was.

use tokio::time::Instant;
use wharf_model::Observed;

use super::{Failure, Halt, stop};
use crate::engine::{Engine, Look, watch_until};
use crate::plan::{Coming, Leaving, Rollout};
use crate::run::Run;

/// Restores the old state and returns what the deploy ends with.
pub(super) async fn undo(engine: &Engine, run: &Run, rollout: &Rollout, halt: Halt) -> Halt {
    if matches!(halt, Halt::Stopping) {
        return halt;
    }
    let detail = "back to what was".to_owned();
    let undone = engine.step(run, "undo", detail, async {
        let generation = engine.commit(run, &rollout.stages.before, "undo").await?;
        let coming: Vec<Leaving> = rollout.coming.iter().map(as_leaving).collect();
        let deadline = engine.config.stop_deadline + stop::longest_grace(&rollout.stopped_first);
        let late = engine.unless_stopping(stop::gone(engine, &coming, generation, deadline)).await?;
        let missing = engine.unless_stopping(back(engine, rollout, generation)).await?;
        if let Some(one) = missing.first() {
            return Err(Halt::failed(format!("{} on {} has not come back healthy", one.service, one.host)));
        }
        let told = match late.len() {
            0 => "everything is as it was".to_owned(),
            count => format!("everything is as it was, {count} new containers are still being removed"),
        };
        Ok(((), told))
    });
    match (undone.await, halt) {
        (Ok(()), halt) => halt,
        (Err(Halt::Stopping), _) => Halt::Stopping,
        (Err(worse), halt) => {
            let (why, log_tail) = match halt {
                Halt::Failed(failure) => (failure.reason, failure.log_tail),
                other => (other.to_string(), Vec::new()),
            };
            tracing::error!(app = %run.app, %worse, "a failed deploy could not be undone completely");
            Halt::Failed(Failure { reason: format!("{why}; undoing it failed too: {worse}"), log_tail })
        }
    }
}

/// Waits until the instances that were stopped are healthy again; returns those that are not at the deadline.
async fn back(engine: &Engine, rollout: &Rollout, generation: u64) -> Vec<Leaving> {
    let stopped = &rollout.stopped_first;
    let until = Instant::now() + engine.config.healthy_deadline;
    watch_until(engine.hosts.observed(), |observed| {
        let missing: Vec<Leaving> =
            stopped.iter().filter(|one| !is_back(observed, one, generation)).cloned().collect();
        if missing.is_empty() || Instant::now() >= until { Look::Done(missing) } else { Look::Wait(until) }
    })
    .await
}

fn is_back(observed: &Observed, one: &Leaving, generation: u64) -> bool {
    let has_seen =
        observed.hosts.get(&one.host).is_some_and(|(_, report)| report.generation_seen >= generation);
    let report = observed.instance(&one.host, &one.id);
    has_seen && report.is_some_and(|report| report.state.is_healthy())
}

fn as_leaving(coming: &Coming) -> Leaving {
    Leaving {
        id: coming.id.clone(),
        service: coming.service.clone(),
        host: coming.host.clone(),
        release: 0,
        is_routed: false,
        shares_release: false,
        grace_ms: 0,
    }
}
