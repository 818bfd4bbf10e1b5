//! Six lab hosts and a server: a deploy under load, a host that joins, a host that is lost, and what the programs keep in
//! memory. Swarm is not run again: areas/fleet.md of the design has 15.8 s until it calls a host down, on such hosts.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::super::process;
use super::super::result::Comparison;
use super::site::{APP, Site};

const HOSTS: u32 = 6;
/// Those that join at first; the others join while something is measured.
const FIRST: u32 = 3;
const RATE: u32 = 2_000;
const SECONDS: u32 = 25;
const DEPLOY: &str = "deploy on 3 hosts, build cached";
const LOAD: &str = "deploy, scale up, scale down, rollback under 2,000 requests a second";
const JOIN: &str = "bare host with Docker joins";
const LOSS: &str = "power loss of a host";
const MEMORY: &str = "memory with 6 hosts";

pub(super) fn measure(comparison: &mut Comparison, wharf: &Path, repetitions: u32) -> anyhow::Result<()> {
    let site = Site::new(wharf, HOSTS)?;
    comparison.commands.extend([
        format!("wharf lab up {HOSTS}; wharf up; wharf join and wharf agent on {FIRST} hosts"),
        "wharf deploy with another value in `environment`: from its start until the balancer answers with it"
            .to_owned(),
        format!(
            "wharf bench --rate {RATE} --duration {SECONDS}s over deploy, scale web=6, scale web=3, rollback"
        ),
        "wharf join, wharf agent and wharf scale web=N+1: until a container on the new host is healthy"
            .to_owned(),
        "wharf lab kill; time of the event host_lost; until as many are healthy on other hosts".to_owned(),
        "VmRSS of each wharf agent and of wharf up, with the application on all hosts".to_owned(),
    ]);
    for host in 1..=FIRST {
        site.join(host)?;
    }
    site.wait_up(FIRST as usize)?;
    // The first deploy builds and pulls; it is not measured.
    deploy(&site, "first")?;

    for repetition in 1..=repetitions {
        let (serving, done) = deploy(&site, &format!("cached {repetition}"))?;
        comparison.row(
            repetition,
            "wharf",
            DEPLOY,
            &[("serving s", serving), ("old containers gone s", done)],
        );
        under_load(comparison, &site, repetition)?;
    }
    for (repetition, host) in (FIRST + 1..=HOSTS).enumerate() {
        let seconds = join(&site, host)?;
        comparison.row(repetition as u32 + 1, "wharf", JOIN, &[("serving s", seconds)]);
    }
    memory(comparison, &site)?;
    for repetition in 1..=repetitions {
        // Another host each time; the last ones first.
        let host = HOSTS - (repetition - 1) % HOSTS;
        let (noticed, elsewhere) = lose(&site, host)?;
        comparison.row(
            repetition,
            "wharf",
            LOSS,
            &[("noticed s", noticed), ("all run elsewhere s", elsewhere)],
        );
    }
    for (measure, value) in [
        (DEPLOY, "serving s"),
        (DEPLOY, "old containers gone s"),
        (LOAD, "requests"),
        (LOAD, "failed"),
        (LOAD, "p99 ms"),
        (JOIN, "serving s"),
        (MEMORY, "agent MiB, greatest"),
        (MEMORY, "server MiB"),
        (LOSS, "noticed s"),
        (LOSS, "all run elsewhere s"),
    ] {
        comparison.summarize_one("wharf", measure, value);
    }
    Ok(())
}

/// Deploys a release that says `text`. Returns the seconds until it is what the balancer answers, and until the end.
fn deploy(site: &Site, text: &str) -> anyhow::Result<(f64, f64)> {
    let app = site.write_app(text, FIRST)?;
    let begun = Instant::now();
    let (mut running, log) = site.start(&["deploy", &app], "deploy.log")?;
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let serving = site.wait(text, || {
        anyhow::ensure!(running.ended() != Some(false), "the deploy failed: {}", said());
        Ok(site.answer().is_ok_and(|answer| answer == text).then(|| begun.elapsed().as_secs_f64()))
    })?;
    site.wait("the end of the deploy", || Ok(running.ended().filter(|is_well| *is_well)))?;
    Ok((serving, begun.elapsed().as_secs_f64()))
}

/// Everything that moves containers, under load.
fn under_load(comparison: &mut Comparison, site: &Site, repetition: u32) -> anyhow::Result<()> {
    let (rate, duration) = (RATE.to_string(), format!("{SECONDS}s"));
    let arguments = ["bench", &site.front(), "--rate", &rate, "--duration", &duration, "--output", "json"];
    let (mut load, log) = site.start(&arguments, "bench.json")?;
    deploy(site, &format!("loaded {repetition}"))?;
    site.wharf(&["scale", "--app", APP, "web=6"])?;
    site.wharf(&["scale", "--app", APP, "web=3"])?;
    site.wharf(&["rollback", APP])?;
    anyhow::ensure!(load.ended().is_none(), "the load of {SECONDS} s ended before the work was done");
    site.wait("the end of the load", || Ok(load.ended()))?;
    let text = std::fs::read_to_string(log)?;
    // Messages for people may come before the document.
    let report: Value = serde_json::from_str(&text[text.find('{').context("no report")?..])?;
    let total = &report["total"];
    let failed = ["status", "connect", "reset", "timeout"]
        .map(|cause| total["failed"][cause].as_f64().unwrap_or(f64::NAN));
    let values = [
        ("requests", total["due"].as_f64().context("no `due`")?),
        ("failed", failed.iter().sum()),
        ("p99 ms", total["p99_ms"].as_f64().context("no `p99_ms`")?),
    ];
    comparison.row(repetition, "wharf", LOAD, &values);
    Ok(())
}

/// Seconds from the join of a host until a container on it serves.
fn join(site: &Site, host: u32) -> anyhow::Result<f64> {
    let name = format!("host{host}");
    let begun = Instant::now();
    site.join(host)?;
    site.wait("the host is up", || {
        let listed = site.json(&["host", "ls"])?;
        let mut hosts = listed["hosts"].as_array().into_iter().flatten();
        Ok(hosts.any(|one| one["name"] == *name && one["liveness"] == "up").then_some(()))
    })?;
    site.wharf(&["scale", "--app", APP, &format!("web={host}")])?;
    site.wait("it serves", || Ok((site.healthy(|on| on == name)? > 0).then_some(())))?;
    Ok(begun.elapsed().as_secs_f64())
}

fn memory(comparison: &mut Comparison, site: &Site) -> anyhow::Result<()> {
    let mut agents = Vec::new();
    for host in 1..=HOSTS {
        let line = site.sh(host, "grep VmRSS /proc/$(cat /run/agent.pid)/status")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no VmRSS")?.parse()?;
        agents.push(kib / 1_024.0);
    }
    let greatest = agents.iter().copied().fold(0.0, f64::max);
    let values = [("agent MiB, greatest", greatest), ("server MiB", site.server().resident_mib())];
    comparison.row(1, "wharf", MEMORY, &values);
    Ok(())
}

/// Cuts a host's power; returns the seconds until that is noticed, and until its containers run elsewhere. It is back
/// afterwards.
fn lose(site: &Site, host: u32) -> anyhow::Result<(f64, f64)> {
    let name = format!("host{host}");
    let wanted = site.healthy(|_| true)?;
    let lost = || -> anyhow::Result<Option<f64>> {
        let events = site.json(&["events", "--kind", "host_lost", "--limit", "50"])?;
        let all = events["events"].as_array().into_iter().flatten();
        let at = all.filter(|one| one["event"]["host"] == *name).filter_map(|one| one["at"].as_f64());
        Ok(at.reduce(f64::max))
    };
    let before = lost()?;
    let (begun, clock) = (Instant::now(), process::unix_millis());
    site.power("kill", host)?;
    let at =
        site.wait("the loss is noticed", || Ok(lost()?.filter(|_| lost().is_ok_and(|now| now != before))))?;
    site.wait("all run elsewhere", || Ok((site.healthy(|on| on != name)? >= wanted).then_some(())))?;
    let elsewhere = begun.elapsed().as_secs_f64();
    site.power("start", host)?;
    site.start_agent(host)?;
    site.wait_up(HOSTS as usize)?;
    // What moved away is gone there, and nothing is under way any more.
    site.wait("the host is empty", || {
        let listed = site.json(&["ps", APP])?;
        let mut all = listed["instances"].as_array().into_iter().flatten();
        Ok((!all.any(|one| one["host"] == *name)).then_some(()))
    })?;
    Ok(((at - clock) / 1_000.0, elsewhere))
}
