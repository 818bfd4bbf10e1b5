//! A lab, as its users see it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};

use crate::check::require_root;
use crate::command::Runner;
use crate::down::down;
use crate::error::At as _;
use crate::layout::{HostLayout, Layout};
use crate::lock::Lock;
use crate::prepare::{self, absent_is_fine, check_ours, stored};
use crate::status::{self, HostStatus};
use crate::{Config, Error, HOSTS_MAX, boot, check_possible, network, process};

/// A killed process is gone at once, unless it hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// N throw-away Docker hosts, with one name and one network.
///
/// Remembers nothing: any number of values, in any process, may stand for the same lab. Hosts are numbered from 1.
/// The async methods need a tokio runtime with I/O and time.
#[derive(Clone, Debug)]
pub struct Lab {
    config: Config,
    layout: Layout,
}

impl Lab {
    /// Names a lab; makes nothing yet.
    ///
    /// If a lab with this name is up, its network and `data_dir` are taken, so that `name` is enough to reach it;
    /// [`Lab::up`] then refuses another network, unless that is only the default.
    /// Errors: `Config`.
    pub fn open(mut config: Config) -> Result<Lab, Error> {
        let mut layout = Layout::new(&config)?;
        if let Some(running) = stored(&layout.run)? {
            config.data_dir = running.data_dir.clone();
            layout = Layout::new(&Config { network: running.network, ..config.clone() })?;
        }
        Ok(Lab { config, layout })
    }

    /// Makes sure that hosts 1 to `count` exist and run, and waits until their dockerd and sshd answer.
    ///
    /// Hosts that run already stay as they are; more than `count` are left alone. If one fails the others go on,
    /// and what was made stays for inspection until [`Lab::down`]. Errors: what [`check_possible`] gives,
    /// `BootFailed` and `NotReady` with the end of the log, `NetworkTaken`, `OtherNetwork`, `DataOnOverlay`.
    pub async fn up(&self, count: u32) -> Result<Vec<HostStatus>, Error> {
        if !(1..=HOSTS_MAX).contains(&count) {
            return Err(Error::HostCount { asked: count });
        }
        check_possible()?;
        // What can be refused is refused before anything is made.
        prepare::check(&self.config, &self.layout)?;
        network::check_free(&self.layout, Runner::unlocked()).await?;
        let lock = Lock::take(&self.layout).await?;
        let runner = Runner::under(&lock);
        prepare::dirs(&self.config, &self.layout)?;
        prepare::program(&self.config, &self.layout)?;
        let key_path = self.layout.key();
        let key = boot::new_key(&key_path, "wharf-lab", runner);
        let (key, switch) = tokio::join!(key, network::ensure_switch(&self.layout, runner));
        key.and(switch)?;
        let running = process::inits(&self.layout);
        let hosts = (1..=count).filter(|index| !running.contains_key(index)).map(|index| async move {
            boot::boot(&self.config, &self.layout, &self.layout.host(index), runner).await
        });
        let booted = join_all(hosts).await;
        prepare::known_hosts(&self.layout)?;
        booted.into_iter().collect::<Result<(), Error>>()?;
        self.status().await
    }

    /// Ends every host and removes all that the lab ever made: processes, links, namespaces, mounts, cgroups and
    /// directories. Works in any state, also after a crash, and when there is no lab.
    pub async fn down(&self) -> Result<(), Error> {
        require_root()?;
        check_ours(&self.layout)?;
        down(&self.layout).await
    }

    /// How each host is, in order. Empty if there is no lab.
    pub async fn status(&self) -> Result<Vec<HostStatus>, Error> {
        require_root()?;
        status::status(&self.layout).await
    }

    /// The address of this machine in the lab's network, at which hosts reach it.
    pub fn gateway(&self) -> std::net::Ipv4Addr {
        self.layout.address(1)
    }

    /// The Engine's socket of host `index`.
    pub fn docker_socket(&self, index: u32) -> PathBuf {
        self.layout.host(index).socket()
    }

    /// The private key that lets `root` into every host.
    pub fn ssh_key(&self) -> PathBuf {
        self.layout.key()
    }

    /// The host keys, in ssh's `known_hosts` format.
    pub fn known_hosts(&self) -> PathBuf {
        self.layout.known_hosts()
    }

    /// `ssh root@…` with the lab's key and host keys, to which words of a remote command can be added.
    ///
    /// Errors: `NoSuchHost`.
    pub fn ssh_command(&self, index: u32) -> Result<Command, Error> {
        let host = self.host(index)?;
        let mut command = Command::new("ssh");
        command
            .arg("-q")
            .arg("-i")
            .arg(self.layout.key())
            .args(["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.layout.known_hosts().display()))
            .arg(format!("root@{}", host.address));
        Ok(command)
    }

    /// A command that runs `argv` inside of host `index`, in all its namespaces and cgroups, without the network.
    ///
    /// Works while the host is cut off. Errors: `NoSuchHost`, `NotRunning`.
    pub fn exec_command<S: AsRef<std::ffi::OsStr>>(&self, index: u32, argv: &[S]) -> Result<Command, Error> {
        let host = self.host(index)?;
        let pid = self.pid(&host)?;
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &pid.as_raw_nonzero().to_string()])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"])
            // nsenter changes namespaces, not cgroups. `echo` is built in: the shell moves itself.
            .args(["sh", "-c"])
            .arg("for f in /sys/fs/cgroup/*/$0/cgroup.procs /sys/fs/cgroup/$0/init/cgroup.procs; do [ -e $f ] && echo 0 >$f; done 2>/dev/null; exec \"$@\"")
            .arg(&host.cgroup)
            .args(argv)
            .env("PATH", crate::check::PATH)
            .env("HOME", "/root");
        Ok(command)
    }

    /// Pulls the host's network cable: a partition. The host runs on.
    pub async fn cut(&self, index: u32) -> Result<(), Error> {
        network::set_link(&self.layout, &self.host(index)?, false, Runner::unlocked()).await
    }

    /// Plugs the cable in again.
    pub async fn heal(&self, index: u32) -> Result<(), Error> {
        network::set_link(&self.layout, &self.host(index)?, true, Runner::unlocked()).await
    }

    /// Power loss: the link goes first, as the kernel would end the connections of a killed process politely, then
    /// every process of the host at once. The disk is kept. Errors: `NoSuchHost`, `NotRunning`.
    pub async fn kill(&self, index: u32) -> Result<(), Error> {
        let host = self.host(index)?;
        let pid = self.pid(&host)?;
        network::set_link(&self.layout, &host, false, Runner::unlocked()).await?;
        kill_process(pid, Signal::KILL).at("kill", &host.name)?;
        process::wait_end(pid, KILL_DEADLINE).await
    }

    /// Boots a host that lost power, with its disk as it was and a new network stack, and waits until it answers.
    ///
    /// Errors: `NoSuchHost`, `AlreadyRunning`, and as [`Lab::up`].
    pub async fn start(&self, index: u32) -> Result<(), Error> {
        let lock = Lock::take(&self.layout).await?;
        let host = self.host(index)?;
        if self.pid(&host).is_ok() {
            return Err(Error::AlreadyRunning { host: host.name });
        }
        boot::boot(&self.effective_config()?, &self.layout, &host, Runner::under(&lock)).await
    }

    /// Restarts the host's dockerd, or starts it if it was killed, and waits until it answers.
    ///
    /// Errors: `NoSuchHost`, `NotRunning`, `Bare`, `NotReady`.
    pub async fn dockerd_restart(&self, index: u32) -> Result<(), Error> {
        let host = self.host(index)?;
        let config = self.effective_config()?;
        if config.bare {
            return Err(Error::Bare { host: host.name });
        }
        let pid = self.pid(&host)?;
        // Else the old dockerd could answer once more. pid 1 takes SIGHUP for this.
        for stale in [host.socket(), host.dockerd_ended()] {
            fs::remove_file(&stale).or_else(absent_is_fine).at("remove", stale)?;
        }
        kill_process(pid, Signal::HUP).at("signal", &host.name)?;
        boot::wait_docker_ready(&host, config.ready_deadline).await
    }

    fn host(&self, index: u32) -> Result<HostLayout, Error> {
        require_root()?;
        let is_made =
            (1..=HOSTS_MAX).contains(&index) && self.layout.run.join(format!("h{index}/net")).exists();
        match is_made {
            true => Ok(self.layout.host(index)),
            false => Err(Error::NoSuchHost { host: format!("{}{index}", self.layout.name) }),
        }
    }

    fn pid(&self, host: &HostLayout) -> Result<Pid, Error> {
        let pid = process::inits(&self.layout).get(&host.index).copied();
        pid.ok_or_else(|| Error::NotRunning { host: host.name.clone() })
    }

    /// The settings with which the lab was made, so that `start` boots a host as `up` did.
    fn effective_config(&self) -> Result<Config, Error> {
        Ok(stored(&self.layout.run)?.unwrap_or_else(|| self.config.clone()))
    }
}
