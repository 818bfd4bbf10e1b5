//! Idle connections to targets, per worker: last in, first out, so that few stay warm and the rest runs out.
//!
//! A connection is an hyper task and the sender that feeds it. The task notices when the target closes; the sender
//! then says so. What stays is the moment between the target's FIN and our next look, for which the caller retries.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::backend::Backend;
use crate::body::RequestBody;
use crate::record::Tick;
use crate::worker::Worker;

/// The sending half of one connection to a target.
pub(crate) type Sender = http1::SendRequest<RequestBody>;

/// All idle connections of one worker.
#[derive(Default)]
pub(crate) struct Pool {
    targets: HashMap<u64, Idle>,
    connections_max: usize,
}

#[derive(Default)]
struct Idle {
    /// The target's `downs` when the oldest was put here.
    downs: u32,
    senders: Vec<(Sender, Tick)>,
}

impl Pool {
    pub(crate) fn new(connections_max: usize) -> Pool {
        Pool { targets: HashMap::new(), connections_max }
    }

    /// An idle connection that can take a request now.
    pub(crate) fn take(&mut self, backend: &Backend) -> Option<Sender> {
        let idle = self.targets.get_mut(&backend.uid)?;
        idle.refresh(backend);
        let mut index = idle.senders.len();
        while index > 0 {
            index -= 1;
            let sender = &idle.senders[index].0;
            if sender.is_closed() {
                idle.senders.swap_remove(index);
            } else if sender.is_ready() {
                return Some(idle.senders.remove(index).0);
            }
            // Else its last response is not quite over; it stays for the next time.
        }
        None
    }

    /// Takes a connection back.
    pub(crate) fn put(&mut self, backend: &Backend, sender: Sender, now: Tick) {
        if sender.is_closed() || backend.is_retired() {
            return;
        }
        let idle = self.targets.entry(backend.uid).or_default();
        idle.refresh(backend);
        if idle.senders.len() < self.connections_max {
            idle.senders.push((sender, now));
        }
    }

    /// Drops what is closed, too old, or leads to a target that is gone. `downs_of` knows the targets of the table.
    pub(crate) fn sweep(&mut self, oldest: Tick, downs_of: impl Fn(u64) -> Option<u32>) {
        self.targets.retain(|uid, idle| {
            let Some(downs) = downs_of(*uid) else { return false };
            if downs != idle.downs {
                idle.senders.clear();
                idle.downs = downs;
            }
            idle.senders.retain(|(sender, since)| !sender.is_closed() && *since >= oldest);
            !idle.senders.is_empty()
        });
    }
}

impl Idle {
    /// A target that was down may have lost what it knew of these connections.
    fn refresh(&mut self, backend: &Backend) {
        let downs = backend.downs();
        if self.downs != downs {
            self.senders.clear();
            self.downs = downs;
        }
    }
}

/// Opens a connection. Returns it with the microseconds that it took.
pub(crate) async fn connect(worker: &Rc<Worker>, backend: &Backend) -> io::Result<(Sender, u64)> {
    let started = Instant::now();
    let connecting = TcpStream::connect(backend.address);
    let stream = match tokio::time::timeout(worker.settings.connect, connecting).await {
        Ok(stream) => stream?,
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    stream.set_nodelay(true)?;
    let (sender, connection) =
        worker.client.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        // How it ended reaches the request, if there is one.
        let _ = connection.with_upgrades().await;
    });
    Ok((sender, started.elapsed().as_micros() as u64))
}
