//! A thousand hosts on one server: real connections, pings, reports; only their containers are not there
//! (`wharf lab agents`). What the server takes when nothing happens, and how long until all have a new generation.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::super::process;
use super::super::result::Comparison;

const AGENTS: u32 = 1_000;
/// Few, because the planning of a deploy is not what is measured: each generation goes to all hosts in any case.
const CONTAINERS: u32 = 10;
const APP: &str = "bench-agents";
/// How long nothing happens; CPU is counted in hundredths of a second.
const IDLE: Duration = Duration::from_secs(60);
const QUIET: &str = "1,000 agents, nothing happens";
const NEW: &str = "1,000 agents, a new generation";

pub(super) fn measure(comparison: &mut Comparison, wharf: &Path, repetitions: u32) -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join(format!("wharf-bench-agents-{}", std::process::id()));
    // In memory: a thousand agents have disks of their own.
    let hosts = Path::new("/dev/shm").join(directory.file_name().context("the directory has a name")?);
    std::fs::create_dir_all(&directory)?;
    let (_scratch, _hosts) = (Scratch(&directory), Scratch(&hosts));
    let wharf = wharf.display().to_string();
    let (data, hosts) = (directory.join("data").display().to_string(), hosts.display().to_string());
    let ports = process::free_ports(4)?;
    let keys = ["api.listen", "registry.listen", "balancer.http", "agents.listen"];
    let mut sets: Vec<String> =
        keys.iter().zip(&ports).map(|(key, port)| format!("{key}=127.0.0.1:{port}")).collect();
    sets.push("docker.is_host=false".to_owned());
    let mut arguments = vec!["up", "--data", &data];
    arguments.extend(sets.iter().flat_map(|set| ["--set", set.as_str()]));
    let server = process::start(None, &wharf, &arguments, &directory.join("wharf.log"))?;
    process::wait_for(([127, 0, 0, 1], ports[0]).into())?;
    let url = format!("http://127.0.0.1:{}", ports[0]);
    let ask = |words: &[&str]| process::run(&wharf, &[words, &["--server", &url, "--data", &data]].concat());
    let json = |words: &[&str]| -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&ask(&[words, &["--output", "json"]].concat())?)?)
    };
    comparison.commands.extend([
        format!("wharf up; wharf lab agents {url} --count {AGENTS}, from one process, state in /dev/shm"),
        format!("CPU seconds of wharf up over {} s in which nothing happens; VmRSS then", IDLE.as_secs()),
        format!("wharf deploy of {CONTAINERS} containers: of its generations the slowest, until the report of the last of {AGENTS} hosts was taken in"),
    ]);
    let count = AGENTS.to_string();
    let token = json(&["host", "token", "--uses", &count])?;
    let token = token["token"].as_str().context("no token")?.to_owned();
    let log = directory.join("agents.log");
    let arguments =
        ["lab", "agents", &url, "--token", &token, "--count", &count, "--data", &hosts, "--output", "json"];
    let _agents = process::start(None, &wharf, &arguments, &log)?;
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    wait("all agents are connected", || {
        Ok(lines().iter().any(|line| line["connected"] == AGENTS).then_some(()))
    })?;

    let app = directory.join("app");
    std::fs::create_dir_all(&app)?;
    let compose = |release: u32| {
        format!(
            "name: {APP}\nservices:\n  web:\n    image: nowhere/idle:{release}\n    deploy: {{ replicas: {CONTAINERS} }}\n"
        )
    };
    for repetition in 1..=repetitions {
        process::pause(Duration::from_secs(15));
        let before = server.cpu_seconds();
        process::pause(IDLE);
        let share = (server.cpu_seconds() - before) / IDLE.as_secs_f64() * 100.0;
        let values = [("% of a core", share), ("server MiB", server.resident_mib())];
        comparison.row(repetition, "wharf", QUIET, &values);

        let first = generation(&json)?;
        std::fs::write(app.join("compose.yaml"), compose(repetition))?;
        let before = server.cpu_seconds();
        ask(&["deploy", &app.display().to_string()])?;
        let cpu = server.cpu_seconds() - before;
        let last = generation(&json)?;
        // All generations of the deploy: the slowest counts.
        wait("all have the last generation", || {
            Ok(lines().iter().any(|line| line["generation"] == last).then_some(()))
        })?;
        let events = json(&["events", "--kind", "generation_made", "--limit", "500"])?;
        let made = |number: u64| {
            let mut all = events["events"].as_array().into_iter().flatten();
            all.find(|one| one["event"]["generation"] == number).and_then(|one| one["at"].as_f64())
        };
        let mut slowest = 0.0_f64;
        for line in lines() {
            let Some(number) =
                line["generation"].as_u64().filter(|number| (first + 1..=last).contains(number))
            else {
                continue;
            };
            let all_at = line["all_at"].as_f64().context("no `all_at`")?;
            slowest = slowest.max((all_at - made(number).context("an unknown generation")?) / 1_000.0);
        }
        anyhow::ensure!(slowest > 0.0, "no generation was acknowledged");
        comparison.row(
            repetition,
            "wharf",
            NEW,
            &[("acknowledged by all s", slowest), ("server cpu s", cpu)],
        );
    }
    for (measure, value) in
        [(QUIET, "% of a core"), (QUIET, "server MiB"), (NEW, "acknowledged by all s"), (NEW, "server cpu s")]
    {
        comparison.summarize_one("wharf", measure, value);
    }
    Ok(())
}

fn generation(json: &impl Fn(&[&str]) -> anyhow::Result<Value>) -> anyhow::Result<u64> {
    let events = json(&["events", "--kind", "generation_made", "--limit", "500"])?;
    let numbers = events["events"].as_array().into_iter().flatten();
    Ok(numbers.filter_map(|one| one["event"]["generation"].as_u64()).max().unwrap_or(0))
}

fn wait(what: &str, mut ask: impl FnMut() -> anyhow::Result<Option<()>>) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    while ask()?.is_none() {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(120), "not in two minutes: {what}");
        process::pause(Duration::from_millis(50));
    }
    Ok(())
}

/// A directory that is removed in the end.
struct Scratch<'a>(&'a Path);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0);
    }
}
