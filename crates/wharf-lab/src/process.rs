//! Finding the processes of a lab, by their command line and by their network namespace, and ending them.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};

use crate::Error;
use crate::error::At as _;
use crate::layout::Layout;

/// SIGKILL ends a process at once, unless it hangs in the kernel.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The word that pid 1 of a host is called with.
pub(crate) const INIT_WORD: &str = "lab-init";

/// pid 1 of each running host, as seen from this process, by the host's index.
pub(crate) fn inits(layout: &Layout) -> BTreeMap<u32, Pid> {
    let prefix = layout.spec_prefix();
    let mut found = BTreeMap::new();
    for pid in all() {
        let args = command_line(pid);
        // Before it: setsid, nsenter and unshare, with the same words further back.
        let [_, word, spec] = args.as_slice() else { continue };
        let index = spec.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("/host.json"));
        let Some(Ok(index)) = index.map(str::parse) else { continue };
        if word == INIT_WORD && is_init(pid) {
            found.insert(index, pid);
        }
    }
    found
}

/// Ends every process of the lab: those that boot or are a host, and all in a namespace of the lab.
pub(crate) async fn kill_all(layout: &Layout) -> Result<(), Error> {
    // LIMIT: a round finds all there are; a second one those that were just being started. More would be a loop.
    for _ in 0..10 {
        let found = of_lab(layout);
        if found.is_empty() {
            return Ok(());
        }
        for pid in &found {
            let _ = kill_process(*pid, Signal::KILL);
        }
        for pid in found {
            wait_end(pid, END_DEADLINE).await?;
        }
    }
    Err(Error::LeftBehind { name: layout.name.clone(), what: format!("{:?}", of_lab(layout)) })
}

fn of_lab(layout: &Layout) -> Vec<Pid> {
    let prefix = layout.spec_prefix();
    let mut nets = vec![layout.switch_net()];
    nets.extend(layout.hosts().into_iter().map(|index| layout.host(index).net()));
    let nets: Vec<(u64, u64)> = nets.iter().filter_map(|net| identity(net)).collect();
    let is_ours = |pid: &Pid| {
        let args = command_line(*pid);
        let names_spec = args.windows(2).any(|pair| pair[0] == INIT_WORD && pair[1].starts_with(&prefix));
        let net = || identity(Path::new(&format!("/proc/{}/ns/net", pid.as_raw_nonzero())));
        names_spec || net().is_some_and(|net| nets.contains(&net))
    };
    all().into_iter().filter(|pid| *pid != getpid()).filter(is_ours).collect()
}

/// Waits until the process has ended; a zombie has.
pub(crate) async fn wait_end(pid: Pid, deadline: Duration) -> Result<(), Error> {
    let proc = format!("/proc/{}", pid.as_raw_pid());
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        opened => opened.at("watch", &proc)?,
    };
    let ended = tokio::task::spawn_blocking(move || wait_readable(&pidfd, deadline)).await;
    ended.map_err(std::io::Error::other).and_then(|ended| Ok(ended?)).at("wait for the end of", &proc)
}

/// A pidfd becomes readable when its process ends (pidfd_open(2)).
fn wait_readable(pidfd: &OwnedFd, deadline: Duration) -> Result<(), Errno> {
    let end = Instant::now() + deadline;
    loop {
        let left =
            Timespec::try_from(end.saturating_duration_since(Instant::now())).expect("seconds, not years");
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(Errno::TIMEDOUT),
            polled => return polled.map(drop),
        }
    }
}

fn all() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw);
    entries.flatten().filter_map(pid).collect()
}

fn command_line(pid: Pid) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Whether the process is number 1 in a namespace of its own. Its children look alike until they have called exec.
fn is_init(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().skip(1).last() == Some("1"))
}

/// A namespace's identity is its inode; nsfs has one device.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = path.metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}
