//! The generator's face: configuration, start, handle.

mod connection;
mod generator;
mod open_files;
mod target;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wharf_base::{Clock, Shutdown, SystemClock, Tasks};

use crate::Error;
use crate::record::Record;
use crate::report::{LoadReport, LoadSnapshot};
use generator::Generator;
use target::Target;

/// What to send, how often, for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// `http://host:port/path`.
    pub url: String,
    /// Value of the `Host` field, if it is not the URL's.
    pub host: Option<String>,
    /// Requests per second, up to 1,000,000.
    pub rate: f64,
    /// How long; `None` goes on until it is stopped.
    pub duration: Option<Duration>,
    /// Connections at a time, up to 50,000. Fewer are used if the process may not open so many files; its soft limit
    /// is raised as far as the hard one allows.
    pub connections_max: usize,
    /// Time for one request from when it is due, at most a minute.
    pub timeout: Duration,
}

impl LoadConfig {
    /// `rate` requests per second to `url` until stopped, with at most 1,000 connections, five seconds for each.
    pub fn new(url: impl Into<String>, rate: f64) -> LoadConfig {
        LoadConfig {
            url: url.into(),
            host: None,
            rate,
            duration: None,
            connections_max: 1000,
            timeout: Duration::from_secs(5),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |name, allowed, found: String| Err(Error::Setting { name, allowed, found });
        if !(0.01..=1e6).contains(&self.rate) {
            return wrong("rate", "from 0.01 to 1000000 per second", self.rate.to_string());
        }
        if self.connections_max == 0 || self.connections_max > 50_000 {
            return wrong("connections", "from 1 to 50000", self.connections_max.to_string());
        }
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(60) {
            return wrong("timeout", "up to 1m", wharf_base::duration::format(self.timeout));
        }
        Ok(())
    }
}

/// Starts loads.
pub struct Load;

impl Load {
    /// Starts to send and returns at once. The load ends after `config.duration`, by [`LoadHandle::stop`], when the
    /// handle is dropped, or when `tasks` are stopped.
    pub async fn start(mut config: LoadConfig, tasks: &Tasks) -> Result<LoadHandle, Error> {
        config.check()?;
        config.connections_max = open_files::allow_connections(config.connections_max);
        let target = Target::resolve(&config.url, config.host.as_deref()).await?;
        let started = Instant::now();
        let shared = Arc::new(Shared { record: Mutex::new(Record::new(started, SystemClock.now())) });
        let stop = tasks.shutdown().child_token();
        let (done, is_done) = watch::channel(false);
        let generator = Generator::new(&config, target, Arc::clone(&shared), started, stop.clone());
        // A thread and a runtime of its own: work of others in this process must not make requests late.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        std::thread::Builder::new()
            .name("wharf-load".to_owned())
            .spawn(move || {
                runtime.block_on(generator.run());
                // Nobody may be waiting.
                let _ = done.send(true);
            })
            .map_err(Error::Thread)?;
        let mut ended = is_done.clone();
        tasks.spawn("bench load", async move {
            // An error: the thread has ended without a word, which is an end too.
            let _ = ended.wait_for(|is_done| *is_done).await;
        });
        Ok(LoadHandle { config, shared, stop, is_done })
    }
}

/// A load that runs. Dropping it ends the load without a report.
pub struct LoadHandle {
    config: LoadConfig,
    shared: Arc<Shared>,
    stop: Shutdown,
    is_done: watch::Receiver<bool>,
}

impl LoadHandle {
    /// The figures so far.
    pub fn snapshot(&self) -> LoadSnapshot {
        self.shared.record().snapshot(Instant::now())
    }

    /// Begins a phase: requests that are due from now on are counted for it.
    ///
    /// Errors: `Phases` beyond 64; the requests then go on to count for the last one.
    pub fn mark(&self, name: &str) -> Result<(), Error> {
        self.shared.record().mark(name, Instant::now())
    }

    /// Waits until the load has ended by itself, for a load with a duration.
    pub async fn ended(&self) {
        // An error: the thread has ended without a word, which is an end too.
        let _ = self.is_done.clone().wait_for(|is_done| *is_done).await;
    }

    /// Stops sending, waits for the requests in flight (at most the timeout), and reports.
    pub async fn stop(self) -> LoadReport {
        self.stop.cancel();
        self.ended().await;
        self.shared.record().report(&self.config, Instant::now())
    }
}

impl Drop for LoadHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What the generator's thread and the handle share.
struct Shared {
    record: Mutex<Record>,
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder panics")
    }
}
