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
use clap::ValueEnum;

/// What can be compared.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Topic {
    /// CPU per balanced request against nginx.
    Balancer,
    /// CPU of keeping 100 containers as they are against Ansible; time until a stopped one runs again.
    Deploy,
    /// Time and memory of throw-away hosts; there is no peer.
    Lab,
    /// CPU per GiB pushed and pulled against docker-registry.
    Registry,
}

/// Runs one comparison and writes its result.
pub(crate) fn run(topic: Topic, repetitions: u32) -> anyhow::Result<()> {
    let root =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let wharf = root.join("target/release/wharf");
    anyhow::ensure!(wharf.exists(), "{} is missing; run: cargo build --release -p wharf", wharf.display());
    let result = match topic {
        Topic::Balancer => balancer::compare(&wharf, repetitions)?,
        Topic::Deploy => deploy::compare(&wharf, repetitions)?,
        Topic::Lab => lab::measure(&wharf, repetitions)?,
        Topic::Registry => registry::compare(&wharf, repetitions)?,
    };
    let path = root.join(format!("bench/results/{}.json", result.topic));
    std::fs::create_dir_all(path.parent().context("the path has a parent")?)?;
    std::fs::write(&path, serde_json::to_string_pretty(&result)? + "\n")?;
    println!("{}", result.text());
    println!("written to {}", path.display());
    Ok(())
}
