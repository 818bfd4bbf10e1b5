//! What each command does: one file per command, or per family of small ones.

mod agent;
mod api;
mod apps;
mod backup;
mod bench;
mod cache;
mod compose;
mod config;
mod deploy;
mod events;
mod follow;
mod host;
mod join;
mod lab;
mod lab_agents;
mod login;
mod logs;
mod man;
mod operate;
mod orphans;
mod project;
mod registry;
mod releases;
mod restart;
mod secrets;
mod terminal;
mod token;
mod up;

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::output::Output;

/// Runs the command and returns when it is done.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let output = Output::new(cli.global.output);
    let global = cli.global.without_empty();
    match cli.command {
        // These need no runtime: a lab host's process 1 must stay small, the others only print or run other programs.
        Command::LabInit(arguments) => return lab::init(arguments),
        Command::Compose(command) => return compose::run(command, output),
        Command::Config(command) => return config::run(command, output),
        Command::Logout => return login::logout(output),
        Command::Api(command) => return api::run(command, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "wharf", &mut script);
            return output.line(String::from_utf8_lossy(&script).trim_end());
        }
        Command::Man { directory } => return man::write(&directory, output),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Up(arguments) => up::run(&global, arguments, output).await,
            Command::Backup(arguments) => backup::make(&global, arguments, output).await,
            Command::Restore(arguments) => backup::restore(&global, arguments, output),
            Command::Agent(arguments) => agent::run(&global, arguments).await,
            Command::Join(arguments) => join::run(&global, arguments, output).await,
            Command::Lab(arguments) => lab::run(&global, arguments, output).await,
            Command::Demo(arguments) => crate::demo::run(&global, arguments, output).await,
            Command::Bench(arguments) => bench::run(arguments, output).await,
            Command::Login(arguments) => login::login(&global, arguments, output).await,
            Command::Host(command) => interruptible(host::run(&global, command, output)).await,
            Command::Deploy(command) => interruptible(deploy::run(&global, command, output)).await,
            Command::Plan(arguments) => interruptible(deploy::plan(&global, arguments, output)).await,
            Command::Apply(arguments) => interruptible(deploy::apply(&global, arguments, output)).await,
            Command::Apps => interruptible(apps::list(&global, output)).await,
            Command::Releases(command) => interruptible(releases::run(&global, command, output)).await,
            Command::Rollback(arguments) => interruptible(deploy::rollback(&global, arguments, output)).await,
            Command::Restart(arguments) => interruptible(restart::run(&global, arguments, output)).await,
            Command::Scale(arguments) => interruptible(deploy::scale(&global, arguments, output)).await,
            Command::Ps(arguments) => interruptible(apps::ps(&global, arguments, output)).await,
            Command::Prune(arguments) => interruptible(orphans::prune(&global, arguments, output)).await,
            Command::Rm(arguments) => interruptible(apps::remove(&global, arguments, output)).await,
            Command::Logs(command) => interruptible(logs::run(&global, command, output)).await,
            // These two pass Ctrl-C on.
            Command::Exec(arguments) => operate::exec(&global, arguments).await,
            Command::Run(arguments) => operate::run(&global, arguments).await,
            Command::Secrets(arguments) => interruptible(secrets::run(&global, arguments, output)).await,
            Command::Token(command) => interruptible(token::run(&global, command, output)).await,
            Command::Events(arguments) => interruptible(events::run(&global, arguments, output)).await,
            Command::Cache(command) => interruptible(cache::run(&global, command, output)).await,
            Command::Registry(command) => interruptible(registry::run(&global, command, output)).await,
            Command::LabInit(_)
            | Command::Compose(_)
            | Command::Config(_)
            | Command::Logout
            | Command::Api(_)
            | Command::Man { .. }
            | Command::Completions { .. } => Ok(()),
        }
    });
    // A blocking read that nobody waits for must not keep the process.
    runtime.shutdown_background();
    result
}

/// Runs a client's command until it ends or the user presses Ctrl-C, which leaves the server's work as it is.
async fn interruptible(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        // The command first: one that follows a deploy has more to say about the interruption.
        biased;
        result = command => result,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            anyhow::bail!("interrupted; what the server has begun goes on there")
        }
    }
}
