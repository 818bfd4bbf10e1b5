//! Step `stop`: old containers go; waits until their hosts say that they are gone.

use std::time::Duration;

use tokio::time::Instant;
use wharf_model::{Liveness, Observed};

use super::Halt;
use crate::engine::{Engine, Look, watch_until};
use crate::plan::{Leaving, Rollout};
use crate::run::Run;

/// Removes what leaves. A host that is lost or late does not hold the deploy up: it follows when it comes back.
pub(super) async fn stop(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    let leaving = &rollout.leaving;
    let detail = match leaving.len() {
        0 => "nothing old is left".to_owned(),
        count => format!("removing {count}"),
    };
    engine
        .step(run, "stop", detail, async {
            let generation = engine.commit(run, &rollout.stages.after, "stop").await.map_err(|error| {
                Halt::failed(format!(
                    "requests go to release {}, but old containers could not be removed: {}",
                    run.release(),
                    error.message
                ))
            })?;
            let deadline = engine.config.stop_deadline + longest_grace(leaving);
            let late = engine.unless_stopping(gone(engine, leaving, generation, deadline)).await?;
            let mut told = format!("{} removed", leaving.len() - late.len());
            if !late.is_empty() {
                let late: Vec<String> =
                    late.iter().map(|one| format!("{} on {}", one.id, one.host)).collect();
                told.push_str(&format!(", not yet: {}", late.join(", ")));
            }
            Ok(((), told))
        })
        .await
}

/// Waits until no host mentions `leaving` any more; returns those that are left at the deadline.
pub(super) async fn gone(
    engine: &Engine,
    leaving: &[Leaving],
    generation: u64,
    deadline: Duration,
) -> Vec<Leaving> {
    let until = Instant::now() + deadline;
    watch_until(engine.hosts.observed(), |observed| {
        let left: Vec<Leaving> =
            leaving.iter().filter(|one| is_there(observed, one, generation)).cloned().collect();
        if left.is_empty() || Instant::now() >= until { Look::Done(left) } else { Look::Wait(until) }
    })
    .await
}

/// Whether the instance may still run on a host that can be asked. What was reported before the host took up
/// `generation` counts for nothing.
fn is_there(observed: &Observed, leaving: &Leaving, generation: u64) -> bool {
    match observed.hosts.get(&leaving.host) {
        Some((Liveness::Up, report)) => {
            report.generation_seen < generation || report.instances.iter().any(|one| one.id == leaving.id)
        }
        Some((Liveness::Lost | Liveness::Never, _)) | None => false,
    }
}

/// The longest time that one of them may take to stop.
pub(super) fn longest_grace(leaving: &[Leaving]) -> Duration {
    Duration::from_millis(leaving.iter().map(|one| one.grace_ms).max().unwrap_or(0))
}
