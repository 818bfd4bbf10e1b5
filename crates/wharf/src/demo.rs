//! The main job, told as a story on real Docker hosts: `wharf demo`, which `script/demo` runs.
//!
//! Six lab hosts join a server, an application is deployed, and a load of 2,000 requests a second runs while releases
//! come, break, scale, lose a host's power and go back. Every step is a command that a user would type; the server,
//! agents and hosts are processes of their own. At the end a table, and exit status 1 if a promise is broken.
//!
//! `stage` sets up and cleans away, `story` tells, `verdict` judges, `report` prints.

mod access_log;
mod children;
mod report;
mod stage;
mod story;
mod verdict;

use anyhow::Context as _;

use crate::cli::{DemoArgs, Global};
use crate::failure::Reported;
use crate::output::Output;

/// Runs the story. `--data` is not used: the demo has its own directory, `./wharf-demo`.
pub(crate) async fn run(_global: &Global, arguments: DemoArgs, output: Output) -> anyhow::Result<()> {
    let mut stage = stage::Stage::plan(&arguments, output)?;
    let told = tokio::select! {
        told = tell(&mut stage, &arguments, output) => told,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            Err(anyhow::anyhow!("interrupted"))
        }
    };
    let keeps = told.is_ok() && !arguments.once;
    if keeps {
        stage.leave_running(output)?;
    } else {
        stage.clear(output).await?;
    }
    if told? { Ok(()) } else { Err(Reported.into()) }
}

/// The whole story. Returns whether every promise was kept.
async fn tell(stage: &mut stage::Stage, arguments: &DemoArgs, output: Output) -> anyhow::Result<bool> {
    stage.set_up(output).await?;
    let told = story::tell(stage, arguments, output).await?;
    let broken = verdict::broken_promises(&told);
    report::print(&told, &broken, output)?;
    if let Some(path) = &arguments.report {
        let text = serde_json::to_string_pretty(&report::json(&told, &broken))?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(command) = &arguments.then {
        stage.run_then(command, output).await?;
    }
    Ok(broken.is_empty())
}
