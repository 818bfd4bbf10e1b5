//! Puts together what is reported of each instance, and remembers since when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use wharf_base::UnixMillis;
use wharf_docker::{Engine, logs};
use wharf_model::{HostReport, InstanceReport, InstanceState};

use super::explain;
use super::found::Found;
use super::health::Detail;
use super::plan::Wanted;

/// LIMIT: lines of log in a report.
const TAIL_LINES: usize = 20;
/// LIMIT: characters of one of them.
const TAIL_LINE_MAX: usize = 500;
/// `docker info` reads a few files; a storage driver that hangs must not hang us.
const FACTS_TIMEOUT: Duration = Duration::from_secs(5);
/// The tail is a courtesy; the loop does not wait for a slow log driver.
const TAIL_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Reporter {
    facts: Option<HostReport>,
    instances: BTreeMap<String, Past>,
}

/// What was reported of an instance last.
struct Past {
    state: InstanceState,
    since: UnixMillis,
    /// Of which container, run and state the tail is.
    tail_of: Option<(String, String, &'static str)>,
    tail: Vec<String>,
}

impl Reporter {
    /// A report with what is true of the host as a whole; asked of the Engine once.
    pub(crate) async fn facts(&mut self, engine: Option<&Engine>) -> HostReport {
        if let (None, Some(engine)) = (&self.facts, engine)
            && let Ok(Ok(info)) = tokio::time::timeout(FACTS_TIMEOUT, engine.docker().info()).await
        {
            self.facts = Some(HostReport {
                agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                engine_version: info.server_version.unwrap_or_default(),
                cpus: info.ncpu.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
                memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
                architecture: info.architecture.unwrap_or_default(),
                operating_system: info.operating_system.unwrap_or_default(),
                kernel: info.kernel_version.unwrap_or_default(),
                docker_root: info.docker_root_dir.unwrap_or_default(),
                ..HostReport::default()
            });
        }
        let agent_version = env!("CARGO_PKG_VERSION").to_owned();
        self.facts.clone().unwrap_or_else(|| HostReport { agent_version, ..HostReport::default() })
    }

    /// The Engine may be another after this.
    pub(crate) fn forget_facts(&mut self) {
        self.facts = None;
    }

    pub(crate) async fn wanted(
        &mut self,
        wanted: &Wanted,
        state: InstanceState,
        address: Option<SocketAddr>,
        container: Option<(&Found, Option<&Detail>)>,
        engine: Option<&Engine>,
        now: UnixMillis,
    ) -> InstanceReport {
        let instance = &wanted.instance;
        let detail = container.and_then(|(_, detail)| detail);
        let state = with_cause(state, detail);
        let past = self.past(&instance.id, &state, now);
        match (&state, container, engine) {
            (
                InstanceState::Unhealthy { .. } | InstanceState::Exited { .. } | InstanceState::Failed { .. },
                Some((found, _)),
                Some(engine),
            ) => past.read_tail(engine, found, detail).await,
            // What it said before it ended the last time, while nobody knows whether it will again.
            (InstanceState::Starting, Some((found, Some(one))), Some(engine)) if one.restarts > 0 => {
                past.read_tail(engine, found, detail).await;
            }
            _ => past.tail.clear(),
        }
        if past.tail.is_empty() {
            past.tail_of = None;
        }
        InstanceReport {
            id: instance.id.clone(),
            app: wanted.app.clone(),
            service: instance.service.clone(),
            release: instance.release,
            slot: instance.slot,
            since: past.since,
            log_tail: past.tail.clone(),
            state,
            address,
            container_id: container.map(|(found, _)| found.id.clone()),
            restarts: detail.map_or(0, |detail| detail.restarts),
        }
    }

    /// A container that is ours and on its way out.
    pub(crate) fn unwanted(
        &mut self,
        found: &Found,
        state: InstanceState,
        detail: Option<&Detail>,
        now: UnixMillis,
    ) -> InstanceReport {
        let since = self.past(&found.instance, &state, now).since;
        InstanceReport {
            id: found.instance.clone(),
            app: found.app.clone(),
            service: found.service.clone(),
            release: found.release,
            slot: found.slot,
            state,
            address: None,
            container_id: Some(found.id.clone()),
            since,
            restarts: detail.map_or(0, |detail| detail.restarts),
            log_tail: vec![],
        }
    }

    /// Forgets the instances that are no longer reported.
    pub(crate) fn forget_others(&mut self, reported: &[InstanceReport]) {
        let ids: BTreeSet<&str> = reported.iter().map(|one| one.id.as_str()).collect();
        self.instances.retain(|id, _| ids.contains(id.as_str()));
    }

    fn past(&mut self, id: &str, state: &InstanceState, now: UnixMillis) -> &mut Past {
        let past = self.instances.entry(id.to_owned()).or_insert_with(|| Past {
            state: state.clone(),
            since: now,
            tail_of: None,
            tail: vec![],
        });
        if past.state.word() != state.word() {
            past.since = now;
        }
        past.state = state.clone();
        past
    }
}

impl Past {
    /// Reads the last lines once per run of the container, and again while there are none.
    async fn read_tail(&mut self, engine: &Engine, found: &Found, detail: Option<&Detail>) {
        let started_at = detail.map(|detail| detail.started_at.clone()).unwrap_or_default();
        let key = (found.id.clone(), started_at, self.state.word());
        if self.tail_of.as_ref() == Some(&key) {
            return;
        }
        let read = logs::last_lines(engine, &found.id, TAIL_LINES);
        if let Ok(Ok(lines)) = tokio::time::timeout(TAIL_TIMEOUT, read).await {
            self.tail = lines.into_iter().map(|line| line.chars().take(TAIL_LINE_MAX).collect()).collect();
            self.tail_of = Some(key);
        }
    }
}

/// An exit that the Engine explains (`exec: "x": not found`) is told with that.
fn with_cause(state: InstanceState, detail: Option<&Detail>) -> InstanceState {
    match (state, detail) {
        (InstanceState::Exited { code }, Some(detail)) if !detail.error.is_empty() => {
            InstanceState::Failed { reason: format!("it ended with status {code}: {}", detail.error) }
        }
        (InstanceState::Exited { code }, Some(detail)) => {
            match explain::ending(code, detail.was_out_of_memory, detail.memory_limit) {
                Some(reason) => InstanceState::Failed { reason },
                None => InstanceState::Exited { code },
            }
        }
        (state, _) => state,
    }
}
