//! A command in a container that is there.
//!
//! The Engine has no way to end an exec: whoever detaches leaves it running. When the caller goes away the agent sends
//! the process SIGHUP, as a terminal that is closed does, and SIGKILL ten seconds later. It does so only to a process
//! whose control group is the container's: process numbers are used again, and an agent that itself runs in a
//! container would see others'.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wharf_docker::bollard::models::ExecConfig;
use wharf_docker::bollard::query_parameters::ResizeExecOptionsBuilder;
use wharf_docker::{Engine, Error as DockerError};
use wharf_model::Frame;
use wharf_model::call::Exec;
use wharf_model::frame::{Size, Status};

use super::Desk;
use super::process::{Controls, Ended, pass_on};
use super::wire::Wire;
use crate::Error;

/// Between the end of the output and the exit status the Engine needs a moment.
const STATUS_TRIES: u32 = 100;
const STATUS_WAIT: Duration = Duration::from_millis(20);
/// From SIGHUP to SIGKILL: Docker's own grace.
const GRACE: Duration = Duration::from_secs(10);

struct Running<'a> {
    engine: &'a Engine,
    exec: String,
    container: String,
}

/// Runs the command to its end. `None`: the caller went away, and the command was told to end.
pub(super) async fn exec(
    desk: &Desk,
    engine: &Engine,
    call: Exec,
    wire: &mut Wire,
) -> Result<Option<i64>, Error> {
    let container = desk.own(engine, &call.container).await?;
    let config = ExecConfig {
        attach_stdin: Some(call.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(call.terminal.is_some()),
        env: Some(call.environment),
        cmd: Some(call.command),
        user: call.user,
        working_dir: call.working_dir,
        ..Default::default()
    };
    let made = engine.docker().create_exec(&container, config).await;
    let exec = made.map_err(|error| DockerError::api("run the command", error))?.id;
    let running = Running { engine, exec, container };
    let attached = wharf_docker::start_exec(engine, &running.exec, call.terminal.is_some()).await?;
    if let Some(size) = call.terminal {
        running.resize(size).await;
    }
    let (instance, host) = (call.instance, desk.shop.host.to_string());
    wire.output.send(Frame::Status(Status::Started { instance, host })).await;
    match pass_on(attached, &running, wire).await {
        Ended::Process => Ok(Some(running.exit_status().await?)),
        Ended::Caller => {
            running.hang_up().await;
            Ok(None)
        }
    }
}

impl Running<'_> {
    async fn exit_status(&self) -> Result<i64, Error> {
        for _ in 0..STATUS_TRIES {
            let inspected = self.engine.docker().inspect_exec(&self.exec).await;
            let inspected =
                inspected.map_err(|error| DockerError::api("ask how the command ended", error))?;
            if let (Some(false), Some(code)) = (inspected.running, inspected.exit_code) {
                return Ok(code);
            }
            tokio::time::sleep(STATUS_WAIT).await;
        }
        Err(Error::Invalid("the command has closed its output, but goes on".to_owned()))
    }

    /// Its process, if it still runs and is in the container.
    async fn process(&self) -> Option<Pid> {
        let inspected = self.engine.docker().inspect_exec(&self.exec).await.ok()?;
        let number = inspected.pid.filter(|_| inspected.running == Some(true))?;
        let groups = tokio::fs::read_to_string(format!("/proc/{number}/cgroup")).await.ok()?;
        if !groups.contains(&self.container) {
            tracing::warn!(number, "the process of a command is not visible here; it goes on");
            return None;
        }
        Pid::from_raw(i32::try_from(number).ok()?)
    }

    async fn hang_up(&self) {
        let Some(process) = self.process().await else { return };
        let _ = kill_process(process, Signal::HUP);
        let until = tokio::time::Instant::now() + GRACE;
        while let Some(process) = self.process().await {
            if tokio::time::Instant::now() >= until {
                let _ = kill_process(process, Signal::KILL);
                return;
            }
            tokio::time::sleep(STATUS_WAIT * 5).await;
        }
    }
}

impl Controls for Running<'_> {
    async fn resize(&self, size: Size) {
        let options =
            ResizeExecOptionsBuilder::default().h(i32::from(size.rows)).w(i32::from(size.columns)).build();
        // It may have ended, or not have begun: its terminal keeps the size that it has.
        let _ = self.engine.docker().resize_exec(&self.exec, options).await;
    }

    async fn signal(&self, name: &str) {
        let signal = match name {
            "HUP" => Signal::HUP,
            "INT" => Signal::INT,
            "QUIT" => Signal::QUIT,
            "TERM" => Signal::TERM,
            "KILL" => Signal::KILL,
            _ => return,
        };
        if let Some(process) = self.process().await {
            let _ = kill_process(process, signal);
        }
    }
}
