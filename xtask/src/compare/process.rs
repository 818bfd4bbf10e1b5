//! Processes of a comparison: started on a core, measured, ended.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

pub(super) use crate::command::run;

/// A process that ends with this value.
pub(super) struct Running(Child);

/// Starts a program on one core (`None`: on any); its output goes to `log`.
pub(super) fn start(
    core: Option<u32>,
    program: &str,
    arguments: &[&str],
    log: &Path,
) -> anyhow::Result<Running> {
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string(), program]);
            command
        }
        None => Command::new(program),
    };
    let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    Ok(Running(command.spawn().with_context(|| format!("cannot run {program}"))?))
}

impl Running {
    /// CPU seconds of the process and its descendants (fields 14 and 15 of /proc/PID/stat).
    pub(super) fn cpu_seconds(&self) -> f64 {
        tree(self.0.id()).into_iter().map(|pid| ticks(pid) as f64 / 100.0).sum()
    }

    /// Whether it has ended: `Some(true)` with status 0.
    pub(super) fn ended(&mut self) -> Option<bool> {
        self.0.try_wait().ok().flatten().map(|status| status.success())
    }

    /// Resident memory in MiB, of the process and its descendants.
    pub(super) fn resident_mib(&self) -> f64 {
        tree(self.0.id()).into_iter().map(|pid| status_kib(pid, "VmRSS:")).sum::<f64>() / 1_024.0
    }

    /// Peak resident memory in MiB, of the process and its descendants, since [`Running::reset_peak`].
    pub(super) fn peak_mib(&self) -> f64 {
        tree(self.0.id()).into_iter().map(|pid| status_kib(pid, "VmHWM:")).sum::<f64>() / 1_024.0
    }

    /// Forgets the peak so far.
    pub(super) fn reset_peak(&self) {
        for pid in tree(self.0.id()) {
            // A process that has ended meanwhile has no peak to forget.
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success());
        let began = Instant::now();
        while asked && began.elapsed() < Duration::from_secs(10) {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            pause(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something listens.
pub(super) fn wait_for(address: SocketAddr) -> anyhow::Result<()> {
    let began = Instant::now();
    while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(20), "nothing listens on {address}");
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// Ports of loopback that nobody listens on now.
pub(super) fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let bound: Vec<std::net::TcpListener> =
        (0..count).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    bound.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// The first line that a program prints, on either stream.
pub(super) fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
}

/// The time on which events are stamped.
#[expect(clippy::disallowed_methods, reason = "compared with the times of other processes' events")]
pub(super) fn unix_millis() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1_000.0)
}

/// A comparison has nothing else to do meanwhile.
#[expect(clippy::disallowed_methods, reason = "other programs' states have no event; this polls them")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

fn tree(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut index = 0;
    while let Some(pid) = all.get(index) {
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        index += 1;
    }
    all
}

fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // The text begins at field 3.
    [11, 12].into_iter().filter_map(|index| fields.get(index)?.parse::<u64>().ok()).sum()
}

/// A line of /proc/PID/status in KiB.
fn status_kib(pid: u32, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
