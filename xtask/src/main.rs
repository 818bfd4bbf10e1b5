//! Tasks of the repository itself: `cargo xtask rules`, `cargo xtask compare TOPIC` and `cargo xtask dist`.
//!
//! The rules (layers, where unsafe may be, what pure crates must not use) also run as tests of this crate, so that
//! `script/test` fails on a wrong edge.

mod command;
mod compare;
mod dist;
mod layers;
mod rules;
mod workspace;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Tasks of the repository itself")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks the repository's rules and prints what breaks them.
    Rules,
    /// Does the same work with our part and with the tool that it replaces, and writes bench/results/<topic>.json.
    Compare(compare::Options),
    /// Makes what is installed: a program, a Debian package and an image of Wharf itself.
    Dist(dist::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Compare(options) => compare::run(&options),
        Task::Dist(options) => dist::run(&options),
        Task::Rules => {
            let broken = rules::check(&workspace::Workspace::load()?);
            for message in &broken {
                eprintln!("{message}");
            }
            anyhow::ensure!(broken.is_empty(), "{} rules are broken", broken.len());
            println!("all rules hold");
            Ok(())
        }
    }
}
