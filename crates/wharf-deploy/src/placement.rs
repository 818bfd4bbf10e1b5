//! Which host gets which replica. Pure and deterministic: the same input gives the same answer.
//!
//! Services are taken in groups: those linked by `depends_on` or by a shared named volume find each other by name on
//! one host, so they are placed together. A group gets a set of hosts, and each of its services is spread evenly over
//! that set, the least-loaded host first, by name among equals.
//!
//! What must always hold: kept + added = replicas; kept and removed together are the current ones; nothing is added
//! on a host that is not up, drains, does not match, or can't run the image; placing again what was placed changes nothing; an instance
//! stays where it is unless its host drains, was removed, or no longer matches.
//!
//! Colours: when hosts that match carry a label `colour`, a changed group goes as a whole to the colour that does not
//! serve now. A group of which a service can't run twice stays on its hosts instead.

mod colour;
mod group;
mod platform;

use std::collections::{BTreeMap, BTreeSet};

use wharf_compose::project::HostSelector;
use wharf_model::{HostView, Liveness, Name, Platform};

use crate::host_index::HostIndex;

/// One service as placement sees it.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    /// Service.
    pub service: Name,
    /// How many containers there are to be.
    pub replicas: u32,
    /// Which hosts may run it.
    pub selector: HostSelector,
    /// Containers that run it now.
    pub current: Vec<Spot>,
    /// Its containers must be replaced, or there are none yet.
    pub is_changed: bool,
    /// A second container may run beside the first.
    pub may_run_twice: bool,
    /// It has data in a named volume: it stays on its host.
    pub keeps_data: bool,
    /// Its containers may be started elsewhere while nobody knows whether those on a lost host still run.
    pub may_be_rescheduled: bool,
    /// Its image.
    pub image: String,
    /// What the image is for; empty when not known.
    pub platforms: Vec<Platform>,
    /// What it shares with others: names of services it depends on, `volume:<name>`.
    pub links: BTreeSet<String>,
}

/// A replica on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Number of the replica.
    pub slot: u32,
    /// Its host.
    pub host: Name,
}

/// What becomes of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Slots that stay as they are.
    pub kept: Vec<u32>,
    /// Slots that go.
    pub removed: Vec<u32>,
    /// Hosts that get a new replica, one entry each.
    pub added: Vec<Name>,
    /// All replicas are new because the group goes to the other colour.
    pub has_changed_colour: bool,
}

/// No host can run a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no host can run `{service}` (x-wharf.hosts: {selector}): {hosts}\n  hint: {hint}")]
pub struct PlacementError {
    service: Name,
    selector: String,
    hosts: String,
    hint: String,
}

/// Decides for all services of one application. `load` counts the containers of *other* applications by host; what is on
/// hosts that are `given_up` goes elsewhere if all of its group may and another host fits, else it stays.
///
/// Errors: a service needs a new container and no host that matches is up; the message lists every host with the
/// reason why it was left out.
pub(crate) fn place(
    wants: &[Want],
    hosts: &HostIndex<'_>,
    load: &BTreeMap<Name, u32>,
    given_up: &BTreeSet<Name>,
) -> Result<BTreeMap<Name, Decision>, PlacementError> {
    let mut load = load.clone();
    for want in wants {
        for spot in &want.current {
            if !want.is_changed {
                *load.entry(spot.host.clone()).or_default() += 1;
            }
        }
    }
    let mut decisions = BTreeMap::new();
    for group in groups(wants) {
        decisions.extend(group::place(&group, hosts, &mut load, given_up)?);
    }
    Ok(decisions)
}

/// Splits the services into those that must share hosts, in order of their first name.
fn groups(wants: &[Want]) -> Vec<Vec<&Want>> {
    let mut sorted: Vec<&Want> = wants.iter().collect();
    sorted.sort_by(|a, b| a.service.cmp(&b.service));
    // Each points to one before it of the same group, the group's first to itself.
    let mut leaders: Vec<usize> = (0..sorted.len()).collect();
    let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, want) in sorted.iter().enumerate() {
        for key in want.links.iter().map(String::as_str).chain([want.service.as_str()]) {
            let other = *holders.entry(key).or_insert(index);
            let (one, other) = (leader(&mut leaders, index), leader(&mut leaders, other));
            leaders[one.max(other)] = one.min(other);
        }
    }
    let mut groups: BTreeMap<usize, Vec<&Want>> = BTreeMap::new();
    for (index, want) in sorted.iter().enumerate() {
        groups.entry(leader(&mut leaders, index)).or_default().push(want);
    }
    groups.into_values().collect()
}

/// The first of the group that `index` is in; shortens the way to it.
fn leader(leaders: &mut [usize], mut index: usize) -> usize {
    while leaders[index] != index {
        leaders[index] = leaders[leaders[index]];
        index = leaders[index];
    }
    index
}

/// Whether `host` is one that `selector` names.
pub(crate) fn matches(selector: &HostSelector, host: &HostView) -> bool {
    let has = |key: &str, value: &str| host.labels.get(key).is_some_and(|found| found == value);
    match selector {
        HostSelector::Any => true,
        HostSelector::Pool(pool) => has("pool", pool),
        HostSelector::Label(key, value) => has(key, value),
        HostSelector::Host(name) => host.name.as_str() == name,
    }
}

/// The selector as in the file.
pub(crate) fn selector_text(selector: &HostSelector) -> String {
    match selector {
        HostSelector::Any => "any".to_owned(),
        HostSelector::Pool(pool) => format!("pool({pool})"),
        HostSelector::Label(key, value) => format!("label({key}={value})"),
        HostSelector::Host(name) => format!("host({name})"),
    }
}

/// May get new containers.
fn is_ready(host: &HostView) -> bool {
    host.liveness == Liveness::Up && !host.draining
}

#[cfg(test)]
mod tests;
