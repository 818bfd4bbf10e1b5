//! `wharf lab`: throw-away Docker hosts.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;
use wharf_lab::{Config, HostStatus, Lab};

use super::lab_agents;
use crate::cli::{Global, LabArgs, LabCommand, LabInitArgs};
use crate::output::{Output, Table, bytes};

pub(super) fn init(arguments: LabInitArgs) -> anyhow::Result<()> {
    Ok(wharf_lab::init_main(&arguments.arguments)?)
}

pub(super) async fn run(global: &Global, arguments: LabArgs, output: Output) -> anyhow::Result<()> {
    let LabArgs { name, network, command } = arguments;
    let open = |bare: bool| {
        wharf_lab::check_possible()?;
        let (name, network) = (name.clone(), network.clone());
        Lab::open(Config { bare, name, network, ..Config::default() })
    };
    let lab = || open(false);
    match command {
        // These are no hosts of a lab: they need neither root nor namespaces.
        LabCommand::Agents { url, count, prefix, architecture } => {
            let pretence = lab_agents::Pretence { url, count, prefix, architecture };
            lab_agents::run(global, pretence, output).await
        }
        LabCommand::Up { count, bare } => up(&open(bare)?, u32::from(count), output).await,
        LabCommand::Down => {
            lab()?.down().await?;
            output.result(&json!({ "down": true }), || "The lab is gone".to_owned())
        }
        LabCommand::Status => {
            let hosts = lab()?.status().await?;
            output.result(&json!({ "hosts": &hosts }), || table(&hosts))
        }
        LabCommand::Ssh { host, command } => {
            let mut ssh = lab()?.ssh_command(u32::from(host))?;
            ssh.args(command);
            Err(ssh.exec()).context("cannot run ssh")
        }
        LabCommand::Exec { host, command } => {
            let mut run = lab()?.exec_command::<OsString>(u32::from(host), &command)?;
            Err(run.exec()).context("cannot run nsenter")
        }
        LabCommand::Cut { host } => done(lab()?.cut(u32::from(host)).await, output, host, "is cut off"),
        LabCommand::Heal { host } => {
            done(lab()?.heal(u32::from(host)).await, output, host, "is linked again")
        }
        LabCommand::Kill { host } => done(lab()?.kill(u32::from(host)).await, output, host, "has lost power"),
        LabCommand::Start { host } => {
            output.progress(&format!("starting host {host} …"));
            let result = lab()?.start(u32::from(host)).await;
            output.progress_done();
            done(result, output, host, "is up")
        }
    }
}

/// Ctrl-C in the middle takes everything down again: half a lab is of no use.
async fn up(lab: &Lab, count: u32, output: Output) -> anyhow::Result<()> {
    let begun = Instant::now();
    output.progress(&format!("bringing {count} hosts up …"));
    let hosts = tokio::select! {
        hosts = lab.up(count) => hosts?,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            output.progress_done();
            lab.down().await?;
            anyhow::bail!("interrupted; the lab is taken down again");
        }
    };
    output.progress_done();
    let seconds = begun.elapsed().as_secs_f64();
    output.result(&json!({ "hosts": &hosts, "seconds": seconds }), || {
        format!("{}\n{count} hosts up in {seconds:.1} s. `wharf lab ssh 1` opens a shell, `wharf lab down` ends them.", table(&hosts))
    })
}

fn done(result: Result<(), wharf_lab::Error>, output: Output, host: u8, what: &str) -> anyhow::Result<()> {
    result?;
    output.result(&json!({ "host": host, "done": what }), || format!("Host {host} {what}"))
}

fn table(hosts: &[HostStatus]) -> String {
    if hosts.is_empty() {
        return "No hosts. `wharf lab up 3` brings three up.".to_owned();
    }
    let mut table =
        Table::new(&["HOST", "NAME", "ADDRESS", "POWER", "LINK", "DOCKER", ">MEMORY", "DOCKER_HOST"]);
    for host in hosts {
        let word = |is: bool, yes: &str, no: &str| if is { yes.to_owned() } else { no.to_owned() };
        table.row(vec![
            host.index.to_string(),
            host.name.clone(),
            host.address.to_string(),
            word(host.is_running, "on", "off"),
            word(host.is_linked, "up", "cut"),
            word(host.is_docker_ready, "ready", "-"),
            host.memory_bytes.map_or_else(|| "-".to_owned(), bytes),
            format!("unix://{}", host.docker_socket.display()),
        ]);
    }
    table.render()
}
