//! What lies on hosts and no generation names: listed from the agents' reports, removed when people ask for it.
//!
//! A request goes to each host as a part of its desired state that lives in memory only, until the agent no longer
//! reports the orphan, or says why it can't be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wharf_model::{Event, HostReport, Liveness, Name, Orphan, OrphanKind, OrphanOwner, OrphanTarget};

use super::fleet::Fleet;
use crate::Error;

/// Longest time that a request waits for the agents: a container gets its grace to stop.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(60);
/// LIMIT: orphans in one request.
const REMOVE_MAX: usize = 10_000;

/// `GET /orphans`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OrphanList {
    orphans: Vec<OrphanLine>,
}

/// An orphan with its host.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct OrphanLine {
    host: Name,
    host_liveness: Liveness,
    #[serde(flatten)]
    orphan: Orphan,
}

/// Body of `POST /orphans/remove`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveOrphans {
    orphans: Vec<HostTarget>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HostTarget {
    host: Name,
    kind: OrphanKind,
    id: String,
}

impl HostTarget {
    fn target(&self) -> OrphanTarget {
        OrphanTarget { kind: self.kind, id: self.id.clone() }
    }
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OrphansRemoved {
    removed: Vec<HostTarget>,
    failed: Vec<NotRemoved>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NotRemoved {
    host: Name,
    kind: OrphanKind,
    id: String,
    reason: String,
}

pub(crate) fn list(fleet: &Fleet) -> OrphanList {
    let state = fleet.state();
    let lines = state.hosts.iter().flat_map(|(name, host)| {
        host.report.orphans.iter().map(|orphan| OrphanLine {
            host: name.clone(),
            host_liveness: host.liveness,
            orphan: orphan.clone(),
        })
    });
    OrphanList { orphans: lines.collect() }
}

/// Has the hosts remove these, and waits for them.
///
/// Errors: one is not reported by its host, was not made by Wharf, or its host is not up. Nothing is removed then.
pub(crate) async fn remove(
    fleet: &Arc<Fleet>,
    request: RemoveOrphans,
    by: &str,
) -> Result<OrphansRemoved, Error> {
    if request.orphans.len() > REMOVE_MAX {
        return Err(Error::Invalid(format!("more than {REMOVE_MAX} orphans in one request")));
    }
    let known = known(fleet, &request)?;
    let mut by_host: BTreeMap<Name, BTreeSet<OrphanTarget>> = BTreeMap::new();
    for one in &request.orphans {
        by_host.entry(one.host.clone()).or_default().insert(one.target());
    }
    fleet.parts.send_modify(|parts| {
        for (host, targets) in &by_host {
            let mut all = parts.prune(host);
            all.extend(targets.iter().cloned());
            *parts = Arc::new(parts.with_prune(host, all));
        }
    });
    // Each target is taken out of its host's part when the host has reported what became of it.
    let mut parts = fleet.parts.subscribe();
    let deadline = Instant::now() + REMOVE_TIMEOUT;
    let is_settled = |parts: &Arc<super::parts::Parts>| {
        by_host.iter().all(|(host, targets)| parts.prune(host).is_disjoint(targets))
    };
    let waited = tokio::time::timeout_at(deadline, parts.wait_for(is_settled)).await.is_ok();

    let mut answer = OrphansRemoved { removed: vec![], failed: vec![] };
    for (what, orphan) in request.orphans.into_iter().zip(known) {
        let still = still(fleet, &what);
        match still {
            None => {
                let (host, name, kind) = (what.host.clone(), orphan.name, orphan.kind.word().to_owned());
                fleet.deps.events.emit(Event::OrphanRemoved { host, what: kind, name, by: by.to_owned() });
                answer.removed.push(what);
            }
            Some(orphan) => {
                let late = if waited { "it is still there" } else { "the host has not answered in time" };
                let reason = orphan.problem.unwrap_or_else(|| late.to_owned());
                answer.failed.push(NotRemoved { host: what.host, kind: what.kind, id: what.id, reason });
            }
        }
    }
    fleet.parts.send_modify(|parts| {
        for (host, targets) in &by_host {
            let left = parts.prune(host).difference(targets).cloned().collect();
            *parts = Arc::new(parts.with_prune(host, left));
        }
    });
    Ok(answer)
}

/// The orphans that a request names, in its order.
fn known(fleet: &Fleet, request: &RemoveOrphans) -> Result<Vec<Orphan>, Error> {
    let state = fleet.state();
    let find = |one: &HostTarget| {
        let host = state.hosts.get(&one.host).ok_or_else(|| Error::NoSuchHost(one.host.to_string()))?;
        if host.liveness != Liveness::Up {
            return Err(Error::Invalid(format!(
                "host `{}` is not up, so nothing can be removed there",
                one.host
            )));
        }
        let (kind, id) = (one.kind, &one.id);
        let found = host.report.orphans.iter().find(|orphan| orphan.kind == kind && orphan.id == *id);
        let found = found.ok_or_else(|| {
            let word = kind.word();
            Error::Invalid(format!(
                "host `{}` has no orphaned {word} `{id}`\n  hint: `wharf ps --orphans` lists them",
                one.host
            ))
        })?;
        if found.owner == OrphanOwner::Foreign {
            let (word, name) = (kind.word(), &found.name);
            return Err(Error::Invalid(format!(
                "{word} `{name}` was not made by Wharf, so Wharf does not remove it"
            )));
        }
        Ok(found.clone())
    };
    request.orphans.iter().map(find).collect()
}

fn still(fleet: &Fleet, what: &HostTarget) -> Option<Orphan> {
    let state = fleet.state();
    let report = &state.hosts.get(&what.host)?.report;
    let is_it = |one: &&Orphan| one.kind == what.kind && one.id == what.id;
    report.orphans.iter().find(is_it).cloned()
}

/// A report came: what it no longer mentions, or says can't be removed, is not asked for any more.
pub(crate) fn settle(fleet: &Fleet, host: &Name, report: &HostReport) {
    let asked = fleet.parts.borrow().prune(host);
    if asked.is_empty() {
        return;
    }
    let is_open = |target: &&OrphanTarget| {
        report
            .orphans
            .iter()
            .any(|one| one.kind == target.kind && one.id == target.id && one.problem.is_none())
    };
    let open: BTreeSet<OrphanTarget> = asked.iter().filter(is_open).cloned().collect();
    if open != asked {
        fleet.parts.send_modify(|parts| *parts = Arc::new(parts.with_prune(host, open)));
    }
}
