//! Log lines of a service from all hosts: the past merged by time, then what comes, as it comes.
//!
//! One call per host that has a container of the service. When following, hosts that get one later are asked too, and
//! a host that was lost goes on, when it is back, after the last line that it has told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use wharf_base::ErrorCode;
use wharf_http::{ApiError, Caller, sse};
use wharf_model::call::{LogLine, Logs};
use wharf_model::frame::Status;
use wharf_model::ports::Session;
use wharf_model::{Call, Frame, Liveness, Name, Observed};
use wharf_secrets::Redactor;

use crate::api::{LogLineView, LogNote};
use crate::engine::Engine;
use crate::handle::Handle;
use crate::operate::known_service;

/// Lines of each container from the past in an answer that states no number.
const LINES_DEFAULT: u32 = 100;
/// LIMIT: lines of each container from the past.
const LINES_MAX: u32 = 100_000;

/// `?lines=&since=&follow=`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogsQuery {
    /// Most lines of each container from the past; 100 without it, or all with `since`.
    lines: Option<u32>,
    /// `10m`, or seconds since 1970 with a fraction, as Docker takes it.
    since: Option<String>,
    /// Go on with what is printed from now on.
    follow: bool,
}

/// Events `line` and `note`, and a last `end` unless it follows.
pub(crate) async fn route(
    State(handle): State<Handle>,
    Extension(_caller): Extension<Caller>,
    Path((app, service)): Path<(String, String)>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, ApiError> {
    let engine = handle.shared();
    let app = crate::routes::name(app)?;
    let service = known_service(&engine, &app, &service).await?;
    let now = engine.clock.now().0.saturating_mul(1_000_000);
    let since = query.since.as_deref().map(|text| since(text, now)).transpose()?;
    let lines = query.lines.unwrap_or(if since.is_some() { LINES_MAX } else { LINES_DEFAULT }).min(LINES_MAX);
    let wanted = Logs { app, service, lines, since, follow: query.follow };
    let reading = Reading {
        observed: engine.hosts.observed(),
        engine,
        wanted,
        past: Vec::new(),
        live: BTreeMap::new(),
        last: BTreeMap::new(),
        tried: BTreeSet::new(),
        ready: VecDeque::new(),
        stage: Stage::Begin,
    };
    Ok(sse::response(stream::unfold(reading, |mut reading| async move {
        let event = reading.next().await?;
        Some((event, reading))
    })))
}

/// Nanoseconds since 1970.
fn since(text: &str, now: i64) -> Result<i64, ApiError> {
    if let Ok(ago) = wharf_base::duration::parse(text) {
        return Ok(now.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_fraction = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let nanos = format!("{fraction:0<9}").parse::<i64>().ok().filter(|_| is_fraction);
    let at = seconds
        .parse::<i64>()
        .ok()
        .and_then(|seconds| seconds.checked_mul(1_000_000_000)?.checked_add(nanos?));
    at.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ApiError::new(ErrorCode::InvalidArgument, format!("since: `{shown}` is no time"))
            .with_hint("write 10m or 1h30m, or seconds since 1970, such as 1795507200.5")
    })
}

enum Stage {
    Begin,
    Past,
    Live,
    End,
}

struct Reading {
    engine: Arc<Engine>,
    observed: watch::Receiver<Arc<Observed>>,
    wanted: Logs,
    /// Hosts whose past is being merged, each with its next line.
    past: Vec<(Name, Option<LogLine>, Session)>,
    live: BTreeMap<Name, Session>,
    last: BTreeMap<Name, i64>,
    /// Hosts that could not be asked; once more when something about the hosts has changed.
    tried: BTreeSet<Name>,
    ready: VecDeque<sse::Event>,
    stage: Stage,
}

/// What a host said next.
enum Said {
    Line(LogLine),
    /// The past is told.
    Marker,
    /// It said why it ends, if it did.
    Over(Option<String>),
}

impl Reading {
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.stage {
                Stage::Begin => {
                    self.ask_hosts().await;
                    self.stage = Stage::Past;
                }
                Stage::Past => self.past().await,
                Stage::Live => self.live().await,
                Stage::End => return None,
            }
        }
    }

    /// Hosts that are up and have a container of the service.
    fn hosts(&mut self) -> BTreeSet<Name> {
        let observed = self.observed.borrow_and_update().clone();
        let is_there = |(name, (liveness, report)): (&Name, &(Liveness, wharf_model::HostReport))| {
            let mut instances = report.instances.iter();
            let has = instances.any(|one| one.app == self.wanted.app && one.service == self.wanted.service);
            (*liveness == Liveness::Up && has).then(|| name.clone())
        };
        observed.hosts.iter().filter_map(is_there).collect()
    }

    /// Asks hosts that are not asked yet.
    async fn ask_hosts(&mut self) {
        let hosts = self.hosts();
        self.tried.retain(|host| hosts.contains(host));
        for host in hosts {
            let is_known = self.live.contains_key(&host) || self.past.iter().any(|(name, ..)| *name == host);
            if is_known || self.tried.contains(&host) {
                continue;
            }
            // A host that is asked again tells only what it has not told.
            let since = self.last.get(&host).copied().or(self.wanted.since);
            let call = Call::Logs(Logs { since, ..self.wanted.clone() });
            match self.engine.calls.call(&host, call).await {
                Ok(session) => self.past.push((host, None, session)),
                Err(error) => {
                    self.note(&host, error.message);
                    self.tried.insert(host);
                }
            }
        }
    }

    fn note(&mut self, host: &Name, mut message: String) {
        Redactor::process().clean(&mut message);
        self.ready.push_back(sse::Event::json("note", &LogNote { host: host.clone(), message }));
    }

    fn line(&mut self, host: &Name, line: LogLine) {
        if line.at > 0 {
            self.last.insert(host.clone(), line.at);
        }
        let stream = if line.stderr { "stderr" } else { "stdout" };
        let view = LogLineView {
            host: host.clone(),
            instance: line.instance,
            at: line.at.to_string(),
            stream: stream.to_owned(),
            text: Redactor::process().text(&line.text).into_owned(),
        };
        self.ready.push_back(sse::Event::json("line", &view));
    }

    fn over(&mut self, host: &Name, why: Option<String>) {
        if let Some(message) = why {
            self.note(host, message);
        }
    }

    /// Tells the oldest of the next lines; needs one of every host.
    async fn past(&mut self) {
        let mut index = 0;
        while index < self.past.len() {
            let (_, next, session) = &mut self.past[index];
            if next.is_none() {
                match said(&mut session.output).await {
                    Said::Line(line) => *next = Some(line),
                    Said::Marker => {
                        let (host, _, session) = self.past.swap_remove(index);
                        self.live.insert(host, session);
                        continue;
                    }
                    Said::Over(why) => {
                        let (host, ..) = self.past.swap_remove(index);
                        self.over(&host, why);
                        continue;
                    }
                }
            }
            index += 1;
        }
        let oldest = self.past.iter_mut().min_by_key(|(_, next, _)| next.as_ref().map(|line| line.at));
        if let Some((host, line)) = oldest.and_then(|(host, next, _)| Some((host.clone(), next.take()?))) {
            return self.line(&host, line);
        }
        if self.wanted.follow {
            self.stage = Stage::Live;
        } else {
            self.ready.push_back(sse::Event {
                name: Some("end".to_owned()),
                id: None,
                data: "{}".to_owned(),
            });
            self.stage = Stage::End;
        }
    }

    /// Tells what comes next from anywhere.
    async fn live(&mut self) {
        let shutdown = self.engine.tasks.shutdown();
        let any = async {
            if self.live.is_empty() {
                return std::future::pending().await;
            }
            let each = self.live.iter_mut().map(|(host, session)| {
                Box::pin(async move { (host.clone(), said(&mut session.output).await) })
            });
            futures_util::future::select_all(each).await.0
        };
        tokio::select! {
            (host, said) = any => match said {
                Said::Line(line) => self.line(&host, line),
                Said::Marker => {}
                Said::Over(why) => {
                    self.live.remove(&host);
                    let why = why.unwrap_or_else(|| "its log has ended; it is asked again when it is back".to_owned());
                    self.note(&host, why);
                    // Asked again with the next report, not at once: it may be on its way out.
                    self.tried.remove(&host);
                }
            },
            changed = self.observed.changed() => match changed {
                Ok(()) => {
                    self.ask_hosts().await;
                    if !self.past.is_empty() {
                        self.stage = Stage::Past;
                    }
                }
                Err(_) => self.stage = Stage::End,
            },
            () = shutdown.cancelled() => self.stage = Stage::End,
        }
    }
}

/// The next word of a host. May be dropped and called again.
async fn said(output: &mut mpsc::Receiver<Frame>) -> Said {
    loop {
        match output.recv().await {
            Some(Frame::Stdout(bytes)) => match serde_json::from_slice(&bytes) {
                Ok(line) => return Said::Line(line),
                Err(error) => {
                    return Said::Over(Some(format!("it sent something that is no log line: {error}")));
                }
            },
            Some(Frame::Status(Status::Started { .. })) => return Said::Marker,
            Some(Frame::Status(Status::Failed { message, .. })) => return Said::Over(Some(message)),
            Some(Frame::Status(Status::Exited { .. })) => return Said::Over(None),
            Some(_) => {}
            None => return Said::Over(Some("the connection to it has ended".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        let now = 1_000_000_000_000;
        assert_eq!(since("10s", now).unwrap(), 990_000_000_000);
        assert_eq!(since("5.5", now).unwrap(), 5_500_000_000);
        assert_eq!(since("1795507200.000000001", now).unwrap(), 1_795_507_200_000_000_001);
        for bad in ["yesterday", "", "1.x", "5.0000000001", "-"] {
            assert!(since(bad, now).is_err(), "{bad}");
        }
    }
}
