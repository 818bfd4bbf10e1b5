//! Short commands that change the machine: `ip`, `unshare`, `ssh-keygen`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::Error;
use crate::error::At as _;
use crate::lock::Lock;

/// Runs commands, under the lab's lock if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runner<'a> {
    lock: Option<&'a Lock>,
}

impl<'a> Runner<'a> {
    pub(crate) fn under(lock: &'a Lock) -> Runner<'a> {
        Runner { lock: Some(lock) }
    }

    /// For commands that read, or that change one switch port.
    pub(crate) fn unlocked() -> Runner<'static> {
        Runner { lock: None }
    }

    /// Runs `argv` to its end and returns its stdout.
    pub(crate) async fn run<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<Vec<u8>, Error> {
        let (program, args) = argv.split_first().expect("a command has a name");
        let stdin = match self.lock {
            Some(lock) => Stdio::from(lock.share().at("share the lock with", program.as_ref())?),
            None => Stdio::null(),
        };
        let output = Command::new(program).args(args).env("LC_ALL", "C").stdin(stdin).output().await;
        let output = output.at("run", program.as_ref())?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let words: Vec<_> = argv.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Command { command: words.join(" "), stderr })
    }

    /// Runs `lines` with `ip` in the network namespace mounted at `net`, or in this process's own. The lines are
    /// first written to `file`: stdin is the lock's.
    pub(crate) async fn ip_batch(
        &self,
        net: Option<&Path>,
        file: &Path,
        lines: &[String],
    ) -> Result<(), Error> {
        std::fs::write(file, lines.join("\n") + "\n").at("write", file)?;
        let file = file.display().to_string();
        let mut argv = Vec::new();
        if let Some(net) = net {
            argv.extend(["nsenter".to_owned(), format!("--net={}", net.display())]);
        }
        argv.extend(["ip", "-batch", &file].map(str::to_owned));
        self.run(&argv).await.map(drop)
    }
}
