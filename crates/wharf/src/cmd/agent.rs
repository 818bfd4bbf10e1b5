//! `wharf agent`: the agent of a host that has joined.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use wharf_base::{SystemClock, Tasks};
use wharf_fleet::AgentConfig;
use wharf_fleet::agent::{self, AgentDeps};

use crate::cli::{AgentArgs, Global};

/// Where an agent's files are when --data is not given.
const AGENT_DATA: &str = "/var/lib/wharf";
/// How long a step that is under way may take after SIGTERM. Containers go on running in any case.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// `--data` of agents: what was given, else /var/lib/wharf.
pub(super) fn data(global: &Global) -> PathBuf {
    let is_default = global.data == Path::new("wharf-data");
    if is_default { PathBuf::from(AGENT_DATA) } else { global.data.clone() }
}

pub(super) async fn run(global: &Global, arguments: AgentArgs) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let tasks = Tasks::new();
    let deps = AgentDeps::joined(data(global), Arc::new(SystemClock))?;
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
