//! A restart: rounds of one instance each, every round a whole rollout of its own.
//!
//! The rollout that is stored with the deploy says which instances come after it, so a server that was killed goes on
//! where it was: the round that had switched is finished and the rest follows; one that had not is undone, and the
//! restart ends there.

use std::collections::BTreeSet;

use wharf_model::{InstanceState, Liveness, Name};

use super::prepare;
use super::{Halt, from_switch_on, undo, until_switch};
use crate::Error;
use crate::engine::Engine;
use crate::plan::{self, Input, Rollout, Round};
use crate::run::Run;
use crate::store::{Planned, Scale};
use crate::translate;

/// Restarts every instance of `services` that can be; of all services where it is empty.
pub(super) async fn restart(engine: &Engine, run: &Run, services: &BTreeSet<Name>) -> Result<(), Halt> {
    let ids = engine
        .step(run, "plan", "which containers, in which order".to_owned(), async {
            let (ids, left_out) = chosen(engine, run, services);
            if ids.is_empty() {
                let why = if left_out.is_empty() { "it has none".to_owned() } else { left_out.join(", ") };
                return Err(Halt::failed(format!(
                    "no container of {} can be restarted: {why}\n  hint: `wharf ps {}` shows what runs where",
                    run.app, run.app
                )));
            }
            let mut detail = format!("one after the other: {}", ids.join(", "));
            if !left_out.is_empty() {
                detail.push_str(&format!("\n! left out: {}", left_out.join(", ")));
            }
            Ok((ids, detail))
        })
        .await?;
    rounds(engine, run, ids).await
}

/// The instances in order, and those that are left out with the reason.
fn chosen(engine: &Engine, run: &Run, services: &BTreeSet<Name>) -> (Vec<String>, Vec<String>) {
    let current = engine.desired(&run.app).unwrap_or_default();
    let observed = engine.hosts.observed().borrow().clone();
    let hosts = engine.hosts.hosts();
    let mut left_out = Vec::new();
    let mut ids = plan::order(&current, services);
    ids.retain(|id| {
        let Some(one) = current.instances.iter().find(|one| one.id == *id) else { return false };
        let host = hosts.iter().find(|host| host.name == one.host);
        let has_ended = observed
            .instance(&one.host, id)
            .is_some_and(|report| report.state == InstanceState::Exited { code: 0 });
        let why = match host.map(|host| (host.liveness, host.draining)) {
            Some((Liveness::Up, false)) if has_ended && !services.contains(&one.service) => {
                "it has done its work"
            }
            Some((Liveness::Up, false)) => return true,
            Some((Liveness::Up, true)) => "its host drains",
            _ => "its host is lost",
        };
        left_out.push(format!("{id} on {} ({why})", one.host));
        false
    });
    (ids, left_out)
}

/// Restarts these instances, one after the other. Does nothing for none.
pub(super) async fn rounds(engine: &Engine, run: &Run, mut ids: Vec<String>) -> Result<(), Halt> {
    let total = ids.len();
    while !ids.is_empty() {
        let id = ids.remove(0);
        run.open_gate();
        engine.unless_ended(run, std::future::ready(())).await?;
        let name = format!("{} of {total}: {id}", total - ids.len());
        let rollout = engine
            .step(run, "restart", name.clone(), async {
                let Some((round, scales)) = round(engine, run, &id).await? else {
                    return Ok((None, format!("{name} is gone meanwhile")));
                };
                let Round { old, new, once, mut rollout } = round;
                rollout.next.clone_from(&ids);
                let planned = Planned { rollout: rollout.clone(), release: None, scales };
                engine.store.planned(run.id, &run.app, planned).await?;
                let how = match once {
                    Some(why) => format!("stopped first, because {why}"),
                    None => "new beside old".to_owned(),
                };
                Ok((Some(rollout), format!("{name} on {} → {} ({how})", old.host, new.id)))
            })
            .await?;
        let Some(rollout) = rollout else { continue };
        if let Err(halt) = until_switch(engine, run, &rollout).await {
            let halt = and_the_rest(halt, run, &rollout);
            return Err(undo::undo(engine, run, &rollout, halt).await);
        }
        from_switch_on(engine, run, &rollout).await?;
    }
    Ok(())
}

/// Plans the restart of one instance.
async fn round(engine: &Engine, run: &Run, id: &str) -> Result<Option<(Round, Vec<Scale>)>, Error> {
    let app = &run.app;
    let content = prepare::stored(engine, app, run.release()).await?;
    let scales = prepare::scales(&content.project, engine.store.scales(app).await?, None)?;
    let images = prepare::at_registry(&content.images, &engine.registry);
    let model = translate::translate(app, &content.project, &images, &content.files, &content.secrets)?;
    let generation = engine.hosts.generation();
    let round = plan::restart(
        &Input {
            app,
            release: run.release(),
            model: &model,
            current: generation.apps.get(app),
            hosts: &engine.hosts.hosts(),
            load: std::collections::BTreeMap::new(),
            scales: &std::collections::BTreeMap::new(),
            is_resize: true,
            platforms: &std::collections::BTreeMap::new(),
            given_up: &BTreeSet::new(),
            drain_ms: prepare::millis(engine.config.drain_deadline),
        },
        id,
    );
    if let Some(round) = &round {
        prepare::refuse_blocked(engine, &round.rollout)?;
    }
    Ok(round.map(|round| (round, scales)))
}

/// The failure with what is not restarted because of it.
pub(super) fn and_the_rest(halt: Halt, run: &Run, rollout: &Rollout) -> Halt {
    match halt {
        Halt::Failed(mut failure) if run.what == crate::api::What::Restart => {
            let old = rollout.leaving.iter().chain(&rollout.stopped_first).map(|one| one.id.as_str());
            let left: Vec<&str> = old.chain(rollout.next.iter().map(String::as_str)).collect();
            failure.reason.push_str(&format!(
                "\n  not restarted: {}\n  hint: restart again once that is put right; what was restarted stays",
                left.join(", ")
            ));
            Halt::Failed(failure)
        }
        halt => halt,
    }
}
