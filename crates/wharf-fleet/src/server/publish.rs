//! Publishes what is observed, the table and the remote balancers, whenever something they depend on has changed.
//!
//! Many changes at once give one publication: after each, the task rests four times as long as it worked, so it never
//! takes more than a fifth of a core, however many hosts report.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use wharf_base::Tasks;
use wharf_model::{Liveness, Observed, Table};

use super::fleet::{Fleet, Host};
use super::table::{self, HostFacts, Presence};

/// Publishes once, so that nobody ever sees an empty table where there are routes, and then starts the task.
pub(crate) fn start(fleet: &Arc<Fleet>, tasks: &Tasks) {
    let (fleet, shutdown) = (Arc::clone(fleet), tasks.shutdown());
    publish(&fleet);
    tasks.spawn("fleet-publish", async move {
        loop {
            let begun = Instant::now();
            let next = publish(&fleet);
            let rest = tokio::time::sleep(begun.elapsed() * 4);
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let changed = async {
                tokio::select! {
                    () = fleet.changed.notified() => {}
                    () = due => {}
                }
                rest.await;
            };
            tokio::select! {
                () = changed => {}
                () = shutdown.cancelled() => return,
            }
        }
    });
}

/// Publishes what has changed. Returns when time alone will change something next.
fn publish(fleet: &Fleet) -> Option<Instant> {
    let generation = fleet.generation();
    let kept = fleet.config.lost_targets_kept;
    let now = Instant::now();
    let (observed, routes, pools, next) = {
        let state = fleet.state();
        let mut facts = BTreeMap::new();
        let mut observed = Observed { generation: generation.number, hosts: BTreeMap::new() };
        let mut next: Option<Instant> = None;
        for (name, host) in &state.hosts {
            let (presence, until) = presence(host, kept, now);
            next = [next, until].into_iter().flatten().min();
            facts.insert(
                name.clone(),
                HostFacts { presence, draining: host.record.draining, report: &host.report },
            );
            observed.hosts.insert(name.clone(), (host.liveness, (*host.report).clone()));
        }
        let (pools, until) = state.pools(now);
        next = [next, until].into_iter().flatten().min();
        (observed, table::routes(&generation, &facts), pools, next)
    };
    send_changed(&fleet.observed, observed);
    fleet.tables.send_if_modified(|table| {
        let is_new = table.generation != generation.number || table.routes != routes;
        if is_new {
            let version = table.version + 1;
            *table = Arc::new(Table { version, generation: generation.number, routes });
        }
        is_new
    });
    send_changed(&fleet.balancers, pools);
    next
}

fn send_changed<T: PartialEq>(channel: &tokio::sync::watch::Sender<Arc<T>>, value: T) {
    channel.send_if_modified(|current| {
        let is_new = **current != value;
        if is_new {
            *current = Arc::new(value);
        }
        is_new
    });
}

/// How the host's connection bears on its targets, and until when.
fn presence(host: &Host, kept: std::time::Duration, now: Instant) -> (Presence, Option<Instant>) {
    match (host.liveness, host.lost_since) {
        (Liveness::Up, _) => (Presence::Here, None),
        (Liveness::Lost, Some(since)) if now < since => (Presence::Here, Some(since)),
        (Liveness::Lost, Some(since)) if now < since + kept => (Presence::Lost, Some(since + kept)),
        (Liveness::Lost | Liveness::Never, _) => (Presence::Gone, None),
    }
}
