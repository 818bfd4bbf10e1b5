//! Step `before_switch`: commands such as migrations, each once, in a one-off container of the new release.
//!
//! A command that ends with another status than 0, or takes too long, fails the deploy before anything is switched. None
//! is ever tried again within a deploy: when the server dies meanwhile, the command is ended at its host, the deploy is
//! undone, and the next deploy runs it anew (docs/decisions/0021).

use std::collections::VecDeque;
use std::time::Duration;

use wharf_model::frame::Status;
use wharf_model::ports::Session;
use wharf_model::{Event, Frame};
use wharf_secrets::Redactor;

use super::switch::counted;
use super::{Failure, Halt, prepare, start};
use crate::api::CommandRequest;
use crate::engine::Engine;
use crate::operate::{one_off, shown};
use crate::plan::{Rollout, Task};
use crate::run::Run;
use crate::store::Content;

/// LIMIT: lines of output that go with a failure.
const TAIL_LINES: usize = 20;
/// LIMIT: characters of a line; what is longer is cut.
const LINE_MAX: usize = 2_000;

/// Has what the commands need started, and runs them. Does nothing where there are none.
pub(super) async fn run(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    if rollout.before_switch.is_empty() {
        return Ok(());
    }
    start::ground(engine, run, rollout).await?;
    let tasks = &rollout.before_switch;
    let content = prepare::stored(engine, &run.app, run.release()).await?;
    let result = engine
        .step(run, "before_switch", counted(tasks.len(), "command"), async {
            let mut done = Vec::new();
            for task in tasks {
                engine.detail(run, format!("{}: {}", task.service, shown(&task.command)));
                one(engine, run, &content, task).await?;
                done.push(format!("{}: `{}`", task.service, shown(&task.command)));
            }
            Ok(((), format!("{} ended well", done.join(", "))))
        })
        .await;
    run.journal.end_of_output();
    result
}

async fn one(engine: &Engine, run: &Run, content: &Content, task: &Task) -> Result<(), Halt> {
    let request = CommandRequest { command: task.command.clone(), ..CommandRequest::default() };
    let (service, release) = (&task.service, run.release());
    let begun = one_off::begin_with(
        engine,
        &run.by,
        (&run.app, service),
        release,
        content,
        request,
        task.host.as_ref(),
    );
    let what = format!("before_switch of {service}: `{}`", shown(&task.command));
    let (session, begun) = engine
        .unless_ended(run, begun)
        .await?
        .map_err(|error| Halt::failed(format!("{what} could not be run: {error}")))?;
    let timeout = Duration::from_millis(task.timeout_ms);
    let mut output =
        Lines { service: service.to_string(), tail: VecDeque::new(), parts: [const { Vec::new() }; 2] };
    // Dropping the session, as every early return does, ends the command at its host.
    let attended = tokio::time::timeout(timeout, attend(engine, run, session, &mut output));
    let ended = engine.unless_ended(run, attended).await;
    let last = ended.as_ref().ok().and_then(|ended| ended.as_ref().ok()).and_then(Option::as_ref);
    one_off::ended(engine, &begun, last);
    output.flush(engine, run);
    let fail = |how: String| {
        let reason = format!(
            "{what} on {} {how}\n  hint: nothing was switched; see its output, put that right and deploy again",
            begun.host
        );
        Err(Halt::Failed(Failure { reason, log_tail: output.tail.iter().cloned().collect() }))
    };
    match ended? {
        Ok(Some(Status::Exited { code: 0 })) => Ok(()),
        Ok(Some(Status::Exited { code })) => fail(format!("ended with status {code}")),
        Ok(Some(Status::Failed { message, .. })) => fail(format!("could not be run: {message}")),
        Ok(Some(Status::Started { .. }) | None) => fail(
            "was cut off: the connection to the host has ended, so the command was ended there, or had just ended"
                .to_owned(),
        ),
        Err(_) => fail(format!(
            "took longer than {} and was ended (`timeout` sets another limit)",
            wharf_base::duration::format(timeout)
        )),
    }
}

/// Passes its output on until it ends; returns its last status.
async fn attend(engine: &Engine, run: &Run, session: Session, lines: &mut Lines) -> Option<Status> {
    // The input stays open: its end would mean that the caller went away.
    let Session { input: _input, mut output } = session;
    while let Some(frame) = output.recv().await {
        match frame {
            Frame::Stdout(bytes) => lines.push(0, &bytes, engine, run),
            Frame::Stderr(bytes) => lines.push(1, &bytes, engine, run),
            Frame::Status(status @ (Status::Exited { .. } | Status::Failed { .. })) => return Some(status),
            _ => {}
        }
    }
    None
}

/// Output as lines; standard output and errors are cut into lines apart.
struct Lines {
    service: String,
    tail: VecDeque<String>,
    parts: [Vec<u8>; 2],
}

impl Lines {
    fn push(&mut self, stream: usize, bytes: &[u8], engine: &Engine, run: &Run) {
        for byte in bytes {
            let part = &mut self.parts[stream];
            if *byte != b'\n' && part.len() < LINE_MAX {
                part.push(*byte);
            } else if *byte == b'\n' {
                let line = std::mem::take(part);
                self.tell(&line, engine, run);
            }
        }
    }

    /// What did not end with a line break.
    fn flush(&mut self, engine: &Engine, run: &Run) {
        for stream in 0..self.parts.len() {
            let line = std::mem::take(&mut self.parts[stream]);
            if !line.is_empty() {
                self.tell(&line, engine, run);
            }
        }
    }

    fn tell(&mut self, line: &[u8], engine: &Engine, run: &Run) {
        let line: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect();
        let line = Redactor::process().text(&line).into_owned();
        let told = format!("{} | {line}", self.service);
        if run.journal.output(&told) {
            engine.emit(Event::DeployOutput { deploy: run.id, line: told });
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}
