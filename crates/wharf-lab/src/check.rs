//! Whether this machine can have a lab at all.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// Each command that a lab runs, and the Debian package that has it.
const COMMANDS: [(&str, &str); 9] = [
    ("containerd", "containerd"),
    ("dockerd", "docker.io"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("unshare", "util-linux"),
];

/// Where a command may be; not every user's PATH has sbin.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whatever looks into namespaces needs root.
pub(crate) fn require_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot) }
}

/// Checks for root, the commands, namespaces and the overlay filesystem; the error says what to do.
pub fn check_possible() -> Result<(), Error> {
    require_root()?;
    for (command, package) in COMMANDS {
        if !PATH.split(':').any(|dir| Path::new(dir).join(command).is_file()) {
            return Err(Error::MissingCommand { command, package });
        }
    }
    // Mounts the two kinds that a host's root needs, in a namespace that ends with the command.
    let script = "mount -t tmpfs none /tmp && mkdir /tmp/u /tmp/w /tmp/r && \
                  mount -t overlay -o lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w overlay /tmp/r";
    let tried = Command::new("unshare")
        .args(["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "sh", "-c", script])
        .env("LC_ALL", "C")
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .output();
    let reason = match tried {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Error::Impossible { what: "namespaces with an overlay root", reason })
}
