//! Moves instances away from hosts that drain.
//!
//! Looks whenever the agents report something. An application with an instance on a draining host gets a deploy of
//! kind `move`: new instances elsewhere, healthy, then requests leave the old ones, then those go. What has its data
//! on the host stays. LIMIT: one try per application and `move_retry`.

use std::collections::BTreeMap;

use tokio::time::Instant;
use wharf_base::Shutdown;
use wharf_model::Name;

use crate::handle::Handle;
use crate::strategy;

/// Watches until the server stops.
pub(crate) async fn watch(handle: Handle, shutdown: Shutdown) {
    let mut observed = handle.engine().hosts.observed();
    let mut tried: BTreeMap<Name, Instant> = BTreeMap::new();
    loop {
        for app in to_move(&handle) {
            let now = Instant::now();
            let retry = handle.engine().config.move_retry;
            if tried.get(&app).is_some_and(|last| now < *last + retry) {
                continue;
            }
            match handle.move_away(&app).await {
                Ok(started) => {
                    tracing::info!(%app, deploy = started.deploy, "moving instances away from a draining host");
                    tried.insert(app, now);
                }
                // Another deploy runs; its end is followed by reports.
                Err(error) => tracing::debug!(%app, %error, "not moved now"),
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = observed.changed() => if changed.is_err() { return },
        }
    }
}

/// Applications with an instance on a draining host that can go elsewhere.
fn to_move(handle: &Handle) -> Vec<Name> {
    let engine = handle.engine();
    let hosts = engine.hosts.hosts();
    let draining: Vec<&Name> = hosts.iter().filter(|host| host.draining).map(|host| &host.name).collect();
    if draining.is_empty() {
        return Vec::new();
    }
    let generation = engine.hosts.generation();
    let has_some = |(_, desired): &(&Name, &wharf_model::AppDesired)| {
        desired.instances.iter().any(|one| draining.contains(&&one.host) && !strategy::keeps_data(&one.spec))
    };
    generation.apps.iter().filter(has_some).map(|(app, _)| app.clone()).collect()
}
