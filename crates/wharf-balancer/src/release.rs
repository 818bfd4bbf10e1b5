//! What is counted per release of a service, per worker so that workers share no cache line and no lock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hdrhistogram::Histogram;

/// Tokens are counted in thousandths, so that a percentage of one request is a whole number.
const TOKEN: i64 = 1_000;
/// LIMIT: repeats that one worker may make at once, however quiet it was before.
const TOKENS_MAX: i64 = 200 * TOKEN;
/// Repeats that are allowed before any traffic: a budget of 20 % of nothing would refuse the first.
const TOKENS_FIRST: i64 = 10 * TOKEN;

/// One release of one service. It outlives the table that named it.
pub(crate) struct Release {
    pub(crate) app: String,
    pub(crate) service: String,
    pub(crate) release: u32,
    workers: Box<[PerWorker]>,
}

/// 128 bytes: two cache lines, because the prefetcher of x86 fetches pairs.
#[repr(align(128))]
struct PerWorker {
    in_flight: AtomicU64,
    requests: AtomicU64,
    errors: AtomicU64,
    client_aborts: AtomicU64,
    bytes_out: AtomicU64,
    tokens: AtomicI64,
    /// Locked by its worker for each request and by the collector once a second, for microseconds.
    latency: Mutex<Option<Latency>>,
}

/// Microseconds, 1 us to 60 s with 2 digits: about 10 KiB.
pub(crate) type Latency = Histogram<u32>;

/// Sums over all workers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) in_flight: u64,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) client_aborts: u64,
    pub(crate) bytes_out: u64,
}

/// How one request ended.
pub(crate) struct Outcome {
    pub(crate) is_error: bool,
    pub(crate) is_client_abort: bool,
    pub(crate) bytes_out: u64,
    pub(crate) micros: u64,
}

impl Release {
    pub(crate) fn new(app: &str, service: &str, release: u32, workers: usize) -> Release {
        let per_worker = || PerWorker {
            in_flight: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            client_aborts: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            tokens: AtomicI64::new(TOKENS_FIRST),
            latency: Mutex::new(None),
        };
        Release {
            app: app.to_owned(),
            service: service.to_owned(),
            release,
            workers: (0..workers.max(1)).map(|_| per_worker()).collect(),
        }
    }

    pub(crate) fn enter(&self, worker: usize) {
        self.workers[worker].in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self, worker: usize) {
        self.workers[worker].in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts a request that has ended. Its worker alone writes here, so plain additions do.
    pub(crate) fn record(&self, worker: usize, outcome: &Outcome) {
        let counts = &self.workers[worker];
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.bytes_out.fetch_add(outcome.bytes_out, Ordering::Relaxed);
        if outcome.is_error {
            counts.errors.fetch_add(1, Ordering::Relaxed);
        }
        if outcome.is_client_abort {
            counts.client_aborts.fetch_add(1, Ordering::Relaxed);
        }
        let mut latency = counts.latency.lock().expect("no holder panics");
        latency.get_or_insert_with(new_latency).saturating_record(outcome.micros);
    }

    /// Adds what a request is worth to the budget for repeats.
    pub(crate) fn earn_retry(&self, worker: usize, percent: u32) {
        let tokens = &self.workers[worker].tokens;
        if tokens.load(Ordering::Relaxed) < TOKENS_MAX {
            tokens.fetch_add(i64::from(percent) * TOKEN / 100, Ordering::Relaxed);
        }
    }

    /// Takes one repeat from the budget; false: there is none left.
    pub(crate) fn spend_retry(&self, worker: usize) -> bool {
        let tokens = &self.workers[worker].tokens;
        if tokens.load(Ordering::Relaxed) < TOKEN {
            return false;
        }
        tokens.fetch_sub(TOKEN, Ordering::Relaxed);
        true
    }

    /// Sums. `in_flight` is exact once no request can enter any more: a request leaves where it entered.
    pub(crate) fn totals(&self) -> Totals {
        self.workers.iter().fold(Totals::default(), |mut sum, counts| {
            sum.in_flight += counts.in_flight.load(Ordering::SeqCst);
            sum.requests += counts.requests.load(Ordering::Relaxed);
            sum.errors += counts.errors.load(Ordering::Relaxed);
            sum.client_aborts += counts.client_aborts.load(Ordering::Relaxed);
            sum.bytes_out += counts.bytes_out.load(Ordering::Relaxed);
            sum
        })
    }

    /// Moves the latencies of all workers into `into`.
    pub(crate) fn take_latency(&self, into: &mut Latency) {
        for counts in &self.workers {
            let mut latency = counts.latency.lock().expect("no holder panics");
            if let Some(latency) = latency.as_mut().filter(|latency| !latency.is_empty()) {
                into.add(&*latency).expect("both have the same bounds");
                latency.reset();
            }
        }
    }
}

pub(crate) fn new_latency() -> Latency {
    Histogram::new_with_bounds(1, 60_000_000, 2).expect("these bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_workers_and_hands_latencies_over_once() {
        let release = Release::new("shop", "web", 3, 2);
        for (worker, micros) in [(0, 1_000), (1, 3_000)] {
            release.enter(worker);
            let outcome = Outcome { is_error: worker == 1, is_client_abort: false, bytes_out: 10, micros };
            release.record(worker, &outcome);
        }
        release.leave(0);
        let totals = release.totals();
        assert_eq!((totals.in_flight, totals.requests, totals.errors, totals.bytes_out), (1, 2, 1, 20));
        let mut latency = new_latency();
        release.take_latency(&mut latency);
        release.take_latency(&mut latency);
        assert_eq!(latency.len(), 2);
        assert!((2_980..3_030).contains(&latency.max()));
    }

    #[test]
    fn the_retry_budget_follows_the_traffic() {
        let release = Release::new("", "x", 0, 1);
        let mut first = 0;
        while release.spend_retry(0) {
            first += 1;
        }
        assert_eq!(first, 10);
        for _ in 0..100 {
            release.earn_retry(0, 20);
        }
        let mut repeats = 0;
        while release.spend_retry(0) {
            repeats += 1;
        }
        assert_eq!(repeats, 20);
    }
}
