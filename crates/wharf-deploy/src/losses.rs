//! Lost hosts: which of them are given up, so that what may run twice is started elsewhere. Pure.
//!
//! A loss counts after `deploy.reschedule_after`: an agent that is restarted is back before. While more than half of
//! the hosts with containers are lost, it is likelier that the server is the one who is cut off: nothing is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wharf_model::{HostView, Liveness, Name};

/// What is to be thought of the lost hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// What can go elsewhere does.
    pub(crate) given_up: BTreeSet<Name>,
    /// When time alone will add one.
    pub(crate) next: Option<Duration>,
    /// Too many are lost at once: (lost, all).
    pub(crate) too_many: Option<(usize, usize)>,
}

/// Judges the hosts that have been `lost` for so long. `after` is the patience; `None` gives none up.
pub(crate) fn judge(hosts: &[HostView], lost: &BTreeMap<Name, Duration>, after: Option<Duration>) -> Losses {
    let Some(after) = after else { return Losses::default() };
    let has_some = |host: &&HostView| host.instances_desired > 0;
    let away = hosts.iter().filter(|host| host.liveness == Liveness::Lost).filter(has_some).count();
    let up = hosts.iter().filter(|host| host.liveness == Liveness::Up).count();
    let with_some: BTreeSet<&Name> = hosts.iter().filter(has_some).map(|host| &host.name).collect();
    let of_matter = lost.iter().filter(|(name, _)| with_some.contains(name));
    let (given_up, pending): (Vec<_>, Vec<_>) = of_matter.partition(|(_, since)| **since >= after);
    let next = pending.iter().map(|(_, since)| after - **since).min();
    if away * 2 > away + up {
        let too_many = (!given_up.is_empty()).then_some((away, away + up));
        return Losses { given_up: BTreeSet::new(), next, too_many };
    }
    Losses { given_up: given_up.into_iter().map(|(name, _)| name.clone()).collect(), next, too_many: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, liveness: Liveness, instances_desired: u32) -> HostView {
        HostView { instances_desired, ..HostView::new(name.parse().unwrap(), liveness) }
    }

    #[test]
    fn a_host_is_given_up_after_a_while_unless_most_are_lost() {
        use Liveness::{Lost, Never, Up};
        let secs = Duration::from_secs;
        type Hosts = &'static [(&'static str, Liveness, u32, Option<u64>)];
        let check = |hosts: Hosts, given_up: &[&str], next: Option<u64>, too_many: Option<(usize, usize)>| {
            let views: Vec<HostView> = hosts.iter().map(|one| host(one.0, one.1, one.2)).collect();
            let lost = hosts.iter().filter_map(|one| Some((one.0.parse().unwrap(), secs(one.3?)))).collect();
            let losses = judge(&views, &lost, Some(secs(2)));
            let names: Vec<&str> = losses.given_up.iter().map(|name| name.as_str()).collect();
            assert_eq!(
                (names.as_slice(), losses.next, losses.too_many),
                (given_up, next.map(secs), too_many)
            );
            assert_eq!(judge(&views, &lost, None), Losses::default());
        };
        check(&[("a", Up, 1, None), ("b", Lost, 1, Some(1))], &[], Some(1), None);
        check(&[("a", Up, 1, None), ("b", Lost, 1, Some(2))], &["b"], None, None);
        // One that has nothing is no loss.
        check(&[("a", Up, 1, None), ("b", Lost, 0, Some(9))], &[], None, None);
        check(&[("a", Up, 1, None), ("b", Lost, 1, Some(9)), ("c", Lost, 0, Some(9))], &["b"], None, None);
        check(
            &[("a", Up, 1, None), ("b", Lost, 1, Some(9)), ("c", Lost, 1, Some(9))],
            &[],
            None,
            Some((2, 3)),
        );
        check(&[("a", Lost, 1, Some(9))], &[], None, Some((1, 1)));
        // The server has just started: nobody has had the time to connect.
        check(&[("a", Lost, 1, None), ("b", Lost, 1, None), ("c", Never, 0, None)], &[], None, None);
        check(&[("a", Lost, 1, None), ("b", Lost, 1, None), ("c", Up, 1, None)], &[], None, None);
    }
}
