//! Arguments of `wharf up`, `wharf backup`, `wharf restore` and `wharf config`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `wharf up`.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Configuration file [default: ./wharf.yaml where there is one]
    #[arg(long, env = "WHARF_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one key of the configuration, over the file
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Run only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    pub(crate) only: Vec<Part>,
}

/// `wharf backup`.
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// File to write [default: wharf-<time>.tar in the directory `backups` of --data]
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

/// `wharf restore`.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// Backup to restore
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Restore into a directory that is not empty; what is there is moved aside
    #[arg(long)]
    pub(crate) force: bool,
}

/// A part of the server that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Control plane, API, console and the agent of the local Docker Engine.
    Control,
    /// Registry.
    Registry,
    /// Balancer.
    Balancer,
}

/// `wharf config`.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Print the JSON Schema of wharf.yaml, for editors
    #[command(after_help = "Example:\n  wharf config schema > wharf.schema.json")]
    Schema,
    /// Check a configuration file and print what it resolves to
    #[command(after_help = "Example:\n  wharf config check --config wharf.yaml")]
    Check {
        /// Configuration file [default: ./wharf.yaml where there is one]
        #[arg(long, env = "WHARF_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Set one key of the configuration, over the file
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
    },
}
