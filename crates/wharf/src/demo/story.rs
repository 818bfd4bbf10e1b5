//! The story itself: eight scenes under load, each a command that a user would type.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;
use wharf_bench::{Load, LoadConfig, LoadReport};

use super::access_log::{self, Count};
use super::children;
use super::stage::Stage;
use crate::cli::DemoArgs;
use crate::output::Output;

/// How long a command of the story may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);
/// Quiet time after each scene, so that its effects are seen under its own name.
const SETTLE: Duration = Duration::from_secs(2);

/// One scene as it went.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) seconds: f64,
    /// `Err` says which promise was broken.
    pub(super) outcome: Result<String, String>,
}

/// Everything that the table and the verdict need.
pub(super) struct Told {
    pub(super) is_lab: bool,
    pub(super) why_local: Option<String>,
    pub(super) rate: f64,
    pub(super) scenes: Vec<Scene>,
    pub(super) load: LoadReport,
    pub(super) log: Count,
    /// Host whose power was cut.
    pub(super) lost_host: Option<String>,
    /// Its address.
    pub(super) lost_address: Option<String>,
    /// Bytes of layers that each host has pulled.
    pub(super) pulled: BTreeMap<String, u64>,
}

/// Name of the phase in which a host loses its power: only there requests may fail, and only on that host.
pub(super) const POWER_LOSS: &str = "power loss of a host";

/// The load's `User-Agent`, by which the access log tells it from other requests.
const LOAD_AGENT: &str = "wharf-bench";

struct Teller<'a> {
    stage: &'a Stage,
    app: String,
    output: Output,
    scenes: Vec<Scene>,
}

/// Tells the story on a stage that is set up.
pub(super) async fn tell(stage: &Stage, arguments: &DemoArgs, output: Output) -> anyhow::Result<Told> {
    let app = arguments.app.display().to_string();
    let mut teller = Teller { stage, app, output, scenes: Vec::new() };
    teller.deploy("deploy v1", "1", false).await?;
    let load =
        Load::start(LoadConfig::new(stage.front_url() + "/", arguments.rate), stage.load_tasks()).await?;
    output.say(&format!("  load: {} requests/s to {} from now on", arguments.rate, stage.front_url()))?;
    load.mark("steady")?;
    tokio::time::sleep(SETTLE).await;

    load.mark("deploy v2")?;
    teller.deploy("deploy v2", "2", false).await?;
    load.mark("deploy v3, broken")?;
    teller.deploy("deploy v3, broken", "3", true).await?;
    load.mark("scale to 5")?;
    teller.scale(5).await?;
    // An agent counts from its start, so what the host that loses its power has pulled is read before.
    let mut pulled = teller.pulled().await?;
    let mut lost_host = None;
    if stage.lab().is_some() {
        load.mark(POWER_LOSS)?;
        let host = teller.power_loss().await?;
        load.mark("the host returns")?;
        teller.host_returns(&host).await?;
        lost_host = Some(host);
    }
    load.mark("roll back to v1")?;
    teller.roll_back().await?;

    let report = load.stop().await;
    let log =
        access_log::count(&stage.access_log(), LOAD_AGENT, report.total.ok, Duration::from_secs(10)).await?;
    for (host, bytes) in teller.pulled().await? {
        let before = pulled.entry(host).or_default();
        *before = bytes.max(*before);
    }
    Ok(Told {
        is_lab: stage.lab().is_some(),
        why_local: stage.why_local().map(str::to_owned),
        rate: arguments.rate,
        scenes: teller.scenes,
        load: report,
        log,
        lost_address: lost_host.as_ref().and_then(|host| stage.lab_address(host)),
        lost_host,
        pulled,
    })
}

impl Teller<'_> {
    /// Deploys the example with VERSION (and BROKEN) set, as a user would from the shell.
    async fn deploy(&mut self, name: &'static str, version: &str, is_broken: bool) -> anyhow::Result<()> {
        let message = format!("version {version}");
        let app = self.app.clone();
        let mut command = self.stage.wharf(&["deploy", &app, "--message", &message]);
        command.env("VERSION", version);
        if is_broken {
            command.env("BROKEN", "1");
        }
        let shown =
            format!("VERSION={version}{} wharf deploy {app}", if is_broken { " BROKEN=1" } else { "" });
        let (ran, seconds) = self.run(&shown, command).await?;
        let serving = self.served_version().await?;
        let expected = if is_broken { "2" } else { version };
        let outcome = match (ran.is_success, is_broken) {
            (true, true) => Err("the broken release was accepted".to_owned()),
            (false, false) => Err("the deploy failed".to_owned()),
            _ if serving != expected => Err(format!("version {serving} serves instead of {expected}")),
            (false, true) => Ok("refused, v2 serves on".to_owned()),
            (true, false) => Ok(format!("v{version} serves")),
        };
        self.ends(name, seconds, outcome).await
    }

    async fn scale(&mut self, count: usize) -> anyhow::Result<()> {
        let wanted = format!("web={count}");
        let command = self.stage.wharf(&["scale", "--app", "shop", &wanted]);
        let (ran, seconds) = self.run(&format!("wharf scale --app shop {wanted}"), command).await?;
        let healthy = self.healthy_instances().await?.len();
        let outcome = match ran.is_success && healthy == count {
            true => Ok(format!("{healthy} containers are healthy")),
            false => Err(format!("{healthy} containers are healthy instead of {count}")),
        };
        self.ends("scale to 5", seconds, outcome).await
    }

    /// Cuts the power of a host that runs containers, and waits until the server has noticed.
    async fn power_loss(&mut self) -> anyhow::Result<String> {
        let running = self.healthy_instances().await?;
        let host = running.first().context("no container runs anywhere")?.clone();
        let index = self.stage.lab_index(&host).with_context(|| format!("{host} is no lab host"))?;
        let lab = self.stage.lab().context("the story needs a lab here")?;
        self.output.say(&format!("\n$ wharf lab kill {index}    # {host} loses its power"))?;
        lab.kill(index).await?;
        let name = host.clone();
        let is_lost = move |stage: &Stage| {
            let hosts = stage.wharf(&["host", "ls", "--output", "json"]);
            let name = name.clone();
            async move { liveness(hosts, &name).await.is_ok_and(|state| state == "lost") }
        };
        let noticed = self.stage.wait_for("the server's notice of the power loss", is_lost).await?;
        let outcome = if noticed <= Duration::from_secs(4) {
            Ok(format!("{host}: noticed after {:.1} s", noticed.as_secs_f64()))
        } else {
            Err(format!("{host}: noticed only after {:.1} s", noticed.as_secs_f64()))
        };
        self.output.say(&format!("  the server calls {host} lost after {:.1} s", noticed.as_secs_f64()))?;
        self.ends(POWER_LOSS, noticed.as_secs_f64(), outcome).await?;
        Ok(host)
    }

    async fn host_returns(&mut self, host: &str) -> anyhow::Result<()> {
        let index = self.stage.lab_index(host).with_context(|| format!("{host} is no lab host"))?;
        let lab = self.stage.lab().context("the story needs a lab here")?;
        let began = Instant::now();
        self.output.say(&format!("\n$ wharf lab start {index}   # {host} gets its power back"))?;
        lab.start(index).await?;
        let are_back = |stage: &Stage| {
            let ps = stage.wharf(&["ps", "shop", "--output", "json"]);
            async move { instances(ps).await.is_ok_and(|hosts| hosts.len() == 5) }
        };
        let outcome = match self.stage.wait_for("the containers of the host that returned", are_back).await {
            Ok(_) => Ok("all 5 containers are healthy again".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        self.output.say(&format!("  {host} is back with its containers"))?;
        self.ends("the host returns", began.elapsed().as_secs_f64(), outcome).await
    }

    async fn roll_back(&mut self) -> anyhow::Result<()> {
        let command = self.stage.wharf(&["rollback", "shop", "--to", "1"]);
        let (ran, seconds) = self.run("wharf rollback shop --to 1", command).await?;
        let serving = self.served_version().await?;
        let outcome = match (ran.is_success, serving.as_str()) {
            (true, "1") => Ok("v1 serves".to_owned()),
            (true, other) => Err(format!("version {other} serves instead of 1")),
            (false, _) => Err("the roll-back failed".to_owned()),
        };
        self.ends("roll back to v1", seconds, outcome).await
    }

    /// Runs a command of the story, shows it and what it printed.
    async fn run(&self, shown: &str, mut command: Command) -> anyhow::Result<(children::Ran, f64)> {
        self.output.say(&format!("\n$ {shown}"))?;
        let began = Instant::now();
        let ran = children::run(&mut command, COMMAND_LIMIT).await?;
        for line in ran.text.lines() {
            self.output.say(&format!("  {line}"))?;
        }
        Ok((ran, began.elapsed().as_secs_f64()))
    }

    async fn ends(
        &mut self,
        name: &'static str,
        seconds: f64,
        outcome: Result<String, String>,
    ) -> anyhow::Result<()> {
        self.scenes.push(Scene { name, seconds, outcome });
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    /// What the application itself says: the header `x-version` of an answer through the balancer.
    async fn served_version(&self) -> anyhow::Result<String> {
        let client = crate::context::connect(&self.stage.front_url(), None, None)?;
        let answer = client.send(http::Method::GET, "/", wharf_http::empty()).await?;
        let version = answer.headers().get("x-version").and_then(|value| value.to_str().ok());
        Ok(version.map_or_else(|| format!("? (status {})", answer.status()), str::to_owned))
    }

    /// Hosts of the healthy containers, one entry each.
    async fn healthy_instances(&self) -> anyhow::Result<Vec<String>> {
        instances(self.stage.wharf(&["ps", "shop", "--output", "json"])).await
    }

    async fn pulled(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let answer = self.stage.wharf_json(&["host", "ls"]).await?;
        let hosts = answer["hosts"].as_array().into_iter().flatten();
        let pulled = hosts.map(|host| {
            let name = host["name"].as_str().unwrap_or_default().to_owned();
            (name, host["pulled_bytes"].as_u64().unwrap_or_default())
        });
        Ok(pulled.collect())
    }
}

async fn instances(mut ps: Command) -> anyhow::Result<Vec<String>> {
    let text = children::run_well(&mut ps, COMMAND_LIMIT).await?;
    let answer: Value = serde_json::from_str(&text)?;
    let healthy = answer["instances"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["state"]["state"] == "healthy" && one["host_liveness"] == "up");
    Ok(healthy.filter_map(|one| one["host"].as_str().map(str::to_owned)).collect())
}

async fn liveness(mut host_ls: Command, name: &str) -> anyhow::Result<String> {
    let text = children::run_well(&mut host_ls, COMMAND_LIMIT).await?;
    let answer: Value = serde_json::from_str(&text)?;
    let host = answer["hosts"].as_array().into_iter().flatten().find(|host| host["name"] == name);
    Ok(host.and_then(|host| host["liveness"].as_str()).unwrap_or_default().to_owned())
}
