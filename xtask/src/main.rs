//! Tasks of the repository itself: `cargo xtask rules` and `cargo xtask compare TOPIC`.
//!
//! The rules (layers, where unsafe may be, what pure crates must not use) also run as tests of this crate, so that
//! `script/test` fails on a wrong edge.

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
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
