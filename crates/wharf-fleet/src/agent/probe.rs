//! Probes from outside of the container: an HTTP GET or a TCP connect, repeated.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use wharf_model::Probe;

/// Between tries before the first success: a deploy waits for it. Refused connects cost microseconds.
const EAGER_INTERVAL: Duration = Duration::from_millis(100);
/// LIMIT: shortest interval that a probe may have.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// LIMIT: bytes of an answer that are read to find the status.
const STATUS_LINE_MAX: usize = 256;

/// What a probe has found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No try has ended yet.
    Unknown,
    /// No success yet, and not enough failures.
    Pending,
    Passing,
    /// With what the last try saw.
    Failing(String),
}

/// The check of a routed service without any other: its port takes connections.
pub(crate) fn connect_only(port: u16) -> Probe {
    Probe { port, path: None, interval_ms: 1_000, timeout_ms: 1_000, rise: 1, fall: 3 }
}

/// Probes until `tell` says that nobody listens any more.
///
/// Before the first success tries are frequent, and failures count only once per interval, so a slow start is not
/// taken for a failure earlier than `fall` intervals.
pub(crate) async fn run(probe: Probe, address: SocketAddr, mut tell: impl AsyncFnMut(Verdict) -> bool) {
    let interval = Duration::from_millis(probe.interval_ms).max(INTERVAL_MIN);
    let timeout = Duration::from_millis(probe.timeout_ms.max(1));
    let mut counter = Counter::new(&probe);
    let mut last_counted = Instant::now();
    let (mut has_passed, mut is_first) = (false, true);
    loop {
        let begun = Instant::now();
        let result = match tokio::time::timeout(timeout, check(&probe, address)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
        };
        let counts = has_passed || result.is_ok() || last_counted.elapsed() >= interval;
        let mut verdict = None;
        if counts {
            last_counted = Instant::now();
            has_passed |= result.is_ok();
            verdict = counter.count(result);
        }
        // That one try has ended is news by itself.
        if is_first && verdict.is_none() {
            verdict = Some(Verdict::Pending);
        }
        is_first = false;
        if let Some(verdict) = verdict
            && !tell(verdict).await
        {
            return;
        }
        let wait = if has_passed { interval } else { interval.min(EAGER_INTERVAL) };
        tokio::time::sleep_until(begun + wait).await;
    }
}

/// Successes and failures in a row. Pure.
struct Counter {
    rise: u32,
    fall: u32,
    successes: u32,
    failures: u32,
    verdict: Verdict,
}

impl Counter {
    fn new(probe: &Probe) -> Counter {
        let (rise, fall) = (probe.rise.max(1), probe.fall.max(1));
        Counter { rise, fall, successes: 0, failures: 0, verdict: Verdict::Pending }
    }

    /// The new verdict, if it is another.
    fn count(&mut self, result: Result<(), String>) -> Option<Verdict> {
        let next = match result {
            Ok(()) => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                (self.successes >= self.rise).then_some(Verdict::Passing)
            }
            Err(reason) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                (self.failures >= self.fall).then_some(Verdict::Failing(reason))
            }
        };
        let next = next.filter(|next| *next != self.verdict)?;
        self.verdict = next.clone();
        Some(next)
    }
}

async fn check(probe: &Probe, address: SocketAddr) -> Result<(), String> {
    let mut stream =
        TcpStream::connect(address).await.map_err(|error| format!("cannot connect to {address}: {error}"))?;
    let Some(path) = &probe.path else { return Ok(()) };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: wharf-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("GET {path}: {error}"))?;
    let mut head = Vec::with_capacity(STATUS_LINE_MAX);
    while !head.contains(&b'\n') && head.len() < STATUS_LINE_MAX {
        let read = stream.read_buf(&mut head).await.map_err(|error| format!("GET {path}: {error}"))?;
        if read == 0 {
            break;
        }
    }
    match status(&head) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("GET {path}: status {status}")),
        None => Err(format!("GET {path}: the answer is not HTTP")),
    }
}

/// The status of `HTTP/1.1 200 OK` (RFC 9112 section 4).
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|&byte| byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_change_after_enough_in_a_row() {
        let mut counter = Counter::new(&Probe { rise: 2, fall: 2, ..connect_only(80) });
        let bad = || Err("x".to_owned());
        assert_eq!(counter.count(Ok(())), None);
        assert_eq!(counter.count(bad()), None);
        assert_eq!(counter.count(Ok(())), None);
        assert_eq!(counter.count(Ok(())), Some(Verdict::Passing));
        assert_eq!(counter.count(Ok(())), None);
        assert_eq!(counter.count(bad()), None);
        assert_eq!(counter.count(bad()), Some(Verdict::Failing("x".to_owned())));
        assert_eq!(counter.count(bad()), None, "told once");
    }

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Some(503));
        for bad in [&b""[..], b"SSH-2.0-x\r\n", b"HTTP/1.1\r\n", b"HTTP/1.1 abc\r\n", b"\xff\xfe\n"] {
            assert_eq!(status(bad), None);
        }
    }

    #[tokio::test]
    async fn a_real_server_is_probed_by_status_and_by_port() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                let is_good = String::from_utf8_lossy(&request[..read]).starts_with("GET /good ");
                let answer = if is_good { "HTTP/1.1 200 OK\r\n\r\n" } else { "HTTP/1.1 500 No\r\n\r\n" };
                if read > 0 {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        };
        let probe =
            |path: Option<&str>| Probe { path: path.map(str::to_owned), ..connect_only(address.port()) };
        let checks = async {
            assert_eq!(check(&probe(Some("/good")), address).await, Ok(()));
            assert_eq!(check(&probe(Some("/bad")), address).await, Err("GET /bad: status 500".to_owned()));
            assert_eq!(check(&probe(None), address).await, Ok(()));
        };
        tokio::select! {
            () = checks => {}
            () = server => {}
        }
        drop(listener);
        assert!(check(&probe(None), address).await.unwrap_err().contains("cannot connect"));
    }
}
