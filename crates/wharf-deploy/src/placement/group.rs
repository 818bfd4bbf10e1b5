//! Placement of one group of services that share their hosts.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::{HostView, Liveness, Name};

use super::{Decision, PlacementError, Want, colour, is_ready, matches, platform, selector_text};
use crate::host_index::{HostIndex, visits};

/// Where a group may be.
struct Field<'a> {
    /// Hosts that may get new containers.
    allowed: Vec<&'a HostView>,
    /// Hosts whose containers may stay.
    keepable: BTreeSet<&'a Name>,
    /// All containers are new.
    has_changed_colour: bool,
}

/// What a group has on each host now: indexes of its services, one entry per container.
struct Residents<'a>(BTreeMap<&'a Name, Vec<usize>>);

impl<'a> Residents<'a> {
    fn of(group: &[&'a Want]) -> Residents<'a> {
        let mut by_host: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
        for (index, want) in group.iter().enumerate() {
            visits::count(want.current.len());
            for spot in &want.current {
                by_host.entry(&spot.host).or_default().push(index);
            }
        }
        Residents(by_host)
    }

    fn on(&self, host: &Name) -> &[usize] {
        let here = self.0.get(host).map(Vec::as_slice).unwrap_or_default();
        visits::count(1 + here.len());
        here
    }
}

/// Decides for the services of one group and counts what it adds in `load`.
pub(super) fn place(
    group: &[&Want],
    hosts: &HostIndex<'_>,
    load: &mut BTreeMap<Name, u32>,
    given_up: &BTreeSet<Name>,
) -> Result<Vec<(Name, Decision)>, PlacementError> {
    let residents = Residents::of(group);
    let field = field(group, hosts, &residents, load, given_up);
    let is_new = |want: &Want| want.is_changed || field.has_changed_colour;
    let kept: Vec<BTreeSet<u32>> = group
        .iter()
        .map(|want| if is_new(want) { BTreeSet::new() } else { kept_slots(want, &field.keepable) })
        .collect();
    let chosen = choose(group, &kept, &field, &residents, load);

    let mut decisions = Vec::new();
    for (want, kept) in group.iter().zip(kept) {
        let missing = want.replicas as usize - kept.len();
        let chosen = own_homes(want, hosts, &chosen);
        if missing > 0 && chosen.is_empty() {
            return Err(no_host(want, group, hosts));
        }
        let added = spread(want, &kept, missing, &chosen, load);
        visits::count(want.current.len());
        let removed = want.current.iter().map(|spot| spot.slot).filter(|slot| !kept.contains(slot)).collect();
        let has_changed_colour = field.has_changed_colour && !want.is_changed;
        let kept = kept.into_iter().collect();
        decisions.push((want.service.clone(), Decision { kept, removed, added, has_changed_colour }));
    }
    Ok(decisions)
}

/// Hosts for `missing` containers of a service: each goes where the fewest of its own are, then to the least loaded.
fn spread(
    want: &Want,
    kept: &BTreeSet<u32>,
    missing: usize,
    chosen: &[&Name],
    load: &mut BTreeMap<Name, u32>,
) -> Vec<Name> {
    if missing == 0 {
        return Vec::new();
    }
    let mut own: BTreeMap<&Name, u32> = BTreeMap::new();
    for spot in want.current.iter().filter(|spot| kept.contains(&spot.slot)) {
        *own.entry(&spot.host).or_default() += 1;
    }
    visits::count(want.current.len() + chosen.len() + missing);
    let weight = |name| (own.get(name).copied().unwrap_or(0), load.get(name).copied().unwrap_or(0), name);
    let mut queue: BTreeSet<(u32, u32, &Name)> = chosen.iter().copied().map(weight).collect();
    let mut added = Vec::with_capacity(missing);
    for _ in 0..missing {
        let (own, others, host) = queue.pop_first().expect("the caller has seen that there is one");
        queue.insert((own + 1, others + 1, host));
        *load.entry(host.clone()).or_default() += 1;
        added.push(host.clone());
    }
    added
}

/// What is left of `chosen` for one service: where its data is, if it has any, else all.
fn own_homes<'a>(want: &Want, hosts: &HostIndex<'_>, chosen: &[&'a Name]) -> Vec<&'a Name> {
    if !want.keeps_data {
        return chosen.to_vec();
    }
    let homes: BTreeSet<&Name> =
        want.current.iter().map(|spot| &spot.host).filter(|name| hosts.contains(name)).collect();
    if homes.is_empty() {
        return chosen.to_vec();
    }
    chosen.iter().copied().filter(|name| homes.contains(*name)).collect()
}

/// The hosts that matter for the group.
fn field<'a>(
    group: &[&Want],
    hosts: &HostIndex<'a>,
    residents: &Residents<'_>,
    load: &BTreeMap<Name, u32>,
    given_up: &BTreeSet<Name>,
) -> Field<'a> {
    let fits = |host: &HostView| group.iter().all(|want| matches(&want.selector, host));
    // What runs already stays, whatever we think of its platform.
    let runs_all = |host: &HostView| group.iter().all(|want| platform::runs(want, host));
    let current: Vec<&Name> = group.iter().flat_map(|want| &want.current).map(|spot| &spot.host).collect();
    let is_first = current.is_empty();
    let is_changed = group.iter().any(|want| want.is_changed);

    let data: BTreeSet<&Name> = group
        .iter()
        .filter(|want| want.keeps_data)
        .flat_map(|want| want.current.iter().map(|spot| &spot.host))
        .collect();
    let homes: Vec<&HostView> = data.into_iter().filter_map(|name| hosts.get(name)).collect();
    if !homes.is_empty() {
        // Data wins over everything else: a draining host keeps it, a selector that moved on does not move it.
        let keepable = homes.iter().map(|host| &host.name).collect();
        let is_able = |host: &&HostView| host.liveness == Liveness::Up && runs_all(host);
        let allowed = homes.into_iter().filter(is_able).collect();
        return Field { allowed, keepable, has_changed_colour: false };
    }

    let fitting: Vec<&HostView> = hosts.iter().filter(|host| fits(host)).collect();
    let ready: Vec<&HostView> =
        fitting.iter().copied().filter(|host| is_ready(host) && runs_all(host)).collect();
    if group.iter().any(|want| want.keeps_data) {
        // Data that is yet to come makes one host the home of the whole group.
        let rank = |host: &&'a HostView| {
            let holds = residents.on(&host.name).len();
            (usize::MAX - holds, load.get(&host.name).copied().unwrap_or(0), &host.name)
        };
        let allowed: Vec<&HostView> = ready.iter().copied().min_by_key(rank).into_iter().collect();
        let keepable = allowed.iter().map(|host| &host.name).collect();
        return Field { allowed, keepable, has_changed_colour: false };
    }

    // In a linked group a lost host keeps its containers only as long as nothing new has to find them there.
    let must_be_up = group.len() > 1 && is_changed;
    let is_left = |host: &HostView| !ready.is_empty() && is_left(group, residents, &host.name, given_up);
    let stays = |host: &&&HostView| {
        !host.draining && !is_left(host) && (host.liveness == Liveness::Up || !must_be_up)
    };
    let keepable = fitting.iter().filter(stays).map(|host| &host.name).collect();

    let serving = colour::serving(hosts, &current);
    let movable = group.iter().all(|want| want.may_run_twice);
    let is_replaced = group.iter().any(|want| want.is_changed && !want.current.is_empty());
    let wanted = if movable && (is_first || is_replaced) { colour::next(&ready, serving) } else { serving };
    let coloured: Vec<&HostView> =
        ready.iter().copied().filter(|host| wanted.is_some() && colour::of(host) == wanted).collect();
    let has_changed_colour = !is_first && is_replaced && movable && wanted.is_some() && wanted != serving;
    Field { allowed: if coloured.is_empty() { ready } else { coloured }, keepable, has_changed_colour }
}

/// Whether the group leaves a host that is lost: everything that it has there may run twice for a while.
fn is_left(group: &[&Want], residents: &Residents<'_>, host: &Name, given_up: &BTreeSet<Name>) -> bool {
    given_up.contains(host) && residents.on(host).iter().all(|&index| group[index].may_be_rescheduled)
}

/// The slots of an unchanged service that stay: on hosts that may keep them, the oldest first.
fn kept_slots(want: &Want, keepable: &BTreeSet<&Name>) -> BTreeSet<u32> {
    visits::count(want.current.len());
    let mut slots: Vec<u32> =
        want.current.iter().filter(|spot| keepable.contains(&spot.host)).map(|spot| spot.slot).collect();
    slots.sort_unstable();
    slots.truncate(want.replicas as usize);
    slots.into_iter().collect()
}

/// The set of hosts for new containers: those that hold kept ones, then former ones, then the least loaded.
fn choose<'a>(
    group: &[&Want],
    kept: &[BTreeSet<u32>],
    field: &Field<'a>,
    residents: &Residents<'_>,
    load: &BTreeMap<Name, u32>,
) -> Vec<&'a Name> {
    let replicas = group.iter().map(|want| want.replicas as usize).filter(|replicas| *replicas > 0);
    // With data there is one host, or those where linked services had their data before they were linked.
    let has_data = group.iter().any(|want| want.keeps_data);
    let count = if has_data { field.keepable.len() } else { replicas.min().unwrap_or(0) };
    let mut holding: BTreeSet<&Name> = BTreeSet::new();
    for (want, kept) in group.iter().zip(kept) {
        visits::count(want.current.len());
        let stays = want.current.iter().filter(|spot| kept.contains(&spot.slot));
        holding.extend(stays.map(|spot| &spot.host));
    }
    let mut ordered: Vec<&Name> = field.allowed.iter().map(|host| &host.name).collect();
    ordered.sort_by_cached_key(|name| {
        let is_former = !residents.on(name).is_empty();
        (!holding.contains(name), !is_former, load.get(*name).copied().unwrap_or(0), *name)
    });
    let held = ordered.iter().filter(|name| holding.contains(*name)).count();
    ordered.truncate(count.max(held));
    ordered
}

fn no_host(want: &Want, group: &[&Want], hosts: &HostIndex<'_>) -> PlacementError {
    let mut is_foreign = false;
    let mut describe = |host: &HostView| {
        let does_match = group.iter().all(|want| matches(&want.selector, host));
        if let Some(why) = platform::why_not(group, host).filter(|_| does_match) {
            is_foreign = true;
            return format!("{} {why}", host.name);
        }
        let why = match host.liveness {
            _ if !does_match => "does not match",
            Liveness::Never => "never connected",
            Liveness::Lost => "is lost",
            Liveness::Up if host.draining => "drains",
            Liveness::Up => "does not hold its data",
        };
        format!("{} {why}", host.name)
    };
    let all: Vec<String> = hosts.iter().map(&mut describe).collect();
    let with: Vec<&str> =
        group.iter().filter(|w| w.service != want.service).map(|w| w.service.as_str()).collect();
    let mut selector = selector_text(&want.selector);
    if !with.is_empty() {
        selector.push_str(&format!("; on the same host as {}", with.join(", ")));
    }
    PlacementError {
        service: want.service.clone(),
        selector,
        hosts: if all.is_empty() { "no host has joined".to_owned() } else { all.join(", ") },
        hint: if all.is_empty() {
            "see `wharf join --help`".to_owned()
        } else if is_foreign {
            platform::HINT.to_owned()
        } else {
            "`wharf host ls` shows labels and states; a host drains until `wharf host drain --undo`"
                .to_owned()
        },
    }
}
