//! `wharf agent`: the agent of a host that has joined.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use wharf_base::{SystemClock, Tasks};
use wharf_fleet::AgentConfig;
use wharf_fleet::agent::{self, AgentDeps};

use crate::cli::{AgentArgs, Global};
use crate::data_dir;
use crate::failure::usage;

/// Where an agent's files are when --data is not given.
const AGENT_DATA: &str = "/var/lib/wharf";
/// How long a step that is under way may take after SIGTERM. Containers go on running in any case.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// `--data` of agents: what was given, else /var/lib/wharf.
pub(super) fn data(global: &Global) -> PathBuf {
    global.data_given.clone().unwrap_or_else(|| PathBuf::from(AGENT_DATA))
}

pub(super) async fn run(global: &Global, arguments: AgentArgs) -> anyhow::Result<()> {
    if let Some(server) = global.server_option() {
        return Err(usage(format!(
            "--server {server}: an agent's server is the one that it has joined\n  hint: `wharf join` joins it to another"
        )));
    }
    let data = data(global);
    // One that isn't there is told below: this host has not joined.
    if data.is_dir() {
        data_dir::make_private(&data)?;
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let tasks = Tasks::new();
    let deps = AgentDeps::joined(data, Arc::new(SystemClock))?;
    let config =
        AgentConfig { engine: Some(arguments.docker.display().to_string()), ..AgentConfig::default() };
    tracing::info!(host = %deps.host, "agent runs");
    agent::start(config, deps, &tasks).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tasks.stop(STOP_LIMIT).await;
    Ok(())
}
