//! The loop that sends requests when they are due.
//!
//! Once a millisecond it starts every request that has become due. Each is a future in one set; connections are
//! values that go into the future and come back with its end, so nothing here is shared or locked but the record.
//! Idle connections are used last in, first out, so that spare ones can grow old and be closed.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::MissedTickBehavior;
use wharf_base::Shutdown;

use super::connection::{Broken, Connection};
use super::target::Target;
use super::{LoadConfig, Shared};
use crate::record::Outcome;
use crate::report::FailureCause;

/// The timer's own grain. Two requests per tick at 2,000/s cost less than a wake-up for each.
const TICK: Duration = Duration::from_millis(1);

/// Closed by us before a server does it: most keep idle connections for 60 s or more, nginx 75 s.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// LIMIT: requests in line for a connection, 24 bytes each. Reached from 200,000 requests a second on; further ones
/// fail at once.
const WAITING_MAX: usize = 1_000_000;

pub(super) struct Generator {
    target: Arc<Target>,
    shared: Arc<Shared>,
    stop: Shutdown,
    started: Instant,
    interval: f64,
    /// Number of requests in all.
    last: u64,
    timeout: Duration,
    connections_max: usize,
    waiting_max: usize,
    next: u64,
    idle: Vec<Connection>,
    open: usize,
    waiting: VecDeque<Job>,
    flying: FuturesUnordered<Pin<Box<dyn Future<Output = Flown> + Send>>>,
}

/// A request that is due.
#[derive(Clone, Copy)]
struct Job {
    phase: usize,
    due: Instant,
}

/// A request that has ended; its connection, if it can be used again.
struct Flown {
    job: Job,
    outcome: Outcome,
    connection: Option<Connection>,
    ended: Instant,
}

impl Generator {
    pub(super) fn new(
        config: &LoadConfig,
        target: Target,
        shared: Arc<Shared>,
        started: Instant,
        stop: Shutdown,
    ) -> Generator {
        let count = config.duration.map(|duration| (duration.as_secs_f64() * config.rate).ceil() as u64);
        // A request that waits longer than the timeout has failed, so that no more than these can be waiting.
        let waiting_max = (config.rate * config.timeout.as_secs_f64()).ceil() as usize + 1;
        let waiting_max = waiting_max.min(WAITING_MAX);
        Generator {
            target: Arc::new(target),
            shared,
            stop,
            started,
            interval: 1.0 / config.rate,
            last: count.unwrap_or(u64::MAX),
            timeout: config.timeout,
            connections_max: config.connections_max,
            waiting_max,
            next: 0,
            idle: Vec::new(),
            open: 0,
            waiting: VecDeque::new(),
            flying: FuturesUnordered::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stop = self.stop.clone();
        while self.next < self.last {
            tokio::select! {
                _ = ticks.tick() => self.tick(),
                Some(flown) = self.flying.next() => self.land(flown),
                () = stop.cancelled() => break,
            }
        }
        self.shared.record().end(Instant::now());
        // Those that wait are due as well: they go out as connections come free, or time out.
        while !self.flying.is_empty() || !self.waiting.is_empty() {
            tokio::select! {
                _ = ticks.tick() => self.give_up_waiting(),
                Some(flown) = self.flying.next() => self.land(flown),
            }
        }
    }

    fn due(&self, number: u64) -> Instant {
        self.started + Duration::from_secs_f64(number as f64 * self.interval)
    }

    /// Starts what is due.
    fn tick(&mut self) {
        let now = Instant::now();
        self.give_up_waiting();
        while self.next < self.last {
            let due = self.due(self.next);
            if due > now {
                break;
            }
            self.next += 1;
            let phase = self.shared.record().due(due);
            let job = Job { phase, due };
            match self.free_connection() {
                Some(connection) => self.fly(job, connection),
                None if self.waiting.len() < self.waiting_max => self.waiting.push_back(job),
                None => self.fail_unsent(job),
            }
        }
        while self.idle.first().is_some_and(|connection| now - connection.idle_since > IDLE_MAX) {
            self.idle.remove(0);
            self.closed(1);
        }
    }

    /// An idle connection that is still good, or leave (`Some(None)`) to open one.
    fn free_connection(&mut self) -> Option<Option<Connection>> {
        while let Some(connection) = self.idle.pop() {
            if connection.is_usable() {
                return Some(Some(connection));
            }
            self.closed(1);
        }
        if self.open == self.connections_max {
            return None;
        }
        self.open += 1;
        self.shared.record().connections(true, self.open);
        Some(None)
    }

    fn fly(&mut self, job: Job, connection: Option<Connection>) {
        let (target, shared) = (Arc::clone(&self.target), Arc::clone(&self.shared));
        let deadline = tokio::time::Instant::from_std(job.due + self.timeout);
        self.flying.push(Box::pin(async move {
            let exchange = exchange(job, connection, &target, &shared);
            let (outcome, connection) = match tokio::time::timeout_at(deadline, exchange).await {
                Ok(Ok((status, connection))) if (200..300).contains(&status) => (Outcome::Ok, connection),
                Ok(Ok((status, connection))) => {
                    (Outcome::Failed(FailureCause::Status, status.to_string()), connection)
                }
                Ok(Err(Broken { cause, detail })) => (Outcome::Failed(cause, detail), None),
                Err(_) => (Outcome::Failed(FailureCause::Timeout, "no answer in time".to_owned()), None),
            };
            Flown { job, outcome, connection, ended: Instant::now() }
        }));
    }

    fn land(&mut self, flown: Flown) {
        let Flown { job, outcome, connection, ended } = flown;
        self.shared.record().ended(job.phase, job.due, ended, outcome);
        match connection {
            Some(connection) => self.idle.push(connection),
            None => self.closed(1),
        }
        while !self.waiting.is_empty()
            && let Some(connection) = self.free_connection()
        {
            let job = self.waiting.pop_front().expect("it is not empty");
            self.fly(job, connection);
        }
    }

    fn closed(&mut self, count: usize) {
        self.open -= count;
        self.shared.record().connections(false, self.open);
    }

    /// Requests in line whose time is over.
    fn give_up_waiting(&mut self) {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|job| now >= job.due + self.timeout) {
            let job = self.waiting.pop_front().expect("there is a front");
            self.fail_unsent(job);
        }
    }

    fn fail_unsent(&mut self, job: Job) {
        let detail = format!("all {} connections were busy", self.connections_max);
        let outcome = Outcome::Failed(FailureCause::Timeout, detail);
        self.shared.record().ended(job.phase, job.due, Instant::now(), outcome);
    }
}

/// Status and, if it may be used again, the connection.
async fn exchange(
    job: Job,
    connection: Option<Connection>,
    target: &Target,
    shared: &Shared,
) -> Result<(u16, Option<Connection>), Broken> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => Connection::open(target.address).await?,
    };
    connection.send(&target.request).await?;
    shared.record().sent(job.phase, job.due, Instant::now());
    let response = connection.receive().await?;
    connection.idle_since = Instant::now();
    Ok((response.status, response.keep_alive.then_some(connection)))
}
