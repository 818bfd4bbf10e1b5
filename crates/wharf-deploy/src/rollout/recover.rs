//! After a restart: what a deploy that had not ended needs, by its stored phase.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Halt, conclude, from_switch_on, restart, retain, switch, undo};
use crate::engine::Engine;
use crate::journal::Journal;
use crate::plan::Rollout;
use crate::run::{NewRun, Run};
use crate::store::{Phase, Progress, Stored};

/// Takes the lease up again: until the deploy is settled its application is busy.
pub(crate) fn adopt(engine: &Engine, stored: &Stored) -> Arc<Run> {
    let view = &stored.view;
    let progress = Progress { steps: view.steps.clone(), items: stored.items.clone() };
    let run = Arc::new(Run::new(NewRun {
        id: view.id,
        app: view.app.clone(),
        release: view.release,
        what: view.what,
        by: view.by.clone(),
        started: view.started,
        journal: Journal::new(engine.config.output_lines_max, progress),
        uploads: BTreeSet::new(),
        secrets: BTreeSet::new(),
    }));
    // What is left to do is not up to anybody any more.
    run.close_gate();
    engine.add_run(Arc::clone(&run));
    run
}

/// Finishes the deploy if requests were switched, else undoes it.
pub(crate) async fn settle(engine: Arc<Engine>, run: Arc<Run>, stored: Stored) {
    let result = match stored.rollout {
        Some(Ok(rollout)) => settle_rollout(&engine, &run, &rollout, stored.phase).await,
        // The next deploy replaces whatever is half done; staying busy would help nobody.
        Some(Err(error)) => Err(Halt::failed(format!(
            "the server was stopped in the middle of it and can't read how to go on ({error})\n  hint: deploy again"
        ))),
        None => Err(interrupted("nothing was changed")),
    };
    if result.is_ok() {
        retain::retain(&engine, &run).await;
    }
    conclude(&engine, &run, result).await;
}

async fn settle_rollout(engine: &Engine, run: &Run, rollout: &Rollout, phase: Phase) -> Result<(), Halt> {
    let desired = engine.desired(&run.app);
    let stages = &rollout.stages;
    let has_switched = match phase {
        Phase::Preparing | Phase::Planned => false,
        Phase::Switching => desired == engine.possible(&stages.switched),
        Phase::Switched => true,
    };
    tracing::info!(deploy = run.id, app = %run.app, ?phase, has_switched, "settling a deploy that was interrupted");
    if !has_switched {
        let now = match rollout.before_switch.is_empty() {
            true => "it was undone",
            false => "it was undone, except for what its commands before the switch may have done",
        };
        let interrupted = restart::and_the_rest(interrupted(now), run, rollout);
        let undone = undo::undo(engine, run, rollout, interrupted).await;
        return Err(undone);
    }
    let detail = "the server was restarted; requests go to the new release".to_owned();
    let generation = engine.hosts.generation().number;
    let confirmed = engine
        .step(run, "switch", detail, async {
            let told = if phase == Phase::Switched {
                switch::confirm_again(engine, run, rollout, generation).await?
            } else {
                switch::confirm(engine, run, rollout, generation).await?
            };
            Ok(((), told))
        })
        .await;
    if let Err(halt) = confirmed {
        return Err(undo::undo(engine, run, rollout, halt).await);
    }
    from_switch_on(engine, run, rollout).await?;
    restart::rounds(engine, run, rollout.next.clone()).await
}

fn interrupted(now: &str) -> Halt {
    Halt::failed(format!("the server was stopped in the middle of it; {now}"))
}
