//! The host's services: sshd, dockerd, and `/etc/rc.local` once dockerd answers.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

use super::root::SHARED;
use crate::Error;
use crate::engine;
use crate::error::At as _;
use crate::prepare::absent_is_fine;
use crate::spec::HostSpec;

/// The Engine's usual place; `/var/run` is a link to `/run`.
const SOCKET: &str = "/run/docker.sock";

/// As long as `docker stop` gives by default, plus dockerd's own end.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(15);

/// sshd's settings. `UsePAM no`: PAM's session modules want a logind.
const SSHD_CONFIG: &str = "\
HostKey /run/wharf-host/ssh_host_ed25519_key
AuthorizedKeysFile /run/wharf-host/authorized_keys .ssh/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PidFile /run/sshd.pid
Subsystem sftp internal-sftp
AcceptEnv LANG
";

/// Runs the services until SIGTERM.
pub(super) fn run(spec: &HostSpec) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.at("start", "the runtime")?.block_on(supervise(spec))
}

struct Services<'a> {
    spec: &'a HostSpec,
    dockerd: Option<Pid>,
    /// SIGHUP came; dockerd is started again when the old one has ended.
    is_restarting: bool,
}

async fn supervise(spec: &HostSpec) -> Result<(), Error> {
    let listen = |kind| signal(kind).at("listen to", "signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut child = listen(SignalKind::child())?;
    start_sshd()?;
    let mut services = Services { spec, dockerd: None, is_restarting: false };
    if !spec.bare {
        services.start_dockerd()?;
    }
    let ready = async {
        if !spec.bare {
            engine::wait_docker(Path::new(SOCKET)).await;
        }
        start_rc_local()
    };
    tokio::pin!(ready);
    let mut is_ready = false;
    loop {
        tokio::select! {
            result = &mut ready, if !is_ready => {
                is_ready = true;
                result.unwrap_or_else(|error| say(&format!("rc.local: {error}")));
            }
            _ = child.recv() => services.reap()?,
            _ = hangup.recv() => services.restart_dockerd()?,
            _ = terminate.recv() => return services.shut_down(&mut child).await,
        }
    }
}

impl Services<'_> {
    fn start_dockerd(&mut self) -> Result<(), Error> {
        let log = Path::new(SHARED).join("dockerd.log");
        let ended = dockerd_ended();
        fs::remove_file(&ended).or_else(absent_is_fine).at("remove", &ended)?;
        let mut command = Command::new("dockerd");
        command
            .args(["--bip", &format!("172.30.{}.1/24", self.spec.index)])
            .args(["--cgroup-parent", &self.spec.cgroup_parent])
            .args(["--host", &format!("unix://{SOCKET}"), "--host", &format!("unix://{SHARED}/docker.sock")])
            .args(&self.spec.dockerd_args);
        self.dockerd = Some(start(&mut command, &log)?);
        Ok(())
    }

    /// A dockerd that was killed is started; one that runs is ended first.
    fn restart_dockerd(&mut self) -> Result<(), Error> {
        if self.spec.bare {
            return Ok(());
        }
        match self.dockerd {
            Some(pid) => {
                self.is_restarting = true;
                kill_process(pid, Signal::TERM).at("signal", "dockerd")
            }
            None => self.start_dockerd(),
        }
    }

    /// Takes every child that has ended, orphans of the whole host included.
    fn reap(&mut self) -> Result<(), Error> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.dockerd != Some(pid) {
                continue;
            }
            say(&format!("dockerd ended: {status:?}"));
            self.dockerd = None;
            if std::mem::take(&mut self.is_restarting) {
                self.start_dockerd()?;
            } else {
                // Whoever waits for it to answer need not wait longer.
                fs::write(dockerd_ended(), "").at("write", dockerd_ended())?;
            }
        }
        Ok(())
    }

    /// Lets dockerd stop its containers; the kernel ends all others with pid 1.
    async fn shut_down(mut self, child: &mut tokio::signal::unix::Signal) -> Result<(), Error> {
        say("shutting down");
        self.is_restarting = false;
        let Some(pid) = self.dockerd else { return Ok(()) };
        kill_process(pid, Signal::TERM).at("signal", "dockerd")?;
        let ended = async {
            while self.dockerd.is_some() && child.recv().await.is_some() {
                if self.reap().is_err() {
                    break;
                }
            }
        };
        if tokio::time::timeout(SHUTDOWN_DEADLINE, ended).await.is_err() {
            say("dockerd did not stop in time");
        }
        Ok(())
    }
}

fn dockerd_ended() -> PathBuf {
    Path::new(SHARED).join("dockerd.ended")
}

fn start_sshd() -> Result<(), Error> {
    // sshd's directory for its unprivileged child.
    fs::create_dir_all("/run/sshd").at("create", "/run/sshd")?;
    let config = "/run/sshd_wharf.conf";
    fs::write(config, SSHD_CONFIG).at("write", config)?;
    // sshd calls itself again by its path, so that must be absolute.
    let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
    let sshd = sshd.into_iter().find(|path| Path::new(path).exists()).unwrap_or("/usr/sbin/sshd");
    let log = Path::new(SHARED).join("sshd.log");
    start(Command::new(sshd).args(["-D", "-e", "-f", config]), &log).map(drop)
}

/// What a user put there to be run at boot, as Debian's rc-local.service does.
fn start_rc_local() -> Result<(), Error> {
    let path = Path::new("/etc/rc.local");
    let is_executable = path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
    if !is_executable {
        return Ok(());
    }
    start(&mut Command::new(path), &Path::new(SHARED).join("rc.local.log")).map(drop)
}

/// Starts a child with its output in `log`, which is emptied.
fn start(command: &mut Command, log: &Path) -> Result<Pid, Error> {
    let file = File::create(log).at("create", log)?;
    let file_too = file.try_clone().at("open", log)?;
    let child = command.stdin(Stdio::null()).stdout(file).stderr(file_too).spawn();
    let child = child.at("run", Path::new(command.get_program()))?;
    // The child is waited for with all others, by number.
    Ok(Pid::from_child(&child))
}

fn say(text: &str) {
    eprintln!("lab-init: {text}");
}
