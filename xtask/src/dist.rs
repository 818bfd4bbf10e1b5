//! `cargo xtask dist`: what is installed.
//!
//! One program is built (`program`), and everything else is made around it: a Debian package with units for systemd
//! (`deb`), an image that has nothing but the program (`image`), and a compressed program for other systems. The files that
//! go in are in `dist/`. The same sources give the same bytes: every time is that of the last commit, or
//! `SOURCE_DATE_EPOCH`. Why it is done so is in docs/decisions/0012.

mod deb;
mod image;
mod program;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::command::run as command;
use program::Program;

/// How to make it.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to put it
    #[arg(long, default_value = "target/dist", value_name = "DIR")]
    out: PathBuf,
    /// What the program is to run on: `musl` needs nothing of the system, `native` needs its libc
    #[arg(long, value_enum, default_value_t = program::Libc::Musl)]
    libc: program::Libc,
    /// Takes this program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "libc")]
    program: Option<PathBuf>,
    /// Compresses little, for trying
    #[arg(long)]
    fast: bool,
}

/// What every artifact is made from.
struct Source {
    /// The repository.
    root: PathBuf,
    program: Program,
    /// Unix seconds of every file.
    epoch: u64,
    fast: bool,
}

/// Makes everything and prints where it is.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let out = std::path::absolute(&options.out)?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let built = match &options.program {
        Some(program) => program.clone(),
        None => program::build(root, options.libc)?,
    };
    let scratch = tempfile::tempdir()?;
    let program = Program::prepare(&built, scratch.path())?;
    println!("program  {} {}, {}", program.version, program.architecture, program.needs());
    let source = Source { root: root.to_owned(), program, epoch: epoch(root)?, fast: options.fast };
    for made in [alone(&source, &out)?, deb::make(&source, &out)?, image::make(&source, &out)?] {
        println!("made     {} ({} KiB)", made.display(), std::fs::metadata(&made)?.len() / 1_024);
    }
    Ok(())
}

/// The program alone.
fn alone(source: &Source, out: &Path) -> anyhow::Result<PathBuf> {
    let name = format!("wharf_{}_{}", source.program.version, source.program.architecture);
    let path = out.join(&name);
    std::fs::copy(&source.program.path, &path).with_context(|| format!("cannot write {}", path.display()))?;
    let level = if source.fast { "-1" } else { "-9" };
    // -n: neither name nor time, so that the same program gives the same file.
    command("gzip", &["--force", "-n", level, &path.display().to_string()])?;
    Ok(out.join(name + ".gz"))
}

/// The time of what is made.
fn epoch(root: &Path) -> anyhow::Result<u64> {
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        return text
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={text} is not a time in Unix seconds"));
    }
    let root = root.display().to_string();
    let text = command("git", &["-C", &root, "log", "-1", "--format=%ct"])?;
    text.trim().parse().context("git printed no time")
}
