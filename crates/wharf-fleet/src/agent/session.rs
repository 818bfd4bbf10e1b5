//! What an agent does on its connection: hear of generations, fetch its part, report.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use wharf_base::{Backoff, Clock, ErrorCode};
use wharf_disk::atomic;
use wharf_model::HostReport;

use super::link::Server;
use super::resources::Sampler;
use crate::Error;
use crate::protocol::{Announcement, HostDesired, VERSION};

/// Changes within this time make one report. The first after a rest goes out at once.
const REPORT_GAP: Duration = Duration::from_millis(50);
/// The unit of the generator of waits.
const SPLAY: Duration = Duration::from_secs(1);
/// Before a desired state that the disk refused is fetched again.
const DISK_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Session {
    pub(crate) desired: watch::Sender<Option<Arc<HostDesired>>>,
    pub(crate) reports: watch::Receiver<Arc<HostReport>>,
    pub(crate) desired_path: PathBuf,
    pub(crate) report_interval: Duration,
    pub(crate) splay: Splay,
    /// The generation of the newest report that the server has taken in.
    pub(crate) heard: watch::Sender<u64>,
    pub(crate) resources: Sampler,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Spreads the regular reports of many hosts: a new generation makes all of them report at once, and without it they would
/// go on to do so every ten seconds.
pub(crate) struct Splay(Backoff);

impl Splay {
    pub(crate) fn new(seed: u64) -> Splay {
        Splay(Backoff::new(SPLAY, SPLAY, seed))
    }

    /// From 0.8 to 1.2 times `interval`.
    fn interval(&mut self, interval: Duration) -> Duration {
        // The wait is from a half of SPLAY to all of it.
        let unit = self.0.next_wait().as_secs_f64() / SPLAY.as_secs_f64() * 2.0 - 1.0;
        interval.mul_f64(0.8 + 0.4 * unit)
    }
}

impl Session {
    /// Runs until the connection ends.
    pub(crate) async fn run(&mut self, server: Server) -> Result<(), Error> {
        let mut lines = server.lines("/agent/v1/watch").await?;
        tracing::info!("connected to the server");
        self.reports.mark_changed();
        let mut last_sent = Instant::now() - REPORT_GAP;
        let mut due = last_sent;
        // What was announced and could not be stored, why, and when to try again.
        let (mut missed, mut trouble, mut retry_at) = (None, None, last_sent);
        loop {
            let announced = tokio::select! {
                line = lines.next::<Announcement>() => match line? {
                    Some(announcement) => announcement,
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(retry_at), if missed.is_some() => match missed.take() {
                    Some(announcement) => announcement,
                    None => continue,
                },
                changed = self.reports.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    due = due.min(last_sent + REPORT_GAP);
                    continue;
                }
                () = tokio::time::sleep_until(due) => {
                    let mut report = HostReport::clone(&self.reports.borrow_and_update());
                    if report.agent_version.is_empty() {
                        // Nothing is known yet: what the server heard before stands until then.
                        due = Instant::now() + self.report_interval;
                        continue;
                    }
                    if report.problem.is_none() {
                        report.problem.clone_from(&trouble);
                    }
                    report.resources = self.resources.sample(&report.docker_root).await;
                    report.clock = Some(self.clock.now());
                    last_sent = Instant::now();
                    due = last_sent + self.splay.interval(self.report_interval);
                    match server.post("/agent/v1/report", &report).await {
                        // The connection is well, so the watch goes on; the next report is due soon.
                        Err(Error::Http(wharf_http::Error::Api(error))) if error.code != ErrorCode::Unauthenticated => {
                            tracing::warn!(%error, "the server refused a report");
                        }
                        result => {
                            result?;
                            self.heard.send_replace(report.generation);
                        }
                    }
                    continue;
                }
            };
            missed = match self.follow(&server, announced.clone()).await {
                // The containers are well and their reports go on; ending the session would make the host look lost.
                Err(Error::Disk(error)) => {
                    tracing::error!(%error, "the new desired state can't be stored, so the one before it stays");
                    retry_at = Instant::now() + DISK_WAIT;
                    // People hear of it at once, and again when it is over.
                    due = due.min(last_sent + REPORT_GAP);
                    trouble = Some(format!(
                        "the agent can't store what is to run, so what ran before runs on: {error}\n  \
                         hint: free space on the disk of the agent's directory; it goes on by itself then"
                    ));
                    Some(announced)
                }
                result => {
                    result?;
                    if trouble.take().is_some() {
                        due = due.min(last_sent + REPORT_GAP);
                    }
                    None
                }
            };
        }
    }

    /// Fetches what was announced, if it is new; it is on disk before anyone acts on it.
    async fn follow(&self, server: &Server, announcement: Announcement) -> Result<(), Error> {
        let current = self.desired.borrow().clone();
        if let Some(current) = current.filter(|current| current.hash == announcement.hash) {
            if current.generation != announcement.generation {
                let moved = HostDesired { generation: announcement.generation, ..(*current).clone() };
                self.desired.send_replace(Some(Arc::new(moved)));
            }
            return Ok(());
        }
        let document: serde_json::Value = server.get("/agent/v1/desired").await?;
        let form = |reason: String| Error::Form { what: "the desired state".to_owned(), reason };
        let desired = HostDesired::read(&document).map_err(|error| form(error.to_string()))?;
        if desired.version > VERSION {
            return Err(form(format!("it has version {}, this agent knows {VERSION}", desired.version)));
        }
        for (instance, member) in &desired.unknown {
            tracing::error!(instance, member, "this agent does not know what the server asks for; update it");
        }
        // As it came: a newer agent on the same data finds what this one does not know.
        let document = document.to_string().into_bytes();
        let path = self.desired_path.clone();
        crate::blocking(move || atomic::write_private(&path, &document)).await?;
        tracing::info!(
            generation = desired.generation,
            instances = desired.instance_count(),
            "new desired state"
        );
        self.desired.send_replace(Some(Arc::new(desired)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_reports_are_spread_around_their_interval() {
        let mut splay = Splay::new(7);
        let waits: Vec<f64> =
            (0..1_000).map(|_| splay.interval(Duration::from_secs(10)).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (8.0..=12.0).contains(wait)), "{waits:?}");
        let mean = waits.iter().sum::<f64>() / 1_000.0;
        assert!((9.8..10.2).contains(&mean), "{mean}");
        let early = waits.iter().filter(|wait| **wait < 9.0).count();
        assert!((150..350).contains(&early), "{early} of 1,000 in the first quarter");
    }
}
