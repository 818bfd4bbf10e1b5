//! What a test needs from the machine: `require!(Docker)` goes on, or names what is missing and ends the test.

use std::env;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Goes on if the machine has it; otherwise prints `SKIPPED: …` and returns from the test.
///
/// With `WHARF_REQUIRE=all` in the environment a missing one panics. Works in functions that return `()` or
/// `Result<(), E>`, async ones too. Takes the variants of [`Need`]: `require!(Docker)`, `require!(Command("git"))`,
/// or several: `require!(Root, Docker)`.
#[macro_export]
macro_rules! require {
    ($($need:ident $(($arg:expr))?),+ $(,)?) => {
        $(
            if !$crate::present(&$crate::Need::$need $(($arg))?) {
                return $crate::Skipped::skipped();
            }
        )+
    };
}

/// A thing that a test can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Debian's Chromium, or the browser that `CHROMIUM` names.
    Chromium,
    /// This command, in `PATH`.
    Command(&'static str),
    /// An answering Docker Engine on `/var/run/docker.sock`, or on `DOCKER_HOST` if that is a socket's path.
    Docker,
    /// What `wharf lab` needs: root, namespaces, and dockerd, sshd, ip, unshare and nsenter.
    Lab,
    /// The programs of a PostgreSQL server.
    Postgres,
    /// User id 0.
    Root,
}

/// The value that a skipped test returns.
pub trait Skipped {
    /// Success.
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() {}
}

impl<E> Skipped for Result<(), E> {
    fn skipped() -> Result<(), E> {
        Ok(())
    }
}

/// Whether the machine has it. If not, says so on stderr, or panics under `WHARF_REQUIRE=all`.
pub fn present(need: &Need) -> bool {
    let Some(reason) = missing(need) else { return true };
    if env::var_os("WHARF_REQUIRE").is_some_and(|value| value == "all") {
        panic!("{need:?} is required (WHARF_REQUIRE=all): {reason}");
    }
    eprintln!("SKIPPED: {need:?}: {reason}");
    false
}

/// Why the machine lacks it, or `None`.
pub fn missing(need: &Need) -> Option<String> {
    match need {
        Need::Chromium => chromium().is_none().then(|| "no chromium in PATH; set CHROMIUM".to_owned()),
        Need::Command(name) => find_command(name).is_none().then(|| format!("no command `{name}` in PATH")),
        Need::Docker => docker_missing(),
        Need::Lab => lab_missing(),
        Need::Postgres => {
            let is_there = crate::postgres_programs().is_some() && find_command("psql").is_some();
            (!is_there).then(|| "no initdb and psql; Debian has them in the package postgresql".to_owned())
        }
        Need::Root => (!is_root()).then(|| "not run as root".to_owned()),
    }
}

/// The browser: the file that `CHROMIUM` names, else `chromium` or its other names in `PATH`.
pub fn chromium() -> Option<PathBuf> {
    match env::var_os("CHROMIUM") {
        Some(path) => Some(PathBuf::from(path)).filter(|path| is_executable(path)),
        None => ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| find_command(name)),
    }
}

/// The executable file with this name in `PATH` or the places of system programs.
pub fn find_command(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Not every user's PATH has sbin, where dockerd, sshd and ip may be.
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn docker_missing() -> Option<String> {
    let socket = match env::var("DOCKER_HOST") {
        Ok(host) => match host.strip_prefix("unix://") {
            Some(path) => path.to_owned(),
            None => return Some(format!("DOCKER_HOST is {host}, not a socket")),
        },
        Err(_) => "/var/run/docker.sock".to_owned(),
    };
    ping(&socket).err().map(|error| format!("no Docker Engine answers on {socket}: {error}"))
}

fn ping(socket: &str) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    match &status[9..] {
        b"200" => Ok(()),
        _ => Err(std::io::Error::other(String::from_utf8_lossy(&status).into_owned())),
    }
}

fn lab_missing() -> Option<String> {
    if !is_root() {
        return Some("not run as root".to_owned());
    }
    for name in
        ["dockerd", "containerd", "iptables", "sshd", "ssh-keygen", "ip", "setsid", "unshare", "nsenter"]
    {
        if find_command(name).is_none() {
            return Some(format!("no command `{name}`"));
        }
    }
    // The same trial as in wharf-lab's `check_possible`.
    let script = "mount -t tmpfs none /tmp && mkdir /tmp/u /tmp/w /tmp/r && \
                  mount -t overlay -o lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w overlay /tmp/r";
    let made = Command::new("unshare")
        .args(["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "sh", "-c", script])
        .stdin(Stdio::null())
        .output();
    match made {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("cannot run unshare: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has_and_names_what_none_has() {
        assert_eq!(missing(&Need::Command("sh")), None);
        assert!(
            missing(&Need::Command("no-such-command")).is_some_and(|why| why.contains("no-such-command"))
        );
    }

    #[test]
    fn a_test_goes_on_when_nothing_is_missing() {
        fn runs() -> Result<(), String> {
            require!(Command("sh"), Command("ls"));
            Err("went on".to_owned())
        }
        assert_eq!(runs(), Err("went on".to_owned()));
    }
}
