//! `exec` and `run` over a WebSocket: the first message is the request, then frames go both ways.
//!
//! Input and output are passed on side by side, so a process that reads nothing still prints. A client that has not
//! been heard for a minute, though it is pinged, is gone; what it began at the host ends then.

use std::time::Duration;

use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use wharf_base::ErrorCode;
use wharf_http::{ApiError, Caller};
use wharf_model::frame::{FRAME_BYTES_MAX, Status};
use wharf_model::ports::Session;
use wharf_model::{Call, Event, Frame, Name, call};

use super::printed::Printed;
use super::{known_service, one_off, running};
use crate::Error;
use crate::api::CommandRequest;
use crate::engine::Engine;
use crate::handle::Handle;

/// For the first message.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A client that answers no ping for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Longest time for which the end of a terminal's output is held back because a secret may begin there.
const ECHO_MAX: Duration = Duration::from_millis(50);
/// LIMIT: characters of a command in the audit log.
const COMMAND_MAX: usize = 1_000;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// What is done.
#[derive(Clone, Copy, Debug)]
enum What {
    Exec,
    Run,
}

/// A command in a container that runs.
pub(crate) async fn exec(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path((app, service)): Path<(String, String)>,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    open(handle, caller, app, service, upgrade, What::Exec).await
}

/// A one-off container of the release that serves.
pub(crate) async fn run(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path((app, service)): Path<(String, String)>,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    open(handle, caller, app, service, upgrade, What::Run).await
}

async fn open(
    handle: Handle,
    caller: Caller,
    app: String,
    service: String,
    upgrade: Upgrade,
    what: What,
) -> Result<Response, ApiError> {
    crate::routes::changer(&caller)?;
    let app = crate::routes::name(app)?;
    let engine = handle.shared();
    let service = known_service(&engine, &app, &service).await?;
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(ErrorCode::InvalidArgument, "this path speaks WebSocket only")
            .with_hint("use `wharf exec` and `wharf run`, or a WebSocket client over HTTP/1.1")
    })?;
    let upgrade = upgrade.max_message_size(FRAME_BYTES_MAX).max_frame_size(FRAME_BYTES_MAX);
    Ok(upgrade.on_upgrade(async move |socket| {
        let shutdown = engine.tasks.shutdown();
        tokio::select! {
            () = attend(&engine, &caller, app, service, what, socket) => {}
            () = shutdown.cancelled() => {}
        }
    }))
}

async fn attend(engine: &Engine, caller: &Caller, app: Name, service: Name, what: What, socket: WebSocket) {
    let (mut sink, mut messages) = socket.split();
    let begun = async {
        let request = request(&mut messages).await?;
        let has_terminal = request.terminal.is_some();
        let (session, run) = match what {
            What::Exec => (begin_exec(engine, caller, &app, &service, request).await?, None),
            What::Run => {
                let (session, run) = one_off::begin(engine, &caller.name, &app, &service, request).await?;
                (session, Some(run))
            }
        };
        Ok::<_, Error>((session, run, has_terminal))
    };
    match begun.await {
        Ok((session, run, has_terminal)) => {
            let last = pass_on(session, has_terminal, &mut sink, messages).await;
            if let Some(run) = run {
                one_off::ended(engine, &run, last.as_ref());
            }
        }
        Err(error) => {
            let error = ApiError::from(error);
            send(&mut sink, &Frame::failed(error.code, error.to_string())).await;
        }
    }
    // The client may have closed it already.
    let _ = sink.close().await;
}

async fn request(messages: &mut SplitStream<WebSocket>) -> Result<CommandRequest, Error> {
    let first = async {
        loop {
            match messages.next().await {
                Some(Ok(Message::Text(text))) => return Some(text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    };
    let text = tokio::time::timeout(REQUEST_TIMEOUT, first).await.ok().flatten();
    let text =
        text.ok_or_else(|| Error::Invalid("the first message must be the request, as JSON text".to_owned()))?;
    serde_json::from_str(&text).map_err(|error| Error::Invalid(format!("cannot read the request: {error}")))
}

async fn begin_exec(
    engine: &Engine,
    caller: &Caller,
    app: &Name,
    service: &Name,
    request: CommandRequest,
) -> Result<Session, Error> {
    if request.command.is_empty() {
        return Err(Error::Invalid(
            "no command to run was given\n  hint: wharf exec SERVICE -- COMMAND".to_owned(),
        ));
    }
    let all = running(engine, app, service);
    let chosen = match &request.instance {
        Some(wanted) => all.iter().find(|one| one.instance == *wanted).ok_or_else(|| {
            let there: Vec<&str> = all.iter().map(|one| one.instance.as_str()).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            let wanted: String = wanted.chars().take(200).collect();
            Error::NotRunning(format!("{service} of {app} has no running instance `{wanted}`\n  hint: there is {there}"))
        })?,
        None => all.first().ok_or_else(|| {
            Error::NotRunning(format!(
                "no container of {service} of {app} runs on a host that is up\n  hint: `wharf ps {app}` says why; `wharf run {service}` starts one for a command"
            ))
        })?,
    };
    let call = call::Exec {
        container: chosen.container.clone(),
        instance: chosen.instance.clone(),
        command: request.command.clone(),
        environment: request.environment.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        user: request.user,
        working_dir: request.working_dir,
        terminal: request.terminal,
        stdin: request.stdin,
    };
    let session = engine.calls.call(&chosen.host, Call::Exec(call)).await?;
    engine.emit(Event::Executed {
        app: app.clone(),
        service: service.clone(),
        instance: chosen.instance.clone(),
        host: chosen.host.clone(),
        command: shown(&request.command),
        by: caller.name.clone(),
    });
    Ok(session)
}

/// A command for people and the audit log.
pub(crate) fn shown(command: &[String]) -> String {
    let words = command.iter().map(|word| match word.is_empty() || word.contains(char::is_whitespace) {
        true => format!("'{word}'"),
        false => word.clone(),
    });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(COMMAND_MAX).collect()
}

/// Until the call or the client ends. Returns the call's last status. Values of secrets are taken out of what is printed.
async fn pass_on(
    session: Session,
    has_terminal: bool,
    sink: &mut SplitSink<WebSocket, Message>,
    mut messages: SplitStream<WebSocket>,
) -> Option<Status> {
    let Session { input, mut output } = session;
    let outwards = async {
        let mut ping = tokio::time::interval(PING_INTERVAL);
        let mut printed = Printed::new();
        loop {
            // Whoever types waits for the echo of each key; a program that reads waits for nothing.
            let idle = tokio::time::sleep(ECHO_MAX);
            tokio::select! {
                frame = output.recv() => match frame {
                    Some(frame) => {
                        let last = match &frame {
                            Frame::Status(status @ (Status::Exited { .. } | Status::Failed { .. })) => Some(status.clone()),
                            _ => None,
                        };
                        for frame in printed.pass(frame) {
                            if !send(sink, &frame).await {
                                return last;
                            }
                        }
                        if last.is_some() {
                            return last;
                        }
                    }
                    None => {
                        for frame in printed.flush() {
                            send(sink, &frame).await;
                        }
                        let message = "the connection to the host has ended; the command may not have\n  hint: `wharf host ls` shows whether the host is up";
                        send(sink, &Frame::failed(ErrorCode::Unavailable, message)).await;
                        return None;
                    }
                },
                () = idle, if has_terminal && printed.is_holding() => {
                    for frame in printed.flush() {
                        if !send(sink, &frame).await {
                            return None;
                        }
                    }
                }
                _ = ping.tick() => {
                    if sink.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                        return None;
                    }
                }
            }
        }
    };
    tokio::select! {
        last = outwards => last,
        () = inwards(&input, &mut messages) => None,
    }
}

/// Until the client is gone.
async fn inwards(input: &mpsc::Sender<Frame>, messages: &mut SplitStream<WebSocket>) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE_MAX, messages.next()).await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        match Frame::decode(bytes) {
            Ok(Some(frame)) => {
                if input.send(frame).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "a client sent something that is no frame");
                return;
            }
        }
    }
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, frame: &Frame) -> bool {
    sink.send(Message::Binary(frame.encode())).await.is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn commands_are_shown_with_their_word_borders() {
        let words = ["sh", "-c", "echo a\nb", ""].map(str::to_owned);
        assert_eq!(super::shown(&words), "sh -c 'echo ab' ''");
        assert_eq!(super::shown(&["x".repeat(5_000)]).len(), super::COMMAND_MAX);
    }
}
