//! What somebody changed by hand on a container of ours. Pure.
//!
//! A container of the right specification deviates when it was stopped, paused, renamed, taken off a network or updated
//! (`docker update`); when it was removed there is none. Everything else of a container can't be changed while it exists.
//! Only what the desired state sets or leaves at the Engine's default counts: a network that somebody added is left alone.
//!
//! [`of`] finds, `plan` repairs unless the policy is to report only, and [`log`] remembers for the report.

pub(crate) mod log;
pub(crate) mod settings;

use std::fmt;

use wharf_model::RestartPolicy;

use super::create::container_name;
use super::found::{Found, Run};
use super::plan::{Step, Wanted};
use settings::{Setting, Settings};

/// One thing that is not as desired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    /// It is not in this network.
    Disconnected(String),
    Paused,
    Removed,
    /// It has this name now.
    Renamed(String),
    /// It ended with this status.
    Stopped(i64),
    Updated(Setting),
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deviation::Disconnected(network) => write!(f, "disconnected from network {network}"),
            Deviation::Paused => f.write_str("paused"),
            Deviation::Removed => f.write_str("removed"),
            Deviation::Renamed(name) => write!(f, "renamed to {name}"),
            Deviation::Stopped(code) => write!(f, "stopped (status {code})"),
            Deviation::Updated(setting) => setting.fmt(f),
        }
    }
}

/// How a container of the right specification deviates. `is_job`: another service waits for its end.
pub(crate) fn of(wanted: &Wanted, found: &Found, is_job: bool) -> Vec<Deviation> {
    let mut all = Vec::new();
    match found.run {
        Run::Exited(code) if is_stopped_by_hand(wanted, found, code, is_job) => {
            all.push(Deviation::Stopped(code));
        }
        Run::Paused => all.push(Deviation::Paused),
        Run::Created | Run::Running | Run::Restarting(_) | Run::Removing | Run::Exited(_) | Run::Dead => {}
    }
    if found.run == Run::Removing || found.run == Run::Dead {
        return all;
    }
    if !found.name.is_empty() && found.name != container_name(wanted) {
        all.push(Deviation::Renamed(found.name.clone()));
    }
    // A container that does not run joins its networks when it is started.
    if matches!(found.run, Run::Running | Run::Paused) {
        let networks = wanted.instance.spec.networks.iter().map(|one| &one.network);
        let left = networks.filter(|network| !found.networks.contains(network));
        all.extend(left.cloned().map(Deviation::Disconnected));
    }
    if let Some(settings) = &found.settings {
        all.extend(Settings::wanted(wanted).differences(settings).into_iter().map(Deviation::Updated));
    }
    all
}

/// The Engine starts again what its policy says, so what such a container ended by was a person. For others only the
/// event stream tells. Status 255 is a machine that went down.
fn is_stopped_by_hand(wanted: &Wanted, found: &Found, code: i64, is_job: bool) -> bool {
    if found.was_cut_off {
        return false;
    }
    let runs_on = match wanted.instance.spec.restart {
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure(None) => code != 0,
        RestartPolicy::OnFailure(Some(_)) | RestartPolicy::No => false,
    };
    (found.was_killed && !is_job) || (runs_on && code != 255)
}

/// The steps that put a container right while it exists; `None` when only another container can be right.
pub(crate) fn repair(found: &Found, deviations: &[Deviation]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let id = || found.id.clone();
    for one in deviations {
        match one {
            Deviation::Removed => return None,
            Deviation::Updated(setting) if !setting.can_be_updated => return None,
            Deviation::Updated(_) if steps.contains(&Step::Update(id())) => {}
            Deviation::Updated(_) => steps.push(Step::Update(id())),
            Deviation::Disconnected(network) => {
                steps.extend([Step::Network(network.clone()), Step::Connect(id(), network.clone())]);
            }
            Deviation::Paused => steps.push(Step::Unpause(id())),
            Deviation::Renamed(_) => steps.push(Step::Rename(id())),
            Deviation::Stopped(_) => steps.push(Step::Start(Some(id()))),
        }
    }
    // It serves again only when all else is right.
    steps.sort_by_key(|step| matches!(step, Step::Unpause(_) | Step::Start(_)));
    Some(steps)
}

#[cfg(test)]
mod tests;
