//! Calls: how the server has something done by an agent now, though only agents dial.
//!
//! ```text
//! deploy ── Calls::call ──► announced on the agent's stream GET /calls
//!                           the agent: POST /calls/<id>, both bodies open
//!    Session.output ◄─────── frames of the request's body (by a task that parses them)
//!    Session.input ────────► frames of the answer's body
//! ```
//!
//! What always holds: an id is taken up once, by the host that it was announced to; whoever goes away (the session is
//! dropped, the agent's connection ends, the host is removed, the server stops) ends the other side. Limits: calls of
//! a host (`agents.calls_max`), frames in flight (8 each way) and HTTP/2's window; a slow reader holds only its own
//! call up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use wharf_base::ErrorCode;
use wharf_model::ports::Session;
use wharf_model::{Call, Frame, MountSource, Name, frame};

use super::agents::ndjson;
use super::fleet::{Fleet, Identity};
use crate::Error;
use crate::protocol::CallAnnouncement;
use crate::token::random_hex;

/// LIMIT: frames that wait for a slow reader, each way.
const FRAMES: usize = 8;
/// LIMIT: calls that an agent has not read yet.
const ANNOUNCED: usize = 64;
/// An agent takes a call up at once; one that does not is hung.
const TAKE_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// The calls of all hosts.
#[derive(Default)]
pub(crate) struct Calls {
    state: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// The newest stream of announcements of each host.
    lines: HashMap<Name, mpsc::Sender<CallAnnouncement>>,
    /// Announced and not taken up.
    waiting: HashMap<String, Waiting>,
    /// One permit per call.
    permits: HashMap<Name, Arc<Semaphore>>,
    /// Files and secrets of one-off containers, by digest and fingerprint, with how many calls of the host want them.
    needs: BTreeMap<(Name, String), usize>,
}

struct Waiting {
    host: Name,
    taken: oneshot::Sender<Taken>,
}

/// Both bodies of a call.
struct Taken {
    output: Body,
    input: mpsc::Sender<Frame>,
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, Book> {
        self.state.lock().expect("no holder panics")
    }

    /// Whether a call to this host mounts this.
    pub(crate) fn mounts(&self, host: &Name, source: &MountSource) -> bool {
        let MountSource::Files(digest) = source else { return false };
        self.state().needs.contains_key(&(host.clone(), digest.clone()))
    }

    /// Whether a call to this host needs the secret with this fingerprint.
    pub(crate) fn needs_secret(&self, host: &Name, fingerprint: &str) -> bool {
        self.state().needs.contains_key(&(host.clone(), fingerprint.to_owned()))
    }
}

/// Ends what a call holds.
struct Held {
    fleet: Arc<Fleet>,
    id: String,
    needs: Vec<(Name, String)>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.fleet.calls.state();
        state.waiting.remove(&self.id);
        for need in &self.needs {
            if let Some(count) = state.needs.get_mut(need) {
                *count -= 1;
                if *count == 0 {
                    state.needs.remove(need);
                }
            }
        }
    }
}

/// Hands `call` to the agent of `host` and waits until it has taken it up.
pub(crate) async fn call(fleet: &Arc<Fleet>, host: &Name, call: Call) -> Result<Session, Error> {
    let id = random_hex(16);
    let removed = {
        let state = fleet.state();
        let known = state.hosts.get(host).ok_or_else(|| Error::NoSuchHost(host.to_string()))?;
        known.removed.clone()
    };
    let unreachable =
        |reason: &'static str, hint: &'static str| Error::Unreachable { host: host.clone(), reason, hint };
    let needs = needs_of(host, &call);
    let (taken, is_taken) = oneshot::channel();
    let (line, held) = {
        let mut state = fleet.calls.state();
        let line = state.lines.get(host).filter(|line| !line.is_closed()).cloned().ok_or_else(|| {
            unreachable(
                "its agent is not connected, or is too old for that",
                "`wharf host ls` shows its state; is `wharf agent` running there, in the server's version?",
            )
        })?;
        let permits = state.permits.entry(host.clone());
        let permits = permits.or_insert_with(|| Arc::new(Semaphore::new(fleet.config.calls_max)));
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            let max = fleet.config.calls_max;
            return Err(Error::Full(format!(
                "host `{host}` has {max} calls (logs, exec, run) already\n  hint: end some, or raise agents.calls_max"
            )));
        };
        for need in &needs {
            *state.needs.entry(need.clone()).or_default() += 1;
        }
        state.waiting.insert(id.clone(), Waiting { host: host.clone(), taken });
        (line, Held { fleet: Arc::clone(fleet), id: id.clone(), needs, _permit: permit })
    };
    let word = call.word();
    let call = serde_json::to_value(&call).expect("plain records are JSON");
    let busy = || unreachable("its agent is busy with other calls", "try again");
    line.try_send(CallAnnouncement { id, call }).map_err(|_| busy())?;
    let taken = tokio::time::timeout(TAKE_UP_TIMEOUT, is_taken).await;
    let Ok(Ok(Taken { output, input })) = taken else {
        let hint = "`wharf host ls` shows its state; if it is up, its agent's log says more";
        return Err(unreachable("its agent did not answer", hint));
    };
    tracing::debug!(%host, call = word, "an agent has taken up a call");
    let (sender, receiver) = mpsc::channel(FRAMES);
    let shutdown = fleet.tasks.shutdown();
    fleet.tasks.spawn("fleet call", async move {
        let _held = held;
        tokio::select! {
            () = pass_on(output, &sender) => {}
            () = sender.closed() => {}
            () = removed.cancelled() => {}
            () = shutdown.cancelled() => {}
        }
    });
    Ok(Session { input, output: receiver })
}

/// Until either end.
async fn pass_on(body: Body, sender: &mpsc::Sender<Frame>) {
    let (mut pieces, mut reader) = (body.into_data_stream(), frame::Reader::default());
    while let Some(Ok(piece)) = pieces.next().await {
        reader.push(&piece);
        loop {
            match reader.frame() {
                Ok(Some(frame)) => {
                    if sender.send(frame).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "an agent sent something that is no frame");
                    let failed =
                        Frame::failed(ErrorCode::Internal, format!("the agent's answer is damaged: {error}"));
                    let _ = sender.send(failed).await;
                    return;
                }
            }
        }
    }
}

fn needs_of(host: &Name, call: &Call) -> Vec<(Name, String)> {
    let Call::Run(run) = call else { return Vec::new() };
    let spec = &run.instance.spec;
    let files = spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Files(digest) => Some(digest.clone()),
        _ => None,
    });
    let secrets = spec.secret_refs().map(|secret| secret.fingerprint.clone());
    files.chain(secrets).map(|need| (host.clone(), need)).collect()
}

/// `GET /agent/v1/calls`.
pub(super) async fn announce(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, Error> {
    let (sender, receiver) = mpsc::channel(ANNOUNCED);
    fleet.calls.state().lines.insert(identity.name.clone(), sender);
    let removed = identity.removed.clone();
    let lines = stream::unfold(receiver, |mut receiver| async move {
        let announcement = receiver.recv().await?;
        Some((announcement, receiver))
    });
    Ok(ndjson(lines.take_until(removed.cancelled_owned())))
}

/// `POST /agent/v1/calls/{id}`.
pub(super) async fn take_up(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    output: Body,
) -> Result<Response, Error> {
    let waiting = {
        let mut state = fleet.calls.state();
        let is_its_own = state.waiting.get(&id).is_some_and(|waiting| waiting.host == identity.name);
        if is_its_own { state.waiting.remove(&id) } else { None }
    };
    let gone = || Error::NoSuchCall(id.chars().take(64).collect());
    let Waiting { taken, .. } = waiting.ok_or_else(gone)?;
    let (input, frames) = mpsc::channel(FRAMES);
    taken.send(Taken { output, input }).map_err(|_| gone())?;
    let (removed, shutdown) = (identity.removed.clone(), fleet.tasks.shutdown());
    let body = stream::unfold((frames, removed, shutdown), |(mut frames, removed, shutdown)| async move {
        let frame: Option<Frame> = tokio::select! {
            frame = frames.recv() => frame,
            () = removed.cancelled() => None,
            () = shutdown.cancelled() => None,
        };
        let bytes = frame?.encode_with_length();
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), (frames, removed, shutdown)))
    });
    let head = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok(axum::response::IntoResponse::into_response((head, Body::from_stream(body))))
}
