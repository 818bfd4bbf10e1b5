//! `cargo xtask compare TOPIC`: our part and the tool that it replaces, same machine, same work, interleaved.
//!
//! Every topic writes `bench/results/<topic>.json`: machine, versions, commands, and a row per tool and repetition.
//! CPU seconds per unit of work are the figure to trust; wall time is noisy on small machines. Ratios are taken within a
//! repetition and their median is shown. The release binary `target/release/wharf` must be built.

mod balancer;
mod deploy;
mod lab;
mod process;
mod registry;
mod result;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

/// What can be compared.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Topic {
    /// CPU per balanced request against nginx.
    Balancer,
    /// CPU of keeping 100 containers as they are against Ansible, deploys, joins and losses on lab hosts, 1,000 agents.
    Deploy,
    /// Time and memory of throw-away hosts; there is no peer.
    Lab,
    /// CPU per GiB pushed and pulled against docker-registry.
    Registry,
}

/// How to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// What to compare
    topic: Topic,
    /// How often each does it
    #[arg(long, default_value_t = 5)]
    repetitions: u32,
    /// Only these sections of `deploy`; the others' results stay as they are in the file
    #[arg(long, value_delimiter = ',', value_name = "SECTIONS", value_parser = deploy::SECTION_NAMES)]
    only: Vec<String>,
    /// The program to measure [default: target/release/wharf]
    #[arg(long, value_name = "FILE")]
    program: Option<std::path::PathBuf>,
}

/// Runs one comparison and writes its result.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let repetitions = options.repetitions;
    let root =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let wharf = options.program.clone().unwrap_or_else(|| root.join("target/release/wharf"));
    let wharf = std::path::absolute(wharf)?;
    anyhow::ensure!(wharf.exists(), "{} is missing; run: cargo build --release -p wharf", wharf.display());
    let mut result = match options.topic {
        Topic::Balancer => balancer::compare(&wharf, repetitions)?,
        Topic::Deploy => deploy::compare(&wharf, repetitions, &options.only)?,
        Topic::Lab => lab::measure(&wharf, repetitions)?,
        Topic::Registry => registry::compare(&wharf, repetitions)?,
    };
    let path = root.join(format!("bench/results/{}.json", result.topic));
    if !options.only.is_empty() {
        let earlier =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        result.keep(serde_json::from_str(&earlier)?);
    }
    std::fs::create_dir_all(path.parent().context("the path has a parent")?)?;
    std::fs::write(&path, serde_json::to_string_pretty(&result)? + "\n")?;
    println!("{}", result.text());
    println!("written to {}", path.display());
    Ok(())
}
