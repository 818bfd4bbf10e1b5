//! The loop that makes the containers what they are to be.
//!
//! A turn: list our containers (one call), bring health up to date, plan, start the units of the plan, report. A turn
//! follows every new desired state, every event of a container of ours, every end of a unit, every change of a probe,
//! and every `converge_interval`. With nothing to do a turn is that one list call.
//!
//! Units run as tasks of their own and are bounded; an instance with a running unit is left alone by the plan.
//! Nothing here ends with the connection: without a server the last desired state goes on. When the agent stops,
//! containers keep running.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_base::{Backoff, Clock, Shutdown, Tasks};
use wharf_docker::Engine;
use wharf_docker::bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use wharf_model::{HostReport, InstanceState, Orphan, OrphanTarget};

use super::drift::log::{Log, Now};
use super::found::{Found, Run};
use super::health::Health;
use super::images::{self, Images};
use super::met::Met;
use super::orphans;
use super::plan::{self, Plan, Step, Unit, Wanted};
use super::report::Reporter;
use super::secrets;
use super::tidy;
use super::work::{Job, Outcome, Phase, Workshop};
use crate::protocol::HostDesired;
use crate::{AgentConfig, DriftPolicy, labels};

/// LIMIT: wake-ups that wait; senders wait in turn.
pub(crate) const WAKES_MAX: usize = 1_024;
/// Wake-ups within this time make one turn: starting a container alone gives five events.
const GATHER: Duration = Duration::from_millis(10);
/// The first wait before a failed instance is tried again.
const RETRY_WAIT_FIRST: Duration = Duration::from_secs(1);
/// Between tries when the Engine does not answer.
const ENGINE_WAIT: Duration = Duration::from_secs(1);
/// LIMIT: turns for the sake of a retry that is due; each is a call to the Engine.
const RETRY_GAP: Duration = Duration::from_millis(100);
/// The first report waits so long for the Engine and for a first try of each probe, and longer for probes whose own
/// timeout is longer.
const FIRST_REPORT_WAIT: Duration = Duration::from_secs(2);
/// LIMIT: longest wait of the first report: its host counts as lost until then.
const FIRST_REPORT_WAIT_MAX: Duration = Duration::from_secs(10);
/// The list of 1,000 containers takes 80 ms.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a turn is due.
#[derive(Debug)]
pub(crate) enum Wake {
    /// Something happened to this container.
    Container(String, Sign),
    /// The event stream was interrupted: anything may have happened.
    Everything,
    /// A probe found something new.
    Probe,
    /// A unit goes on to its next phase.
    Phase(String, Phase),
    /// A unit ended.
    Ended(String, Outcome),
    /// Orphans were removed, but for these.
    Pruned(BTreeMap<OrphanTarget, String>),
    /// The pull of an image ended, with why it failed.
    Image(String, Result<(), String>),
}

/// What an event says of a container besides that something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It was stopped, or sent a signal that ends it.
    Killed,
    Started,
    /// It changes, but the Engine's list may not show it yet.
    Unsettled,
    Other,
}

pub(crate) struct Converger {
    pub(crate) config: AgentConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    pub(crate) shop: Arc<Workshop>,
    pub(crate) desired: watch::Receiver<Option<Arc<HostDesired>>>,
    pub(crate) engine: watch::Receiver<Option<Engine>>,
    pub(crate) wake: mpsc::Sender<Wake>,
    pub(crate) wakes: mpsc::Receiver<Wake>,
    pub(crate) met: Met,
    pub(crate) drifts: Log,
    pub(crate) health: Health,
    pub(crate) reporter: Reporter,
    pub(crate) reports: watch::Sender<Arc<HostReport>>,
}

/// What changes from turn to turn.
struct Turns {
    desired: Option<Arc<HostDesired>>,
    wanted: Vec<Wanted>,
    found: Vec<Found>,
    plan: Plan,
    running: BTreeMap<String, Running>,
    failures: BTreeMap<String, Failure>,
    images: Images,
    problem: Option<String>,
    /// Containers that went down with the machine or the Engine, and their status; `None` before the first look.
    cut_off: Option<BTreeMap<String, i64>>,
    /// Containers that were killed and have not been started since.
    killed: BTreeSet<String>,
    /// Containers of [`Sign::Unsettled`] since the last look.
    unsettled: BTreeSet<String>,
    /// When the first report began to wait.
    first_look: Option<Instant>,
    /// Networks and files may be left over.
    is_untidy: bool,
    orphans: Vec<Orphan>,
    /// When they are looked for next.
    orphans_due: Instant,
    /// Orphans whose removal was tried, and why it failed.
    pruned: BTreeSet<OrphanTarget>,
    prune_problems: BTreeMap<OrphanTarget, String>,
    starts: Arc<Semaphore>,
    stops: Arc<Semaphore>,
}

struct Running {
    phase: Phase,
    /// Of the specification that it works on; empty for a removal.
    hash: String,
    cancel: CancellationToken,
}

struct Failure {
    reason: String,
    hash: String,
    backoff: Backoff,
    retry_at: Instant,
}

impl Converger {
    /// Runs until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut turns = Turns::new(&self.config);
        loop {
            let next = tokio::select! {
                next = self.turn(&mut turns) => next,
                () = shutdown.cancelled() => return,
            };
            tokio::select! {
                wake = self.wakes.recv() => {
                    let Some(wake) = wake else { return };
                    self.heed(&mut turns, wake);
                    tokio::time::sleep(GATHER).await;
                }
                changed = self.desired.changed() => if changed.is_err() { return },
                changed = self.engine.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(next) => {}
                () = shutdown.cancelled() => return,
            }
            while let Ok(wake) = self.wakes.try_recv() {
                self.heed(&mut turns, wake);
            }
        }
    }

    fn heed(&mut self, turns: &mut Turns, wake: Wake) {
        match wake {
            Wake::Container(id, sign) => {
                self.health.mark_stale(&id);
                match sign {
                    Sign::Killed => drop(turns.killed.insert(id)),
                    Sign::Started => drop(turns.killed.remove(&id)),
                    Sign::Unsettled => drop(turns.unsettled.insert(id)),
                    Sign::Other => {}
                }
            }
            Wake::Everything => {
                self.health.mark_all_stale();
                self.reporter.forget_facts();
            }
            Wake::Probe => {}
            Wake::Phase(instance, phase) => {
                if let Some(running) = turns.running.get_mut(&instance) {
                    running.phase = phase;
                }
            }
            Wake::Pruned(problems) => {
                turns.prune_problems.extend(problems);
                turns.orphans_due = Instant::now();
            }
            Wake::Image(image, result) => turns.images.ended(&image, result),
            Wake::Ended(instance, outcome) => turns.ended(instance, outcome, self.config.retry_wait_max),
        }
    }

    /// One turn. Returns when the next is due even if nothing happens.
    async fn turn(&mut self, turns: &mut Turns) -> Instant {
        let mut next = Instant::now() + self.config.converge_interval;
        let desired = self.desired.borrow_and_update().clone();
        turns.follow(desired, self.shop.published);
        // Connected anew, or it did not answer: its containers may have gone down with it.
        let was_away = self.engine.has_changed().unwrap_or(false) || turns.problem.is_some();
        let engine = self.engine.borrow_and_update().clone();
        let unsettled = std::mem::take(&mut turns.unsettled);
        let listed = match &engine {
            Some(engine) => {
                settle(engine, unsettled).await;
                list(engine, &self.shop.owner).await
            }
            None => Err("the Docker Engine does not answer".to_owned()),
        };
        match (listed, &engine) {
            (Ok(found), Some(engine)) => {
                turns.problem = None;
                let before = std::mem::replace(&mut turns.found, found);
                if was_away {
                    // What the Engine did as it went down was not done by people.
                    turns.killed.clear();
                }
                turns.mark_cut_off(if was_away { &before } else { &[] });
                turns.killed.retain(|id| turns.found.iter().any(|found| found.id == *id));
                self.health.look(engine, &turns.found, &turns.wanted).await;
                next = next.min(self.judge(turns));
                self.act(turns, engine).await;
                next = turns.next_retry().map_or(next, |at| next.min(at));
            }
            (Err(problem), _) => {
                turns.problem = Some(problem);
                next = next.min(Instant::now() + ENGINE_WAIT);
            }
            (Ok(_), None) => {}
        }
        if let Some(until) = self.holds_back(turns) {
            return next.min(until);
        }
        let report = self.report(turns, engine.as_ref()).await;
        self.reports.send_if_modified(|current| {
            let is_new = **current != report;
            if is_new {
                *current = Arc::new(report);
            }
            is_new
        });
        next
    }

    /// Until when the first report waits: an agent that has just started has not found the Engine yet, then it would
    /// report every probed container as starting, and the balancers would drop what serves well. One try of each probe
    /// is enough to know.
    fn holds_back(&self, turns: &mut Turns) -> Option<Instant> {
        let has_reported = !self.reports.borrow().agent_version.is_empty();
        let unknown_for = self.health.unknown_for().filter(|_| !has_reported)?;
        let since = *turns.first_look.get_or_insert_with(Instant::now);
        // A try that times out is told a moment later.
        let patience = (unknown_for + GATHER * 10).clamp(FIRST_REPORT_WAIT, FIRST_REPORT_WAIT_MAX);
        let until = since + patience;
        (Instant::now() < until).then_some(until)
    }

    /// Sets each container's verdict. Returns when time alone will change one.
    fn judge(&self, turns: &mut Turns) -> Instant {
        let mut next = Instant::now() + self.config.converge_interval;
        for one in &mut turns.found {
            let (state, until) = self.health.state(one);
            one.is_healthy = state.is_healthy();
            one.was_killed = turns.killed.contains(&one.id);
            one.settings = self.health.detail(&one.id).and_then(|detail| detail.settings.clone());
            next = until.map_or(next, |until| next.min(until));
        }
        next
    }

    /// Plans and starts what the plan says. Before the first desired state nothing is touched.
    async fn act(&mut self, turns: &mut Turns, engine: &Engine) {
        let Some(desired) = turns.desired.clone() else { return };
        self.shop.secrets.restore(&turns.wanted).await;
        let busy = turns.busy();
        self.met.follow(&turns.wanted, &turns.found, &busy).await;
        let reported = self.reported(&turns.wanted, &desired);
        let (owner, met) = (&self.shop.owner, self.met.instances());
        let context = plan::Context { owner, busy: &busy, reported: &reported, met };
        turns.plan = plan::plan(&context, &turns.wanted, &turns.found);
        self.note_drifts(turns, &busy, &reported);
        turns.forget_mended(&busy);
        for unit in std::mem::take(&mut turns.plan.units) {
            self.start(turns, unit, &desired, engine);
        }
        for (image, cancelled) in turns.images.due() {
            let permits = Arc::clone(&turns.starts);
            images::pull(&self.tasks, &self.shop, engine, permits, self.wake.clone(), image, cancelled);
        }
        self.prune(turns, &desired, engine);
        if turns.is_untidy && turns.is_at_rest() {
            turns.is_untidy = false;
            let used = self.shop.with_runs(&turns.wanted);
            tidy::remove_networks(engine, &self.shop.owner, &used).await;
            tidy::remove_files(&self.shop.files, &used).await;
            self.shop.secrets.tidy(&used).await;
            turns.orphans_due = Instant::now();
        }
        if turns.orphans_due <= Instant::now() {
            turns.orphans_due = Instant::now() + self.config.orphans_interval;
            let found = orphans::find(engine, &self.shop.owner, &desired, &turns.prune_problems).await;
            turns.orphans = found.unwrap_or_else(|| std::mem::take(&mut turns.orphans));
        }
    }

    /// Removes what people asked to be removed, in a task of its own; what could not be removed is not tried again.
    fn prune(&self, turns: &mut Turns, desired: &HostDesired, engine: &Engine) {
        turns.prune_problems.retain(|target, _| desired.prune.contains(target));
        turns.pruned.retain(|target| desired.prune.contains(target));
        let new: Vec<OrphanTarget> = desired.prune.difference(&turns.pruned).cloned().collect();
        if new.is_empty() {
            return;
        }
        turns.pruned.extend(new.iter().cloned());
        let wanted: Vec<String> = orphans::volumes_of(&turns.wanted).map(str::to_owned).collect();
        let (engine, wake, shutdown) = (engine.clone(), self.wake.clone(), self.tasks.shutdown());
        self.tasks.spawn("agent prune", async move {
            let mut problems = BTreeMap::new();
            for target in new {
                let removed = tokio::select! {
                    removed = orphans::remove(&engine, &target, &wanted) => removed,
                    () = shutdown.cancelled() => return,
                };
                if let Err(problem) = removed {
                    problems.insert(target, problem);
                }
            }
            // The loop is gone only when the agent stops.
            let _ = wake.send(Wake::Pruned(problems)).await;
        });
    }

    /// Instances whose drift is only reported.
    fn reported(&self, wanted: &[Wanted], desired: &HostDesired) -> BTreeSet<String> {
        let is_reported = |one: &&Wanted| {
            let app = desired.apps.get(&one.app);
            self.config.drift == DriftPolicy::Report
                || app.is_some_and(|app| app.reported.contains(&one.instance.service))
        };
        wanted.iter().filter(is_reported).map(|one| one.instance.id.clone()).collect()
    }

    /// Takes down what was changed by hand. What a unit does to its own container is no drift.
    fn note_drifts(&mut self, turns: &Turns, busy: &BTreeSet<String>, reported: &BTreeSet<String>) {
        let mut now = Vec::new();
        for (instance, deviations) in &turns.plan.deviations {
            let Some(wanted) = turns.wanted.iter().find(|one| one.instance.id == *instance) else { continue };
            if turns.running.contains_key(instance) {
                continue;
            }
            now.extend(deviations.iter().map(|one| Now {
                app: wanted.app.clone(),
                instance: instance.clone(),
                what: one.to_string(),
                is_reported: reported.contains(instance),
            }));
        }
        self.drifts.follow(self.clock.now(), &now, |instance| busy.contains(instance));
    }

    fn start(&mut self, turns: &mut Turns, unit: Unit, desired: &HostDesired, engine: &Engine) {
        if unit.steps.iter().any(|step| matches!(step, Step::Remove(_))) {
            self.met.forget(&unit.instance);
        }
        let instance = unit.instance.clone();
        let wanted = turns.wanted.iter().find(|one| one.instance.id == instance).cloned();
        let hash = wanted.as_ref().map(|wanted| wanted.hash.clone()).unwrap_or_default();
        let ours: Vec<&Found> = turns.found.iter().collect();
        let shares = wanted.as_ref().map(|one| plan::shared(one, &turns.wanted, &ours)).unwrap_or_default();
        let wanted = wanted.and_then(|wanted| {
            let app = desired.apps.get(&wanted.app)?.clone();
            Some((wanted, app))
        });
        let permits = Arc::clone(if wanted.is_some() { &turns.starts } else { &turns.stops });
        let phase = if wanted.is_some() { Phase::Queued } else { Phase::Stopping };
        let cancel = CancellationToken::new();
        turns.running.insert(instance.clone(), Running { phase, hash, cancel: cancel.clone() });
        let job = Job {
            shop: Arc::clone(&self.shop),
            engine: engine.clone(),
            unit,
            wanted,
            unknown: desired.unknown.get(&instance).cloned(),
            shares,
            cancelled: cancel.clone(),
        };
        let (wake, shutdown) = (self.wake.clone(), self.tasks.shutdown());
        self.tasks.spawn(format!("agent unit {instance}"), async move {
            let tell = |phase| {
                // A full queue means that a turn is due anyway; only the shown phase lags.
                let _ = wake.try_send(Wake::Phase(instance.clone(), phase));
            };
            let work = async {
                let _permit = tokio::select! {
                    permit = permits.acquire_owned() => permit,
                    () = cancel.cancelled() => return Outcome::Cancelled,
                };
                job.run(tell).await
            };
            // One that panics would stay among those that run, and its instance would never be touched again.
            let work = std::panic::AssertUnwindSafe(work).catch_unwind();
            let outcome = tokio::select! {
                caught = work => caught.unwrap_or_else(|_| {
                    tracing::error!(instance, "the work on an instance panicked");
                    Outcome::Failed("an error of the agent itself ended the work on it; see its log".to_owned())
                }),
                // Every step can be done again: the next start of the agent finds what is left to do.
                () = shutdown.cancelled() => return,
            };
            // The loop is gone only when the agent stops.
            let _ = wake.send(Wake::Ended(instance, outcome)).await;
        });
    }

    async fn report(&mut self, turns: &Turns, engine: Option<&Engine>) -> HostReport {
        let generation_seen = turns.desired.as_ref().map_or(0, |desired| desired.generation);
        let is_converged = turns.desired.is_some() && turns.problem.is_none() && turns.is_at_rest();
        let now = self.clock.now();
        let mut report = self.reporter.facts(engine).await;
        report.generation_seen = generation_seen;
        report.generation = if is_converged { generation_seen } else { self.reports.borrow().generation };
        report.pulled_bytes = self.shop.pulled.bytes.load(Ordering::Relaxed);
        report.problem = turns.problem.clone();
        report.images = turns.images.report();
        report.drifts = self.drifts.report();
        report.orphans.clone_from(&turns.orphans);
        for one in &turns.wanted {
            let container = turns.container_of(one);
            let state = self.state_of(turns, one, container);
            let address = container.and_then(|found| address(one, found, self.shop.published));
            let seen = container.map(|found| (found, self.health.detail(&found.id)));
            report.instances.push(self.reporter.wanted(one, state, address, seen, engine, now).await);
        }
        let wanted: BTreeSet<&str> = turns.wanted.iter().map(|one| one.instance.id.as_str()).collect();
        for found in turns.found.iter().filter(|one| !wanted.contains(one.instance.as_str())) {
            // Before the first desired state we don't know what is wanted: only what is seen is told.
            let is_leaving = turns.desired.is_some() && found.is_running();
            let state = match turns.failures.get(&found.instance) {
                Some(failure) => InstanceState::Failed { reason: failure.reason.clone() },
                None if is_leaving => InstanceState::Stopping,
                None => self.health.state(found).0,
            };
            report.instances.push(self.reporter.unwanted(found, state, self.health.detail(&found.id), now));
        }
        self.reporter.forget_others(&report.instances);
        secrets::clean(&mut report);
        report
    }

    fn state_of(&self, turns: &Turns, wanted: &Wanted, container: Option<&Found>) -> InstanceState {
        let id = &wanted.instance.id;
        let failed =
            turns.failures.get(id).map(|failure| InstanceState::Failed { reason: failure.reason.clone() });
        if let Some(running) = turns.running.get(id) {
            return match running.phase {
                // While a failed one is tried again it still shows why it failed.
                _ if failed.is_some() => failed.unwrap_or(InstanceState::Starting),
                Phase::Queued => container.map_or(InstanceState::Waiting, |found| self.health.state(found).0),
                Phase::Pulling => {
                    container.map_or(InstanceState::Pulling, |found| self.health.state(found).0)
                }
                Phase::Starting => InstanceState::Starting,
                Phase::Stopping => InstanceState::Stopping,
            };
        }
        match (container, failed) {
            (Some(found), None) => self.health.state(found).0,
            // A container that serves is what counts, even if replacing it fails.
            (Some(found), Some(_)) if found.is_running() => self.health.state(found).0,
            (_, Some(failed)) => failed,
            (None, None) => InstanceState::Waiting,
        }
    }
}

impl Turns {
    fn new(config: &AgentConfig) -> Turns {
        Turns {
            desired: None,
            wanted: vec![],
            found: vec![],
            plan: Plan::default(),
            running: BTreeMap::new(),
            failures: BTreeMap::new(),
            images: Images::default(),
            problem: None,
            cut_off: None,
            killed: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            first_look: None,
            is_untidy: true,
            orphans: vec![],
            orphans_due: Instant::now(),
            pruned: BTreeSet::new(),
            prune_problems: BTreeMap::new(),
            starts: Arc::new(Semaphore::new(config.starts_max.max(1))),
            stops: Arc::new(Semaphore::new(config.stops_max.max(1))),
        }
    }

    /// Takes a new desired state in: cancels and forgets what was about another specification.
    fn follow(&mut self, desired: Option<Arc<HostDesired>>, published: Option<IpAddr>) {
        let Some(desired) = desired else { return };
        if self.desired.as_ref().is_some_and(|current| current.hash == desired.hash) {
            self.desired = Some(desired);
            return;
        }
        self.wanted = Wanted::all(&desired, published);
        self.images.follow(&desired);
        self.desired = Some(desired);
        self.is_untidy = true;
        let hashes: HashMap<&str, &str> =
            self.wanted.iter().map(|one| (one.instance.id.as_str(), one.hash.as_str())).collect();
        let is_current =
            |instance: &str, hash: &str| hashes.get(instance).copied().unwrap_or_default() == hash;
        for (instance, running) in &self.running {
            if !is_current(instance, &running.hash) {
                running.cancel.cancel();
            }
        }
        self.failures.retain(|instance, failure| is_current(instance, &failure.hash));
    }

    /// What the first look finds ended with status 255 went down with the machine: that is how the Engine records a
    /// container whose process it has lost. What ran in the last look before the Engine was `away` and has ended now was
    /// stopped by the Engine as it went. A routed service is never meant to end, so both are started again, whatever
    /// their restart policy; one that ends in another way later is treated as its policy says.
    fn mark_cut_off(&mut self, away: &[Found]) {
        let is_routed = |found: &Found| {
            let mut mine = self.wanted.iter().filter(|one| one.instance.id == found.instance);
            mine.any(|one| one.instance.serve.is_some())
        };
        let ran = |id: &str| away.iter().any(|found| found.id == id && found.run == Run::Running);
        let before = self.cut_off.take();
        let is_cut_off = |id: &str, status: i64| match &before {
            None => status == 255,
            Some(before) => before.get(id) == Some(&status) || ran(id),
        };
        let mut still = BTreeMap::new();
        for found in self.found.iter().filter(|found| is_routed(found)) {
            if let Run::Exited(status) = found.run
                && is_cut_off(&found.id, status)
            {
                still.insert(found.id.clone(), status);
            }
        }
        for found in &mut self.found {
            found.was_cut_off = still.contains_key(&found.id);
        }
        self.cut_off = Some(still);
    }

    fn ended(&mut self, instance: String, outcome: Outcome, wait_max: Duration) {
        let Some(running) = self.running.remove(&instance) else { return };
        self.is_untidy |= running.hash.is_empty();
        match outcome {
            Outcome::Done | Outcome::Cancelled => drop(self.failures.remove(&instance)),
            Outcome::Failed(reason) => {
                tracing::warn!(instance, reason, "an instance failed");
                let seed = self.failures.len() as u64;
                let failure = self.failures.entry(instance).or_insert_with(|| Failure {
                    reason: String::new(),
                    hash: String::new(),
                    backoff: Backoff::new(RETRY_WAIT_FIRST, wait_max, seed),
                    retry_at: Instant::now(),
                });
                failure.retry_at = Instant::now() + failure.backoff.next_wait();
                (failure.reason, failure.hash) = (reason, running.hash);
            }
        }
    }

    /// Instances that the plan leaves alone: a unit runs, or it failed a moment ago.
    fn busy(&self) -> BTreeSet<String> {
        let now = Instant::now();
        let failed =
            self.failures.iter().filter(|(_, failure)| failure.retry_at > now).map(|(id, _)| id.clone());
        self.running.keys().cloned().chain(failed).collect()
    }

    /// Forgets failures about which nothing is left to do: what failed has come to be all the same, as when a container
    /// that could not be removed is gone a moment later.
    fn forget_mended(&mut self, busy: &BTreeSet<String>) {
        let plan = &self.plan;
        let is_planned = |instance: &String| {
            plan.waiting.contains_key(instance) || plan.units.iter().any(|unit| unit.instance == *instance)
        };
        self.failures.retain(|instance, _| busy.contains(instance) || is_planned(instance));
    }

    /// When the next failed instance is tried again. Those that are being tried, or wait for another one, come with the
    /// end of that.
    fn next_retry(&self) -> Option<Instant> {
        let waits = |instance: &String| {
            self.running.contains_key(instance) || self.plan.waiting.contains_key(instance)
        };
        let next =
            self.failures.iter().filter(|(id, _)| !waits(id)).map(|(_, failure)| failure.retry_at).min();
        next.map(|at| at.max(Instant::now() + RETRY_GAP))
    }

    fn is_at_rest(&self) -> bool {
        self.plan.is_empty() && self.running.is_empty() && self.failures.is_empty() && self.images.are_there()
    }

    /// The container of an instance: the one with the right specification if there are two.
    fn container_of(&self, wanted: &Wanted) -> Option<&Found> {
        let mine = || self.found.iter().filter(|found| found.instance == wanted.instance.id);
        mine().find(|found| found.spec == wanted.hash).or_else(|| mine().next())
    }
}

/// Where balancers reach it: the container's own address on the server's host, the published port elsewhere.
fn address(wanted: &Wanted, found: &Found, published: Option<IpAddr>) -> Option<std::net::SocketAddr> {
    let serve = wanted.instance.serve.as_ref()?;
    match published {
        Some(host) => found.outside(host, serve.port),
        None => found.inside(serve.port),
    }
}

/// Waits until the list shows what was told of these containers. Engine 20.10 tells of `pause` and `unpause` before it
/// stores the new state from which it lists (moby, daemon/pause.go: `LogContainerEvent`, then `CheckpointTo`), and keeps
/// the container locked until both are done. `inspect` waits for that lock.
async fn settle(engine: &Engine, containers: BTreeSet<String>) {
    for id in containers {
        let inspect = engine.docker().inspect_container(&id, None::<InspectContainerOptions>);
        if !matches!(tokio::time::timeout(LIST_TIMEOUT, inspect).await, Ok(Ok(_))) {
            // It is gone, or the Engine does not answer: the list says which.
            tracing::debug!(container = id, "cannot be inspected");
        }
    }
}

async fn list(engine: &Engine, owner: &str) -> Result<Vec<Found>, String> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{}={owner}", labels::OWNER)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let call = engine.docker().list_containers(Some(options));
    match tokio::time::timeout(LIST_TIMEOUT, call).await {
        Ok(Ok(summaries)) => Ok(summaries.iter().filter_map(Found::read).collect()),
        Ok(Err(error)) => Err(wharf_docker::Error::api("list containers", error).to_string()),
        Err(_) => {
            Err(format!("the Docker Engine did not list containers within {} s", LIST_TIMEOUT.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(turns: &mut Turns, instance: &str) {
        let running =
            Running { phase: Phase::Stopping, hash: String::new(), cancel: CancellationToken::new() };
        turns.running.insert(instance.to_owned(), running);
    }

    fn failed(turns: &mut Turns, instance: &str) {
        running(turns, instance);
        let outcome = Outcome::Failed("it is still there".to_owned());
        turns.ended(instance.to_owned(), outcome, Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_has_mended_itself_is_forgotten() {
        let mut turns = Turns::new(&AgentConfig::default());
        failed(&mut turns, "old");
        let at = turns.next_retry().unwrap();
        turns.forget_mended(&turns.busy());
        assert!(!turns.is_at_rest(), "it is tried again first");
        tokio::time::advance(at - Instant::now()).await;
        // The container is gone: there is nothing to plan.
        turns.forget_mended(&turns.busy());
        assert!(turns.is_at_rest() && turns.next_retry().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_that_runs_or_waits_makes_no_turns() {
        let mut turns = Turns::new(&AgentConfig::default());
        failed(&mut turns, "a");
        failed(&mut turns, "b");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(turns.next_retry().unwrap() > Instant::now(), "never at once");
        running(&mut turns, "a");
        turns.plan.waiting.insert("b".to_owned(), "waits for c".to_owned());
        turns.forget_mended(&turns.busy());
        assert_eq!((turns.failures.len(), turns.next_retry()), (2, None));
    }
}
