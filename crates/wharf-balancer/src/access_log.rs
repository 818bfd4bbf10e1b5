//! The access log: one line per request.
//!
//! A worker formats lines into its own buffer and hands the buffer over when it is large enough and at each tick; the
//! queue to the writer is bounded in bytes. If it is full the lines are dropped and counted; a worker never waits.
//! The writer appends to the file, follows a rename by logrotate, and syncs on [`Writer::run`]'s end and on a flush.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use wharf_base::UnixMillis;

use crate::config::LogFormat;
use crate::shared::Shared;

/// LIMIT: batches in the queue; the bound that matters is the one in bytes.
const BATCHES_MAX: usize = 4096;
/// A worker hands its buffer over at this size: one write(2) of 64 KiB costs little more than one of 4 KiB.
const BATCH_BYTES: usize = 64 << 10;
/// LIMIT: bytes of a path, referer or user agent in a line.
const FIELD_MAX: usize = 2048;

/// What one line says. Missing texts are empty.
pub(crate) struct Line<'a> {
    pub(crate) peer: &'a str,
    pub(crate) at: UnixMillis,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) version: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) referer: &'a [u8],
    pub(crate) user_agent: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) total_us: u64,
    /// From the last try's start to its response head; `None`: there was none.
    pub(crate) upstream_us: Option<u64>,
    pub(crate) connect_us: Option<u64>,
    pub(crate) app: &'a str,
    pub(crate) service: &'a str,
    pub(crate) release: u32,
    pub(crate) backend: &'a str,
    pub(crate) attempts: u32,
    pub(crate) term: [u8; 2],
    pub(crate) id: &'a [u8],
}

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

/// nginx's `combined`, extended. Source: nginx `ngx_http_log_module`, default `log_format combined`.
fn combined(out: &mut Vec<u8>, line: &Line<'_>, time: &str) {
    out.extend_from_slice(line.peer.as_bytes());
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"] \"");
    if line.method.is_empty() {
        out.push(b'-');
    } else {
        out.extend_from_slice(line.method.as_bytes());
        out.push(b' ');
        escape(out, line.target.as_bytes());
        out.push(b' ');
        out.extend_from_slice(line.version.as_bytes());
    }
    let _ = write!(Text(out), "\" {} {} \"", line.status, line.bytes_out);
    escape_or_dash(out, line.referer);
    out.extend_from_slice(b"\" \"");
    escape_or_dash(out, line.user_agent);
    out.extend_from_slice(b"\" ");
    seconds(out, Some(line.total_us));
    out.push(b' ');
    seconds(out, line.upstream_us);
    for (key, value) in [(" app=", line.app), (" service=", line.service)] {
        out.extend_from_slice(key.as_bytes());
        word(out, value.as_bytes());
    }
    let _ = write!(Text(out), " release={} target=", line.release);
    word(out, line.backend.as_bytes());
    let _ = write!(Text(out), " attempt={} term=", line.attempts);
    out.extend_from_slice(&line.term);
    out.extend_from_slice(b" id=");
    word(out, line.id);
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, line: &Line<'_>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(FIELD_MAX)]).into_owned();
    let value = serde_json::json!({
        "ts": line.at.to_string(),
        "id": text(line.id),
        "peer": line.peer,
        "method": line.method,
        "host": text(line.host),
        "target": text(line.target.as_bytes()),
        "version": line.version,
        "status": line.status,
        "bytes_in": line.bytes_in,
        "bytes_out": line.bytes_out,
        "referer": text(line.referer),
        "user_agent": text(line.user_agent),
        "app": line.app,
        "service": line.service,
        "release": line.release,
        "backend": line.backend,
        "attempts": line.attempts,
        "term": text(&line.term),
        "t_total": line.total_us,
        "t_connect": line.connect_us,
        "t_ttfb": line.upstream_us,
    });
    // Writing into memory can't fail.
    let _ = serde_json::to_writer(&mut *out, &value);
    out.push(b'\n');
}

/// `fmt::Write` into bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Seconds with milliseconds, as nginx's `$request_time`; `-` if there is none.
fn seconds(out: &mut Vec<u8>, micros: Option<u64>) {
    match micros {
        Some(micros) => {
            let millis = micros / 1_000;
            let _ = write!(Text(out), "{}.{:03}", millis / 1_000, millis % 1_000);
        }
        None => out.push(b'-'),
    }
}

fn escape_or_dash(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() { out.push(b'-') } else { escape(out, bytes) }
}

/// A value without spaces; `-` if empty.
fn word(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        out.push(b'-');
    }
    for byte in bytes.iter().take(FIELD_MAX) {
        out.push(if byte.is_ascii_graphic() && *byte != b'"' { *byte } else { b'_' });
    }
}

/// As nginx: `"`, `\` and what is not printable ASCII become `\xXX`.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(FIELD_MAX)];
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if bytes.iter().all(is_plain) {
        out.extend_from_slice(bytes);
        return;
    }
    for byte in bytes {
        if is_plain(byte) {
            out.push(*byte);
        } else {
            let _ = write!(Text(out), "\\x{byte:02X}");
        }
    }
}

/// `24/Nov/2026:04:09:17 +0000`, formatted once per second.
#[derive(Default)]
struct LocalTime {
    second: i64,
    text: String,
}

impl LocalTime {
    fn at(&mut self, time: UnixMillis) -> &str {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let second = time.0.div_euclid(1_000);
        if second != self.second || self.text.is_empty() {
            self.second = second;
            // `2026-11-24T04:09:17.000Z`
            let utc = wharf_base::format_utc(time);
            let month = utc.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
            let part = |from: usize, to: usize| utc.get(from..to).unwrap_or_default();
            let name = MONTHS[(month - 1).min(11)];
            self.text = format!("{}/{name}/{}:{} +0000", part(8, 10), part(0, 4), part(11, 19));
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            peer: "10.0.0.1",
            at: UnixMillis(1_795_493_357_123),
            method: "GET",
            target: "/a?b=\"c",
            version: "HTTP/1.1",
            status: 200,
            bytes_out: 1024,
            bytes_in: 0,
            referer: b"",
            user_agent: b"curl/8 \xff",
            host: b"shop",
            total_us: 12_345,
            upstream_us: Some(1_999),
            connect_us: None,
            app: "shop",
            service: "web",
            release: 3,
            backend: "web.1@10.0.0.9:80",
            attempts: 1,
            term: *b"--",
            id: b"r-1",
        }
    }

    #[test]
    fn a_combined_line_reads_as_nginx_and_says_who_served() {
        let mut out = Vec::new();
        combined(&mut out, &line(), LocalTime::default().at(line().at));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "10.0.0.1 - - [24/Nov/2026:04:09:17 +0000] \"GET /a?b=\\x22c HTTP/1.1\" 200 1024 \"-\" \
             \"curl/8 \\xFF\" 0.012 0.001 app=shop service=web release=3 target=web.1@10.0.0.9:80 attempt=1 \
             term=-- id=r-1\n"
        );
    }

    #[test]
    fn a_json_line_has_microseconds() {
        let mut out = Vec::new();
        json(&mut out, &line());
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["t_total"], &value["t_connect"]), (&12_345.into(), &serde_json::Value::Null));
        assert_eq!(value["target"], "/a?b=\"c");
        assert!(out.ends_with(b"\n"));
    }

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
