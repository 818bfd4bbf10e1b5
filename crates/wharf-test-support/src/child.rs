//! A process that ends with the test, and whose output the test can wait for.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::sync::watch;

/// Long enough for anything on a busy two-core machine; a test that needs all of it has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How long a dropped child may take to end on SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// A running process. Dropping it sends SIGTERM, then SIGKILL after 5 s, and waits for it; its output is shown
/// if the test panics.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    status: Option<ExitStatus>,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
    /// The same news for async tests: how many lines there are.
    lines: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    lines: Vec<String>,
    /// Streams that are still open.
    open: u32,
}

impl Child {
    /// Starts `command` with stdin closed and both outputs captured, line by line in order of arrival.
    pub fn spawn(command: &mut Command) -> Child {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = Arc::new(Output {
            state: Mutex::new(State { lines: Vec::new(), open: 2 }),
            changed: Condvar::new(),
            lines: watch::Sender::new(0),
        });
        let stdout = process.stdout.take().expect("piped");
        let stderr = process.stderr.take().expect("piped");
        let readers = vec![read(stdout, Arc::clone(&output)), read(stderr, Arc::clone(&output))];
        Child { name, process, status: None, output, readers }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Everything printed so far.
    pub fn output(&self) -> String {
        self.lock().lines.join("\n")
    }

    /// Waits for a line, on stdout or stderr, that contains `needle`, past or future, and returns it.
    ///
    /// Panics with the output if the process ends or `deadline` passes first. Blocks the thread; async tests use
    /// [`Child::line`].
    pub fn wait_for_line(&self, needle: &str, deadline: Duration) -> String {
        let end = Instant::now() + deadline;
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.iter().find(|line| line.contains(needle)) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.open == 0 || left.is_zero() {
                let why = if state.open == 0 { "ended" } else { "was too slow" };
                let output = state.lines.join("\n");
                // Released first: dropping the child while panicking reads the output again.
                drop(state);
                panic!("{} {why} before it printed `{needle}`; output:\n{output}", self.name);
            }
            state = self.output.changed.wait_timeout(state, left).expect("no holder panics").0;
        }
    }

    /// As [`Child::wait_for_line`] with [`DEADLINE`], without blocking the thread.
    pub async fn line(&self, needle: &str) -> String {
        let mut lines = self.output.lines.subscribe();
        let search = async {
            loop {
                lines.borrow_and_update();
                {
                    let state = self.lock();
                    if let Some(line) = state.lines.iter().find(|line| line.contains(needle)) {
                        return Some(line.clone());
                    }
                    if state.open == 0 {
                        return None;
                    }
                }
                lines.changed().await.ok()?;
            }
        };
        match tokio::time::timeout(DEADLINE, search).await {
            Ok(Some(line)) => line,
            Ok(None) => {
                panic!("{} ended before it printed `{needle}`; output:\n{}", self.name, self.output())
            }
            Err(_) => panic!("{} did not print `{needle}` in time; output:\n{}", self.name, self.output()),
        }
    }

    /// Sends `signal` number (15 = SIGTERM, 9 = SIGKILL, 1 = SIGHUP, 2 = SIGINT) to the process, if it still runs.
    pub fn signal(&mut self, signal: i32) {
        if self.has_ended() {
            return;
        }
        let signal = Signal::from_named_raw(signal).expect("a signal with a name");
        kill_process(self.raw_pid(), signal).expect("the process is ours and not yet waited for");
    }

    /// SIGKILL, as a crash; then waits for the end.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(9);
        self.wait(GRACE)
    }

    /// SIGTERM, then waits for the end. Panics if it takes longer than `deadline`.
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal(15);
        self.wait(deadline)
    }

    /// Waits until the process has ended. Panics with its output if it runs longer than `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        match self.wait_until(deadline) {
            Some(status) => status,
            None => panic!("{} did not end within {deadline:?}; output:\n{}", self.name, self.output()),
        }
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.process.try_wait().expect("the process is our child");
        }
        self.status.is_some()
    }

    fn wait_until(&mut self, deadline: Duration) -> Option<ExitStatus> {
        if self.has_ended() {
            return self.status;
        }
        let pidfd =
            pidfd_open(self.raw_pid(), PidfdFlags::empty()).expect("the process is not yet waited for");
        let timeout = Timespec::try_from(deadline).expect("a deadline of a test");
        let end = Instant::now() + deadline;
        while !self.has_ended() && Instant::now() < end {
            // An interrupted poll is tried again; the loop ends by the clock.
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout));
        }
        self.status
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("pids are small")).expect("a pid is not 0")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.output.state.lock().expect("no holder panics")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill_process(self.raw_pid(), Signal::TERM);
            if self.wait_until(GRACE).is_none() {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
        }
        if std::thread::panicking() {
            eprintln!("--- output of {} (pid {}):\n{}", self.name, self.pid(), self.output());
        }
        // A grandchild may hold the pipe open for ever; the readers are then left behind.
        self.readers.retain(|reader| !reader.is_finished());
    }
}

fn read(stream: impl Read + Send + 'static, output: Arc<Output>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            let mut state = output.state.lock().expect("no holder panics");
            state.lines.push(line);
            output.lines.send_replace(state.lines.len());
            output.changed.notify_all();
        }
        let mut state = output.state.lock().expect("no holder panics");
        state.open -= 1;
        // Sent although the number is the same: `send_replace` wakes the waiters.
        output.lines.send_replace(state.lines.len());
        output.changed.notify_all();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Child::spawn(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn waits_for_lines_of_both_streams_and_for_the_end() {
        let mut child = shell("echo one; echo two >&2; exit 3");
        assert_eq!(child.wait_for_line("one", DEADLINE), "one");
        assert_eq!(child.wait_for_line("tw", DEADLINE), "two");
        assert_eq!(child.wait(DEADLINE).code(), Some(3));
    }

    #[tokio::test]
    async fn waits_for_a_line_without_blocking() {
        let child = shell("echo ready; exec sleep 60");
        assert_eq!(child.line("ready").await, "ready");
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let child = shell("echo up; exec sleep 60");
        child.wait_for_line("up", DEADLINE);
        let pid = child.raw_pid();
        drop(child);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    #[should_panic(expected = "ended before it printed")]
    fn a_line_that_never_comes_shows_the_output() {
        shell("echo other").wait_for_line("ready", DEADLINE);
    }
}
