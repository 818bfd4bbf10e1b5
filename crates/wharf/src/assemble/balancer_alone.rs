//! `wharf up --only balancer`: the balancer as a process of its own.
//!
//! If `--data` belongs to a balancer that has joined a server (`wharf join --role balancer`), its tables come from there;
//! else its routes come from wharf.yaml alone. In both cases it serves with what it last had when nobody answers.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;
use wharf_base::{Clock, SystemClock, Tasks};
use wharf_disk::DirLock;
use wharf_fleet::agent::{BalancerDeps, Identity, start_balancer};
use wharf_model::{BalancerView, PoolsObserved, Table};

use crate::config::Config;

/// Returns the lock on `data`, unless the link to the server holds it, and addresses for people.
pub(super) async fn start(
    config: Config,
    data: &Path,
    tasks: &Tasks,
) -> anyhow::Result<(Option<DirLock>, Vec<String>)> {
    let joined = Identity::load(data).ok();
    anyhow::ensure!(
        joined.is_some() || !config.balancer.routes.is_empty(),
        "the balancer has nothing to route\n  hint: give balancer.routes in wharf.yaml, or join a server: wharf join URL --role balancer --data {}",
        data.display()
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (views, views_seen) = watch::channel(Arc::new(BalancerView::default()));
    let (lock, tables, name) = match joined {
        Some(identity) => {
            let deps = BalancerDeps { data: data.to_owned(), views: views_seen, clock: Arc::clone(&clock) };
            let link = start_balancer(deps, tasks).await.context("cannot follow the server's table")?;
            (None, Some(some_tables(link.tables, tasks)), identity.name.to_string())
        }
        None => (Some(DirLock::acquire(data)?), None, "alone".to_owned()),
    };
    let deps = wharf_balancer::Deps { clock, name, dir: Some(data.join("balancer")), tables };
    let balancer = wharf_balancer::start(config.balancer, deps, tasks).await?;
    report(balancer.observed(), views, tasks);
    Ok((lock, balancer.addresses().iter().map(|address| format!("applications  http://{address}")).collect()))
}

/// Tables from the first one on; before it the balancer uses the one from its own disk.
fn some_tables(
    mut tables: watch::Receiver<Option<Arc<Table>>>,
    tasks: &Tasks,
) -> watch::Receiver<Arc<Table>> {
    let first = tables.borrow_and_update().clone().unwrap_or_default();
    let (sender, receiver) = watch::channel(first);
    let shutdown = tasks.shutdown();
    tasks.spawn("balancer-link-tables", async move {
        while let Some(Ok(())) = shutdown.run_until_cancelled(tables.changed()).await {
            if let Some(table) = tables.borrow_and_update().clone() {
                sender.send_replace(table);
            }
        }
    });
    receiver
}

/// What this balancer counts, to the server.
fn report(
    mut observed: watch::Receiver<Arc<PoolsObserved>>,
    views: watch::Sender<Arc<BalancerView>>,
    tasks: &Tasks,
) {
    let shutdown = tasks.shutdown();
    tasks.spawn("balancer-link-views", async move {
        while let Some(Ok(())) = shutdown.run_until_cancelled(observed.changed()).await {
            if let Some(view) = observed.borrow_and_update().balancers.first() {
                views.send_replace(Arc::new(view.clone()));
            }
        }
    });
}
