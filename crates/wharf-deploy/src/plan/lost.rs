//! Which containers of a lost host may be started elsewhere.
//!
//! A host that does not answer may be dead, or alive and cut off: its containers may still run. So only what may run
//! twice for a while is started elsewhere. A service is single, and stays until its host is back or removed, when it
//! keeps data on the host, has a fixed name or port and one replica, is to be stopped before it starts again, or is a
//! worker (no route) with one replica. `x-wharf.reschedule` says otherwise, except about data.

use std::collections::BTreeSet;

use wharf_compose::project::Reschedule;
use wharf_model::Name;

use super::{Draft, Outcome};
use crate::strategy;
use crate::translate::ServiceModel;

/// What is said of a service that is not started again because its data went with its host.
pub(super) const BEREFT: &str =
    "its data was on a host that was removed; `wharf deploy` starts it with an empty volume";

/// Why its containers must not be started elsewhere while they may still run on a lost host; `None` if they may.
pub(super) fn why_single(service: &ServiceModel, replicas: u32) -> Option<String> {
    let spec = &service.spec;
    if let Some(data) = strategy::why_on_its_host(spec) {
        return Some(data);
    }
    match service.reschedule {
        Some(Reschedule::Always) => return None,
        Some(Reschedule::Never) => return Some("the file says `reschedule: never`".to_owned()),
        None => {}
    }
    if service.wants_recreate {
        return Some("the file says `strategy: recreate`".to_owned());
    }
    // Several at once are the user's own wish.
    if replicas > 1 || service.is_job {
        return None;
    }
    let hidden = service.route.is_none() && !service.wants_blue_green;
    strategy::why_once_on_a_host(spec).or_else(|| {
        hidden.then(|| "it has no route and one replica, so two may do its work twice".to_owned())
    })
}

/// What of one service stays on hosts that are given up, a sentence each.
pub(super) fn stays(
    given_up: &BTreeSet<Name>,
    draft: &Draft<'_>,
    drafts: &[Draft<'_>],
    outcome: &Outcome,
) -> Vec<String> {
    let kept = outcome.kept.iter().filter(|one| given_up.contains(&one.host));
    let hosts: BTreeSet<&Name> = kept.map(|one| &one.host).collect();
    let sentence =
        |host| format!("{} stays on {host}, which is lost: {}", draft.name, why(host, draft, drafts));
    let bereft = draft.is_bereft.then(|| format!("{} is not started elsewhere: {BEREFT}", draft.name));
    hosts.into_iter().map(sentence).chain(bereft).collect()
}

fn why(host: &Name, draft: &Draft<'_>, drafts: &[Draft<'_>]) -> String {
    if let Some(why) = why_single(draft.service, draft.replicas) {
        return why;
    }
    let is_there = |other: &&Draft<'_>| other.current.iter().any(|one| one.host == *host);
    let is_linked = |other: &&Draft<'_>| {
        let (ours, theirs) = (&draft.service.links, &other.service.links);
        ours.contains(other.name.as_str())
            || theirs.contains(draft.name.as_str())
            || !ours.is_disjoint(theirs)
    };
    let mut linked = drafts.iter().filter(is_there).filter(is_linked);
    let single = linked.find_map(|other| Some((other.name, why_single(other.service, other.replicas)?)));
    match single {
        Some((name, why)) => {
            format!("it is to be on the same host as {name}, which can't go elsewhere ({why})")
        }
        None => "no other host that is up fits it and what it is linked to".to_owned(),
    }
}
