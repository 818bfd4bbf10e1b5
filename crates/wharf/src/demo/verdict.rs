//! The promises of the story, judged by what was counted on both sides.

use super::story::{POWER_LOSS, Told};

/// At least this share of the requests that were due must really have been sent.
const SENT_SHARE_MIN: f64 = 0.99;

/// Every promise that was broken, as a sentence; empty when the story ended well.
pub(super) fn broken_promises(told: &Told) -> Vec<String> {
    let mut broken = Vec::new();
    for scene in &told.scenes {
        if let Err(what) = &scene.outcome {
            broken.push(format!("{}: {what}", scene.name));
        }
    }
    let total = &told.load.total;
    if (total.sent as f64) < SENT_SHARE_MIN * total.due as f64 {
        broken.push(format!("only {} of {} requests that were due were sent", total.sent, total.due));
    }
    // Requests in flight on the host that lost its power are those whose last target was there.
    let on_lost_host = told
        .lost_address
        .as_ref()
        .and_then(|address| told.log.other_by_address.get(address))
        .copied()
        .unwrap_or(0);
    for phase in &told.load.phases {
        let allowed = if phase.name == POWER_LOSS { on_lost_host } else { 0 };
        if phase.failed.total() > allowed {
            broken.push(format!("{}: {} requests failed, {allowed} may", phase.name, phase.failed.total()));
        }
    }
    if told.log.ok != total.ok {
        broken.push(format!("the access log has {} good answers, the client {}", told.log.ok, total.ok));
    }
    // A request that never reached the balancer has no line; none with a line may be missing at the client.
    if told.log.other > total.failed.total() {
        broken.push(format!(
            "the access log has {} other answers, the client {} failures",
            told.log.other,
            total.failed.total()
        ));
    }
    broken
}
