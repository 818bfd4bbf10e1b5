//! Counts and latencies of a load: per phase, for the last seconds, and the failed requests one by one.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use wharf_base::UnixMillis;

use crate::report::{Failure, FailureCause, Failures, LoadReport, LoadSnapshot, PhaseReport, RecentReport};
use crate::{Error, LoadConfig};

/// LIMIT: phases of a load.
pub(crate) const PHASES_MAX: usize = 64;

/// LIMIT: failures that are listed.
const FAILURES_MAX: usize = 10_000;

/// Seconds of [`RecentReport`].
const RECENT_SECONDS: u64 = 5;

/// Everything that a load has counted. Lives behind a mutex that is held for microseconds.
pub(crate) struct Record {
    started: Instant,
    started_at: UnixMillis,
    ended: Option<Instant>,
    phases: Vec<Phase>,
    lateness: Histogram<u64>,
    seconds: [Second; RECENT_SECONDS as usize + 1],
    failures: Vec<Failure>,
    failures_left_out: u64,
    pub(crate) connections: usize,
    pub(crate) connections_most: usize,
    pub(crate) connections_opened: u64,
}

struct Phase {
    name: String,
    start: Instant,
    due: u64,
    sent: u64,
    ok: u64,
    failed: Failures,
    latency: Histogram<u64>,
}

/// One second of the clock since the start.
struct Second {
    number: u64,
    ok: u64,
    failed: u64,
    latency: Histogram<u64>,
}

/// How a request ended.
pub(crate) enum Outcome {
    Ok,
    Failed(FailureCause, String),
}

impl Record {
    pub(crate) fn new(started: Instant, started_at: UnixMillis) -> Record {
        let second = |number| Second { number, ok: 0, failed: 0, latency: histogram(2) };
        Record {
            started,
            started_at,
            ended: None,
            phases: vec![Phase::new("start", started)],
            lateness: histogram(2),
            seconds: std::array::from_fn(|index| second(index as u64)),
            failures: Vec::new(),
            failures_left_out: 0,
            connections: 0,
            connections_most: 0,
            connections_opened: 0,
        }
    }

    /// Requests that are due from `now` on belong to a new phase. A phase in which nothing was due is renamed.
    pub(crate) fn mark(&mut self, name: &str, now: Instant) -> Result<(), Error> {
        let last = self.phases.last_mut().expect("there is always a phase");
        if last.due == 0 {
            last.name = name.to_owned();
            return Ok(());
        }
        if self.phases.len() == PHASES_MAX {
            return Err(Error::Phases { name: name.to_owned(), limit: PHASES_MAX });
        }
        self.phases.push(Phase::new(name, now));
        Ok(())
    }

    /// Counts a request that is due; returns its phase.
    pub(crate) fn due(&mut self, due: Instant) -> usize {
        let index = self.phases.iter().rposition(|phase| phase.start <= due).unwrap_or(0);
        self.phases[index].due += 1;
        index
    }

    pub(crate) fn sent(&mut self, phase: usize, due: Instant, now: Instant) {
        self.phases[phase].sent += 1;
        self.lateness.saturating_record(micros(now - due));
    }

    pub(crate) fn connections(&mut self, opened: bool, count: usize) {
        self.connections = count;
        self.connections_most = self.connections_most.max(count);
        self.connections_opened += u64::from(opened);
    }

    pub(crate) fn ended(&mut self, index: usize, due: Instant, now: Instant, outcome: Outcome) {
        let number = (now - self.started).as_secs();
        let second = &mut self.seconds[(number % (RECENT_SECONDS + 1)) as usize];
        if second.number != number {
            *second = Second {
                number,
                ok: 0,
                failed: 0,
                latency: std::mem::replace(&mut second.latency, histogram(2)),
            };
            second.latency.reset();
        }
        let phase = &mut self.phases[index];
        let latency = micros(now - due);
        let has_latency = match &outcome {
            Outcome::Ok => true,
            Outcome::Failed(cause, _) => matches!(cause, FailureCause::Status | FailureCause::Timeout),
        };
        if has_latency {
            phase.latency.saturating_record(latency);
            second.latency.saturating_record(latency);
        }
        match outcome {
            Outcome::Ok => {
                phase.ok += 1;
                second.ok += 1;
            }
            Outcome::Failed(cause, detail) => {
                phase.failed.add(cause);
                second.failed += 1;
                if self.failures.len() == FAILURES_MAX {
                    self.failures_left_out += 1;
                    return;
                }
                let at = |time: Instant| self.started_at.plus(time - self.started);
                let failure = Failure { due: at(due), failed: at(now), phase: index, cause, detail };
                self.failures.push(failure);
            }
        }
    }

    /// Nothing is due any more.
    pub(crate) fn end(&mut self, now: Instant) {
        self.ended = Some(now);
    }

    pub(crate) fn snapshot(&self, now: Instant) -> LoadSnapshot {
        let end = self.ended.unwrap_or(now);
        LoadSnapshot {
            seconds: (now - self.started).as_secs_f64(),
            total: self.total(end),
            phase: self.phase(self.phases.len() - 1, end),
            recent: self.recent(now),
            connections: self.connections,
            failures: self.failures.clone(),
        }
    }

    pub(crate) fn report(&self, config: &LoadConfig, now: Instant) -> LoadReport {
        let end = self.ended.unwrap_or(now);
        LoadReport {
            url: config.url.clone(),
            rate: config.rate,
            started: self.started_at,
            total: self.total(end),
            phases: (0..self.phases.len()).map(|index| self.phase(index, end)).collect(),
            failures: self.failures.clone(),
            failures_left_out: self.failures_left_out,
            connections_opened: self.connections_opened,
            connections_most: self.connections_most,
            lateness_p99_ms: self.lateness.value_at_quantile(0.99) as f64 / 1000.0,
        }
    }

    fn phase(&self, index: usize, end: Instant) -> PhaseReport {
        let phase = &self.phases[index];
        let end = self.phases.get(index + 1).map_or(end, |next| next.start);
        let start_seconds = (phase.start - self.started).as_secs_f64();
        let seconds = end.saturating_duration_since(phase.start).as_secs_f64();
        phase.report(start_seconds, seconds)
    }

    fn total(&self, end: Instant) -> PhaseReport {
        let mut total = Phase::new("total", self.started);
        for phase in &self.phases {
            total.due += phase.due;
            total.sent += phase.sent;
            total.ok += phase.ok;
            total.failed.status += phase.failed.status;
            total.failed.connect += phase.failed.connect;
            total.failed.reset += phase.failed.reset;
            total.failed.timeout += phase.failed.timeout;
            total.latency.add(&phase.latency).expect("both have the same bounds");
        }
        total.report(0.0, (end - self.started).as_secs_f64())
    }

    /// The seconds before the one that runs now.
    fn recent(&self, now: Instant) -> RecentReport {
        let number = (now - self.started).as_secs();
        let first = number.saturating_sub(RECENT_SECONDS);
        let mut latency = histogram(2);
        let mut recent = RecentReport { seconds: (number - first) as f64, ..RecentReport::default() };
        let mut ok = 0;
        for second in self.seconds.iter().filter(|second| (first..number).contains(&second.number)) {
            ok += second.ok;
            recent.failed += second.failed;
            latency.add(&second.latency).expect("both have the same bounds");
        }
        if recent.seconds > 0.0 {
            recent.ok_per_second = ok as f64 / recent.seconds;
        }
        recent.p50_ms = latency.value_at_quantile(0.5) as f64 / 1000.0;
        recent.p99_ms = latency.value_at_quantile(0.99) as f64 / 1000.0;
        recent
    }
}

impl Phase {
    fn new(name: &str, start: Instant) -> Phase {
        Phase {
            name: name.to_owned(),
            start,
            due: 0,
            sent: 0,
            ok: 0,
            failed: Failures::default(),
            latency: histogram(3),
        }
    }

    fn report(&self, start_seconds: f64, seconds: f64) -> PhaseReport {
        let quantile = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1000.0;
        PhaseReport {
            name: self.name.clone(),
            start_seconds,
            seconds,
            due: self.due,
            sent: self.sent,
            ok: self.ok,
            failed: self.failed,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: if self.latency.is_empty() { 0.0 } else { self.latency.max() as f64 / 1000.0 },
        }
    }
}

/// Microseconds from 1 µs to 2 minutes, which is above every allowed timeout.
fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, digits).expect("the bounds are in order")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_belong_to_the_phase_in_which_they_were_due() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut record = Record::new(start, UnixMillis(1_000_000));
        record.mark("v1", at(0)).unwrap();
        let early = record.due(at(10));
        record.mark("v2", at(20)).unwrap();
        let late = record.due(at(15));
        let second = record.due(at(20));
        assert_eq!((early, late, second), (0, 0, 1));
        record.ended(late, at(15), at(500), Outcome::Failed(FailureCause::Reset, "gone".to_owned()));
        record.ended(second, at(20), at(30), Outcome::Ok);
        let snapshot = record.snapshot(at(1000));
        assert_eq!((snapshot.total.due, snapshot.total.ok, snapshot.total.failed.reset), (3, 1, 1));
        assert_eq!((snapshot.phase.name.as_str(), snapshot.phase.ok), ("v2", 1));
        assert!((snapshot.phase.p50_ms - 10.0).abs() < 0.02, "three digits: {}", snapshot.phase.p50_ms);
        let failure = &snapshot.failures[0];
        assert_eq!(
            (failure.due, failure.failed, failure.phase),
            (UnixMillis(1_000_015), UnixMillis(1_000_500), 0)
        );
    }

    #[test]
    fn recent_counts_full_seconds_only() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut record = Record::new(start, UnixMillis(0));
        for millis in (0..12_000).step_by(10) {
            let phase = record.due(at(millis));
            record.ended(phase, at(millis), at(millis + 5), Outcome::Ok);
        }
        let recent = record.snapshot(at(12_050)).recent;
        assert_eq!((recent.seconds, recent.ok_per_second, recent.failed), (5.0, 100.0, 0));
        assert_eq!(record.snapshot(at(500)).recent.seconds, 0.0);
    }

    #[test]
    fn phases_are_bounded() {
        let start = Instant::now();
        let mut record = Record::new(start, UnixMillis(0));
        for _ in 0..PHASES_MAX {
            record.due(Instant::now());
            let _ = record.mark("x", Instant::now());
        }
        record.due(Instant::now());
        assert!(matches!(record.mark("y", Instant::now()), Err(Error::Phases { .. })));
    }
}
