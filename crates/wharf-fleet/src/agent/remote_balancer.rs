//! A balancer as a process of its own: it has joined with `role=balancer`, follows the table, and reports what it
//! counts. Its last table lies on disk, so that it routes without a server, also after its own restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use wharf_base::{Clock, Tasks};
use wharf_disk::{DirLock, atomic};
use wharf_model::{BalancerView, Table};

use super::data::Identity;
use super::link::{self, Connector, Server};
use crate::Error;
use crate::protocol::VERSION;

/// `deploy` waits for what balancers count: four reports a second while anything changes.
const REPORT_GAP: Duration = Duration::from_millis(200);
/// And a sign of life without a change.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What a remote balancer's link needs.
pub struct BalancerDeps {
    /// Directory that `join` wrote to.
    pub data: PathBuf,
    /// What the balancer counts, as it changes.
    pub views: watch::Receiver<Arc<BalancerView>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A balancer's link to its server.
pub struct BalancerLink {
    /// The table: the stored one at first, `None` if there never was any.
    pub tables: watch::Receiver<Option<Arc<Table>>>,
}

#[derive(Serialize, Deserialize)]
struct StoredTable {
    version: u32,
    table: Table,
}

/// Starts the link, until `tasks` stops. The server need not answer.
pub async fn start_balancer(deps: BalancerDeps, tasks: &Tasks) -> Result<BalancerLink, Error> {
    let BalancerDeps { data, mut views, clock } = deps;
    let lock = DirLock::acquire(&data)?;
    let identity = Identity::load(&data)?;
    let connector = Connector::network(&identity, &data, Arc::clone(&clock))?;
    let path = data.join("table.json");
    let stored = atomic::read(&path)?.and_then(|bytes| match serde_json::from_slice::<StoredTable>(&bytes) {
        Ok(stored) => Some(Arc::new(stored.table)),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the stored table cannot be read");
            None
        }
    });
    let (tables, receiver) = watch::channel(stored);
    let (online, _) = watch::channel(None);
    let seed = clock.now().0.unsigned_abs() ^ u64::from(std::process::id());
    let link_tasks = tasks.clone();
    tasks.spawn("balancer link", async move {
        let _lock = lock;
        let run = async move |server| session(server, &tables, &mut views, &path).await;
        link::keep_connected(connector, link_tasks, seed, online, run).await;
    });
    Ok(BalancerLink { tables: receiver })
}

async fn session(
    server: Server,
    tables: &watch::Sender<Option<Arc<Table>>>,
    views: &mut watch::Receiver<Arc<BalancerView>>,
    path: &std::path::Path,
) -> Result<(), Error> {
    let mut lines = server.lines("/agent/v1/tables").await?;
    let mut last_sent = Instant::now() - REPORT_GAP;
    let mut due = last_sent;
    loop {
        tokio::select! {
            line = lines.next::<Table>() => {
                let Some(table) = line? else { return Ok(()) };
                let stored = StoredTable { version: VERSION, table };
                let document = serde_json::to_vec(&stored).expect("plain records are JSON");
                tables.send_replace(Some(Arc::new(stored.table)));
                let path = path.to_owned();
                // The table is in use all the same; the next one is stored, or this one by the balancer itself.
                if let Err(error) = crate::blocking(move || atomic::write_private(&path, &document)).await {
                    tracing::error!(%error, "the table can't be stored for the next start");
                }
            }
            changed = views.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                due = due.min(last_sent + REPORT_GAP);
            }
            () = tokio::time::sleep_until(due) => {
                let view = Arc::clone(&views.borrow_and_update());
                last_sent = Instant::now();
                due = last_sent + REPORT_INTERVAL;
                server.post("/agent/v1/balancer", &*view).await?;
            }
        }
    }
}
