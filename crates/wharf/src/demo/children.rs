//! Child processes of the demo: commands that end, and a server that stays.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// What a command printed, if it went as wanted.
pub(super) struct Ran {
    pub(super) is_success: bool,
    pub(super) text: String,
}

/// Runs a command to its end and takes both of its outputs. `limit` ends it.
pub(super) async fn run(command: &mut Command, limit: Duration) -> anyhow::Result<Ran> {
    let shown = format!("{:?}", command.as_std());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().with_context(|| format!("cannot run {shown}"))?;
    let output = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .with_context(|| format!("{shown} took longer than {} s", limit.as_secs()))??;
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(Ran { is_success: output.status.success(), text })
}

/// Runs a command that must succeed and returns what it printed.
pub(super) async fn run_well(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let shown = format!("{:?}", command.as_std());
    let ran = run(command, limit).await?;
    anyhow::ensure!(ran.is_success, "{shown} failed:\n{}", ran.text.trim_end());
    Ok(ran.text)
}

/// Starts a process that stays; its output goes to the file `log`.
pub(super) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    // A group of its own: Ctrl-C at the terminal reaches the demo, which then stops its children in order.
    command.process_group(0);
    command.spawn().with_context(|| format!("cannot run {:?}", command.as_std()))
}

/// SIGTERM, then at most `limit` until it has ended, then SIGKILL.
pub(super) async fn stop(child: &mut Child, limit: Duration) -> anyhow::Result<()> {
    let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid as i32)) else { return Ok(()) };
    // It may have ended by itself; waiting tells.
    let _ = kill_process(pid, Signal::TERM);
    if tokio::time::timeout(limit, child.wait()).await.is_err() {
        child.kill().await.context("cannot kill a process of the demo")?;
    }
    Ok(())
}
