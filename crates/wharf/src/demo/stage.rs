//! The stage of the story: lab hosts, a server, agents; set up before, cleared or left running after.
//!
//! Everything is a process of its own, started as a user would start it. What is left running is noted in
//! `wharf-demo/running.json`, so that the next demo can end it first: by pid, and only if it is still the same process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::{Child, Command};
use wharf_lab::Lab;

use super::children;
use crate::cli::DemoArgs;
use crate::output::Output;

/// Hosts of the lab story: the first three are green, the others blue.
const HOSTS: [&str; 6] = ["green1", "green2", "green3", "blue1", "blue2", "blue3"];
/// How long a command of the story may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);
/// How long the server or a host may take to come up.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Where the story takes place.
pub(super) struct Stage {
    exe: PathBuf,
    directory: PathBuf,
    lab: Option<Lab>,
    why_local: Option<String>,
    server: Option<Child>,
    ports: Ports,
    load_tasks: wharf_base::Tasks,
}

#[derive(Clone, Copy)]
struct Ports {
    api: u16,
    agents: u16,
    registry: u16,
    balancer: u16,
}

/// What the last demo left running.
#[derive(Serialize, Deserialize)]
struct Running {
    pid: i32,
    /// Field 22 of /proc/PID/stat: a pid that was given to another process has another one.
    start_ticks: String,
}

impl Stage {
    /// Decides where the story takes place; changes nothing yet.
    pub(super) fn plan(arguments: &DemoArgs, output: Output) -> anyhow::Result<Stage> {
        let why_local = if arguments.local {
            Some("as --local asks".to_owned())
        } else {
            wharf_lab::check_possible().err().map(|error| error.to_string())
        };
        if let Some(why) = &why_local {
            // As for tests: where everything is required, half of the story is a failure.
            let is_required = std::env::var_os("WHARF_REQUIRE").is_some_and(|value| value == "all");
            anyhow::ensure!(
                arguments.local || !is_required,
                "WHARF_REQUIRE=all, but lab hosts are not possible: {why}"
            );
            output.say(&format!("The story takes place on the local Docker Engine alone: {why}"))?;
        }
        let lab = if why_local.is_none() { Some(Lab::open(wharf_lab::Config::default())?) } else { None };
        Ok(Stage {
            exe: std::env::current_exe().context("cannot find this program's own file")?,
            directory: std::path::absolute("wharf-demo")?,
            lab,
            why_local,
            server: None,
            ports: Ports { api: 7700, agents: 7701, registry: 5000, balancer: 8080 },
            load_tasks: wharf_base::Tasks::new(),
        })
    }

    /// The lab, or `None` when the story takes place on the local Engine.
    pub(super) fn lab(&self) -> Option<&Lab> {
        self.lab.as_ref()
    }

    /// Why there is no lab.
    pub(super) fn why_local(&self) -> Option<&str> {
        self.why_local.as_deref()
    }

    /// Tasks of the load generator.
    pub(super) fn load_tasks(&self) -> &wharf_base::Tasks {
        &self.load_tasks
    }

    /// Where requests go.
    pub(super) fn front_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.balancer)
    }

    /// The API and the console.
    pub(super) fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.api)
    }

    /// The balancer's access log.
    pub(super) fn access_log(&self) -> PathBuf {
        self.directory.join("access.log")
    }

    /// Number of a host in the lab, from 1.
    pub(super) fn lab_index(&self, host: &str) -> Option<u32> {
        HOSTS.iter().position(|name| *name == host).map(|index| index as u32 + 1)
    }

    /// Address of a host of the lab: host I is `.10+I` of its network.
    pub(super) fn lab_address(&self, host: &str) -> Option<String> {
        let [a, b, c, _] = self.lab.as_ref()?.gateway().octets();
        Some(format!("{a}.{b}.{c}.{}", 10 + self.lab_index(host)?))
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The admin token that the server has written.
    pub(super) fn token(&self) -> anyhow::Result<String> {
        let path = self.data().join("token");
        Ok(std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .trim()
            .to_owned())
    }

    /// Ends what an earlier demo left, then brings up hosts, server and agents.
    pub(super) async fn set_up(&mut self, output: Output) -> anyhow::Result<()> {
        self.end_earlier().await?;
        std::fs::create_dir_all(&self.directory).context("cannot make ./wharf-demo")?;
        // The balancer appends to its log; only this story's lines are to be counted.
        match std::fs::remove_file(self.access_log()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.choose_ports()?;
        let began = Instant::now();
        if let Some(lab) = &self.lab {
            lab.up(HOSTS.len() as u32).await?;
            output.say(&format!("  {:.1} s  wharf lab up {}", began.elapsed().as_secs_f64(), HOSTS.len()))?;
        }
        let began = Instant::now();
        self.start_server()?;
        self.wait_for("the server", |stage| async move { stage.wharf_json(&["host", "ls"]).await.is_ok() })
            .await?;
        output.say(&format!("  {:.1} s  wharf up", began.elapsed().as_secs_f64()))?;
        let began = Instant::now();
        let hosts = self.join_hosts().await?;
        output.say(&format!("  {:.1} s  {hosts}", began.elapsed().as_secs_f64()))
    }

    /// Where another program holds one of the usual ports, free ones are taken for all.
    fn choose_ports(&mut self) -> anyhow::Result<()> {
        let usual = [self.ports.api, self.ports.agents, self.ports.registry, self.ports.balancer];
        let is_free = |port: &u16| std::net::TcpListener::bind(("0.0.0.0", *port)).is_ok();
        if usual.iter().all(is_free) {
            return Ok(());
        }
        let mut held = Vec::new();
        for _ in usual {
            held.push(std::net::TcpListener::bind(("0.0.0.0", 0))?);
        }
        let port = |index: usize| held[index].local_addr().map(|address| address.port());
        self.ports = Ports { api: port(0)?, agents: port(1)?, registry: port(2)?, balancer: port(3)? };
        Ok(())
    }

    fn start_server(&mut self) -> anyhow::Result<()> {
        let Ports { api, agents, registry, balancer } = self.ports;
        let gateway = self.lab.as_ref().map(|lab| lab.gateway().to_string());
        let listen = |port: u16| match &gateway {
            Some(gateway) => format!("127.0.0.1:{port},{gateway}:{port}"),
            None => format!("127.0.0.1:{port}"),
        };
        let public = gateway.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        let mut sets = vec![
            format!("api.listen={}", listen(api)),
            format!("agents.listen={public}:{agents}"),
            format!("registry.listen={}", listen(registry)),
            format!("registry.address={public}:{registry}"),
            format!("balancer.http=127.0.0.1:{balancer}"),
            format!("balancer.access_log={}", self.access_log().display()),
            "balancer.access_log_format=json".to_owned(),
        ];
        match &gateway {
            Some(gateway) => {
                sets.extend([format!("server.address={gateway}"), "docker.is_host=false".to_owned()])
            }
            None => sets.push("docker.labels={pool: web}".to_owned()),
        }
        let mut command = Command::new(&self.exe);
        // An empty configuration of its own: a wharf.yaml that happens to lie here is not the story's.
        let config = self.directory.join("wharf.yaml");
        std::fs::write(&config, "version: 1\n")?;
        command.arg("up").arg("--data").arg(self.data()).arg("--config").arg(config);
        command.args(sets.iter().flat_map(|set| ["--set", set.as_str()]));
        self.server = Some(children::start(&mut command, &self.directory.join("server.log"))?);
        Ok(())
    }

    async fn join_hosts(&self) -> anyhow::Result<String> {
        let Some(lab) = &self.lab else {
            self.wait_for(
                "the local host",
                |stage| async move { stage.hosts_up().await.is_ok_and(|up| up == 1) },
            )
            .await?;
            return Ok("the local Docker Engine is a host".to_owned());
        };
        let uses = HOSTS.len().to_string();
        let token = self.wharf_json(&["host", "token", "--uses", &uses]).await?;
        let token = token["token"].as_str().context("`wharf host token` printed no token")?.to_owned();
        let url = format!("https://{}:{}", lab.gateway(), self.ports.api);
        let joins = HOSTS
            .iter()
            .enumerate()
            .map(|(index, name)| join_host(lab, index as u32 + 1, name, &url, &token));
        futures_util::future::try_join_all(joins).await?;
        let wanted = HOSTS.len();
        self.wait_for(
            "the hosts",
            |stage| async move { stage.hosts_up().await.is_ok_and(|up| up == wanted) },
        )
        .await?;
        Ok(format!("{wanted} hosts joined over the network: {}", HOSTS.join(", ")))
    }

    async fn hosts_up(&self) -> anyhow::Result<usize> {
        let answer = self.wharf_json(&["host", "ls"]).await?;
        Ok(answer["hosts"].as_array().into_iter().flatten().filter(|host| host["liveness"] == "up").count())
    }

    /// Asks again until `is_so`, 20 times a second: the states of other processes have no event that a command hears.
    pub(super) async fn wait_for<'a, F>(
        &'a self,
        what: &str,
        is_so: impl Fn(&'a Stage) -> F,
    ) -> anyhow::Result<Duration>
    where
        F: Future<Output = bool> + 'a,
    {
        let began = Instant::now();
        while !is_so(self).await {
            let server = self.server.as_ref().and_then(Child::id);
            if server.is_some_and(|pid| start_ticks(pid as i32).is_none()) {
                anyhow::bail!("the server has ended\n{}", self.server_tail());
            }
            if began.elapsed() > READY_LIMIT {
                anyhow::bail!(
                    "{what} did not get ready within {} s\n{}",
                    READY_LIMIT.as_secs(),
                    self.server_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(began.elapsed())
    }

    /// The last lines of the server's log, for errors.
    fn server_tail(&self) -> String {
        let text = std::fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// A command of ours against this server, as a user would type it.
    pub(super) fn wharf(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command.args(arguments).arg("--server").arg(self.api_url()).arg("--data").arg(self.data());
        command.env_remove("WHARF_TOKEN").env("NO_COLOR", "1");
        command
    }

    /// Runs one with `--output json`.
    pub(super) async fn wharf_json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = self.wharf(arguments);
        command.args(["--output", "json"]);
        let text = children::run_well(&mut command, COMMAND_LIMIT).await?;
        serde_json::from_str(&text)
            .with_context(|| format!("`wharf {}` printed no JSON: {text}", arguments.join(" ")))
    }

    /// Runs `--then`'s command with the server's address and token in its environment.
    pub(super) async fn run_then(&self, command: &str, output: Output) -> anyhow::Result<()> {
        output.say(&format!("\n$ {command}"))?;
        let status = Command::new("sh")
            .args(["-c", command])
            .env("WHARF_URL", self.api_url())
            .env("WHARF_TOKEN", self.token()?)
            .env("WHARF_FRONT", self.front_url())
            .status()
            .await?;
        anyhow::ensure!(status.success(), "`{command}` failed: {status}");
        Ok(())
    }

    /// Leaves everything up and says where.
    pub(super) fn leave_running(&mut self, output: Output) -> anyhow::Result<()> {
        if let Some(child) = &self.server
            && let Some(pid) = child.id()
        {
            let running =
                Running { pid: pid as i32, start_ticks: start_ticks(pid as i32).unwrap_or_default() };
            std::fs::write(self.running_file(), serde_json::to_vec(&running)?)?;
        }
        let data = self.data();
        let shown = data.strip_prefix(std::env::current_dir()?).unwrap_or(&data).display().to_string();
        output.say(&format!(
            "\nEverything is still up.\n  console      {}  (token: cat {shown}/token)\n  application  {}\n  commands     wharf --data {shown} ps\n  clean up     script/demo --once tells the story again and ends with nothing left; or kill {} and `wharf lab down`",
            self.api_url(),
            self.front_url(),
            self.server.as_ref().and_then(Child::id).unwrap_or_default(),
        ))
    }

    /// Ends server and hosts and removes their files. The logs stay in `wharf-demo/`.
    pub(super) async fn clear(&mut self, output: Output) -> anyhow::Result<()> {
        output.say("\nCleaning up …")?;
        self.load_tasks.stop(Duration::from_secs(5)).await;
        if self.lab.is_none() && self.server.is_some() {
            // On the local Engine the application's containers would stay: it is removed as a user would.
            let _ = children::run(&mut self.wharf(&["rm", "shop"]), COMMAND_LIMIT).await;
        }
        if let Some(server) = &mut self.server {
            children::stop(server, Duration::from_secs(20)).await?;
        }
        self.server = None;
        self.remove_what_is_left().await
    }

    async fn end_earlier(&self) -> anyhow::Result<()> {
        if let Ok(text) = std::fs::read_to_string(self.running_file())
            && let Ok(running) = serde_json::from_str::<Running>(&text)
            && start_ticks(running.pid).is_some_and(|ticks| ticks == running.start_ticks)
            && let Some(pid) = rustix::process::Pid::from_raw(running.pid)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
            let ended = |_: &Stage| async move { start_ticks(running.pid).is_none() };
            self.wait_for("the server of the last demo, which is told to stop,", ended).await?;
        }
        self.remove_what_is_left().await
    }

    async fn remove_what_is_left(&self) -> anyhow::Result<()> {
        if let Some(lab) = &self.lab {
            lab.down().await?;
            // Written by the server so that this machine's Engine can push to it.
            let certificates = format!("/etc/docker/certs.d/{}:{}", lab.gateway(), self.ports.registry);
            remove_all(Path::new(&certificates))?;
        }
        let _ = std::fs::remove_file(self.running_file());
        remove_all(&self.data())
    }

    fn running_file(&self) -> PathBuf {
        self.directory.join("running.json")
    }
}

/// Joins a lab host as its operator would, and makes its agent start at boot.
async fn join_host(lab: &Lab, index: u32, name: &str, url: &str, token: &str) -> anyhow::Result<()> {
    let colour = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let address = lab.status().await?.into_iter().find(|host| host.index == index);
    let address = address.context("a lab host is gone")?.address;
    let script = format!(
        "set -e\n\
         wharf join {url} --token {token} --name {name} --label pool=web,colour={colour} --address {address} --data /var/lib/wharf\n\
         printf '#!/bin/sh\\nsetsid wharf agent --data /var/lib/wharf >/var/log/wharf-agent.log 2>&1 </dev/null &\\n' >/etc/rc.local\n\
         chmod 755 /etc/rc.local\n\
         /etc/rc.local\n"
    );
    let argv: Vec<OsString> = ["sh", "-c", &script].map(OsString::from).to_vec();
    let mut command = Command::from(lab.exec_command(index, &argv)?);
    children::run_well(&mut command, READY_LIMIT).await.with_context(|| format!("{name} could not join"))?;
    Ok(())
}

fn remove_all(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// When a process started, if it runs.
fn start_ticks(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // A zombie has ended. Field 3 is the state, field 22 the start; the split begins at field 3.
    (fields.first() != Some(&"Z")).then(|| fields.get(19).map(|ticks| (*ticks).to_owned())).flatten()
}
