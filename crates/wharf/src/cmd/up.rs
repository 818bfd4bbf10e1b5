//! `wharf up`: the server.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use wharf_base::Tasks;

use crate::cli::{Global, Part, UpArgs};
use crate::failure::usage;
use crate::output::Output;
use crate::{assemble, backup, config, data_dir, lead};

/// How long parts may take to finish what is in flight after SIGTERM or Ctrl-C.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The same after the lease is lost: nothing that is done now is kept.
const FENCED_STOP_LIMIT: Duration = Duration::from_secs(3);

pub(super) async fn run(global: &Global, arguments: UpArgs, output: Output) -> anyhow::Result<()> {
    if let Some(server) = global.server_option() {
        return Err(usage(format!(
            "--server {server}: `wharf up` is the server itself\n  hint: --set api.listen=IP:PORT says where it listens"
        )));
    }
    let config = config::load(arguments.config.as_deref(), &arguments.sets, &arguments.only)?;
    data_dir::make_private(global.data())?;
    let backups = config.backup.directory(global.data());
    let tasks = Tasks::new();
    // Before the listeners: who sees a port answer may already send SIGTERM.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let led = match config.state.url.is_some() && arguments.only != [Part::Balancer] {
        false => None,
        true => Some(tokio::select! {
            led = lead::stand_by(&config, global.data(), &output) => led?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }),
    };
    let started = tokio::select! {
        started = assemble::start(config, global.data(), &arguments.only, led.as_ref(), &tasks) => started,
        _ = terminate.recv() => Err(anyhow::anyhow!("stopped while starting")),
        _ = interrupt.recv() => Err(anyhow::anyhow!("stopped while starting")),
    };
    let server = match started {
        Ok(server) => server,
        Err(error) => {
            tasks.stop(STOP_LIMIT).await;
            if let Some(led) = led {
                // Another server may do better.
                let _ = led.lease.release().await;
            }
            return Err(backup::explain_damage(error, global.data(), &backups));
        }
    };
    output.say(&format!(
        "wharf {} runs; state is in {}",
        env!("CARGO_PKG_VERSION"),
        global.data().display()
    ))?;
    for address in &server.addresses {
        output.say(&format!("  {address}"))?;
    }
    let token = global.data().join("token");
    // A balancer alone has none.
    if token.exists() {
        output.say(&format!("  token         cat {}", token.display()))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = lost(led.as_ref()) => {
            output.say("another server leads, or may: ending what is under way, to stand by")?;
            tasks.stop(FENCED_STOP_LIMIT).await;
            return Err(lead::start_again());
        }
    }
    output.say("stopping: what is in flight finishes (again Ctrl-C ends at once)")?;
    tokio::select! {
        report = tasks.stop(STOP_LIMIT) => {
            if let Some(led) = led {
                // One that is not given back ends by itself.
                if let Err(error) = led.lease.release().await {
                    tracing::warn!(%error, "the lease could not be given back");
                }
            }
            anyhow::ensure!(report.aborted.is_empty(), "these did not stop in time: {}", report.aborted.join(", "));
            anyhow::ensure!(report.panicked == 0, "{} tasks panicked, see the log", report.panicked);
            Ok(())
        }
        _ = interrupt.recv() => anyhow::bail!("ended at once; requests in flight were cut"),
    }
}

/// Returns when the lease is lost; never without one.
async fn lost(led: Option<&lead::Led>) {
    match led {
        Some(led) => led.lease.lost().await,
        None => std::future::pending().await,
    }
}
