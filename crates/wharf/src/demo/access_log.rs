//! The balancer's own account of the load, to be compared with the client's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;

/// What the access log says of the requests of the load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Requests answered with 2xx.
    pub(super) ok: u64,
    /// All others, client aborts included.
    pub(super) other: u64,
    /// Others by the IP address of the target that was tried last.
    pub(super) other_by_address: BTreeMap<String, u64>,
}

/// The fields of a JSON line that are needed here.
#[derive(Deserialize)]
struct Line {
    status: u16,
    /// `<instance>@<ip>:<port>`, empty when no target was tried.
    backend: String,
    user_agent: String,
}

/// Waits until the log tells of at least `expected` requests of `agent`, or for at most `limit`, and counts them. The
/// balancer writes lines a moment after it has answered.
pub(super) async fn count(path: &Path, agent: &str, expected: u64, limit: Duration) -> anyhow::Result<Count> {
    let begun = Instant::now();
    loop {
        let counted = read(path, agent)?;
        if counted.ok + counted.other >= expected || begun.elapsed() > limit {
            return Ok(counted);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn read(path: &Path, agent: &str) -> anyhow::Result<Count> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut count = Count::default();
    for line in text.lines() {
        let line: Line =
            serde_json::from_str(line).with_context(|| format!("odd access log line: {line}"))?;
        if line.user_agent != agent {
            continue;
        }
        if (200..300).contains(&line.status) {
            count.ok += 1;
        } else {
            count.other += 1;
            let address = line.backend.rsplit('@').next().and_then(|address| address.rsplit_once(':'));
            *count
                .other_by_address
                .entry(address.map_or_else(String::new, |(ip, _)| ip.to_owned()))
                .or_default() += 1;
        }
    }
    Ok(count)
}
