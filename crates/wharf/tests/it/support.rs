//! Running commands, and waiting for what other processes do.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// No command of a test takes so long; one that does is ended, and the test fails.
const LIMIT: Duration = Duration::from_secs(100);

/// What a command did.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails unless the command ended with `status`.
    pub(crate) fn expect(self, status: i32) -> Ran {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless one of the outputs has `needle`.
    pub(crate) fn says(self, needle: &str) -> Ran {
        let text = format!("{}\n{}", self.stdout, self.stderr);
        assert!(text.contains(needle), "nothing of `{needle}` in:\n{text}");
        self
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let pid = child.id().to_string();
    let (ended, waits) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let is_late = waits.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
        if is_late {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
        is_late
    });
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    drop(ended);
    assert!(!watchdog.join().unwrap(), "longer than {LIMIT:?}: {command:?}");
    Ran {
        status: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Runs a command that must succeed; returns its standard output without blanks around it.
pub(crate) fn checked(command: &mut Command) -> String {
    let ran = run(command);
    assert_eq!(ran.status, 0, "{command:?}\n{}\n{}", ran.stdout, ran.stderr);
    ran.stdout.trim().to_owned()
}

/// Asks again, 20 times a second, until there is an answer: the states of other processes have no event that we hear.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        pause(Duration::from_millis(50));
    }
}

/// Lets other processes run.
pub(crate) fn pause(time: Duration) {
    // A channel that nothing is sent on.
    let (_sender, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv_timeout(time);
}
