//! How fast throw-away hosts come and go, and what they cost. There is no peer to compare with.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::process;
use super::result::Comparison;

const HOSTS: u32 = 6;

pub(super) fn measure(wharf: &Path, repetitions: u32) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::new("lab");
    let wharf = wharf.display().to_string();
    comparison.version("wharf", &wharf, &["--version"]);
    comparison.version("dockerd", "dockerd", &["--version"]);
    let count = HOSTS.to_string();
    comparison.commands =
        vec![format!("wharf lab up {HOSTS}"), "wharf lab status".to_owned(), "wharf lab down".to_owned()];
    for repetition in 1..=repetitions {
        let began = Instant::now();
        process::run(&wharf, &["lab", "up", &count])?;
        let up = began.elapsed().as_secs_f64();
        let status: Value =
            serde_json::from_str(&process::run(&wharf, &["lab", "status", "--output", "json"])?)?;
        let hosts = status["hosts"].as_array().context("no hosts in `wharf lab status`")?;
        let memory: f64 = hosts.iter().filter_map(|host| host["memory_bytes"].as_f64()).sum();
        let began = Instant::now();
        process::run(&wharf, &["lab", "down"])?;
        let down = began.elapsed().as_secs_f64();
        let mib = memory / f64::from(HOSTS) / f64::from(1 << 20);
        comparison.row(
            repetition,
            "wharf",
            "lab of 6",
            &[("up s", up), ("down s", down), ("idle MiB per host", mib)],
        );
    }
    for value in ["up s", "down s", "idle MiB per host"] {
        comparison.summarize_one("wharf", "lab of 6", value);
    }
    Ok(comparison)
}
