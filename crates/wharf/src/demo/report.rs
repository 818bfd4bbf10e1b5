//! The table at the end.

use serde_json::{Value, json};

use super::story::Told;
use crate::output::{Output, Table, bytes};

/// Prints the table, the bytes that each host pulled, and what was promised and not kept.
pub(super) fn print(told: &Told, broken: &[String], output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.line(&serde_json::to_string_pretty(&json(told, broken))?);
    }
    output.line("")?;
    let mut table = Table::new(&["STEP", ">SECONDS", ">SENT", ">FAILED", ">P50 MS", ">P99 MS", "RESULT"]);
    for name in step_names(told) {
        let scene = told.scenes.iter().find(|scene| scene.name == name);
        let phase = told.load.phases.iter().find(|phase| phase.name == name);
        let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
        let millis = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1}"));
        table.row(vec![
            name.to_owned(),
            scene.map_or_else(String::new, |scene| format!("{:.1}", scene.seconds)),
            number(phase.map(|phase| phase.sent)),
            number(phase.map(|phase| phase.failed.total())),
            millis(phase.map(|phase| phase.p50_ms)),
            millis(phase.map(|phase| phase.p99_ms)),
            scene.map_or_else(String::new, |scene| scene.outcome.clone().unwrap_or_else(|what| what)),
        ]);
    }
    let total = &told.load.total;
    table.row(vec![
        "all".to_owned(),
        String::new(),
        total.sent.to_string(),
        total.failed.total().to_string(),
        String::new(),
        String::new(),
        format!(
            "{} due at {}/s; access log: {} good, {} other",
            total.due, told.rate, told.log.ok, told.log.other
        ),
    ]);
    output.line(table.render().trim_end())?;
    let pulled: Vec<String> =
        told.pulled.iter().map(|(host, count)| format!("{host} {}", bytes(*count))).collect();
    output.line(&format!("\npulled: {}", pulled.join(", ")))?;
    if let Some(why) = &told.why_local {
        output.line(&format!("without lab hosts and so without the power loss: {why}"))?;
    }
    if broken.is_empty() {
        return output.line(&output.green("every promise was kept"));
    }
    for what in broken {
        output.line(&output.red(&format!("BROKEN PROMISE: {what}")))?;
    }
    Ok(())
}

/// Scenes in their order, and the phases of the load that are no scene.
fn step_names(told: &Told) -> Vec<&str> {
    let mut names: Vec<&str> = told.scenes.iter().take(1).map(|scene| scene.name).collect();
    names.extend(told.load.phases.iter().filter(|phase| phase.due > 0).map(|phase| phase.name.as_str()));
    names
}

/// The same as a document, for `--output json` and `--report`.
pub(super) fn json(told: &Told, broken: &[String]) -> Value {
    let scenes: Vec<Value> = told
        .scenes
        .iter()
        .map(|scene| {
            let (kept, result) = match &scene.outcome {
                Ok(result) => (true, result),
                Err(what) => (false, what),
            };
            json!({ "name": scene.name, "seconds": scene.seconds, "kept": kept, "result": result })
        })
        .collect();
    json!({
        "wharf": env!("CARGO_PKG_VERSION"),
        "command": format!("wharf demo --once --rate {}", told.rate),
        "machine": machine(),
        "lab": told.is_lab,
        "rate": told.rate,
        "scenes": scenes,
        "load": told.load,
        "access_log": { "ok": told.log.ok, "other": told.log.other },
        "lost_host": told.lost_host,
        "pulled_bytes": &told.pulled,
        "broken_promises": broken,
    })
}

/// Where it was measured.
fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let cpu =
        cpu_info.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
    json!({
        "cpu": cpu,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
