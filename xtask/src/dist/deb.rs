//! The Debian package: the program, units for systemd, a configuration file, man pages and completions.
//!
//! Laid out in a directory and packed with Debian's own dpkg-deb. A static program depends on nothing; another depends on
//! the C library of the machine where it was linked.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::Source;
use super::program::Program;
use crate::command::run as command;

/// Makes `wharf_VERSION_ARCHITECTURE.deb` in `out`.
pub(super) fn make(source: &Source, out: &Path) -> anyhow::Result<PathBuf> {
    let scratch = tempfile::tempdir()?;
    let tree = Tree { root: scratch.path().join("tree") };
    let from = |path: &str| source.root.join("dist").join(path);
    tree.copy(&source.program.path, "usr/bin/wharf", 0o755)?;
    for unit in ["wharf-server.service", "wharf-agent.service"] {
        tree.copy(&from(&format!("systemd/{unit}")), &format!("usr/lib/systemd/system/{unit}"), 0o644)?;
    }
    tree.copy(&from("wharf.yaml"), "etc/wharf/wharf.yaml", 0o644)?;
    tree.copy(&from("deb/copyright"), "usr/share/doc/wharf/copyright", 0o644)?;
    man_pages(source, &tree)?;
    completions(source, &tree)?;
    changelog(source, &tree)?;

    let size =
        tree.files()?.iter().map(|path| std::fs::metadata(path).map_or(0, |meta| meta.len())).sum::<u64>();
    let control = std::fs::read_to_string(from("deb/control"))?
        .replace("{version}", &source.program.version)
        .replace("{architecture}", source.program.architecture)
        .replace("{size_kib}", &size.div_ceil(1_024).to_string())
        .replace("{depends}", &depends(&source.program)?);
    let sums = tree.md5sums()?;
    tree.write("DEBIAN/control", control.as_bytes(), 0o644)?;
    tree.write("DEBIAN/md5sums", sums.as_bytes(), 0o644)?;
    tree.write("DEBIAN/conffiles", b"/etc/wharf/wharf.yaml\n", 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        tree.copy(&from(&format!("deb/{script}")), &format!("DEBIAN/{script}"), 0o755)?;
    }

    let package = out.join(format!("wharf_{}_{}.deb", source.program.version, source.program.architecture));
    let compression = if source.fast { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z6"] };
    let packed = Command::new("dpkg-deb")
        .args(["--root-owner-group", compression[0], compression[1], "--build"])
        .args([&tree.root, &package])
        .env("SOURCE_DATE_EPOCH", source.epoch.to_string())
        .output()
        .context("cannot run dpkg-deb\n  hint: it is in Debian's package dpkg")?;
    anyhow::ensure!(packed.status.success(), "dpkg-deb: {}", String::from_utf8_lossy(&packed.stderr));
    Ok(package)
}

/// The line `Depends`, or nothing.
fn depends(program: &Program) -> anyhow::Result<String> {
    let mut packages = Vec::new();
    for library in &program.libraries {
        // Debian's packages of these names have been the same since 2021.
        match library.as_str() {
            "libgcc_s.so.1" => packages.push("libgcc-s1".to_owned()),
            "libc.so.6" | "libm.so.6" | "ld-linux-x86-64.so.2" | "ld-linux-aarch64.so.1" => {}
            other => anyhow::bail!("the program needs {other}, of which no package is known here"),
        }
    }
    if let Some(glibc) = &program.glibc {
        packages.push(format!("libc6 (>= {glibc})"));
    }
    Ok(if packages.is_empty() { String::new() } else { format!("Depends: {}\n", packages.join(", ")) })
}

fn man_pages(source: &Source, tree: &Tree) -> anyhow::Result<()> {
    let folder = tree.root.join("usr/share/man/man1");
    command(&source.program.path.display().to_string(), &["man", &folder.display().to_string()])?;
    for page in std::fs::read_dir(&folder)? {
        tree.gzip(&page?.path())?;
    }
    Ok(())
}

fn completions(source: &Source, tree: &Tree) -> anyhow::Result<()> {
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/wharf"),
        ("zsh", "usr/share/zsh/vendor-completions/_wharf"),
        ("fish", "usr/share/fish/vendor_completions.d/wharf.fish"),
    ] {
        let script = command(&source.program.path.display().to_string(), &["completions", shell])?;
        tree.write(path, script.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// What has changed, from `changelog.d`, in the form that apt-listchanges reads.
fn changelog(source: &Source, tree: &Tree) -> anyhow::Result<()> {
    let mut lines: Vec<String> = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(source.root.join("changelog.d"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(path)?;
        let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "-").collect();
        lines.push(format!("  * {}", words.join(" ")));
    }
    let date = command("date", &["--utc", "--rfc-email", &format!("--date=@{}", source.epoch)])?;
    let text = format!(
        "wharf ({}) stable; urgency=medium\n\n{}\n\n -- The Wharf project <wharf@localhost>  {date}",
        source.program.version,
        lines.join("\n")
    );
    let path = "usr/share/doc/wharf/changelog";
    tree.write(path, text.as_bytes(), 0o644)?;
    tree.gzip(&tree.root.join(path))
}

/// The package's files, as they will lie.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn write(&self, path: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().context("the path has a parent")?)?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?)
    }

    fn copy(&self, from: &Path, path: &str, mode: u32) -> anyhow::Result<()> {
        let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.write(path, &bytes, mode)
    }

    /// Debian's policy 12.1 and 12.7: compressed with -9, without a time.
    fn gzip(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
        command("gzip", &["-9n", &path.display().to_string()]).map(drop)
    }

    /// Every file, sorted.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let (mut files, mut folders) = (Vec::new(), vec![self.root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        Ok(files)
    }

    /// What `debsums` checks.
    fn md5sums(&self) -> anyhow::Result<String> {
        let mut output = String::new();
        for path in self.files()? {
            let inside = path.strip_prefix(&self.root)?;
            // A configuration file is the user's.
            if !inside.starts_with("etc") {
                let line = command("md5sum", &[&path.display().to_string()])?;
                let sum = line.split_whitespace().next().context("md5sum printed nothing")?;
                output.push_str(&format!("{sum}  {}\n", inside.display()));
            }
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(libraries: &[&str], glibc: Option<&str>) -> Program {
        Program {
            path: PathBuf::new(),
            version: "1.0.0".to_owned(),
            architecture: "amd64",
            libraries: libraries.iter().map(|&library| library.to_owned()).collect(),
            glibc: glibc.map(str::to_owned),
        }
    }

    #[test]
    fn a_static_program_depends_on_nothing_and_another_on_what_it_was_linked_with() {
        assert_eq!(depends(&program(&[], None)).unwrap(), "");
        let dynamic = program(&["libc.so.6", "libgcc_s.so.1"], Some("2.34"));
        assert_eq!(depends(&dynamic).unwrap(), "Depends: libgcc-s1, libc6 (>= 2.34)\n");
        let unknown = depends(&program(&["libssl.so.3"], None)).unwrap_err();
        assert!(unknown.to_string().contains("libssl.so.3"), "{unknown}");
    }
}
