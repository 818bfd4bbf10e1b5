//! The hosts by name: planning asks for one at a time and never walks through all of them to find it.
//!
//! A plan over 1,000 hosts looks at each a few times; whoever wrote a scan inside of a loop over instances would look at
//! them a million times. Placement and plan see hosts only through this index, and under test it counts what it hands
//! out ([`visits`]), so that a test can hold the sum against the size of the installation.

use std::collections::BTreeMap;

use wharf_model::{HostView, Name};

/// All hosts, by name.
#[derive(Clone, Debug)]
pub(crate) struct HostIndex<'a> {
    by_name: BTreeMap<&'a Name, &'a HostView>,
}

impl<'a> HostIndex<'a> {
    /// Of these hosts. Names are unique.
    pub(crate) fn of(hosts: &'a [HostView]) -> HostIndex<'a> {
        HostIndex { by_name: hosts.iter().map(|host| (&host.name, host)).collect() }
    }

    /// The host with this name.
    pub(crate) fn get(&self, name: &Name) -> Option<&'a HostView> {
        visits::count(1);
        self.by_name.get(name).copied()
    }

    /// Whether there is a host with this name.
    pub(crate) fn contains(&self, name: &Name) -> bool {
        self.get(name).is_some()
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a HostView> + '_ {
        self.by_name.values().copied().inspect(|_| visits::count(1))
    }
}

/// How often planning has looked at a host, a place or an instance. Counted only under test.
pub(crate) mod visits {
    #[cfg(test)]
    thread_local! {
        static COUNT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }

    /// Counts `more` looks.
    #[inline]
    pub(crate) fn count(more: usize) {
        #[cfg(test)]
        COUNT.with(|count| count.set(count.get() + more as u64));
        #[cfg(not(test))]
        let _ = more;
    }

    /// The looks that `work` takes on this thread.
    #[cfg(test)]
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, u64) {
        let before = COUNT.with(std::cell::Cell::get);
        let result = work();
        (result, COUNT.with(std::cell::Cell::get) - before)
    }
}
