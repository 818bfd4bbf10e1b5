//! Appends to a session: what arrives is gathered into batches, each written and hashed in one go on a blocking
//! thread while the next one is gathered.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;

use super::hash::Hasher;
use super::session::{Shared, State};
use super::{Inner, atomic};
use crate::Error;

/// Bytes of a batch. 512 KiB: one hop to a blocking thread per 8 reads of a socket, and still in the L2 cache when
/// the hash reads what the write has just copied.
const BATCH: usize = 512 << 10;

/// Appends bytes to one session. Dropping it keeps what was written so far.
pub struct Writer {
    inner: Arc<Inner>,
    shared: Arc<Shared>,
    work: Work,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    start: Start,
}

/// The state is here or with the batch that is being written.
enum Work {
    Idle(OwnedMutexGuard<State>),
    Running(JoinHandle<(OwnedMutexGuard<State>, Result<(), Error>)>),
    /// Only inside of a function.
    Taken,
}

/// Where the session was, for a rollback.
struct Start {
    size: u64,
    hasher: Option<Hasher>,
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>, shared: Arc<Shared>, state: OwnedMutexGuard<State>) -> Writer {
        let start = Start { size: state.size, hasher: state.hasher.clone() };
        Writer { inner, shared, work: Work::Idle(state), batch: Vec::new(), batch_bytes: 0, start }
    }

    /// Bytes of the session before this writer.
    pub fn start(&self) -> u64 {
        self.start.size
    }

    /// Appends `bytes`. They are on their way to the file; [`Writer::finish`] waits for them.
    ///
    /// Errors: `DiskFull`, `Refused`, `Io`; of this batch or the one before. The session then has a prefix of what
    /// was appended and can go on from there.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.batch_bytes += bytes.len();
        self.batch.push(bytes);
        if self.batch_bytes >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// Waits until everything is in the file, and returns the size of the session.
    pub async fn finish(mut self) -> Result<u64, Error> {
        self.flush().await?;
        let mut state = self.settle().await?;
        // Sessions may rest for hours; a thousand of them must not hold a thousand descriptors.
        state.file = None;
        Ok(state.size)
    }

    /// Takes everything back that this writer has appended.
    pub async fn roll_back(self) -> Result<(), Error> {
        let Writer { shared, work, start, .. } = self;
        let mut state = match work {
            // A failed batch is taken back as well; its error is of no interest now.
            Work::Running(running) => joined(running).await.0,
            Work::Idle(state) => state,
            Work::Taken => unreachable!("put back by every function"),
        };
        atomic::blocking(move || {
            state.hasher = start.hasher;
            truncate(&shared, &mut state, start.size)
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.batch_bytes == 0 {
            return Ok(());
        }
        let mut state = self.settle().await?;
        let batch = std::mem::take(&mut self.batch);
        let count = std::mem::take(&mut self.batch_bytes) as u64;
        let (inner, shared) = (Arc::clone(&self.inner), Arc::clone(&self.shared));
        self.work = Work::Running(tokio::task::spawn_blocking(move || {
            let written = write_batch(&inner, &shared, &mut state, &batch, count);
            (state, written.map_err(|error| inner.counted(error)))
        }));
        Ok(())
    }

    /// Waits for the running batch and takes the state. On an error the state goes back, for a rollback.
    async fn settle(&mut self) -> Result<OwnedMutexGuard<State>, Error> {
        match std::mem::replace(&mut self.work, Work::Taken) {
            Work::Idle(state) => Ok(state),
            Work::Running(running) => match joined(running).await {
                (state, Ok(())) => Ok(state),
                (state, Err(error)) => {
                    self.work = Work::Idle(state);
                    Err(error)
                }
            },
            Work::Taken => unreachable!("put back by every function"),
        }
    }
}

async fn joined<T>(handle: JoinHandle<T>) -> T {
    match handle.await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn write_batch(
    inner: &Inner,
    shared: &Shared,
    state: &mut State,
    batch: &[Bytes],
    count: u64,
) -> Result<(), Error> {
    inner.check_writable(count)?;
    let (file, hasher) = state.ready(shared)?;
    if let Err(source) = write_all(file, batch) {
        // Back to a length whose hash we have.
        let size = state.size;
        truncate(shared, state, size)?;
        return Err(Error::io("write", &shared.path)(source));
    }
    for bytes in batch {
        hasher.update(bytes);
    }
    state.size += count;
    shared.size.store(state.size, Ordering::Release);
    shared.touched_ms.store(inner.clock.now().0, Ordering::Relaxed);
    inner.bytes_written.fetch_add(count, Ordering::Relaxed);
    Ok(())
}

fn truncate(shared: &Shared, state: &mut State, size: u64) -> Result<(), Error> {
    if let Some(file) = &state.file {
        file.set_len(size).map_err(Error::io("truncate", &shared.path))?;
    }
    state.size = size;
    shared.size.store(size, Ordering::Release);
    Ok(())
}

/// One writev(2) per 64 pieces; the file is open for appending, so there is no position to keep.
fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    let mut rest: Vec<&[u8]> =
        batch.iter().map(|bytes| &bytes[..]).filter(|bytes| !bytes.is_empty()).collect();
    let mut rest = &mut rest[..];
    while !rest.is_empty() {
        let slices: Vec<IoSlice<'_>> = rest.iter().take(64).map(|bytes| IoSlice::new(bytes)).collect();
        let mut written = match file.write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut whole = 0;
        while whole < rest.len() && written >= rest[whole].len() {
            written -= rest[whole].len();
            whole += 1;
        }
        rest = &mut rest[whole..];
        if let Some(first) = rest.first_mut() {
            first.advance(written);
        }
    }
    Ok(())
}
