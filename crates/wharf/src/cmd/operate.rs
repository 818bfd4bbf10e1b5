//! `wharf exec`, `wharf run`: a command in a container, here at this terminal.

use std::io::IsTerminal as _;

use wharf_deploy::api::CommandRequest;

use super::{project, terminal};
use crate::cli::{ExecArgs, Global, ProcessArgs, RunArgs};
use crate::context;

pub(super) async fn exec(global: &Global, arguments: ExecArgs) -> anyhow::Result<()> {
    let ExecArgs { service, instance, process, command } = arguments;
    let (app, request) = request(process, command)?;
    let request = CommandRequest { instance, ..request };
    terminal::attend(&context::client(global)?, &path(&app, &service, "exec"), request).await
}

pub(super) async fn run(global: &Global, arguments: RunArgs) -> anyhow::Result<()> {
    let RunArgs { service, process, command } = arguments;
    let (app, request) = request(process, command)?;
    terminal::attend(&context::client(global)?, &path(&app, &service, "run"), request).await
}

fn request(process: ProcessArgs, command: Vec<String>) -> anyhow::Result<(String, CommandRequest)> {
    let ProcessArgs { app, no_terminal, user, workdir, env } = process;
    let is_terminal = !no_terminal && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let request = CommandRequest {
        command,
        instance: None,
        terminal: is_terminal.then(terminal::size),
        stdin: true,
        user,
        working_dir: workdir,
        environment: env.into_iter().collect(),
    };
    Ok((project::app_name(app)?, request))
}

fn path(app: &str, service: &str, verb: &str) -> String {
    format!("/api/v1/apps/{app}/services/{service}/{verb}")
}
