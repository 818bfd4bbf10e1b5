//! What to do so that the containers found become the containers wanted. Pure.
//!
//! Each wanted instance, and each container that nobody wants any more, is a [`Unit`] of steps; units are
//! independent of each other and run at the same time. Nothing to do gives no unit. What a unit must wait for (a
//! dependency, the predecessor on the same port) makes it wait, and the next plan finds it ready.
//!
//! A container that somebody changed by hand ([`drift`]) is put right, or left alone where that is only reported.
//!
//! What always holds: a container without our owner label is in no step; applying a plan and planning again gives an
//! empty plan (tests below); an image is pulled before its predecessor is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use wharf_model::{ContainerSpec, Instance, MountSource, Name, RestartPolicy, SharedPlace, WaitFor};

use super::drift::{self, Deviation};
use super::found::{Found, Run};
use crate::protocol::HostDesired;
use crate::spec_hash;

/// An instance of the desired state with what is computed of it once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) app: Name,
    pub(crate) instance: Instance,
    pub(crate) hash: String,
}

/// Independent work: one instance, or one container to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Instance id; two units never share one.
    pub(crate) instance: String,
    pub(crate) steps: Vec<Step>,
}

/// One step. Each looks before it acts, so that a cut unit can be done again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Makes the network if it is missing.
    Network(String),
    /// Makes the volume if it is missing.
    Volume(String),
    /// Fetches the file bundle with this digest if it is missing.
    Files(String),
    /// Has the secrets at hand and places them in memory.
    Secrets,
    /// Pulls the image if it is missing.
    Pull(String),
    /// Stops a container with its own signal and grace.
    Stop(String),
    /// Removes a stopped container; its volumes stay.
    Remove(String),
    /// Creates the unit's container.
    Create,
    /// Puts a container into one of its networks.
    Connect(String, String),
    /// Gives a container its name back.
    Rename(String),
    /// Sets a container's limits back.
    Update(String),
    /// Lets a paused container go on.
    Unpause(String),
    /// Starts the container with this id, or the one just created.
    Start(Option<String>),
}

impl Step {
    /// One word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Step::Network(_) => "network",
            Step::Volume(_) => "volume",
            Step::Files(_) => "files",
            Step::Secrets => "secrets",
            Step::Pull(_) => "pull",
            Step::Stop(_) => "stop",
            Step::Remove(_) => "remove",
            Step::Create => "create",
            Step::Connect(..) => "connect",
            Step::Rename(_) => "rename",
            Step::Update(_) => "update",
            Step::Unpause(_) => "unpause",
            Step::Start(_) => "start",
        }
    }
}

/// All that is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) units: Vec<Unit>,
    /// Instances that wait, with what for.
    pub(crate) waiting: BTreeMap<String, String>,
    /// What was changed by hand, by instance.
    pub(crate) deviations: BTreeMap<String, Vec<Deviation>>,
}

/// What a plan takes into account besides the two states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// Our own label's value.
    pub(crate) owner: &'a str,
    /// Instances on which an earlier unit still works.
    pub(crate) busy: &'a BTreeSet<String>,
    /// Instances whose drift is only reported.
    pub(crate) reported: &'a BTreeSet<String>,
    /// Instances that had their container, with the hash of its specification.
    pub(crate) met: &'a BTreeMap<String, String>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.units.is_empty() && self.waiting.is_empty()
    }
}

impl Wanted {
    /// Every instance of a host's part. `published` is the host's private address, if it has one.
    pub(crate) fn all(desired: &HostDesired, published: Option<IpAddr>) -> Vec<Wanted> {
        let mut all = Vec::with_capacity(desired.instance_count());
        for (app, part) in &desired.apps {
            for instance in &part.instances {
                let hash = spec_hash(instance, published);
                all.push(Wanted { app: app.clone(), instance: instance.clone(), hash });
            }
        }
        all
    }

    /// Whether its predecessor must be gone before it can start: a fixed port of the host, a name, or a volume that it
    /// writes can't be shared.
    fn is_exclusive(&self) -> bool {
        let spec = &self.instance.spec;
        let writes =
            |source: &MountSource| matches!(source, MountSource::Volume(_) | MountSource::HostPath(_));
        spec.container_name.is_some()
            || has_fixed_place(spec)
            || spec.ports.iter().any(|port| port.host_port.is_some())
            || spec.mounts.iter().any(|mount| !mount.read_only && writes(&mount.source))
    }

    /// The id of a running or created container of this exact instance.
    fn is_met_by(&self, found: &Found) -> bool {
        found.instance == self.instance.id && found.spec == self.hash
    }
}

/// Interfaces that are not its own, or an address that is there once.
fn has_fixed_place(spec: &ContainerSpec) -> bool {
    let is_shared = match &spec.network_mode {
        Some(SharedPlace::Named(mode)) => mode == "host",
        Some(SharedPlace::Service(_) | SharedPlace::Container(_)) => true,
        None => false,
    };
    let is_fixed = |part: &wharf_model::NetworkAttachment| {
        part.ipv4_address.is_some() || part.ipv6_address.is_some() || part.mac_address.is_some()
    };
    is_shared || spec.mac_address.is_some() || spec.networks.iter().any(is_fixed)
}

/// The containers of the services whose interfaces, processes or volumes `wanted` uses: those of its own release if
/// there are any, the first of several. A service whose container is not there (yet) is left out.
pub(crate) fn shared(wanted: &Wanted, all: &[Wanted], found: &[&Found]) -> BTreeMap<Name, String> {
    let services = wanted.instance.spec.shares.keys();
    let container = |service: &Name| {
        let first = providers(wanted, all, service).into_iter().min_by_key(|one| one.instance.slot)?;
        let mut met = found.iter().filter(|container| first.is_met_by(container));
        met.find(|container| container.run != Run::Dead).map(|container| container.id.clone())
    };
    services.filter_map(|service| Some((service.clone(), container(service)?))).collect()
}

/// The instances of a service that `wanted` depends on: those of its release; of others if the service has none in that
/// release (it was not part of the change).
fn providers<'a>(wanted: &Wanted, all: &'a [Wanted], service: &Name) -> Vec<&'a Wanted> {
    let of_service: Vec<&Wanted> =
        all.iter().filter(|one| one.app == wanted.app && one.instance.service == *service).collect();
    let same_release = |one: &&Wanted| one.instance.release == wanted.instance.release;
    let same: Vec<&Wanted> = of_service.iter().copied().filter(same_release).collect();
    if same.is_empty() { of_service } else { same }
}

/// Compares.
pub(crate) fn plan(context: &Context<'_>, wanted: &[Wanted], found: &[Found]) -> Plan {
    let (owner, busy) = (context.owner, context.busy);
    let ours: Vec<&Found> = found.iter().filter(|one| one.owner == owner).collect();
    let mut by_instance: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for one in &ours {
        by_instance.entry(&one.instance).or_default().push(one);
    }
    let wanted_ids: BTreeSet<&str> = wanted.iter().map(|one| one.instance.id.as_str()).collect();
    let unwanted: Vec<&Found> =
        ours.iter().copied().filter(|one| !wanted_ids.contains(one.instance.as_str())).collect();

    let jobs = jobs(wanted);
    let mut plan = Plan::default();
    for one in wanted {
        let mine = by_instance.get(one.instance.id.as_str()).map_or(&[][..], Vec::as_slice);
        let is_job = jobs.contains(&(&one.app, &one.instance.service));
        let shares = shared(one, wanted, &ours);
        let keep = kept(one, mine, &shares);
        let deviations = deviations(context, one, mine, keep, is_job);
        let steps = steps_for(context, one, mine, keep, &deviations);
        if !deviations.is_empty() {
            plan.deviations.insert(one.instance.id.clone(), deviations);
        }
        if busy.contains(&one.instance.id) {
            continue;
        }
        if steps.is_empty() {
            continue;
        }
        let blocked = unmet(one, wanted, &ours).or_else(|| predecessor(one, &unwanted));
        match blocked {
            Some(reason) => drop(plan.waiting.insert(one.instance.id.clone(), reason)),
            None => plan.units.push(Unit { instance: one.instance.id.clone(), steps }),
        }
    }
    for (instance, containers) in by_instance {
        if !wanted_ids.contains(instance) && !busy.contains(instance) {
            if let Some(reason) = containers.iter().find_map(|one| dependent(one, &unwanted)) {
                plan.waiting.insert(instance.to_owned(), reason);
                continue;
            }
            let steps: Vec<Step> = containers.iter().flat_map(|one| removal(one)).collect();
            if !steps.is_empty() {
                plan.units.push(Unit { instance: instance.to_owned(), steps });
            }
        }
    }
    plan
}

/// Services whose end another service waits for. One that was killed has not done its work, and is not done twice by us.
fn jobs(wanted: &[Wanted]) -> BTreeSet<(&Name, &Name)> {
    let waits = wanted.iter().flat_map(|one| one.instance.after.iter().map(move |wait| (&one.app, wait)));
    waits.filter(|(_, (_, wait))| **wait == WaitFor::Completed).map(|(app, (job, _))| (app, job)).collect()
}

/// The container that is kept of those that claim to be an instance.
/// `shares` are the containers that it uses: one that was made for others of them can't be kept, nor can one of which
/// a part is gone.
fn kept<'a>(wanted: &Wanted, mine: &[&'a Found], shares: &BTreeMap<Name, String>) -> Option<&'a Found> {
    let has_all = wanted.instance.spec.shares.keys().all(|service| shares.contains_key(service));
    let fits =
        |one: &&Found| has_all && wanted.is_met_by(one) && one.shares == *shares && one.run != Run::Dead;
    mine.iter().copied().find(fits)
}

fn deviations(
    context: &Context<'_>,
    wanted: &Wanted,
    mine: &[&Found],
    keep: Option<&Found>,
    is_job: bool,
) -> Vec<Deviation> {
    if let Some(keep) = keep {
        return drift::of(wanted, keep, is_job);
    }
    let was_met = context.met.get(&wanted.instance.id) == Some(&wanted.hash);
    if mine.is_empty() && was_met { vec![Deviation::Removed] } else { vec![] }
}

/// What one wanted instance needs, given the containers that claim to be it.
fn steps_for(
    context: &Context<'_>,
    wanted: &Wanted,
    mine: &[&Found],
    keep: Option<&Found>,
    deviations: &[Deviation],
) -> Vec<Step> {
    let is_left_alone = !deviations.is_empty() && context.reported.contains(&wanted.instance.id);
    let others: Vec<Step> = mine
        .iter()
        .filter(|one| keep.is_none_or(|keep| keep.id != one.id))
        .flat_map(|one| removal(one))
        .collect();
    let Some(keep) = keep else {
        return if is_left_alone { others } else { creation(wanted, others) };
    };
    let mut steps = others;
    if !is_left_alone {
        match drift::repair(keep, deviations) {
            Some(repair) => steps.extend(repair),
            None => {
                steps.extend(removal(keep));
                return creation(wanted, steps);
            }
        }
    }
    let is_stopped = deviations.iter().any(|one| matches!(one, Deviation::Stopped(_)));
    let starts = match keep.run {
        Run::Created => true,
        Run::Exited(code) => keep.was_cut_off || starts_again(wanted.instance.spec.restart, code),
        Run::Running | Run::Paused | Run::Restarting(_) | Run::Removing | Run::Dead => false,
    };
    if starts && !is_stopped {
        steps.extend(secrets(wanted));
        steps.push(Step::Start(Some(keep.id.clone())));
    }
    steps
}

/// Everything that is slow or can fail comes before the old container is stopped.
fn creation(wanted: &Wanted, removals: Vec<Step>) -> Vec<Step> {
    let mut steps = preparation(wanted);
    steps.extend(removals);
    steps.push(Step::Create);
    steps.push(Step::Start(None));
    steps
}

/// What must be there before a container can be made.
pub(crate) fn preparation(wanted: &Wanted) -> Vec<Step> {
    let spec = &wanted.instance.spec;
    let mut steps: Vec<Step> = spec.networks.iter().map(|one| Step::Network(one.network.clone())).collect();
    for mount in &spec.mounts {
        match &mount.source {
            MountSource::Volume(name) => steps.push(Step::Volume(name.clone())),
            MountSource::Files(digest) => steps.push(Step::Files(digest.clone())),
            MountSource::Anonymous | MountSource::HostPath(_) | MountSource::Tmpfs => {}
        }
    }
    steps.extend(secrets(wanted));
    steps.push(Step::Pull(spec.image.clone()));
    steps
}

/// Its secrets, if it has any. A container that is started again may find none of its files after a reboot.
fn secrets(wanted: &Wanted) -> Option<Step> {
    wanted.instance.spec.secret_refs().next().map(|_| Step::Secrets)
}

fn removal(found: &Found) -> Vec<Step> {
    match found.run {
        Run::Removing => vec![],
        _ if found.is_running() => vec![Step::Stop(found.id.clone()), Step::Remove(found.id.clone())],
        _ => vec![Step::Remove(found.id.clone())],
    }
}

/// Whether a container that ended by itself or by hand is to run: the Engine restarts what fails; what it leaves (it was stopped by hand, or
/// the machine lost power) is ours. `on-failure:N` that used up its tries stays ended.
fn starts_again(restart: RestartPolicy, code: i64) -> bool {
    match restart {
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure(None) => code != 0,
        RestartPolicy::OnFailure(Some(_)) | RestartPolicy::No => false,
    }
}

/// The first dependency that isn't met, in words.
fn unmet(wanted: &Wanted, all: &[Wanted], found: &[&Found]) -> Option<String> {
    for (service, condition) in &wanted.instance.after {
        let of_service: Vec<&Wanted> =
            all.iter().filter(|one| one.app == wanted.app && one.instance.service == *service).collect();
        let same_release = |one: &&&Wanted| one.instance.release == wanted.instance.release;
        let mut needed: Vec<&&Wanted> = of_service.iter().filter(same_release).collect();
        if needed.is_empty() {
            needed = of_service.iter().collect();
        }
        let is_met = |one: &&&Wanted| {
            found.iter().any(|container| {
                one.is_met_by(container)
                    && match condition {
                        WaitFor::Started => container.is_running(),
                        WaitFor::Healthy => container.is_running() && container.is_healthy,
                        WaitFor::Completed => container.run == Run::Exited(0),
                    }
            })
        };
        if needed.is_empty() || !needed.iter().all(is_met) {
            let state = match condition {
                WaitFor::Started => "to be started",
                WaitFor::Healthy => "to be healthy",
                WaitFor::Completed => "to complete",
            };
            return Some(format!("waits for {service} {state}"));
        }
    }
    None
}

/// A running container that depends on this one and leaves as well: it is stopped first, in words.
fn dependent(leaving: &Found, unwanted: &[&Found]) -> Option<String> {
    let before = unwanted.iter().find(|one| {
        one.app == leaving.app
            && one.release == leaving.release
            && one.is_running()
            && one.after.contains(&leaving.service)
    })?;
    Some(format!("waits for {} to be stopped", before.instance))
}

/// The container that must be gone first, in words.
fn predecessor(wanted: &Wanted, unwanted: &[&Found]) -> Option<String> {
    if !wanted.is_exclusive() {
        return None;
    }
    let before = unwanted.iter().find(|one| one.app == wanted.app)?;
    Some(format!("waits for {} to be removed", before.instance))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
