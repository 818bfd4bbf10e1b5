//! Starting: everything that can fail is done before the first thread, then each thread is a named task.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot, watch};
use wharf_base::{Clock, Shutdown, Tasks};
use wharf_model::ports::Pools;
use wharf_model::{PoolsObserved, Table};

use crate::access_log::{self, Buffer, Message};
use crate::shared::Shared;
use crate::worker::{Command, Settings, Worker};
use crate::{Config, Error, health, last_table, listen, observe, static_routes};

/// LIMIT: commands that wait for one worker; they are rare.
const COMMANDS_MAX: usize = 64;

/// What the balancer needs of others.
pub struct Deps {
    /// Time for log lines.
    pub clock: Arc<dyn Clock>,
    /// Its name among the balancers: `local`, or the name under which it joined.
    pub name: String,
    /// Directory of its own for the last table and the access log; `None` keeps no table.
    pub dir: Option<PathBuf>,
    /// Tables as the control plane makes them; `None` if it has none, or calls [`Handle::apply`] itself.
    pub tables: Option<watch::Receiver<Arc<Table>>>,
}

/// A running balancer. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    observed: watch::Receiver<Arc<PoolsObserved>>,
    workers: Vec<mpsc::Sender<Command>>,
    log: Option<mpsc::WeakSender<Message>>,
    shutdown: Shutdown,
}

/// Starts the balancer: with the last table from disk if there is one, and the routes of wharf.yaml.
///
/// Errors: `Config` for a wrong setting, `Listen` for an address that is taken, `Resolve` for a target without an
/// address. After an error nothing runs.
pub async fn start(config: Config, deps: Deps, tasks: &Tasks) -> Result<Handle, Error> {
    config.check()?;
    let cores = || std::thread::available_parallelism().map_or(1, |count| count.get());
    let workers = if config.workers == 0 { cores() } else { config.workers };
    let fixed_routes = static_routes::resolve(&config.routes).await?;
    let check = static_routes::health_check(&config.health);
    let shared = Arc::new(Shared::new(workers, config.limits.targets, check, fixed_routes));
    if let Some(dir) = &deps.dir {
        wharf_disk::atomic::create_directory(dir)?;
    }
    let table_file = deps.dir.as_ref().map(|dir| dir.join("table.json"));
    first_table(&shared, table_file.as_deref())?;
    let log_path = log_path(&config.access_log, deps.dir.as_deref());
    let log = match &log_path {
        Some(path) => {
            has_directory(path, &config.access_log)?;
            let bytes_max = config.limits.log_bytes.0 as usize;
            let opened = access_log::open(path, bytes_max, Arc::clone(&shared));
            Some(opened.map_err(|source| Error::AccessLog { path: path.clone(), source })?)
        }
        None => None,
    };
    let mut listeners: Vec<Vec<std::net::TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for address in &config.http {
        let opened = listen::open(*address, workers)?;
        addresses.push(opened[0].local_addr().unwrap_or(*address));
        for (of_worker, listener) in listeners.iter_mut().zip(opened) {
            of_worker.push(listener);
        }
    }
    let (queue, writer) = log.unzip();
    let settings = Arc::new(Settings::new(&config));
    let mut commands = Vec::with_capacity(workers);
    for (index, listeners) in listeners.into_iter().enumerate() {
        let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
        commands.push(sender);
        let (shared, settings) = (Arc::clone(&shared), Arc::clone(&settings));
        let (clock, shutdown) = (Arc::clone(&deps.clock), tasks.shutdown());
        let buffer = Buffer::new(config.access_log_format, queue.clone());
        thread_with_runtime(tasks, format!("balancer-worker-{index}"), move |runtime| {
            let worker = Worker::new(index, shared, settings, buffer, clock);
            runtime.block_on(std::rc::Rc::clone(&worker).run(listeners, shutdown, receiver));
            // Ends the tasks that are left; their lines come after those that `run` handed over.
            drop(runtime);
            worker.log.borrow_mut().hand_over();
        })?;
    }
    let (for_health, shutdown) = (Arc::clone(&shared), tasks.shutdown());
    thread_with_runtime(tasks, "balancer-health".to_owned(), move |runtime| {
        runtime.block_on(health::run(for_health, config.timeouts.connect, shutdown));
    })?;
    let weak = queue.as_ref().map(|queue| queue.weak());
    drop(queue);
    if let Some(writer) = writer {
        thread(tasks, "balancer-access-log".to_owned(), || writer.run())?;
    }
    // Never empty: no balancer at all would read as "nothing is in flight".
    let (publish, observed) = watch::channel(Arc::new(observe::now(&shared, &deps.name)));
    tasks.spawn("balancer-observe", observe::run(Arc::clone(&shared), deps.name, publish, tasks.shutdown()));
    if let Some(path) = table_file {
        // Subscribed before anybody can apply a table, so that none is missed.
        let applied = shared.applied();
        let run = last_table::run(Arc::clone(&shared), applied, path, tasks.shutdown());
        tasks.spawn("balancer-last-table", run);
    }
    if let Some(tables) = deps.tables {
        tasks.spawn("balancer-tables", follow(Arc::clone(&shared), tables, tasks.shutdown()));
    }
    tracing::info!(?addresses, workers, "balancer is ready");
    let shutdown = tasks.shutdown();
    Ok(Handle {
        inner: Arc::new(Inner { shared, addresses, observed, workers: commands, log: weak, shutdown }),
    })
}

impl Handle {
    /// Where it listens, with the port that was chosen for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// Puts `table` into use on all workers. After it has returned no request is assigned by an older table; those
    /// in flight finish. No connection is closed.
    ///
    /// Errors: `Table` names the place; the table in use stays.
    pub fn apply(&self, table: Table) -> Result<(), Error> {
        self.inner.shared.apply(table)
    }

    /// What it has counted, at least every 100 ms while anything changes.
    pub fn observed(&self) -> watch::Receiver<Arc<PoolsObserved>> {
        self.inner.observed.clone()
    }

    /// The same as a port for `deploy`.
    pub fn pools(&self) -> Arc<dyn Pools> {
        Arc::new(self.clone())
    }

    /// Waits until the lines of all requests that have ended are in the access log, and synced.
    pub async fn flush(&self) {
        for worker in &self.inner.workers {
            let (done, wait) = oneshot::channel();
            // A worker that has ended has handed everything over.
            if worker.send(Command::FlushLog(done)).await.is_ok() {
                let _ = wait.await;
            }
        }
        let log = self.inner.log.as_ref().and_then(mpsc::WeakSender::upgrade);
        if let Some(log) = log {
            let (done, wait) = oneshot::channel();
            if log.send(Message::Flush(done)).await.is_ok() {
                let _ = wait.await;
            }
        }
    }

    /// Lines of the access log that were dropped because the disk did not keep up.
    pub fn log_lines_dropped(&self) -> u64 {
        self.inner.shared.counts.log_lines_dropped.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn shutdown(&self) -> Shutdown {
        self.inner.shutdown.clone()
    }
}

impl Pools for Handle {
    fn observed(&self) -> watch::Receiver<Arc<PoolsObserved>> {
        self.inner.observed.clone()
    }
}

/// The last table, or an empty one: both bring the routes of wharf.yaml into use.
fn first_table(shared: &Shared, file: Option<&Path>) -> Result<(), Error> {
    if let Some(table) = file.and_then(last_table::read) {
        let version = table.version;
        match shared.apply(table) {
            Ok(()) => {
                tracing::info!(version, "serving by the last table until the control plane sends another");
                return Ok(());
            }
            Err(error) => tracing::error!(%error, "the last table is not used"),
        }
    }
    shared.apply(Table::default())
}

async fn follow(shared: Arc<Shared>, mut tables: watch::Receiver<Arc<Table>>, shutdown: Shutdown) {
    loop {
        let table = Table::clone(&tables.borrow_and_update());
        // Version 0 is the channel's first value: the control plane has not spoken yet.
        if table.version > 0
            && let Err(error) = shared.apply(table)
        {
            tracing::error!(%error, "the table before it stays in use");
        }
        tokio::select! {
            _ = shutdown.cancelled() => return,
            // Without a control plane the last table goes on.
            changed = tables.changed() => if changed.is_err() { return },
        }
    }
}

fn log_path(text: &str, dir: Option<&Path>) -> Option<PathBuf> {
    match text {
        "off" | "" => None,
        "-" => Some(PathBuf::from("-")),
        _ => Some(dir.map_or_else(|| PathBuf::from(text), |dir| dir.join(text))),
    }
}

/// A directory outside of the balancer's own is not made: a misspelt path would go unnoticed, and with it the log.
fn has_directory(path: &Path, text: &str) -> Result<(), Error> {
    let parent = Path::new(text).is_absolute().then(|| path.parent()).flatten();
    let Some(missing) = parent.filter(|parent| !parent.is_dir()) else { return Ok(()) };
    let problem = format!("{} is no directory; hint: make it, or set balancer.access_log", missing.display());
    let source = std::io::Error::new(std::io::ErrorKind::NotFound, problem);
    Err(Error::AccessLog { path: path.to_owned(), source })
}

/// Runs `body` in a thread with a runtime of its own. The runtime can't be sent there, so it is made there, and
/// whether that worked is told back.
fn thread_with_runtime(
    tasks: &Tasks,
    name: String,
    body: impl FnOnce(LocalRuntime) + Send + 'static,
) -> Result<(), Error> {
    let (made, was_made) = std::sync::mpsc::sync_channel(1);
    let what = name.clone();
    thread(tasks, name, move || {
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = made.send(Ok(()));
                body(runtime);
            }
            Err(error) => drop(made.send(Err(error))),
        }
    })?;
    let result = was_made.recv().unwrap_or_else(|_| Err(std::io::Error::other("its thread ended at once")));
    result.map_err(|source| Error::Start { what, source })
}

/// Runs `body` in a thread. The task of that name ends with the thread, and panics with it.
fn thread(tasks: &Tasks, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let (ended, wait) = oneshot::channel::<()>();
    let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let _ended = ended;
        body();
    });
    let handle = spawned.map_err(|source| Error::Start { what: name.clone(), source })?;
    tasks.spawn(name, async move {
        // Nothing is sent: the channel closes when the thread's last value goes.
        let _ = wait.await;
        // The thread has ended but for its last instructions.
        let joined = tokio::task::spawn_blocking(move || handle.join()).await;
        if let Ok(Err(panic)) = joined {
            std::panic::resume_unwind(panic);
        }
    });
    Ok(())
}
