//! The program that everything is made around: built or found, stripped, and asked what it needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::command::run as command;

/// Which C library the program is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Libc {
    /// Statically with musl: runs on every Linux of its architecture, and in an empty image.
    Musl,
    /// With this system's: runs where the same or a newer one is.
    Native,
}

/// A stripped program and what is known of it.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// `0.1.0`, as it prints it.
    pub(crate) version: String,
    /// Debian's word: `amd64`.
    pub(crate) architecture: &'static str,
    /// Shared libraries that it names; none of a static program.
    pub(crate) libraries: BTreeSet<String>,
    /// The newest glibc that one of its symbols needs: `2.34`.
    pub(crate) glibc: Option<String>,
}

/// Builds the release program and returns where it is.
pub(super) fn build(root: &Path, libc: Libc) -> anyhow::Result<PathBuf> {
    let target = match libc {
        Libc::Musl => Some(format!("{}-unknown-linux-musl", std::env::consts::ARCH)),
        Libc::Native => None,
    };
    let mut arguments = vec!["build", "--release", "--locked", "-p", "wharf"];
    if let Some(target) = &target {
        let directory = command("rustc", &["--print", "target-libdir", "--target", target])?;
        anyhow::ensure!(
            Path::new(directory.trim()).is_dir() && command("musl-gcc", &["--version"]).is_ok(),
            "a static program needs Rust's {target} and a C compiler for musl\n  hint: rustup target add {target} && \
             apt-get install musl-tools; or --libc native, which needs the glibc of this machine or a newer one"
        );
        arguments.extend(["--target", target]);
    }
    let status =
        Command::new("cargo").args(&arguments).current_dir(root).status().context("cannot run cargo")?;
    anyhow::ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(folder.join(target.unwrap_or_default()).join("release/wharf"))
}

impl Program {
    /// Strips a copy of `built` in `scratch` and asks it.
    pub(super) fn prepare(built: &Path, scratch: &Path) -> anyhow::Result<Program> {
        anyhow::ensure!(built.is_file(), "there is no program {}", built.display());
        let path = scratch.join("wharf");
        let (from, to) = (built.display().to_string(), path.display().to_string());
        command("strip", &["--strip-all", "-o", &to, &from])?;
        let text = command(&to, &["--version"])?;
        let version = text.trim().strip_prefix("wharf ").context("the program is not wharf")?.to_owned();
        let headers = command("objdump", &["-p", &to])?;
        Ok(Program {
            path,
            version,
            architecture: architecture(&headers)?,
            libraries: libraries(&headers),
            glibc: newest_glibc(&headers),
        })
    }

    /// In words.
    pub(super) fn needs(&self) -> String {
        match &self.glibc {
            _ if self.libraries.is_empty() => "static".to_owned(),
            Some(glibc) => format!("needs glibc {glibc} and {} libraries", self.libraries.len()),
            None => format!("needs {} libraries", self.libraries.len()),
        }
    }
}

/// From the line `wharf:     file format elf64-x86-64`.
fn architecture(headers: &str) -> anyhow::Result<&'static str> {
    let format =
        headers.lines().find_map(|line| line.split_once("file format ")).map(|(_, format)| format.trim());
    match format {
        Some("elf64-x86-64") => Ok("amd64"),
        Some("elf64-littleaarch64") => Ok("arm64"),
        other => anyhow::bail!("Wharf is not packaged for {}", other.unwrap_or("what is no program")),
    }
}

/// From lines `  NEEDED               libc.so.6`.
fn libraries(headers: &str) -> BTreeSet<String> {
    let words = headers.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter(|words| words.first() == Some(&"NEEDED"))
        .filter_map(|words| Some((*words.get(1)?).to_owned()))
        .collect()
}

/// The greatest of the words `GLIBC_2.34` in the version references.
fn newest_glibc(headers: &str) -> Option<String> {
    let versions = headers.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    let numbers =
        |version: &&str| version.split('.').map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<_>>>();
    versions.filter(|version| numbers(version).is_some()).max_by_key(numbers).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As GNU objdump 2.40 prints it.
    const DYNAMIC: &str = "
target/debug/wharf:     file format elf64-x86-64

Program Header:
    PHDR off    0x0000000000000040 vaddr 0x0000000000000040

Dynamic Section:
  NEEDED               libgcc_s.so.1
  NEEDED               libc.so.6
  NEEDED               ld-linux-x86-64.so.2
  INIT                 0x0000000000a5b000

Version References:
  required from libc.so.6:
    0x09691a75 0x00 09 GLIBC_2.2.5
    0x069691b4 0x00 08 GLIBC_2.34
    0x06969189 0x00 05 GLIBC_2.9
    0x0963cf85 0x00 05 GLIBC_PRIVATE
";

    #[test]
    fn what_a_program_needs_is_read_from_its_headers() {
        assert_eq!(architecture(DYNAMIC).unwrap(), "amd64");
        assert_eq!(
            Vec::from_iter(libraries(DYNAMIC)),
            ["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1"]
        );
        assert_eq!(newest_glibc(DYNAMIC).as_deref(), Some("2.34"));
        let fixed = "a:     file format elf64-littleaarch64\n\nProgram Header:\n";
        assert_eq!(
            (architecture(fixed).unwrap(), libraries(fixed).len(), newest_glibc(fixed)),
            ("arm64", 0, None)
        );
        let other = "a:     file format elf32-i386\n";
        assert!(architecture(other).unwrap_err().to_string().contains("elf32-i386"));
    }
}
