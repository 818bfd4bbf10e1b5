//! What an application has now, by service: drafts and outcomes look up their own instances in it.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::{AppDesired, Instance, Name};

use crate::host_index::visits;

/// The instances of an application by service.
#[derive(Debug, Default)]
pub(super) struct Standing<'a> {
    /// Those that serve, in order.
    serving: BTreeMap<&'a Name, Vec<&'a Instance>>,
    /// Numbers that are taken by service and release, also by what drains.
    slots: BTreeMap<(&'a Name, u32), BTreeSet<u32>>,
}

impl<'a> Standing<'a> {
    /// Of this desired state.
    pub(super) fn of(current: &'a AppDesired) -> Standing<'a> {
        let mut standing = Standing::default();
        visits::count(current.instances.len());
        for one in &current.instances {
            standing.slots.entry((&one.service, one.release)).or_default().insert(one.slot);
            if !current.draining.contains(&one.id) {
                standing.serving.entry(&one.service).or_default().push(one);
            }
        }
        standing
    }

    /// Instances of a service that serve.
    pub(super) fn serving(&self, service: &Name) -> &[&'a Instance] {
        let serving = self.serving.get(service).map(Vec::as_slice).unwrap_or_default();
        visits::count(serving.len());
        serving
    }

    /// Numbers that no instance of the service and release has, the lowest first. Endless.
    pub(super) fn free_slots<'s>(
        &'s self,
        service: &'s Name,
        release: u32,
    ) -> impl Iterator<Item = u32> + 's {
        let taken = self.slots.get(&(service, release));
        (1..)
            .inspect(|_| visits::count(1))
            .filter(move |slot| !taken.is_some_and(|taken| taken.contains(slot)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, service: &str, release: u32, slot: u32) -> Instance {
        let (service, host) = (service.parse().unwrap(), "h1".parse().unwrap());
        let (spec, after) = (Default::default(), BTreeMap::new());
        Instance { id: id.to_owned(), service, release, slot, host, spec, serve: None, probe: None, after }
    }

    #[test]
    fn what_drains_does_not_serve_and_keeps_its_number() {
        let current = AppDesired {
            instances: vec![
                instance("a", "web", 1, 1),
                instance("b", "web", 1, 3),
                instance("c", "web", 2, 1),
                instance("d", "db", 1, 1),
            ],
            draining: BTreeSet::from(["b".to_owned()]),
            ..AppDesired::default()
        };
        let standing = Standing::of(&current);
        let web: Name = "web".parse().unwrap();
        let ids: Vec<&str> = standing.serving(&web).iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["a", "c"]);
        assert_eq!(standing.free_slots(&web, 1).take(3).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(standing.free_slots(&web, 3).take(2).collect::<Vec<_>>(), [1, 2]);
    }
}
