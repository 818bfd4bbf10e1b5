//! Active checks, in a thread of their own: what else the process does must not make targets look dead.
//!
//! Each target has one loop. While it passes, a check follows the last after `interval`; after a failure the next one
//! comes at once (but not sooner than a quarter of the interval after the last began), so that a host that lost power
//! is out after about interval + 2 × connect timeout. A check opens its own connection: it is to prove that the
//! target takes them.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wharf_base::Shutdown;
use wharf_model::HealthCheck;

use crate::backend::Backend;
use crate::shared::Shared;

/// LIMIT: bytes of a response's head that are read for its status.
const HEAD_MAX: usize = 4096;

/// Runs the checks of every target until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, connect: Duration, shutdown: Shutdown) {
    let mut applied = shared.applied();
    let mut running: HashMap<u64, (HealthCheck, String, tokio::task::AbortHandle)> = HashMap::new();
    loop {
        let mut wanted = HashMap::new();
        for route in &shared.table().routes {
            for target in &route.targets {
                // A target of several routes is checked as the first of them says.
                let host = route.host.clone().filter(|host| !host.starts_with("*."));
                let host = host.unwrap_or_else(|| target.address.to_string());
                wanted.entry(target.uid).or_insert((route.health.clone(), host, Arc::clone(target)));
            }
        }
        running.retain(|uid, (check, host, task)| {
            let keep = wanted.get(uid).is_some_and(|(wanted, name, _)| wanted == check && name == host);
            if !keep {
                task.abort();
            }
            keep
        });
        for (uid, (check, host, target)) in wanted {
            running.entry(uid).or_insert_with(|| {
                let watching = watch(target, check.clone(), host.clone(), connect);
                let task = tokio::task::spawn_local(watching).abort_handle();
                (check, host, task)
            });
        }
        tokio::select! {
            _ = shutdown.cancelled() => return,
            changed = applied.changed() => if changed.is_err() { return },
        }
    }
}

/// Checks one target for as long as a table has it.
async fn watch(target: Arc<Backend>, check: HealthCheck, host: String, connect: Duration) {
    let interval = Duration::from_millis(check.interval_ms);
    let (mut passed, mut failed) = (0u32, 0u32);
    let check = Rc::new(check);
    while !target.is_retired() {
        let started = Instant::now();
        let result = probe(&target, &check, &host, connect).await;
        let wait = match result {
            Ok(()) => {
                failed = 0;
                passed = passed.saturating_add(1);
                target.readmit();
                if passed >= check.rise {
                    target.set_healthy(true);
                }
                interval
            }
            Err(problem) => {
                passed = 0;
                failed = failed.saturating_add(1);
                target.counts.checks_failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(target = %target.id, address = %target.address, problem, "check failed");
                if failed >= check.fall {
                    target.set_healthy(false);
                }
                if failed < check.fall { interval / 4 } else { interval }
            }
        };
        tokio::time::sleep(wait.saturating_sub(started.elapsed())).await;
    }
}

/// One check. The error says what was seen.
async fn probe(
    target: &Backend,
    check: &HealthCheck,
    host: &str,
    connect: Duration,
) -> Result<(), &'static str> {
    let timeout = Duration::from_millis(check.timeout_ms);
    let checking = async {
        let connecting = tokio::time::timeout(connect, TcpStream::connect(target.address));
        let stream =
            connecting.await.map_err(|_| "no connection in time")?.map_err(|_| "connection refused")?;
        match &check.path {
            None => Ok(()),
            Some(path) => get(stream, path, host).await,
        }
    };
    tokio::time::timeout(timeout, checking).await.map_err(|_| "no answer in time")?
}

/// GETs `path`; 2xx and 3xx pass. The body is not read.
async fn get(mut stream: TcpStream, path: &str, host: &str) -> Result<(), &'static str> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: wharf-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|_| "connection broke")?;
    let mut head = Vec::with_capacity(256);
    // `HTTP/1.1 200` is enough.
    while head.len() < 12 {
        let size =
            (&mut stream).take(HEAD_MAX as u64).read_buf(&mut head).await.map_err(|_| "connection broke")?;
        if size == 0 {
            return Err("connection closed without an answer");
        }
    }
    match (head.starts_with(b"HTTP/1."), head[9]) {
        (true, b'2' | b'3') => Ok(()),
        (true, _) => Err("a status that is not 2xx or 3xx"),
        (false, _) => Err("an answer that is not HTTP"),
    }
}
