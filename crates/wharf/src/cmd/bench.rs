//! `wharf bench`: open-loop load.

use serde_json::json;
use wharf_base::Tasks;
use wharf_bench::{Load, LoadConfig, LoadReport};

use crate::cli::BenchArgs;
use crate::output::Output;

pub(super) async fn run(arguments: BenchArgs, output: Output) -> anyhow::Result<()> {
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
    output.result(&json!(report), || text(&report))
}

fn text(report: &LoadReport) -> String {
    let total = &report.total;
    let failed = &total.failed;
    format!(
        "{}: {:.0} requests/s for {:.1} s\n\
         due {}   sent {} ({:.2} %)   ok {}   failed {} (status {}, connect {}, reset {}, timeout {})\n\
         latency from when a request was due: p50 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms   max {:.2} ms\n\
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
        total.p50_ms,
        total.p99_ms,
        total.p999_ms,
        total.max_ms,
        report.connections_opened,
        report.connections_most,
        report.lateness_p99_ms,
    )
}
