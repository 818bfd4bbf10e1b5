//! Whether a running container is well: the Engine's check, our probe, or simply that it runs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_base::Tasks;
use wharf_docker::Engine;
use wharf_docker::bollard::query_parameters::InspectContainerOptions;
use wharf_model::{InstanceState, Probe};

use super::converge::Wake;
use super::drift::settings::Settings;
use super::explain;
use super::found::{Check, Found, Run};
use super::plan::Wanted;
use super::probe::{self, Verdict};

/// An inspect is answered from memory.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Before another inspect, after one that failed.
const INSPECT_RETRY: Duration = Duration::from_millis(500);
/// A container that has run so long is no longer "restarted a moment ago"; the Engine's own restart count starts anew
/// after 10 s as well (moby `restartmanager`).
const STEADY_AFTER: Duration = Duration::from_secs(10);
/// LIMIT: characters of what a health check printed.
const OUTPUT_MAX: usize = 400;

/// What only an inspect tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) restarts: u32,
    pub(crate) started_at: String,
    /// What the Engine's last health check printed.
    pub(crate) check_output: String,
    /// Why the Engine could not start it.
    pub(crate) error: String,
    /// It was killed for want of memory.
    pub(crate) was_out_of_memory: bool,
    /// Its limit of memory in bytes, if it has one.
    pub(crate) memory_limit: Option<i64>,
    /// Its limits and restart policy.
    pub(crate) settings: Option<Settings>,
}

/// What is remembered of one container between two looks.
pub(crate) struct Memory {
    run: Run,
    check: Check,
    is_stale: bool,
    pub(crate) detail: Detail,
    /// Since when this run of it is known; `None`: it ran before we did.
    running_since: Option<Instant>,
    probe: Option<Prober>,
}

struct Prober {
    target: (Probe, SocketAddr, String),
    verdict: Arc<Mutex<Verdict>>,
    stop: CancellationToken,
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Remembers every container that the Engine lists.
pub(crate) struct Health {
    containers: HashMap<String, Memory>,
    settle: Duration,
    wake: mpsc::Sender<Wake>,
    tasks: Tasks,
    has_looked: bool,
}

impl Health {
    pub(crate) fn new(settle: Duration, wake: mpsc::Sender<Wake>, tasks: Tasks) -> Health {
        Health { containers: HashMap::new(), settle, wake, tasks, has_looked: false }
    }

    /// Something happened to this container: look again.
    pub(crate) fn mark_stale(&mut self, id: &str) {
        if let Some(memory) = self.containers.get_mut(id) {
            memory.is_stale = true;
        }
    }

    /// Something may have happened to any of them.
    pub(crate) fn mark_all_stale(&mut self) {
        self.containers.values_mut().for_each(|memory| memory.is_stale = true);
    }

    pub(crate) fn detail(&self, id: &str) -> Option<&Detail> {
        self.containers.get(id).map(|memory| &memory.detail)
    }

    /// Brings the memory up to date with a list: inspects what changed, starts and ends probes.
    pub(crate) async fn look(&mut self, engine: &Engine, found: &[Found], wanted: &[Wanted]) {
        self.containers.retain(|id, _| found.iter().any(|one| one.id == *id));
        for one in found {
            let changed = self
                .containers
                .get(&one.id)
                .is_none_or(|memory| memory.is_stale || memory.run != one.run || memory.check != one.check);
            if changed {
                self.inspect(engine, one).await;
            }
        }
        for one in found {
            let instance = wanted.iter().find(|wanted| wanted.instance.id == one.instance);
            self.probe(one, instance);
        }
        self.has_looked = true;
    }

    async fn inspect(&mut self, engine: &Engine, found: &Found) {
        let call = engine.docker().inspect_container(&found.id, None::<InspectContainerOptions>);
        let Ok(Ok(inspected)) = tokio::time::timeout(INSPECT_TIMEOUT, call).await else { return };
        let state = inspected.state.unwrap_or_default();
        let output = state.health.and_then(|health| health.log).and_then(|log| log.last()?.output.clone());
        let detail = Detail {
            restarts: inspected.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            started_at: state.started_at.unwrap_or_default(),
            check_output: shortened(&output.unwrap_or_default()),
            error: shortened(&state.error.unwrap_or_default()),
            was_out_of_memory: state.oom_killed.unwrap_or(false),
            memory_limit: inspected.host_config.as_ref().and_then(|config| config.memory),
            settings: inspected.host_config.as_ref().map(Settings::read),
        };
        let (settle_from_now, before) = (self.has_looked, self.containers.remove(&found.id));
        let running_since = match &before {
            Some(memory) if memory.detail.started_at == detail.started_at => memory.running_since,
            _ => settle_from_now.then(Instant::now),
        };
        let probe = before.and_then(|mut memory| memory.probe.take());
        let (run, check) = (found.run, found.check);
        let memory = Memory { run, check, is_stale: false, detail, running_since, probe };
        self.containers.insert(found.id.clone(), memory);
    }

    fn probe(&mut self, found: &Found, wanted: Option<&Wanted>) {
        let (wake, tasks) = (self.wake.clone(), self.tasks.clone());
        let Some(memory) = self.containers.get_mut(&found.id) else { return };
        let target = wanted.filter(|_| found.run == Run::Running).and_then(|wanted| {
            let probe = probe_of(wanted, found.check)?;
            let address = found.inside(probe.port)?;
            Some((probe, address, memory.detail.started_at.clone()))
        });
        if memory.probe.as_ref().map(|prober| &prober.target) == target.as_ref() {
            return;
        }
        memory.probe = target.map(|target| {
            let verdict = Arc::new(Mutex::new(Verdict::Unknown));
            let stop = CancellationToken::new();
            let prober = Prober { target: target.clone(), verdict: Arc::clone(&verdict), stop: stop.clone() };
            let tell = async move |next: Verdict| {
                *verdict.lock().expect("no holder panics") = next;
                wake.send(Wake::Probe).await.is_ok()
            };
            let shutdown = tasks.shutdown();
            tasks.spawn(format!("probe {}", found.instance), async move {
                tokio::select! {
                    () = probe::run(target.0, target.1, tell) => {}
                    () = stop.cancelled() => {}
                    () = shutdown.cancelled() => {}
                }
            });
            prober
        });
    }

    /// How long it may still take until something is known of every container, because each probe has tried once; `None`
    /// when it is. Zero: it has not looked yet.
    pub(crate) fn unknown_for(&self) -> Option<Duration> {
        if !self.has_looked {
            return Some(Duration::ZERO);
        }
        let probes = self.containers.values().filter_map(|memory| memory.probe.as_ref());
        let unknown =
            probes.filter(|prober| *prober.verdict.lock().expect("no holder panics") == Verdict::Unknown);
        unknown.map(|prober| Duration::from_millis(prober.target.0.timeout_ms)).max()
    }

    /// The state of a container that exists, and when time alone will change it.
    pub(crate) fn state(&self, found: &Found) -> (InstanceState, Option<Instant>) {
        let plain = |state| (state, None);
        match found.run {
            Run::Created | Run::Removing => plain(InstanceState::Starting),
            Run::Exited(code) => plain(InstanceState::Exited { code }),
            Run::Dead => plain(InstanceState::Failed { reason: "the Engine cannot remove it".to_owned() }),
            Run::Paused => plain(InstanceState::Unhealthy { reason: "it is paused".to_owned() }),
            Run::Restarting(code) => {
                let detail = self.detail(&found.id);
                let restarts = detail.map_or(0, |detail| detail.restarts);
                let cause = detail
                    .and_then(|one| explain::ending(code, one.was_out_of_memory, one.memory_limit))
                    .unwrap_or_else(|| format!("it ended with status {code}"));
                let reason = format!("{cause} and is restarted (so far {restarts} times)");
                plain(InstanceState::Unhealthy { reason })
            }
            Run::Running => self.running(found),
        }
    }

    fn running(&self, found: &Found) -> (InstanceState, Option<Instant>) {
        let Some(memory) = self.containers.get(&found.id) else {
            // The inspect failed: the next turn tries again.
            return (InstanceState::Starting, Some(Instant::now() + INSPECT_RETRY));
        };
        let verdict =
            memory.probe.as_ref().map(|prober| prober.verdict.lock().expect("no holder panics").clone());
        let unhealthy = |reason: String| (InstanceState::Unhealthy { reason }, None);
        match (found.check, verdict) {
            (Check::Failing, _) => {
                let output = &memory.detail.check_output;
                let said = if output.is_empty() { String::new() } else { format!(": {output}") };
                unhealthy(format!("its health check fails{said}"))
            }
            (_, Some(Verdict::Failing(reason))) => unhealthy(reason),
            (Check::Starting, _) | (_, Some(Verdict::Unknown | Verdict::Pending)) => {
                (InstanceState::Starting, None)
            }
            (Check::Passing, _) | (_, Some(Verdict::Passing)) => (InstanceState::Healthy, None),
            (Check::None, None) => settled(memory, self.settle),
        }
    }
}

/// Without any check: it is well once it has run for a moment, longer if it ended just before.
fn settled(memory: &Memory, settle: Duration) -> (InstanceState, Option<Instant>) {
    let Some(since) = memory.running_since else { return (InstanceState::Healthy, None) };
    let needed = if memory.detail.restarts > 0 { STEADY_AFTER.max(settle) } else { settle };
    let at = since + needed;
    if Instant::now() >= at { (InstanceState::Healthy, None) } else { (InstanceState::Starting, Some(at)) }
}

/// The probe of an instance: its own, or a connect to the served port when nothing else checks it.
fn probe_of(wanted: &Wanted, check: Check) -> Option<Probe> {
    let instance = &wanted.instance;
    match (&instance.probe, &instance.serve) {
        (Some(probe), _) => Some(probe.clone()),
        (None, Some(serve)) if check == Check::None => Some(probe::connect_only(serve.port)),
        (None, _) => None,
    }
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= OUTPUT_MAX {
        return text.to_owned();
    }
    text.chars().take(OUTPUT_MAX).chain(['…']).collect()
}
