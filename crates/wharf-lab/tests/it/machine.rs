//! What of a lab is left on this machine, looked for without the lab's own code.
//!
//! Other tests and other users change the machine at the same time, so what counts is not that nothing changed, but
//! that nothing of this lab is there: by name, by path and by the identity of its namespaces.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::test_lab::{TestLab, checked, run};

/// The namespaces of running hosts, to be looked for once they should be gone.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(BTreeSet<String>);

impl Namespaces {
    /// Those of the processes, such as `net:[4026532182]`, without those that this test has itself.
    pub(crate) fn of(pids: impl IntoIterator<Item = i32>) -> Namespaces {
        let own = namespaces(Path::new("/proc/self"));
        let all = pids.into_iter().flat_map(|pid| namespaces(&PathBuf::from(format!("/proc/{pid}"))));
        Namespaces(all.filter(|namespace| !own.contains(namespace)).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// What is left of the lab; empty if it is gone. `before` is what `ip netns` and `ip link` showed without the lab.
pub(crate) fn remains(lab: &TestLab, before: &Links, namespaces: &Namespaces) -> Vec<String> {
    let config = &lab.config;
    let (run_dir, data_dir) = (config.run_dir.join(&config.name), config.data_dir.join(&config.name));
    let paths = [run_dir.display().to_string(), data_dir.display().to_string()];
    let is_ours = |text: &str| paths.iter().any(|path| text.contains(path.as_str()));
    let mut left = Vec::new();
    for path in [run_dir, data_dir, config.run_dir.join(format!("{}.lock", config.name))] {
        if path.exists() {
            left.push(format!("directory {}", path.display()));
        }
    }
    // Cgroups of others may end while they are looked at, which `find` takes for a failure.
    let find = run(Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", "wharf-lab-*"]));
    let cgroups = String::from_utf8_lossy(&find.stdout);
    let prefix = format!("wharf-lab-{}-h", config.name);
    left.extend(cgroups.lines().filter(|dir| dir.contains(&prefix)).map(|dir| format!("cgroup {dir}")));
    let after = Links::now(lab);
    left.extend(after.0.difference(&before.0).map(|link| format!("link or namespace {link}")));
    // Only this namespace: any other that was made meanwhile began as a copy of it, with the lab's mounts.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| is_ours(line)).map(|line| format!("mount {line}")));
    for process in processes() {
        let read = |file: &str| fs::read(process.join(file)).unwrap_or_default();
        // A zombie has given back all but its number; whoever inherited it takes it soon.
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        if stat.rsplit(") ").next().is_some_and(|state| state.starts_with('Z')) {
            continue;
        }
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        // This very test and its `down` have the paths in their arguments as JSON, and are in no namespace of a lab.
        if is_ours(&command) && !command.contains("\"name\"") {
            left.push(format!("process {command}"));
        }
        let cgroups = String::from_utf8_lossy(&read("cgroup")).into_owned();
        left.extend(
            cgroups.lines().filter(|line| line.contains(&prefix)).map(|line| format!("{command} in {line}")),
        );
        let held = self::namespaces(&process);
        left.extend(
            held.intersection(&namespaces.0).map(|namespace| format!("namespace {namespace} of {command}")),
        );
    }
    left
}

/// The named namespaces, and the links of this lab, in the root namespace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Links(BTreeSet<String>);

impl Links {
    pub(crate) fn now(lab: &TestLab) -> Links {
        let links = checked(Command::new("ip").args(["-o", "link"]));
        let name = |line: &str| line.split(": ").nth(1).unwrap_or(line).to_owned();
        let is_ours = |name: &String| name.starts_with(&lab.config.name);
        // A lab makes none of these.
        let netns = checked(Command::new("ip").arg("netns"));
        Links(
            links
                .lines()
                .map(name)
                .filter(&is_ours)
                .chain(netns.lines().map(str::to_owned).filter(is_ours))
                .collect(),
        )
    }
}

fn namespaces(process: &Path) -> BTreeSet<String> {
    let link = |kind: &str| fs::read_link(process.join("ns").join(kind)).ok();
    let kinds = ["net", "mnt", "pid", "uts", "ipc"];
    kinds.iter().filter_map(|kind| link(kind)).map(|path| path.display().to_string()).collect()
}

fn processes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_pid = |path: &PathBuf| path.file_name().unwrap().as_encoded_bytes().iter().all(u8::is_ascii_digit);
    entries.filter(is_pid).collect()
}
