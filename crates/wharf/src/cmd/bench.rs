//! `wharf bench`: open-loop load.

use std::collections::BTreeMap;

use serde_json::json;
use wharf_base::Tasks;
use wharf_bench::{Load, LoadConfig, LoadReport, PhaseReport};

use crate::cli::BenchArgs;
use crate::failure::{Reported, usage};
use crate::output::Output;

pub(super) async fn run(arguments: BenchArgs, output: Output) -> anyhow::Result<()> {
    if arguments.url.starts_with("https://") {
        return Err(usage(format!(
            "`{}`: wharf bench speaks plain HTTP only\n  hint: measure the balancer's http:// address, or that of a target",
            arguments.url
        )));
    }
    let tasks = Tasks::new();
    let config = LoadConfig {
        duration: Some(arguments.duration),
        connections_max: arguments.connections,
        timeout: arguments.timeout,
        ..LoadConfig::new(arguments.url, arguments.rate)
    };
    let load = Load::start(config, &tasks).await?;
    let mut second = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        tokio::select! {
            () = load.ended() => break,
            // What was measured until then is worth a report.
            signal = tokio::signal::ctrl_c() => { signal?; break }
            _ = second.tick() => {
                let now = load.snapshot();
                output.progress(&format!(
                    "{:>5.0} s  {} sent  {} failed  p50 {:.1} ms  p99 {:.1} ms",
                    now.seconds, now.total.sent, now.total.failed.total(), now.recent.p50_ms, now.recent.p99_ms
                ));
            }
        }
    }
    output.progress_done();
    let report = load.stop().await;
    output.result(&json!(report), || text(&report))?;
    // A load that nobody answered well is no measurement.
    let has_failed = report.total.ok == 0 && report.total.failed.total() > 0;
    if has_failed { Err(Reported.into()) } else { Ok(()) }
}

fn text(report: &LoadReport) -> String {
    let total = &report.total;
    let failed = &total.failed;
    format!(
        "{}: {:.0} requests/s for {:.1} s\n\
         due {}   sent {} ({:.2} %)   ok {}   failed {} (status {}, connect {}, reset {}, timeout {})\n\
         {}{}\n\
         connections: {} opened, {} at most; generator lateness p99 {:.2} ms",
        report.url,
        report.rate,
        total.seconds,
        total.due,
        total.sent,
        report.sent_share() * 100.0,
        total.ok,
        failed.total(),
        failed.status,
        failed.connect,
        failed.reset,
        failed.timeout,
        most_frequent(report).map(|failure| format!("most failed with: {failure}\n")).unwrap_or_default(),
        latency(total),
        report.connections_opened,
        report.connections_most,
        report.lateness_p99_ms,
    )
}

fn latency(total: &PhaseReport) -> String {
    // Broken connections have no latency.
    if total.ok + total.failed.status + total.failed.timeout == 0 {
        return "latency: none, as nothing was answered".to_owned();
    }
    format!(
        "latency from when a request was due: p50 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms   max {:.2} ms",
        total.p50_ms, total.p99_ms, total.p999_ms, total.max_ms,
    )
}

/// The detail that most of the listed failures have, with its cause.
fn most_frequent(report: &LoadReport) -> Option<String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for failure in &report.failures {
        let cause = format!("{:?}", failure.cause).to_lowercase();
        *counts.entry(format!("{cause}: {}", failure.detail)).or_default() += 1;
    }
    let (text, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use wharf_base::UnixMillis;
    use wharf_bench::{Failure, FailureCause};

    use super::*;

    #[test]
    fn a_load_without_answers_has_no_latency_and_says_why() {
        let failure = |detail: &str| Failure {
            due: UnixMillis(0),
            failed: UnixMillis(0),
            phase: 0,
            cause: FailureCause::Connect,
            detail: detail.to_owned(),
        };
        let mut report = LoadReport {
            failures: vec![failure("refused"), failure("no route"), failure("refused")],
            ..LoadReport::default()
        };
        report.total.failed.connect = 3;
        let said = text(&report);
        assert!(said.contains("most failed with: connect: refused"), "{said}");
        assert!(said.contains("latency: none") && !said.contains("p50"), "{said}");
        report.total.ok = 1;
        assert!(text(&report).contains("p50 0.00 ms"));
    }
}
