//! The colour of hosts: which one serves now, and which one comes next.

use std::collections::BTreeMap;

use wharf_model::{HostView, Name};

use super::is_ready;
use crate::host_index::HostIndex;

/// The host's label `colour`.
pub(super) fn of(host: &HostView) -> Option<&str> {
    host.labels.get("colour").map(String::as_str)
}

/// The colour of most of the hosts in `current`; the first by name among equals. `None` if none has a colour.
pub(super) fn serving<'a>(hosts: &HostIndex<'a>, current: &[&Name]) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in current {
        if let Some(colour) = hosts.get(name).and_then(of) {
            *counts.entry(colour).or_default() += 1;
        }
    }
    counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0))).map(|(colour, _)| colour)
}

/// The colour that a changed group goes to, among those with a host that is ready: the next one by name after
/// `serving`, round and round; `serving` itself if it is the only one. At first `green`, else the first by name.
pub(super) fn next<'a>(hosts: &[&'a HostView], serving: Option<&str>) -> Option<&'a str> {
    let mut ready: Vec<&str> =
        hosts.iter().filter(|host| is_ready(host)).filter_map(|host| of(host)).collect();
    ready.sort_unstable();
    ready.dedup();
    let first = ready.first().copied();
    match serving {
        None => ready.iter().copied().find(|colour| *colour == "green").or(first),
        Some(serving) => {
            let others = || ready.iter().copied().filter(|colour| *colour != serving);
            others().find(|colour| *colour > serving).or_else(|| others().next()).or(first)
        }
    }
}
