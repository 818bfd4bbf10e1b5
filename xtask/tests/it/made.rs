//! The artifacts, made once from the program of this build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wharf_test_support::{TempDir, temp_dir, wharf_binary};

/// What `cargo xtask dist` has made.
pub(crate) struct Made {
    directory: TempDir,
}

impl Made {
    pub(crate) fn new() -> Made {
        let directory = temp_dir();
        let mut dist = Command::new(env!("CARGO_BIN_EXE_xtask"));
        dist.args(["dist", "--fast", "--out"]).arg(directory.path()).arg("--program").arg(wharf_binary());
        let said = checked(&mut dist);
        assert_eq!(said.matches("made ").count(), 3, "{said}");
        Made { directory }
    }

    /// The one file with this end.
    pub(crate) fn file(&self, end: &str) -> PathBuf {
        let files = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut fitting: Vec<PathBuf> =
            files.filter(|path| path.file_name().unwrap().to_string_lossy().ends_with(end)).collect();
        assert_eq!(fitting.len(), 1, "{end}: {fitting:?}");
        fitting.remove(0)
    }
}

/// Runs a command that must succeed and returns what it printed, on both streams.
pub(crate) fn checked(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Asks again, 10 times a second, until there is an answer: other processes' states have no event that we hear.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        let _ = receiver.recv_timeout(Duration::from_millis(100));
    }
}
