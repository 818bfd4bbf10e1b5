//! The host's cgroups: one directory per hierarchy, v1, v2 or both.
//!
//! In v2 a cgroup with children that use controllers may hold no processes itself ("no internal processes",
//! cgroup-v2.rst), so there pid 1 goes to a leaf, `init`, and containers beside it. A hierarchy or controller that
//! is missing is not an error: the host then goes without.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;
use crate::error::At as _;
use crate::layout::{HostLayout, Layout};
use crate::mounts;

/// Controllers that containers use and that v2 hands down only when told to.
const V2_CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// A cgroup can be removed only after its last process is gone, and the kernel takes a moment for that.
const REMOVE_DEADLINE: Duration = Duration::from_secs(10);

/// One mounted hierarchy.
#[derive(Clone, Debug)]
struct Hierarchy {
    dir: PathBuf,
    is_v2: bool,
    has_cpuset: bool,
}

fn hierarchies() -> Result<Vec<Hierarchy>, Error> {
    let mounts = mounts::all()?;
    // Hosts find them at the usual place only; others (of containers, of chroots) are not ours.
    let usual = mounts.into_iter().filter(|mount| mount.target.starts_with("/sys/fs/cgroup"));
    let hierarchy = |mount: mounts::Mount| {
        let is_v2 = mount.fs_type == "cgroup2";
        let has_cpuset = mount.super_options.split(',').any(|option| option == "cpuset");
        (is_v2 || mount.fs_type == "cgroup").then_some(Hierarchy { dir: mount.target, is_v2, has_cpuset })
    };
    Ok(usual.filter_map(hierarchy).collect())
}

/// Makes the host's cgroups and returns the directories that its processes belong into.
pub(crate) fn create(host: &HostLayout) -> Result<Vec<PathBuf>, Error> {
    let mut places = Vec::new();
    for hierarchy in hierarchies()? {
        let dir = hierarchy.dir.join(&host.cgroup);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tracing::debug!(dir = %dir.display(), %error, "host goes without this cgroup");
                continue;
            }
            _ => {}
        }
        if hierarchy.has_cpuset {
            // A new v1 cpuset is empty and takes no process.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let value = fs::read(hierarchy.dir.join(file)).at("read", hierarchy.dir.join(file))?;
                fs::write(dir.join(file), value).at("write", dir.join(file))?;
            }
        }
        if hierarchy.is_v2 {
            hand_down(&hierarchy.dir);
            hand_down(&dir);
            let leaf = dir.join("init");
            fs::create_dir_all(&leaf).at("create", &leaf)?;
            places.push(leaf);
        } else {
            places.push(dir);
        }
    }
    Ok(places)
}

/// Lets the children of a v2 cgroup use the controllers that it has, one by one.
fn hand_down(dir: &Path) {
    let control = dir.join("cgroup.subtree_control");
    let has = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    for controller in V2_CONTROLLERS.iter().filter(|name| has.split_whitespace().any(|word| word == **name)) {
        if let Err(error) = fs::write(&control, format!("+{controller}")) {
            tracing::debug!(dir = %dir.display(), controller, %error, "controller is not handed down");
        }
    }
}

/// Moves this process into the cgroups. One that is missing is passed over.
pub(crate) fn enter(places: &[PathBuf]) {
    for place in places {
        // 0 stands for the writer (cgroups(7)), whatever its number is in which pid namespace.
        if let Err(error) = fs::write(place.join("cgroup.procs"), "0") {
            eprintln!("lab-init: cannot enter {}: {error}", place.display());
        }
    }
}

/// Removes every cgroup of the lab, and what dockerd made below them, once their processes have ended.
pub(crate) async fn remove_all(layout: &Layout) -> Result<(), Error> {
    let prefix = layout.cgroup_prefix();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.strip_prefix(&prefix)).is_some_and(|index| index.parse::<u32>().is_ok())
    };
    let start = Instant::now();
    for hierarchy in hierarchies()? {
        for dir in children(&hierarchy.dir).into_iter().filter(is_ours) {
            while let Err(error) = remove_tree(&dir) {
                if start.elapsed() > REMOVE_DEADLINE {
                    return Err(error).at("remove", &dir);
                }
                // No event says that the last process has left every hierarchy.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    Ok(())
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    for child in children(dir) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_dir).map(|entry| entry.path()).collect()
}

/// What a host's processes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Memory that only exists in RAM: not file pages, which the kernel can drop.
    pub(crate) anonymous_bytes: u64,
    /// With the file pages that are charged to this host.
    pub(crate) total_bytes: u64,
}

/// The memory of the host, if the memory controller is there.
pub(crate) fn memory(host: &HostLayout) -> Option<Memory> {
    for hierarchy in hierarchies().ok()? {
        let dir = hierarchy.dir.join(&host.cgroup);
        let (total, anonymous) = match hierarchy.is_v2 {
            true => ("memory.current", "anon"),
            false => ("memory.usage_in_bytes", "total_rss"),
        };
        let Ok(total) = fs::read_to_string(dir.join(total)) else { continue };
        let stat = fs::read_to_string(dir.join("memory.stat")).ok()?;
        let value = |line: &str| line.strip_prefix(anonymous)?.strip_prefix(' ')?.parse().ok();
        return Some(Memory {
            total_bytes: total.trim().parse().ok()?,
            anonymous_bytes: stat.lines().find_map(value)?,
        });
    }
    None
}
