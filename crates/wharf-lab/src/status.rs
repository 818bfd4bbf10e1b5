//! How the hosts of a lab are.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use futures_util::future::join_all;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::command::Runner;
use crate::layout::Layout;
use crate::{Error, cgroup, engine, mounts, network, process};

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// The number that commands take, from 1.
    pub index: u32,
    /// The hostname, `wh1`.
    pub name: String,
    /// The address in the lab's network.
    pub address: Ipv4Addr,
    /// Whether it is powered on.
    pub is_running: bool,
    /// Whether its cable is plugged in.
    pub is_linked: bool,
    /// Whether its dockerd answers.
    pub is_docker_ready: bool,
    /// Its pid 1, as this machine numbers it.
    pub pid: Option<i32>,
    /// Its Engine's socket on this machine: `DOCKER_HOST=unix://…`.
    pub docker_socket: PathBuf,
    /// The private key for `root`.
    pub ssh_key: PathBuf,
    /// The host keys of the lab, for ssh's `UserKnownHostsFile`.
    pub known_hosts: PathBuf,
    /// What its processes hold in memory, file pages apart, where the kernel counts it.
    pub memory_bytes: Option<u64>,
    /// The same with the file pages that are charged to it.
    pub memory_total_bytes: Option<u64>,
}

/// Looks at every host that was made, in the order of their numbers.
pub(crate) async fn status(layout: &Layout) -> Result<Vec<HostStatus>, Error> {
    let ports = match mounts::is_mounted(&layout.switch_net())? {
        true => network::ports_up(layout, Runner::unlocked()).await?,
        false => Vec::new(),
    };
    let inits = process::inits(layout);
    let hosts = layout.hosts().into_iter().map(|index| {
        let host = layout.host(index);
        let (ports, pid) = (&ports, inits.get(&index).copied());
        async move {
            let memory = cgroup::memory(&host);
            HostStatus {
                index,
                is_running: pid.is_some(),
                is_linked: ports.contains(&host.port),
                is_docker_ready: pid.is_some() && engine::answers_docker(&host.socket()).await,
                pid: pid.map(Pid::as_raw_pid),
                docker_socket: host.socket(),
                ssh_key: layout.key(),
                known_hosts: layout.known_hosts(),
                memory_bytes: memory.map(|memory| memory.anonymous_bytes),
                memory_total_bytes: memory.map(|memory| memory.total_bytes),
                name: host.name,
                address: host.address,
            }
        }
    });
    Ok(join_all(hosts).await)
}
