//! What a load tells: while it runs and when it has ended. Plain records that travel as JSON.

use serde::{Deserialize, Serialize};
use wharf_base::UnixMillis;

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// A whole answer came, and its status was not 2xx.
    Status,
    /// No connection could be made.
    Connect,
    /// The connection broke before the whole answer was there, or the answer was no HTTP.
    Reset,
    /// The answer was not complete in time, or the request found no free connection in time.
    Timeout,
}

/// Failed requests by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// See [`FailureCause::Status`].
    pub status: u64,
    /// See [`FailureCause::Connect`].
    pub connect: u64,
    /// See [`FailureCause::Reset`].
    pub reset: u64,
    /// See [`FailureCause::Timeout`].
    pub timeout: u64,
}

impl Failures {
    /// All together.
    pub fn total(&self) -> u64 {
        self.status + self.connect + self.reset + self.timeout
    }

    pub(crate) fn add(&mut self, cause: FailureCause) {
        match cause {
            FailureCause::Status => self.status += 1,
            FailureCause::Connect => self.connect += 1,
            FailureCause::Reset => self.reset += 1,
            FailureCause::Timeout => self.timeout += 1,
        }
    }
}

/// One failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was due.
    pub due: UnixMillis,
    /// When it failed.
    pub failed: UnixMillis,
    /// Index of its phase in the report.
    pub phase: usize,
    /// How.
    pub cause: FailureCause,
    /// The status or the system's words.
    pub detail: String,
}

/// The requests that were due in one phase.
///
/// Once all have ended, `due == ok + failed.total()`. Latencies are in milliseconds, from when a request was due to
/// the last byte of its answer; answers with a wrong status are in them, and requests that timed out, with the time
/// until then; broken connections are not, as they have no latency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Name.
    pub name: String,
    /// Seconds from the start of the load to the phase's.
    pub start_seconds: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Requests that were due.
    pub due: u64,
    /// Requests that were written to a connection.
    pub sent: u64,
    /// Whole answers with status 2xx.
    pub ok: u64,
    /// Failed requests.
    pub failed: Failures,
    /// Median.
    pub p50_ms: f64,
    /// 99 % are faster.
    pub p99_ms: f64,
    /// 99.9 % are faster.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// The last full seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecentReport {
    /// How many seconds are counted here, at most five.
    pub seconds: f64,
    /// Answers per second with status 2xx.
    pub ok_per_second: f64,
    /// Requests that failed in these seconds.
    pub failed: u64,
    /// Median of those that ended in these seconds.
    pub p50_ms: f64,
    /// 99 % of them are faster.
    pub p99_ms: f64,
}

/// A load while it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSnapshot {
    /// Seconds since the start.
    pub seconds: f64,
    /// Everything so far. `due - ok - failed` are in flight.
    pub total: PhaseReport,
    /// The phase at hand.
    pub phase: PhaseReport,
    /// The last full seconds.
    pub recent: RecentReport,
    /// Connections that are open.
    pub connections: usize,
    /// Failed requests so far, oldest first, at most 10,000.
    pub failures: Vec<Failure>,
}

/// A load that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// What was asked.
    pub url: String,
    /// Requests per second as configured.
    pub rate: f64,
    /// When it began.
    pub started: UnixMillis,
    /// Everything.
    pub total: PhaseReport,
    /// Phases in order.
    pub phases: Vec<PhaseReport>,
    /// The first 10,000 failed requests, in the order in which they failed.
    pub failures: Vec<Failure>,
    /// Failed requests that are counted and not listed.
    pub failures_left_out: u64,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that were open at the same time.
    pub connections_most: usize,
    /// How late requests were written, in milliseconds, 99th percentile: the generator's own share of the latency.
    /// Includes the time to connect. A value near `total.p50_ms` says that the generator was too slow.
    pub lateness_p99_ms: f64,
}

impl LoadReport {
    /// Share of the due requests that were sent, 0 to 1.
    pub fn sent_share(&self) -> f64 {
        if self.total.due == 0 { 1.0 } else { self.total.sent as f64 / self.total.due as f64 }
    }
}
