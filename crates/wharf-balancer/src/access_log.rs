//! The access log: one line per request.
//!
//! A worker formats lines into its own buffer and hands the buffer over when it is large enough and at each tick; the
//! queue to the writer is bounded in bytes. If it is full the lines are dropped and counted; a worker never waits.
//! The writer appends to the file, follows a rename by logrotate, and syncs on [`Writer::run`]'s end and on a flush.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::config::LogFormat;
use crate::log_line::{Line, LocalTime, combined, json};
use crate::shared::Shared;

/// LIMIT: batches in the queue; the bound that matters is the one in bytes.
const BATCHES_MAX: usize = 4096;
/// A worker hands its buffer over at this size: one write(2) of 64 KiB costs little more than one of 4 KiB.
const BATCH_BYTES: usize = 64 << 10;

/// The part of one worker.
pub(crate) struct Buffer {
    lines: Vec<u8>,
    count: u64,
    format: LogFormat,
    queue: Option<Queue>,
    clock: LocalTime,
}

/// Where buffers go.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Message>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    shared: Arc<Shared>,
}

pub(crate) enum Message {
    Lines(Vec<u8>),
    Flush(oneshot::Sender<()>),
}

impl Buffer {
    /// Without a queue lines are not even formatted.
    pub(crate) fn new(format: LogFormat, queue: Option<Queue>) -> Buffer {
        Buffer { lines: Vec::new(), count: 0, format, queue, clock: LocalTime::default() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    pub(crate) fn push(&mut self, line: &Line<'_>) {
        if self.queue.is_none() {
            return;
        }
        match self.format {
            LogFormat::Combined => combined(&mut self.lines, line, self.clock.at(line.at)),
            LogFormat::Json => json(&mut self.lines, line),
        }
        self.count += 1;
        if self.lines.len() >= BATCH_BYTES {
            self.hand_over();
        }
    }

    /// Gives the lines to the writer, or drops and counts them.
    pub(crate) fn hand_over(&mut self) {
        let Some(queue) = self.queue.as_ref().filter(|_| !self.lines.is_empty()) else { return };
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(BATCH_BYTES / 4));
        let count = std::mem::take(&mut self.count);
        let size = lines.len();
        let counts = &queue.shared.counts;
        let has_room = queue.bytes.fetch_add(size, Ordering::Relaxed) + size <= queue.bytes_max;
        if has_room && queue.sender.try_send(Message::Lines(lines)).is_ok() {
            counts.log_lines.fetch_add(count, Ordering::Relaxed);
        } else {
            queue.bytes.fetch_sub(size, Ordering::Relaxed);
            counts.log_lines_dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// The one that writes.
pub(crate) struct Writer {
    target: Target,
    queue: mpsc::Receiver<Message>,
    bytes: Arc<AtomicUsize>,
}

enum Target {
    Stdout,
    File { path: PathBuf, file: std::fs::File, inode: (u64, u64) },
}

/// Opens the log. `path`: `-` is standard output.
pub(crate) fn open(path: &Path, bytes_max: usize, shared: Arc<Shared>) -> io::Result<(Queue, Writer)> {
    let target = if path == Path::new("-") { Target::Stdout } else { open_file(path)? };
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    let queue = Queue { sender, bytes: Arc::clone(&bytes), bytes_max, shared };
    Ok((queue, Writer { target, queue: receiver, bytes }))
}

fn open_file(path: &Path) -> io::Result<Target> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    let metadata = file.metadata()?;
    Ok(Target::File { path: path.to_owned(), file, inode: (metadata.dev(), metadata.ino()) })
}

impl Queue {
    /// A handle for flushes that does not keep the writer alive.
    pub(crate) fn weak(&self) -> mpsc::WeakSender<Message> {
        self.sender.downgrade()
    }
}

impl Writer {
    /// Writes until every worker has gone, then syncs. Blocks: it has a thread of its own, because a slow disk must
    /// not hold up a runtime.
    pub(crate) fn run(self) {
        let Writer { mut target, mut queue, bytes } = self;
        let mut is_failing = false;
        while let Some(message) = queue.blocking_recv() {
            match message {
                Message::Lines(lines) => {
                    let result = target.follow_rename().and_then(|()| target.write(&lines));
                    report(result, &mut is_failing);
                    bytes.fetch_sub(lines.len(), Ordering::Relaxed);
                }
                Message::Flush(done) => {
                    report(target.sync(), &mut is_failing);
                    let _ = done.send(());
                }
            }
        }
        report(target.sync(), &mut is_failing);
    }
}

/// Says it once when writing begins to fail, and once when it works again.
fn report(result: io::Result<()>, is_failing: &mut bool) {
    match result {
        Ok(()) if *is_failing => {
            tracing::info!("the access log is written again");
            *is_failing = false;
        }
        Err(error) if !*is_failing => {
            tracing::error!(%error, "cannot write the access log; lines are lost until this is mended");
            *is_failing = true;
        }
        _ => {}
    }
}

impl Target {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => io::stdout().lock().write_all(lines),
            Target::File { file, .. } => file.write_all(lines),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Target::Stdout => io::stdout().lock().flush(),
            Target::File { file, .. } => file.sync_data(),
        }
    }

    /// Opens the file anew if logrotate has moved it: one stat(2) per batch.
    fn follow_rename(&mut self) -> io::Result<()> {
        let Target::File { path, inode, .. } = self else { return Ok(()) };
        let is_same = std::fs::metadata(&*path).is_ok_and(|now| (now.dev(), now.ino()) == *inode);
        if !is_same {
            let path = path.clone();
            self.sync()?;
            *self = open_file(&path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_line::tests::line;

    fn queue_of(path: &Path, bytes_max: usize) -> (Arc<Shared>, Queue, Writer) {
        let health = wharf_model::HealthCheck { path: None, interval_ms: 1, timeout_ms: 1, rise: 1, fall: 1 };
        let shared = Arc::new(Shared::new(1, 1, health, Vec::new()));
        let (queue, writer) = open(path, bytes_max, Arc::clone(&shared)).unwrap();
        (shared, queue, writer)
    }

    #[tokio::test]
    async fn lines_are_on_disk_when_the_writer_ends_and_a_moved_file_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("logs/a.log"), dir.path().join("old.log"));
        let (shared, queue, writer) = queue_of(&path, 1 << 20);
        let flush = queue.weak();
        let mut buffer = Buffer::new(LogFormat::Combined, Some(queue));
        let running = std::thread::spawn(|| writer.run());
        buffer.push(&line());
        buffer.hand_over();
        let (done, wait) = oneshot::channel();
        flush.upgrade().unwrap().send(Message::Flush(done)).await.unwrap();
        wait.await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        std::fs::rename(&path, &moved).unwrap();
        buffer.push(&line());
        buffer.push(&line());
        buffer.hand_over();
        drop(buffer);
        running.join().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(shared.counts.log_lines.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (shared, queue, _writer) = queue_of(&dir.path().join("a.log"), 500);
        let mut buffer = Buffer::new(LogFormat::Combined, Some(queue));
        for _ in 0..5 {
            buffer.push(&line());
            buffer.hand_over();
        }
        assert_eq!(shared.counts.log_lines.load(Ordering::Relaxed), 2);
        assert_eq!(shared.counts.log_lines_dropped.load(Ordering::Relaxed), 3);
    }
}
