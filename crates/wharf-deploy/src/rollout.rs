//! Carries a plan out, one step after the other, and undoes it when a step before the switch fails.
//!
//! ```text
//! build → plan → pull → before_switch → clear → start → healthy → switch → drain → stop
//!                └──────────────────── undo on failure ──────────────────┘└ only forward ┘
//! ```
//!
//! Each step makes a generation and waits until the world has followed it. The plan with all its desired states is
//! stored before the first generation, and the phase around the switch, so [`recover`] can finish or undo what a
//! killed server has left.

mod advice;
mod before_switch;
mod build;
mod drain;
mod healthy;
mod prepare;
mod pull;
pub(crate) mod recover;
mod restart;
mod retain;
mod start;
mod stop;
mod switch;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use wharf_base::UnixMillis;
use wharf_model::ports::PortError;
use wharf_model::{Event, Name};

use crate::Error;
use crate::api::{DeployRequest, DeployState, EndView, What};
use crate::engine::Engine;
use crate::plan::Rollout;
use crate::run::Run;
use crate::secrets::{self, Opened};

pub(crate) use prepare::{Draft, Foreseen, at_registry, foresee, foresee_move};

/// What a run is to do.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// A release of this, with the secrets that it uses.
    Deploy(Box<(DeployRequest, Opened)>),
    Move,
    Remove,
    /// Of these services; empty: of all.
    Restart(BTreeSet<Name>),
    /// To the run's release.
    Rollback,
    /// Numbers by service.
    Scale(BTreeMap<Name, u32>),
}

/// Why a step ends early.
#[derive(Clone, Debug)]
pub(crate) enum Halt {
    /// Somebody asked for it.
    Aborted,
    /// Something is wrong.
    Failed(Failure),
    /// The server stops; a restart decides.
    Stopping,
}

/// What is wrong, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// Last log lines of the container that failed.
    pub(crate) log_tail: Vec<String>,
}

impl Halt {
    pub(crate) fn failed(reason: impl Into<String>) -> Halt {
        Halt::Failed(Failure { reason: reason.into(), log_tail: Vec::new() })
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Aborted => f.write_str("aborted"),
            Halt::Failed(failure) => f.write_str(&failure.reason),
            Halt::Stopping => f.write_str("the server stops"),
        }
    }
}

impl From<PortError> for Halt {
    fn from(error: PortError) -> Halt {
        Halt::failed(error.message)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        let error = wharf_http::ApiError::from(error);
        Halt::failed(error.to_string())
    }
}

/// Does all of a run, from its first step to its end in the database.
pub(crate) async fn carry_out(engine: Arc<Engine>, run: Arc<Run>, job: Job) {
    let result = all_steps(&engine, &run, job).await;
    if result.is_ok() {
        retain::retain(&engine, &run).await;
    }
    conclude(&engine, &run, result).await;
}

async fn all_steps(engine: &Engine, run: &Run, job: Job) -> Result<(), Halt> {
    let draft = match job {
        Job::Restart(services) => return restart::restart(engine, run, &services).await,
        Job::Deploy(asked) => {
            let (request, opened) = *asked;
            build::draft(engine, run, request, opened).await?
        }
        other => prepare::draft(engine, run, other).await?,
    };
    let Some(rollout) = prepare::plan_step(engine, run, draft).await? else {
        return Ok(());
    };
    if let Err(halt) = until_switch(engine, run, &rollout).await {
        return Err(undo::undo(engine, run, &rollout, halt).await);
    }
    from_switch_on(engine, run, &rollout).await
}

/// Everything that can be undone, the switch as its last act.
async fn until_switch(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    pull::pull(engine, run, rollout).await?;
    // Before anything stops, unless it needs something that comes with this rollout.
    let needs_new = rollout.stages.grounded.is_some();
    if !needs_new {
        before_switch::run(engine, run, rollout).await?;
    }
    drain::before_clear(engine, run, rollout).await?;
    start::clear(engine, run, rollout).await?;
    if needs_new {
        before_switch::run(engine, run, rollout).await?;
    }
    if !rollout.coming.is_empty() {
        let generation = start::start(engine, run, rollout).await?;
        healthy::healthy(engine, run, rollout, generation).await?;
    }
    switch::switch(engine, run, rollout).await
}

/// Everything that can only go forward.
pub(crate) async fn from_switch_on(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    drain::drain(engine, run, rollout).await?;
    stop::stop(engine, run, rollout).await
}

/// Writes the end of a run: database first, then those who listen.
pub(crate) async fn conclude(engine: &Engine, run: &Run, result: Result<(), Halt>) {
    let (state, failure) = match result {
        Ok(()) => (DeployState::Succeeded, None),
        Err(Halt::Stopping) => {
            // The row stays as it is: the next start reads it.
            engine.remove_run(run.id);
            run.journal.close();
            return;
        }
        Err(Halt::Aborted) => {
            let by = run.aborted_by().unwrap_or_else(|| "an operator".to_owned());
            let reason = format!("{by} ended it");
            (DeployState::Aborted, Some(Failure { reason, log_tail: Vec::new() }))
        }
        Err(Halt::Failed(failure)) => (DeployState::Failed, Some(failure)),
    };
    let ended = engine.clock.now();
    let millis = u64::try_from(ended.since(run.started).as_millis()).unwrap_or(u64::MAX);
    let (mut error, mut log_tail) = match failure {
        Some(failure) => (Some(failure.reason), failure.log_tail),
        None => (None, Vec::new()),
    };
    let redactor = wharf_secrets::Redactor::process();
    error.as_mut().into_iter().chain(&mut log_tail).for_each(|text| redactor.clean(text));
    let end = EndView { state, release: run.release(), error, log_tail, millis };
    let is_removed = run.what == What::Remove && state == DeployState::Succeeded;
    store_end(engine, run, &end, ended, is_removed).await;
    engine.remove_run(run.id);
    let (deploy, app, release) = (run.id, run.app.clone(), end.release);
    engine.emit(match &end.error {
        None => Event::DeploySucceeded { deploy, app, release, millis },
        Some(reason) => {
            let (reason, log_tail) = (reason.clone(), end.log_tail.clone());
            Event::DeployFailed { deploy, app, release, reason, log_tail }
        }
    });
    run.journal.end(end);
}

async fn store_end(engine: &Engine, run: &Run, end: &EndView, ended: UnixMillis, is_removed: bool) {
    let config = &engine.config;
    if let Err(error) = engine.store.end(run.id, &run.app, end, ended, is_removed).await {
        tracing::error!(%error, deploy = run.id, "the end of a deploy could not be stored; a restart settles it");
        return;
    }
    let kept = (config.releases_kept, config.history_kept);
    if let Err(error) = engine.store.prune(&run.app, kept.0, kept.1).await {
        tracing::warn!(%error, "old releases could not be removed");
    }
    crate::handle::prune_uploads(engine).await;
    secrets::prune(engine).await;
}
