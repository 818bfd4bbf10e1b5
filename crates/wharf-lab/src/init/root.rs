//! The host's root: an overlay of this machine's, with a fresh `/proc`, `/sys`, `/run`, `/tmp` and `/root`.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, unmount};

use crate::Error;
use crate::error::At as _;
use crate::prepare::absent_is_fine;
use crate::spec::HostSpec;

/// Where the host sees the directory that it shares with this machine.
pub(crate) const SHARED: &str = "/run/wharf-host";

/// Settings and identity of this machine that its copies must not have.
const NOT_INHERITED: [&str; 8] = [
    "etc/docker",
    "etc/nologin",
    "etc/rc.local",
    "etc/cron.d",
    "etc/machine-id",
    "etc/wharf",
    "var/lib/wharf",
    "var/lib/wharf-lab",
];

/// Makes the host's root and moves this process into it.
pub(super) fn enter(spec: &HostSpec) -> Result<(), Error> {
    let root = mount_overlay(spec)?;
    let is_first_boot = !spec.disk.join("booted").exists();
    if is_first_boot {
        first_boot(spec, &root)?;
        fs::write(spec.disk.join("booted"), "").at("write", "the mark of the first boot")?;
    }
    mount_system(&root, spec)?;
    mount_shared(&root, spec)?;
    rustix::system::sethostname(spec.hostname.as_bytes()).at("set the hostname to", &spec.hostname)?;
    // pivot_root(2), "pivot_root(".", ".")": the old root lies over the new one until it is detached.
    std::env::set_current_dir(&root).at("enter", &root)?;
    rustix::process::pivot_root(".", ".").at("make the root of", &root)?;
    unmount(".", UnmountFlags::DETACH).at("detach", "the old root")?;
    std::env::set_current_dir("/").at("enter", "/")
}

fn mount_overlay(spec: &HostSpec) -> Result<PathBuf, Error> {
    let [upper, work, root] = ["upper", "work", "root"].map(|name| spec.disk.join(name));
    for dir in [&upper, &work, &root, &spec.disk.join("home")] {
        fs::create_dir_all(dir).at("create", dir)?;
    }
    if !spec.disk.join("booted").exists() {
        for path in NOT_INHERITED.iter().filter(|path| Path::new("/").join(path).symlink_metadata().is_ok()) {
            hide(&upper.join(path))?;
        }
    }
    let options = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
    mount_with(Some("overlay"), &root, "overlay", MountFlags::empty(), &options)?;
    Ok(root)
}

/// Makes a whiteout, the 0/0 device by which an upper layer says "deleted" (overlayfs.rst, "whiteouts and opaque
/// directories"). Deleting through the overlay would walk, for each host, the images of all others.
fn hide(path: &Path) -> Result<(), Error> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let dir = path.parent().expect("it is below the upper directory");
    fs::create_dir_all(dir).at("create", dir)?;
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).at("hide", path)
}

/// What a new machine has and a copy of this one has not.
fn first_boot(spec: &HostSpec, root: &Path) -> Result<(), Error> {
    for dir in ["etc/docker", "var/lib/docker", "usr/local/bin"].map(|dir| root.join(dir)) {
        fs::create_dir_all(&dir).at("create", &dir)?;
    }
    let write = |name: &str, text: String| fs::write(root.join(name), text).at("write", root.join(name));
    write("etc/hostname", spec.hostname.clone() + "\n")?;
    write("etc/hosts", spec.etc_hosts.join("\n") + "\n")?;
    write("etc/machine-id", machine_id(spec) + "\n")?;
    // May be a link into this machine's /run.
    let resolv = root.join("etc/resolv.conf");
    fs::remove_file(&resolv).or_else(absent_is_fine).at("remove", &resolv)?;
    write("etc/resolv.conf", resolv_conf(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()))?;
    unlock_root(&root.join("etc/shadow"))
}

/// This machine's name servers. A host seldom reaches them, and then a look-up must fail in a second rather than
/// in resolv.conf(5)'s ten. dockerd hands the same on to containers.
fn resolv_conf(ours: &str) -> String {
    let servers = ours.lines().filter(|line| line.trim_start().starts_with("nameserver"));
    servers.chain(["options timeout:1 attempts:1"]).map(|line| format!("{line}\n")).collect()
}

/// 32 hex digits, different for each host of each lab (machine-id(5)).
fn machine_id(spec: &HostSpec) -> String {
    let name = wharf_base::hex(spec.hostname.as_bytes());
    let digits: String = name.chars().take(24).collect();
    format!("{digits:0<24}{:08x}", spec.index)
}

/// sshd lets nobody into an account whose password field begins with `!`, not even with a key.
fn unlock_root(shadow: &Path) -> Result<(), Error> {
    let Ok(text) = fs::read_to_string(shadow) else { return Ok(()) };
    let unlock = |line: &str| match line.strip_prefix("root:!") {
        Some(rest) => format!("root:*{}\n", rest.trim_start_matches(|c| c != ':')),
        None => format!("{line}\n"),
    };
    fs::write(shadow, text.lines().map(unlock).collect::<String>()).at("write", shadow)
}

fn mount_system(root: &Path, spec: &HostSpec) -> Result<(), Error> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV;
    let size = spec.tmp_size.0;
    mount_with(None, &root.join("proc"), "proc", quiet | MountFlags::NOEXEC, "")?;
    mount_with(None, &root.join("sys"), "sysfs", quiet | MountFlags::NOEXEC, "")?;
    let cgroup = root.join("sys/fs/cgroup");
    mount_bind_recursive("/sys/fs/cgroup", &cgroup).at("mount", &cgroup)?;
    mount_bind_recursive("/dev", root.join("dev")).at("mount", root.join("dev"))?;
    mount_with(None, &root.join("run"), "tmpfs", quiet, &format!("mode=755,size={size}"))?;
    mount_with(None, &root.join("tmp"), "tmpfs", quiet, &format!("mode=1777,size={size}"))?;
    // This machine's keys and files are not the host's. On the host's disk, so that it survives a power loss.
    let home = root.join("root");
    mount_bind(spec.disk.join("home"), &home).at("mount", &home)
}

fn mount_shared(root: &Path, spec: &HostSpec) -> Result<(), Error> {
    let docker = root.join("var/lib/docker");
    mount_bind(&spec.docker, &docker).at("mount", &docker)?;
    let shared = root.join(SHARED.trim_start_matches('/'));
    fs::create_dir(&shared).at("create", &shared)?;
    mount_bind(&spec.run, &shared).at("mount", &shared)?;
    let program = root.join("usr/local/bin/wharf");
    if !program.exists() {
        fs::write(&program, "").at("create", &program)?;
    }
    mount_bind(&spec.program, &program).at("mount", &program)
}

fn mount_with(
    source: Option<&str>,
    target: &Path,
    fs_type: &str,
    flags: MountFlags,
    options: &str,
) -> Result<(), Error> {
    let options = std::ffi::CString::new(options).expect("paths are checked to be plain");
    mount(source.unwrap_or(fs_type), target, fs_type, flags, Some(options.as_c_str())).at("mount", target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_kept_and_look_ups_fail_soon() {
        let ours =
            "# made by hand\nsearch corp\nnameserver 10.0.0.2\noptions timeout:9\nnameserver 10.0.0.3\n";
        let expected = "nameserver 10.0.0.2\nnameserver 10.0.0.3\noptions timeout:1 attempts:1\n";
        assert_eq!(resolv_conf(ours), expected);
    }

    #[test]
    fn root_can_log_in_with_a_key_though_it_has_no_password() {
        let dir = wharf_test_support::temp_dir();
        let shadow = dir.path().join("shadow");
        for (before, after) in
            [("root:!:1::::::\na:!:1\n", "root:*:1::::::\na:!:1\n"), ("root:$6$x:1\n", "root:$6$x:1\n")]
        {
            fs::write(&shadow, before).unwrap();
            unlock_root(&shadow).unwrap();
            assert_eq!(fs::read_to_string(&shadow).unwrap(), after);
        }
        unlock_root(&dir.path().join("absent")).unwrap();
    }
}
