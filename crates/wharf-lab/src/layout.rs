//! Every name that a lab gives to something on this machine. `down` finds things by these names and nothing else.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::{Config, Error};

/// The file that says that a directory is a lab's, and with which network.
const MARKER: &str = "wharf-lab.json";

/// The names of one lab.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) network: [u8; 3],
    /// The lab's own directory below `run_dir`.
    pub(crate) run: PathBuf,
    /// The lab's own directory below `data_dir`.
    pub(crate) data: PathBuf,
    /// Outside of `run`, which `down` removes while it holds the lock.
    pub(crate) lock: PathBuf,
}

/// The names of one host.
#[derive(Clone, Debug)]
pub(crate) struct HostLayout {
    pub(crate) index: u32,
    /// The hostname.
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    /// Shared with the host, there `/run/wharf-host`.
    pub(crate) run: PathBuf,
    /// The host's `/var/lib/docker`.
    pub(crate) docker: PathBuf,
    /// The switch's end of the host's cable.
    pub(crate) port: String,
    /// The directory in each cgroup hierarchy.
    pub(crate) cgroup: String,
}

impl Layout {
    pub(crate) fn new(config: &Config) -> Result<Layout, Error> {
        config.check()?;
        let (run_dir, data_dir) = (resolve(&config.run_dir), resolve(&config.data_dir));
        Ok(Layout {
            name: config.name.clone(),
            network: config.octets()?,
            run: run_dir.join(&config.name),
            data: data_dir.join(&config.name),
            lock: run_dir.join(format!("{}.lock", config.name)),
        })
    }

    pub(crate) fn host(&self, index: u32) -> HostLayout {
        HostLayout {
            index,
            name: format!("{}{index}", self.name),
            address: self.address(10 + index),
            run: self.run.join(format!("h{index}")),
            docker: self.data.join(format!("h{index}/docker")),
            port: format!("{}v{index}", self.name),
            cgroup: format!("{}{index}", self.cgroup_prefix()),
        }
    }

    /// Address `last` of the network.
    pub(crate) fn address(&self, last: u32) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, u8::try_from(last).expect("host indexes are checked against HOSTS_MAX"))
    }

    pub(crate) fn network_text(&self) -> String {
        let [a, b, c] = self.network;
        format!("{a}.{b}.{c}")
    }

    /// The root namespace's end of the cable to the switch.
    pub(crate) fn uplink(&self) -> String {
        format!("{}-up", self.name)
    }

    /// What the host's cgroups begin with; their index follows.
    pub(crate) fn cgroup_prefix(&self) -> String {
        format!("wharf-lab-{}-h", self.name)
    }

    /// Where the switch's namespace is mounted.
    pub(crate) fn switch_net(&self) -> PathBuf {
        self.run.join("switch.net")
    }

    /// Written once the switch is complete.
    pub(crate) fn switch_ready(&self) -> PathBuf {
        self.run.join("switch.ready")
    }

    /// The private key that opens every host.
    pub(crate) fn key(&self) -> PathBuf {
        self.run.join("id_ed25519")
    }

    /// The host keys of all hosts.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.run.join("known_hosts")
    }

    /// The program that is pid 1 of each host.
    pub(crate) fn program(&self) -> PathBuf {
        self.data.join("wharf")
    }

    /// What each host's spec begins with, as an argument of its pid 1.
    pub(crate) fn spec_prefix(&self) -> String {
        self.run.join("h").display().to_string()
    }

    /// The hosts that have been made, in order, running or not.
    pub(crate) fn hosts(&self) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir(&self.run) else { return Vec::new() };
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
        let index = |name: String| name.strip_prefix('h')?.parse().ok();
        let mut hosts: Vec<u32> = entries.flatten().filter_map(name).filter_map(index).collect();
        hosts.sort_unstable();
        hosts
    }
}

/// The marker of a lab's directory.
pub(crate) fn marker(dir: &Path) -> PathBuf {
    dir.join(MARKER)
}

/// The marker while it is being written.
pub(crate) fn new_marker(dir: &Path) -> PathBuf {
    marker(dir).with_extension("new")
}

/// `path` without symbolic links, as far as it exists: mounts are listed so.
fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return real.join(path.strip_prefix(ancestor).expect("an ancestor is a prefix"));
        }
    }
    path.to_owned()
}

impl HostLayout {
    /// What pid 1 reads.
    pub(crate) fn spec(&self) -> PathBuf {
        self.run.join("host.json")
    }

    /// Where the network namespace is mounted.
    pub(crate) fn net(&self) -> PathBuf {
        self.run.join("net")
    }

    /// A filesystem in memory: what the host writes to its root.
    pub(crate) fn disk(&self) -> PathBuf {
        self.run.join("disk")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.run.join("docker.sock")
    }

    pub(crate) fn console_log(&self) -> PathBuf {
        self.run.join("console.log")
    }

    pub(crate) fn dockerd_log(&self) -> PathBuf {
        self.run.join("dockerd.log")
    }

    /// There while the host has no dockerd although it should: the last one ended by itself.
    pub(crate) fn dockerd_ended(&self) -> PathBuf {
        self.run.join("dockerd.ended")
    }

    pub(crate) fn host_key(&self) -> PathBuf {
        self.run.join("ssh_host_ed25519_key")
    }

    /// The same after every boot, so that neighbours' ARP tables stay right.
    pub(crate) fn mac(&self) -> String {
        let [a, b, c, d] = self.address.octets();
        // 02: locally administered, RFC 7042 section 2.1.
        format!("02:77:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}
