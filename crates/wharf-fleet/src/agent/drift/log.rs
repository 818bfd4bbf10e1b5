//! Remembers drifts for the report: each from the moment that it is found until it is put right, and the newest of the
//! past, so that the server hears of one that was repaired between two reports.

use wharf_base::UnixMillis;
use wharf_model::{Drift, DriftOutcome, Name};

/// LIMIT: drifts in a report. Closed ones make room first, the oldest first.
const DRIFTS_MAX: usize = 50;

/// What is so now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) app: Name,
    pub(crate) instance: String,
    pub(crate) what: String,
    /// It is only reported.
    pub(crate) is_reported: bool,
}

/// The drifts that the agent knows of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Vec<Drift>);

impl Log {
    /// Takes in what deviates now. `is_busy` says of an instance that its unit still works: what was so there is not
    /// right yet.
    pub(crate) fn follow(&mut self, now: UnixMillis, found: &[Now], is_busy: impl Fn(&str) -> bool) {
        for drift in self.0.iter_mut().filter(|drift| drift.outcome.is_open()) {
            let same = found.iter().find(|one| one.instance == drift.instance && one.what == drift.what);
            drift.outcome = match (same, drift.outcome) {
                // The policy may have changed.
                (Some(one), _) if one.is_reported => DriftOutcome::Reported,
                (Some(_), _) => DriftOutcome::Repairing,
                (None, outcome) if is_busy(&drift.instance) => outcome,
                (None, DriftOutcome::Reported) => DriftOutcome::Resolved,
                (None, _) => DriftOutcome::Repaired,
            };
        }
        for one in found {
            let is_known = self.0.iter().any(|drift| {
                drift.outcome.is_open() && drift.instance == one.instance && drift.what == one.what
            });
            if is_known {
                continue;
            }
            tracing::warn!(instance = one.instance, what = one.what, "a container was changed by hand");
            let (app, instance, what) = (one.app.clone(), one.instance.clone(), one.what.clone());
            let outcome = if one.is_reported { DriftOutcome::Reported } else { DriftOutcome::Repairing };
            self.0.push(Drift { at: now, app, instance, what, outcome });
        }
        while self.0.len() > DRIFTS_MAX {
            let closed = self.0.iter().position(|drift| !drift.outcome.is_open());
            self.0.remove(closed.unwrap_or(0));
        }
    }

    /// For the report.
    pub(crate) fn report(&self) -> Vec<Drift> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;

    fn now(instance: &str, what: &str, is_reported: bool) -> Now {
        Now { app: name("shop"), instance: instance.to_owned(), what: what.to_owned(), is_reported }
    }

    fn outcomes(log: &Log) -> Vec<DriftOutcome> {
        log.report().into_iter().map(|drift| drift.outcome).collect()
    }

    #[test]
    fn a_drift_is_open_until_it_is_gone_and_its_unit_has_ended() {
        use DriftOutcome::{Repaired, Repairing, Reported, Resolved};
        let mut log = Log::default();
        let at = UnixMillis(1);
        log.follow(at, &[now("a", "paused", false), now("b", "paused", true)], |_| false);
        assert_eq!(outcomes(&log), [Repairing, Reported]);
        log.follow(at, &[now("b", "paused", true)], |instance| instance == "a");
        assert_eq!(outcomes(&log), [Repairing, Reported], "the unit still works");
        log.follow(at, &[], |_| false);
        assert_eq!(outcomes(&log), [Repaired, Resolved]);
        log.follow(UnixMillis(2), &[now("a", "paused", false)], |_| false);
        assert_eq!(outcomes(&log), [Repaired, Resolved, Repairing], "again is another one");
    }

    #[test]
    fn closed_ones_make_room() {
        let mut log = Log::default();
        let open = now("open", "paused", true);
        for round in 0..200 {
            let one = now(&format!("i{round}"), "removed", false);
            log.follow(UnixMillis(round), &[open.clone(), one], |_| false);
        }
        let report = log.report();
        assert_eq!(report.len(), DRIFTS_MAX);
        assert_eq!(report[0].instance, "open", "what is still so stays");
        assert_eq!(report.last().unwrap().instance, "i199");
    }
}
