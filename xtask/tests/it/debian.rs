//! The Debian package in a clean Debian: installed, checked, used as the README says, removed.
//!
//! The tree is made by debootstrap from this machine's mirror, once per target directory. It has no running systemd: units
//! are checked by `systemd-analyze`, enabled by `systemctl` as an installer does it, and what they start is run by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_test_support::{Child, DEADLINE, TempDir, free_port, require, temp_dir};

use crate::made::{Made, checked, eventually, repository};

/// A Debian of its own.
struct Tree {
    scratch: TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree { scratch: temp_dir() };
        std::fs::create_dir(tree.root()).unwrap();
        let base = base();
        checked(Command::new("tar").arg("-xf").arg(base).arg("-C").arg(tree.root()));
        // What a user gets by default comes with Docker, which is too much to fetch for a test.
        std::fs::write(tree.root().join("etc/apt/apt.conf.d/test"), "APT::Install-Recommends \"false\";\n")
            .unwrap();
        tree
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    /// A command line in the tree, with /proc: `systemctl` finds by it that it is not the running system.
    fn command(&self, line: &str) -> Command {
        let script = "mount -t proc proc \"$1/proc\" && exec chroot \"$1\" sh -ec \"$2\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", script, "sh"]).arg(self.root()).arg(line);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs([("HOME", "/root"), ("DEBIAN_FRONTEND", "noninteractive"), ("LC_ALL", "C.UTF-8")]);
        command
    }

    fn sh(&self, line: &str) -> String {
        checked(&mut self.command(line))
    }

    fn has(&self, path: &str) -> bool {
        self.root().join(path.trim_start_matches('/')).symlink_metadata().is_ok()
    }
}

/// A clean tree, packed; kept beside the other things that builds make.
fn base() -> PathBuf {
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let codename =
        release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("bookworm");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let packed = folder.join(format!("debian-{codename}.tar"));
    if packed.exists() {
        return packed;
    }
    let scratch = tempfile::tempdir_in(folder).unwrap();
    let root = scratch.path().join("root");
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.args(["--variant=minbase", "--include=systemd,man-db,bash-completion", codename]).arg(&root);
    checked(&mut bootstrap);
    let partly = scratch.path().join("tar");
    checked(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&partly).arg("."));
    std::fs::rename(&partly, &packed).unwrap();
    packed
}

/// The lines of the README's first block of commands below this heading.
fn readme(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, section) =
        text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_package_does_in_a_clean_debian_what_the_readme_says() {
    require!(Root, Command("debootstrap"), Command("dpkg-deb"), Command("unshare"));
    let made = Made::new();
    let tree = Tree::new();
    let package = made.file(".deb");
    std::fs::copy(&package, tree.root().join("root").join(package.file_name().unwrap())).unwrap();

    // The README's commands, as they stand there. The server is the test's, not a unit: nothing runs units here.
    let commands = readme("Install");
    let line_with = |part: &str| {
        commands.iter().find(|line| line.starts_with(part)).unwrap_or_else(|| panic!("no {part}"))
    };
    tree.sh(&format!("cd /root; {}", line_with("apt install")));
    assert_eq!(tree.sh("dpkg-query -W -f '${Status}' wharf"), "install ok installed");
    let wants = |unit: &str| tree.has(&format!("/etc/systemd/system/multi-user.target.wants/{unit}.service"));
    assert!(!wants("wharf-server") && !wants("wharf-agent"), "nothing is started that was not asked for");
    // "now" asks the running systemd, which the tree has none of.
    let enable =
        |unit: &str| tree.sh(&line_with(&format!("systemctl enable --now {unit}")).replace("--now ", ""));
    enable("wharf-server");
    assert!(wants("wharf-server") && !wants("wharf-agent"));

    units_are_good(&tree);
    pages_and_completions_are_found(&tree);
    the_server_runs_and_a_host_joins(&tree, &commands);
    enable("wharf-agent");
    assert!(wants("wharf-agent"));

    // Removed, and then purged: the user's settings stay until then, and data for ever.
    std::fs::write(tree.root().join("etc/wharf/wharf.yaml"), "version: 1\n").unwrap();
    tree.sh("apt-get remove -y wharf");
    assert!(!tree.has("/usr/bin/wharf") && tree.has("/etc/wharf/wharf.yaml"));
    let said = tree.sh("apt-get purge -y wharf 2>&1");
    assert!(!tree.has("/etc/wharf") && !wants("wharf-server") && tree.has("/var/lib/wharf-server/state.db"));
    assert!(said.contains("/var/lib/wharf-server is kept"), "{said}");
}

/// No warning, and a good mark for what they are not allowed to do (systemd's own measure: 10 is a plain unit).
fn units_are_good(tree: &Tree) {
    for unit in ["wharf-server.service", "wharf-agent.service"] {
        let said = tree.sh(&format!("systemd-analyze verify --recursive-errors=no {unit}"));
        assert_eq!(said, "", "{unit}");
        tree.sh(&format!("systemd-analyze security --offline=true --threshold=45 --no-pager {unit}"));
    }
}

fn pages_and_completions_are_found(tree: &Tree) {
    for page in ["wharf", "wharf-deploy", "wharf-host-ls"] {
        let text = tree.sh(&format!("MANPAGER=cat man --warnings {page} 2>&1"));
        assert!(text.contains("SYNOPSIS") && !text.contains("warning"), "{page}: {text}");
    }
    let complete = "COMP_WORDS=(wharf host dr); COMP_CWORD=2; _wharf wharf dr host; echo \"${COMPREPLY[@]}\"";
    let script = format!("bash -c '. /usr/share/bash-completion/completions/wharf; {complete}'");
    assert_eq!(tree.sh(&script), "drain");
    assert_eq!(tree.sh("dpkg --verify wharf"), "", "every file is as packed");
    tree.sh("wharf config check --config /etc/wharf/wharf.yaml");
}

/// What the units start, on ports of the test's own, and the README's other commands.
fn the_server_runs_and_a_host_joins(tree: &Tree, commands: &[String]) {
    let exec = |unit: &str| {
        let path = tree.root().join(format!("usr/lib/systemd/system/{unit}.service"));
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned()
    };
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let keys = ["api.listen", "agents.listen", "registry.listen", "balancer.http"];
    let sets: String =
        keys.iter().zip(ports).map(|(key, port)| format!(" --set {key}=127.0.0.1:{port}")).collect();
    let line = format!("exec {}{sets} --set docker.is_host=false", exec("wharf-server"));
    let server = Child::spawn(&mut tree.command(&line));
    server.wait_for_line("token         cat", DEADLINE);
    let url = format!("http://127.0.0.1:{}", ports[0]);
    let with_server = |line: &str| tree.sh(&format!("export WHARF_SERVER={url}; {line}"));
    for line in commands.iter().filter(|line| line.starts_with("wharf ") && !line.contains("join")) {
        with_server(line);
    }
    // Root finds the token of the unit's server by itself.
    let token = with_server("wharf host token --output json");
    let token = token.split('"').find(|word| word.starts_with("wharf-")).unwrap();
    let join = commands.iter().find(|line| line.starts_with("wharf join")).unwrap();
    assert!(join.contains("https://SERVER:7700") && join.contains("TOKEN"), "{join}");
    tree.sh(&join.replace("https://SERVER:7700", &url).replace("TOKEN", token));
    let condition = tree.sh("sed -n s/^ConditionPathExists=//p /usr/lib/systemd/system/wharf-agent.service");
    assert!(tree.has(&condition), "the agent's unit would start now");
    let agent = Child::spawn(&mut tree.command(&format!("exec {}", exec("wharf-agent"))));
    eventually("the host is up", DEADLINE, || with_server("wharf host ls").contains(" up ").then_some(()));
    drop((agent, server));
}
