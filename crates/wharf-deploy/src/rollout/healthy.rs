//! Step `healthy`: waits until every new container is healthy, or says which one is not and why.
//!
//! A container fails the deploy when it can't be made, ends for good, restarts too often, is still unhealthy after its
//! start period, or its host is lost. Otherwise time counts from the last progress of any of them: pulling gets
//! `pull_deadline`, everything else `healthy_deadline` and the start period. [`Watch::judge`] is pure.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use wharf_base::duration;
use wharf_model::{InstanceReport, InstanceState, Liveness, Name, Observed};

use super::{Failure, Halt, advice};
use crate::Config;
use crate::engine::{Engine, Look, watch_until};
use crate::plan::{Coming, Rollout};
use crate::run::Run;

/// Waits for the new containers of `generation`.
pub(super) async fn healthy(
    engine: &Engine,
    run: &Run,
    rollout: &Rollout,
    generation: u64,
) -> Result<(), Halt> {
    let total = rollout.coming.len();
    engine
        .step(run, "healthy", format!("0 of {total}"), async {
            let mut watch = Watch::new(&engine.config, &run.app, &rollout.coming, generation, Instant::now());
            let watched = watch_until(engine.hosts.observed(), |observed| {
                match watch.judge(observed, Instant::now()) {
                    Verdict::Healthy => Look::Done(Ok(())),
                    Verdict::Failed(failure) => Look::Done(Err(failure)),
                    Verdict::Pending { healthy, until } => {
                        engine.detail(run, format!("{healthy} of {total}"));
                        Look::Wait(until)
                    }
                }
            });
            engine.unless_ended(run, watched).await?.map_err(Halt::Failed)?;
            Ok(((), format!("{total} of {total}")))
        })
        .await
}

/// What is remembered between two looks.
struct Watch<'a> {
    config: &'a Config,
    app: &'a Name,
    coming: &'a [Coming],
    generation: u64,
    began: Instant,
    /// Last time that any of them changed its state.
    progressed: Instant,
    states: BTreeMap<&'a str, &'static str>,
    /// When each was first seen running.
    running: BTreeMap<&'a str, Instant>,
    /// How each ended the last time that it was seen to, in words.
    ended: BTreeMap<&'a str, String>,
}

/// What a look says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Healthy,
    Failed(Failure),
    Pending { healthy: usize, until: Instant },
}

/// What it says about one.
enum One {
    Healthy,
    Failed(Failure),
    /// Not yet; fails at this time at the latest.
    Pending(Option<Instant>),
}

impl<'a> Watch<'a> {
    fn new(
        config: &'a Config,
        app: &'a Name,
        coming: &'a [Coming],
        generation: u64,
        now: Instant,
    ) -> Watch<'a> {
        let (states, running, ended) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Watch { config, app, coming, generation, began: now, progressed: now, states, running, ended }
    }

    fn judge(&mut self, observed: &Observed, now: Instant) -> Verdict {
        let (mut healthy, mut soonest) = (0, None::<Instant>);
        let mut pending: Vec<&Coming> = Vec::new();
        for coming in self.coming {
            let report = self.report(observed, coming);
            let word = report.map_or("not taken up", |report| report.state.word());
            if self.states.insert(&coming.id, word) != Some(word) {
                self.progressed = now;
            }
            match self.judge_one(observed, coming, report, now) {
                One::Healthy => healthy += 1,
                One::Failed(failure) => return Verdict::Failed(failure),
                One::Pending(until) => {
                    pending.push(coming);
                    soonest = [soonest, until].into_iter().flatten().min();
                }
            }
        }
        let Some(first) = pending.first() else { return Verdict::Healthy };
        let limit = self.limit(&pending);
        if now >= limit {
            let report = self.report(observed, first);
            return Verdict::Failed(self.late(observed, first, report, now));
        }
        Verdict::Pending { healthy, until: soonest.unwrap_or(limit).min(limit) }
    }

    /// The report on it, once its host works on our generation: what was said before is about something older.
    fn report<'o>(&self, observed: &'o Observed, coming: &Coming) -> Option<&'o InstanceReport> {
        let (_, host) = observed.hosts.get(&coming.host)?;
        observed.instance(&coming.host, &coming.id).filter(|_| host.generation_seen >= self.generation)
    }

    fn judge_one(
        &mut self,
        observed: &Observed,
        coming: &'a Coming,
        report: Option<&InstanceReport>,
        now: Instant,
    ) -> One {
        let fail = |what: String| {
            let place = advice::Place { app: self.app, service: &coming.service, host: &coming.host };
            let what = if what.starts_with(':') { what } else { format!(" {what}") };
            let reason = advice::with_hint(format!("{} on {}{what}", coming.service, coming.host), place);
            let log_tail = report.map(|report| report.log_tail.clone()).unwrap_or_default();
            One::Failed(Failure { reason, log_tail })
        };
        if let Some((Liveness::Lost | Liveness::Never, _)) = observed.hosts.get(&coming.host) {
            return fail("can't become healthy: the host is lost".to_owned());
        }
        let Some(report) = report else { return One::Pending(None) };
        match &report.state {
            InstanceState::Unhealthy { reason } if reason.starts_with("it ") => {
                let how = reason.split(" and is restarted").next().unwrap_or(reason);
                self.ended.insert(&coming.id, how.to_owned());
            }
            InstanceState::Exited { code } => {
                self.ended.insert(&coming.id, format!("it ended with status {code}"));
            }
            InstanceState::Failed { reason } if reason.starts_with("it ") => {
                self.ended.insert(&coming.id, reason.clone());
            }
            _ => {}
        }
        if report.restarts >= self.config.restarts_max {
            let how = self.ended.get(coming.id.as_str()).map(|how| format!("; the last time {how}"));
            return fail(format!("was restarted {} times{}", report.restarts, how.unwrap_or_default()));
        }
        match &report.state {
            InstanceState::Healthy => One::Healthy,
            InstanceState::Exited { code: 0 } if coming.may_end => One::Healthy,
            InstanceState::Exited { code } if !coming.is_restarted => {
                fail(format!("ended with status {code}"))
            }
            // The Engine starts it again.
            InstanceState::Failed { reason } if coming.is_restarted && reason.starts_with("it ") => {
                One::Pending(None)
            }
            InstanceState::Failed { reason } if reason.starts_with("it ") => fail(format!(": {reason}")),
            InstanceState::Failed { reason } => fail(format!("can't be started: {reason}")),
            InstanceState::Unhealthy { reason } => {
                let start_period = Duration::from_millis(coming.start_period_ms);
                let until = *self.running.entry(&coming.id).or_insert(now) + start_period;
                if now < until {
                    return One::Pending(Some(until));
                }
                fail(format!("is unhealthy after {}: {reason}", duration::format(start_period)))
            }
            InstanceState::Starting => {
                self.running.entry(&coming.id).or_insert(now);
                One::Pending(None)
            }
            InstanceState::Waiting
            | InstanceState::Pulling
            | InstanceState::Stopping
            | InstanceState::Exited { .. } => One::Pending(None),
        }
    }

    /// When patience ends if nothing changes until then.
    fn limit(&self, pending: &[&Coming]) -> Instant {
        let start_period = pending.iter().map(|coming| coming.start_period_ms).max().unwrap_or(0);
        let healthy = self.config.healthy_deadline + Duration::from_millis(start_period);
        let is_pulling = pending.iter().any(|coming| self.states.get(coming.id.as_str()) == Some(&"pulling"));
        let quiet = if is_pulling { self.config.pull_deadline } else { healthy };
        (self.progressed + quiet).min(self.began + self.config.pull_deadline + healthy)
    }

    fn late(
        &self,
        observed: &Observed,
        coming: &Coming,
        report: Option<&InstanceReport>,
        now: Instant,
    ) -> Failure {
        let waited = duration::format(Duration::from_secs((now - self.began).as_secs()));
        let state = report.map_or("the host has not taken it up", |report| report.state.word());
        let mut reason =
            format!("{} on {} is not healthy after {waited}: {state}", coming.service, coming.host);
        let problem = observed.hosts.get(&coming.host).and_then(|(_, host)| host.problem.as_ref());
        if let Some(problem) = problem {
            reason.push_str(&format!(" ({problem})"));
        }
        Failure { reason, log_tail: report.map(|report| report.log_tail.clone()).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests;
