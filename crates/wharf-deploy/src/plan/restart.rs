//! One round of a restart: an instance is replaced by an equal one on its host, everything else stays.
//!
//! Like every rollout it puts the new one beside the old where two may run, else the old one stops first. In the second
//! case requests leave it before that if another instance of its service takes them.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::{AppDesired, Instance, Name};

use super::{Draft, Input, Place, Rollout, Standing, changes, stages};
use crate::host_index::HostIndex;

/// How one instance is restarted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    pub(crate) old: Place,
    pub(crate) new: Place,
    /// Why the old one stops before the new one starts, in words.
    pub(crate) once: Option<String>,
    pub(crate) rollout: Rollout,
}

/// Plans the restart of the instance `id`. `None`: there is no such instance any more, or it is on its way out.
pub(crate) fn restart(input: &Input<'_>, id: &str) -> Option<Round> {
    let current = input.current?;
    let standing = Standing::of(current);
    let before = stages::only_on(current.clone(), &HostIndex::of(input.hosts));
    let old = before.instances.iter().find(|one| one.id == id && !before.draining.contains(id))?.clone();
    let (name, service) = input.model.services.get_key_value(&old.service)?;
    let draft = Draft::of(input, &standing, name, service);
    let new = successor(input, &standing, &draft, &old);
    let mut after = before.clone();
    after.instances.retain(|one| one.id != old.id);
    after.instances.push(new.clone());
    let is_stopped_first = draft.once.is_some();
    let (first, later) =
        if is_stopped_first { (vec![old.clone()], vec![]) } else { (vec![], vec![old.clone()]) };
    let mut rollout =
        stages::of_one(before.clone(), after, (&first, &later), stages::expected(&draft, &new), &new);
    rollout.drain_ms = service.drain_ms.unwrap_or(input.drain_ms);
    let serves_too = |one: &&Instance| {
        one.service == old.service && one.id != old.id && !before.draining.contains(&one.id)
    };
    if is_stopped_first && old.serve.is_some() && before.instances.iter().any(|one| serves_too(&one)) {
        let mut drained = before;
        drained.draining.insert(old.id.clone());
        rollout.stages.drained = Some(drained);
    }
    let place = |one: &Instance| Place { id: one.id.clone(), host: one.host.clone() };
    Some(Round { old: place(&old), new: place(&new), once: draft.once.clone(), rollout })
}

/// The same container once more, with a number that none has.
fn successor(input: &Input<'_>, standing: &Standing<'_>, draft: &Draft<'_>, old: &Instance) -> Instance {
    let slot = standing.free_slots(&old.service, old.release).next().expect("slots don't run out");
    let id = format!("{}-{}-r{}-{slot}", input.app, old.service, old.release);
    let mut new = Instance { id, slot, ..old.clone() };
    // The registry may have another address by now.
    if changes::is_same_image(&new.spec.image, &draft.service.spec.image) {
        new.spec.image.clone_from(&draft.service.spec.image);
    }
    new
}

/// Ids of the instances of `services` (of all where it is empty) in the order in which they are restarted: what others
/// wait for first, then by number.
pub(crate) fn order(current: &AppDesired, services: &BTreeSet<Name>) -> Vec<String> {
    let mut waits: BTreeMap<&Name, BTreeSet<&Name>> = BTreeMap::new();
    for one in &current.instances {
        waits.entry(&one.service).or_default().extend(one.after.keys());
    }
    let mut sorted: Vec<&Name> = Vec::new();
    while sorted.len() < waits.len() {
        let left: Vec<&Name> = waits.keys().copied().filter(|name| !sorted.contains(name)).collect();
        let is_free = |name: &&&Name| waits[**name].iter().all(|other| !left.contains(other));
        // A circle has no first one: any will do.
        sorted.push(left.iter().find(is_free).unwrap_or(&left[0]));
    }
    let is_asked = |name: &&&Name| services.is_empty() || services.contains(**name);
    let of = |name: &&Name| {
        let mut own: Vec<&Instance> = current.instances.iter().filter(|one| one.service == **name).collect();
        own.retain(|one| !current.draining.contains(&one.id));
        own.sort_by_key(|one| (one.release, one.slot));
        own.into_iter().map(|one| one.id.clone()).collect::<Vec<String>>()
    };
    sorted.iter().filter(is_asked).flat_map(of).collect()
}
