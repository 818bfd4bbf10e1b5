//! Making one host and booting it: everything outside of its namespaces.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use tokio::process::Command;
use wharf_base::ByteSize;

use crate::command::Runner;
use crate::error::At as _;
use crate::layout::{HostLayout, Layout};
use crate::prepare::absent_is_fine;
use crate::process::INIT_WORD;
use crate::spec::HostSpec;
use crate::{Config, Error, HOSTS_MAX, cgroup, check, engine, mounts, network};

/// LIMIT: as much of a log as fits a terminal.
const TAIL_LINES: usize = 20;

/// `/run` and `/tmp` of a host are in memory, apart from the disk.
const TMP_SIZE: ByteSize = ByteSize(512 << 20);

/// Boots the host, new or powered off, and returns once its dockerd and sshd answer.
pub(crate) async fn boot(
    config: &Config,
    layout: &Layout,
    host: &HostLayout,
    runner: Runner<'_>,
) -> Result<(), Error> {
    // First, as this directory is what `down` looks for.
    fs::create_dir_all(&host.run).at("create", &host.run)?;
    fs::create_dir_all(&host.docker).at("create", &host.docker)?;
    ensure_disk(config, host)?;
    ensure_host_key(host, runner).await?;
    let public = layout.key().with_extension("pub");
    fs::copy(&public, host.run.join("authorized_keys")).at("copy", &public)?;
    network::renew_host(layout, host, runner).await?;
    spec(config, layout, host)?.write(&host.spec())?;
    let mut process = spawn(layout, host)?;
    tokio::select! {
        // If it is ready and has ended, it has ended.
        biased;
        ended = process.wait() => Err(boot_failed(host, ended.at("wait for", host.spec())?)),
        ready = wait_ready(host, config.bare, config.ready_deadline) => ready,
    }
}

/// The writes to the host's root are kept in memory, but outside of its namespaces: they outlive a power loss.
///
/// They can't be on the disk that `/` is on: overlayfs refuses an upper directory inside of the lower one.
fn ensure_disk(config: &Config, host: &HostLayout) -> Result<(), Error> {
    let disk = host.disk();
    fs::create_dir_all(&disk).at("create", &disk)?;
    if mounts::is_mounted(&disk)? {
        return Ok(());
    }
    let options = format!("mode=755,size={}", config.root_size.0);
    let options = std::ffi::CString::new(options).expect("digits have no NUL");
    mount(host.cgroup.as_str(), &disk, "tmpfs", MountFlags::NOATIME, Some(options.as_c_str()))
        .at("mount a tmpfs on", &disk)
}

async fn ensure_host_key(host: &HostLayout, runner: Runner<'_>) -> Result<(), Error> {
    new_key(&host.host_key(), &host.name, runner).await
}

/// Makes an ed25519 key pair, unless it is there. The private half comes last, so that there is never half a pair.
pub(crate) async fn new_key(path: &Path, comment: &str, runner: Runner<'_>) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    let new = path.with_extension("new");
    for old in [new.clone(), new.with_extension("new.pub")] {
        fs::remove_file(&old).or_else(absent_is_fine).at("remove", old)?;
    }
    let file = new.display().to_string();
    runner.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &file]).await?;
    let public = path.with_extension("pub");
    fs::rename(new.with_extension("new.pub"), &public).at("create", &public)?;
    fs::rename(&new, path).at("create", path)
}

fn spec(config: &Config, layout: &Layout, host: &HostLayout) -> Result<HostSpec, Error> {
    let mut etc_hosts = vec![format!("127.0.0.1 localhost {}", host.name), "::1 localhost".to_owned()];
    etc_hosts.extend(
        (1..=HOSTS_MAX).map(|index| layout.host(index)).map(|host| format!("{} {}", host.address, host.name)),
    );
    Ok(HostSpec {
        version: HostSpec::VERSION,
        index: host.index,
        hostname: host.name.clone(),
        etc_hosts,
        run: host.run.clone(),
        disk: host.disk(),
        docker: host.docker.clone(),
        program: layout.program(),
        cgroups: cgroup::create(host)?,
        cgroup_parent: format!("/{}", host.cgroup),
        bare: config.bare,
        dockerd_args: config.dockerd_args.clone(),
        tmp_size: TMP_SIZE,
    })
}

/// Starts pid 1 of the host, in a session of its own, so that the end of this terminal is not the host's.
///
/// The pid namespace begins with unshare's child. unshare itself stays outside, waits for it, and ends with it.
fn spawn(layout: &Layout, host: &HostLayout) -> Result<tokio::process::Child, Error> {
    let console = File::create(host.console_log()).at("create", host.console_log())?;
    let console_too = console.try_clone().at("open", host.console_log())?;
    for stale in [host.socket(), host.dockerd_log(), host.dockerd_ended()] {
        fs::remove_file(&stale).or_else(absent_is_fine).at("remove", stale)?;
    }
    Command::new("setsid")
        .args(["nsenter", &format!("--net={}", host.net().display())])
        .args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--propagation", "private"])
        .args([layout.program().as_os_str(), INIT_WORD.as_ref(), host.spec().as_os_str()])
        .env_clear()
        .env("PATH", check::PATH)
        .env("LANG", "C.UTF-8")
        .env("HOME", "/root")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(console_too)
        .spawn()
        .at("run", "setsid")
}

async fn wait_ready(host: &HostLayout, is_bare: bool, deadline: Duration) -> Result<(), Error> {
    let ssh = async {
        let answered = tokio::time::timeout(deadline, engine::wait_ssh(host.address)).await;
        answered.map_err(|_| not_ready(host, "sshd", deadline, host.console_log()))
    };
    let docker = async {
        match is_bare {
            true => Ok(()),
            false => wait_docker_ready(host, deadline).await,
        }
    };
    tokio::try_join!(ssh, docker).map(drop)
}

/// Waits until the host's dockerd answers, or fails with the end of its log.
pub(crate) async fn wait_docker_ready(host: &HostLayout, deadline: Duration) -> Result<(), Error> {
    let (socket, ended, log) = (host.socket(), host.dockerd_ended(), host.dockerd_log());
    tokio::select! {
        () = engine::wait_docker(&socket) => Ok(()),
        () = engine::wait_exists(&ended) => {
            Err(Error::DockerdEnded { host: host.name.clone(), tail: tail(&log), log })
        }
        () = tokio::time::sleep(deadline) => Err(not_ready(host, "dockerd", deadline, log)),
    }
}

fn not_ready(host: &HostLayout, service: &'static str, waited: Duration, log: PathBuf) -> Error {
    Error::NotReady { host: host.name.clone(), service, waited, tail: tail(&log), log }
}

fn boot_failed(host: &HostLayout, status: ExitStatus) -> Error {
    let log = host.console_log();
    tracing::debug!(host = %host.name, %status, "pid 1 ended");
    Error::BootFailed { host: host.name.clone(), tail: tail(&log), log }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
