//! One worker: a thread with its own runtime, listeners, pools, log buffer and request ids.
//!
//! Accepts → one task per client connection (`connection`) → the request's way (`proxy`) → a target. A tick of 50 ms
//! walks over the connections for timeouts and moves, hands over log lines, sweeps the pools. Stopping: accept what
//! the kernel has queued, close the listeners, answer with `Connection: close`, wait, then end what is left.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::HeaderValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use wharf_base::{Clock, Shutdown, UnixMillis};

use crate::access_log::Buffer;
use crate::config::Config;
use crate::connection;
use crate::network::Network;
use crate::pool::Pool;
use crate::record::{Record, Tick, Verdict};
use crate::shared::Shared;

/// Resolution of all timeouts but that for connecting, and delay of a move: fine enough for both, and 20 walks a
/// second over 8192 connections cost less than 1 % of a core.
const TICK: Duration = Duration::from_millis(50);

/// How long idle clients are given to send one more request when the balancer stops, so that it can be answered
/// with `Connection: close`: a close under a request that is on its way is a lost request.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// The settings in the form that workers use.
pub(crate) struct Settings {
    pub(crate) connect: Duration,
    /// In ticks.
    pub(crate) header: Tick,
    pub(crate) keep_alive: Tick,
    pub(crate) response: Tick,
    pub(crate) idle: Tick,
    pub(crate) tunnel: Tick,
    pool: Tick,
    stop: Duration,
    pub(crate) attempts: u32,
    pub(crate) retry_percent: u32,
    pub(crate) body_bytes: u64,
    connections: usize,
    pool_connections: usize,
    header_bytes: usize,
    header_count: usize,
    trusted: Vec<Network>,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Settings {
        let (timeouts, limits) = (&config.timeouts, &config.limits);
        Settings {
            connect: timeouts.connect,
            header: ticks(timeouts.header),
            keep_alive: ticks(timeouts.keep_alive),
            response: ticks(timeouts.response),
            idle: ticks(timeouts.idle),
            tunnel: ticks(timeouts.tunnel),
            pool: ticks(timeouts.pool),
            stop: timeouts.stop,
            attempts: limits.attempts,
            retry_percent: limits.retry_percent,
            body_bytes: limits.body_bytes.map_or(u64::MAX, |size| size.0),
            connections: limits.connections,
            pool_connections: limits.pool_connections,
            header_bytes: limits.header_bytes.0 as usize,
            header_count: limits.header_count,
            trusted: config.trusted_proxies.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }
}

/// A duration in ticks, never shorter than it.
pub(crate) fn ticks(duration: Duration) -> Tick {
    let count = duration.as_millis().div_ceil(TICK.as_millis()) + 1;
    // 2^30 ticks are 1.7 years: far enough, and no sum overflows.
    Tick::try_from(count).unwrap_or(Tick::MAX).min(1 << 30)
}

/// What others ask of a worker.
pub(crate) enum Command {
    /// Hand the log lines over, then say so.
    FlushLog(oneshot::Sender<()>),
}

/// See the module.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: RefCell<Pool>,
    pub(crate) log: RefCell<Buffer>,
    pub(crate) server: hyper::server::conn::http1::Builder,
    pub(crate) client: hyper::client::conn::http1::Builder,
    /// The current tick, and the wall clock at it.
    pub(crate) now: Cell<Tick>,
    pub(crate) wall: Cell<UnixMillis>,
    /// No new connections; responses close.
    pub(crate) is_stopping: Cell<bool>,
    /// The time for what was in flight is over.
    pub(crate) is_killing: Cell<bool>,
    started: Instant,
    clock: Arc<dyn Clock>,
    records: RefCell<Records>,
    closed: Notify,
    acceptors: Cell<usize>,
    id_prefix: u64,
    ids: Cell<u64>,
}

/// All connections, with free places in between.
#[derive(Default)]
struct Records {
    places: Vec<Option<Rc<Record>>>,
    free: Vec<usize>,
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        settings: Arc<Settings>,
        log: Buffer,
        clock: Arc<dyn Clock>,
    ) -> Rc<Worker> {
        let mut server = hyper::server::conn::http1::Builder::new();
        server.half_close(false);
        server.max_header_size(settings.header_bytes);
        // A head that exceeds the limit must still fit, so that it is answered with 431.
        server.max_buf_size((settings.header_bytes * 2).max(64 << 10));
        let mut client = hyper::client::conn::http1::Builder::new();
        client.max_buf_size(128 << 10);
        // hyper's own default is 100 on the stack; a number that differs goes to the heap.
        if settings.header_count != 100 {
            server.max_headers(settings.header_count);
        }
        let wall = clock.now();
        let worker = Worker {
            index,
            shared,
            pool: RefCell::new(Pool::new(settings.pool_connections)),
            log: RefCell::new(log),
            server,
            client,
            now: Cell::new(0),
            wall: Cell::new(wall),
            is_stopping: Cell::new(false),
            is_killing: Cell::new(false),
            started: Instant::now(),
            clock,
            records: RefCell::default(),
            closed: Notify::new(),
            acceptors: Cell::new(0),
            id_prefix: random(),
            ids: Cell::new(0),
            settings,
        };
        Rc::new(worker)
    }

    /// The tick that is `ticks` from now.
    pub(crate) fn deadline(&self, ticks: Tick) -> Tick {
        self.now.get().saturating_add(ticks)
    }

    /// A request id: random per worker and start, then counted.
    pub(crate) fn new_id(&self) -> HeaderValue {
        let number = self.ids.get();
        self.ids.set(number + 1);
        let mut text = [0u8; 33];
        let mut rest = &mut text[..];
        // 16 + 1 + at most 16 characters fit.
        let _ = write!(rest, "{:016x}-{number:x}", self.id_prefix);
        let left = rest.len();
        HeaderValue::from_bytes(&text[..text.len() - left]).expect("hex is valid in a header")
    }

    /// Serves until `shutdown`, then finishes what is in flight within `timeouts.stop`.
    ///
    /// Tasks that are left then end with the runtime; the caller hands over the log lines that this makes.
    pub(crate) async fn run(
        self: Rc<Worker>,
        listeners: Vec<std::net::TcpListener>,
        shutdown: Shutdown,
        mut commands: mpsc::Receiver<Command>,
    ) {
        for listener in listeners {
            // start() made it non-blocking; the runtime takes it here because it belongs to this thread.
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    self.acceptors.set(self.acceptors.get() + 1);
                    let acceptor = accept(Rc::clone(&self), listener, shutdown.clone());
                    tokio::task::spawn_local(acceptor);
                }
                Err(error) => tracing::error!(%error, "cannot use a listener"),
            }
        }
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut stop_at: Option<Instant> = None;
        let mut ask_to_close_at: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                _ = shutdown.cancelled(), if stop_at.is_none() => {
                    self.is_stopping.set(true);
                    let now = Instant::now();
                    stop_at = Some(now + self.settings.stop);
                    ask_to_close_at = Some(now + LAST_REQUEST.min(self.settings.stop / 4));
                }
                _ = interval.tick() => self.tick(),
                _ = self.closed.notified(), if stop_at.is_some() => {}
                Some(command) = commands.recv() => match command {
                    Command::FlushLog(done) => {
                        self.log.borrow_mut().hand_over();
                        let _ = done.send(());
                    }
                },
            }
            let Some(stop_at) = stop_at else { continue };
            if self.open() == 0 && self.acceptors.get() == 0 {
                break;
            }
            let now = Instant::now();
            if ask_to_close_at.is_some_and(|at| now >= at) {
                ask_to_close_at = None;
                self.decide_all(Verdict::Close);
            }
            if now >= stop_at {
                self.is_killing.set(true);
                self.decide_all(Verdict::Kill);
                // One turn of the scheduler lets every task end itself.
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                break;
            }
        }
        self.log.borrow_mut().hand_over();
    }

    /// Number of open client connections.
    pub(crate) fn open(&self) -> usize {
        let records = self.records.borrow();
        records.places.len() - records.free.len()
    }

    fn tick(&self) {
        let now = (self.started.elapsed().as_millis() / TICK.as_millis()) as Tick;
        self.now.set(now);
        self.wall.set(self.clock.now());
        let table = self.shared.table();
        for record in self.records.borrow().places.iter().flatten() {
            record.tick(now, &table);
        }
        self.log.borrow_mut().hand_over();
        // Four times a second is soon enough for connections that nobody uses.
        if now.is_multiple_of(5) {
            let downs: HashMap<u64, u32> = table
                .routes
                .iter()
                .flat_map(|route| route.targets.iter())
                .map(|target| (target.uid, target.downs()))
                .collect();
            let oldest = now.saturating_sub(self.settings.pool);
            self.pool.borrow_mut().sweep(oldest, |uid| downs.get(&uid).copied());
        }
    }

    fn decide_all(&self, verdict: Verdict) {
        for record in self.records.borrow().places.iter().flatten() {
            // A request that waits has its own verdicts; the connection's come after it.
            if verdict == Verdict::Kill || record.verdict.get() == Verdict::None {
                record.decide(verdict);
            }
        }
    }

    /// Takes a connection into service.
    fn open_connection(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let local = stream.local_addr().unwrap_or(peer);
        let _ = stream.set_nodelay(true);
        let is_trusted = self.settings.trusted.iter().any(|network| network.contains(peer.ip()));
        // The first head has the time of a head: a client that connects wants something.
        let deadline = self.deadline(self.settings.header);
        let record = Rc::new(Record::new(peer, local, is_trusted, deadline));
        let registered = Registered::new(Rc::clone(self), Rc::clone(&record));
        tokio::task::spawn_local(async move {
            connection::run(&registered.worker, &record, stream).await;
            drop(registered);
        });
    }
}

/// A connection's place among the records; gives it back however the task ends.
struct Registered {
    worker: Rc<Worker>,
    place: usize,
}

impl Registered {
    fn new(worker: Rc<Worker>, record: Rc<Record>) -> Registered {
        worker.shared.counts.connections.fetch_add(1, Ordering::Relaxed);
        let mut records = worker.records.borrow_mut();
        let place = match records.free.pop() {
            Some(place) => {
                records.places[place] = Some(record);
                place
            }
            None => {
                records.places.push(Some(record));
                records.places.len() - 1
            }
        };
        drop(records);
        Registered { worker, place }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.worker.shared.counts.connections.fetch_sub(1, Ordering::Relaxed);
        // Dropped after the borrow: a record may hold an exchange, whose end looks at the worker.
        let record = {
            let mut records = self.worker.records.borrow_mut();
            records.free.push(self.place);
            records.places[self.place].take()
        };
        drop(record);
        self.worker.closed.notify_one();
    }
}

async fn accept(worker: Rc<Worker>, listener: TcpListener, shutdown: Shutdown) {
    let counts = &worker.shared.counts;
    loop {
        // LIMIT: limits.connections over all workers; the kernel's queue holds the rest.
        if counts.connections.load(Ordering::Relaxed) >= worker.settings.connections {
            counts.connections_waited.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                _ = shutdown.cancelled() => break,
                _ = tokio::time::sleep(TICK) => continue,
            }
        }
        let accepted = tokio::select! {
            biased;
            _ = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => worker.open_connection(stream, peer),
            Err(error) => {
                // Mostly EMFILE: what waits in the queue is accepted once others have closed.
                if counts.accept_errors.fetch_add(1, Ordering::Relaxed).is_multiple_of(100) {
                    tracing::warn!(%error, "cannot accept connections; they wait");
                }
                tokio::time::sleep(TICK).await;
            }
        }
    }
    // Closing a listener resets what its queue holds, so that is taken first.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        worker.open_connection(stream, peer);
    }
    worker.acceptors.set(worker.acceptors.get() - 1);
    worker.closed.notify_one();
}

/// Any number that differs between workers and starts. std seeds its hash maps from the system.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
