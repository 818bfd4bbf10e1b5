//! Moves instances away from hosts that drain.
//!
//! Looks whenever the agents report something, and every `move_check`. An application with an instance on a draining
//! host that can go elsewhere gets a deploy of kind `move`: new instances elsewhere, healthy, then requests leave the
//! old ones, then those go. What has its data on the host stays, and so does everything while no other host fits.
//! LIMIT: after a try the next one waits for `move_retry`, twice as long after each, at most 64 times as long.

use std::collections::BTreeMap;

use tokio::time::Instant;
use wharf_base::Shutdown;
use wharf_model::Name;

use crate::handle::Handle;
use crate::strategy;

/// Tries to move one application.
struct Tries {
    next: Instant,
    count: u32,
}

/// Watches until the server stops.
pub(crate) async fn watch(handle: Handle, shutdown: Shutdown) {
    let mut observed = handle.engine().hosts.observed();
    let mut tries: BTreeMap<Name, Tries> = BTreeMap::new();
    loop {
        let apps = to_move(&handle);
        tries.retain(|app, _| apps.contains(app));
        for app in apps {
            look_at(&handle, app, &mut tries).await;
        }
        let changed = async {
            if observed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = changed => {}
            // Draining itself is no report, so on a quiet installation only the time brings us here.
            () = tokio::time::sleep(handle.engine().config.move_check) => {}
        }
    }
}

async fn look_at(handle: &Handle, app: Name, tries: &mut BTreeMap<Name, Tries>) {
    let now = Instant::now();
    let count = match tries.get(&app) {
        Some(last) if now < last.next => return,
        last => last.map_or(0, |last| last.count),
    };
    if !handle.can_move(&app).await {
        return;
    }
    match handle.move_away(&app).await {
        Ok(started) => {
            tracing::info!(%app, deploy = started.deploy, "moving instances away from a draining host");
            let next = now + handle.engine().config.move_retry * 2u32.pow(count.min(6));
            tries.insert(app, Tries { next, count: count + 1 });
        }
        // Another deploy runs; we look again when it has ended.
        Err(error) => tracing::debug!(%app, %error, "not moved now"),
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
