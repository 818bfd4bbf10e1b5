//! Arguments of `wharf lab` and `wharf demo`.

use std::ffi::OsString;

use clap::{Args, Subcommand};

/// `wharf lab`.
#[derive(Args, Debug)]
pub(crate) struct LabArgs {
    /// What the names of the hosts begin with; another name and network is another lab
    #[arg(long, global = true, default_value = "wh", value_name = "NAME")]
    pub(crate) name: String,
    /// First three numbers of the hosts' network
    #[arg(long, global = true, default_value = "10.77.0", value_name = "NET")]
    pub(crate) network: String,
    #[command(subcommand)]
    pub(crate) command: LabCommand,
}

/// What to do with the lab.
#[derive(Subcommand, Debug)]
pub(crate) enum LabCommand {
    /// Bring N hosts up, each with its own dockerd and sshd
    #[command(after_help = "Example:\n  wharf lab up 3")]
    Up {
        /// How many hosts
        #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=200))]
        count: u8,
        /// Without dockerd: sshd only
        #[arg(long)]
        bare: bool,
    },
    /// End all hosts and remove everything of them
    #[command(after_help = "Example:\n  wharf lab down")]
    Down,
    /// Show the hosts
    #[command(after_help = "Example:\n  wharf lab status")]
    Status,
    /// Open a shell on a host by ssh, or run a command there
    #[command(after_help = "Examples:\n  wharf lab ssh 1\n  wharf lab ssh 1 docker ps")]
    Ssh {
        /// Number of the host, from 1
        #[arg(value_name = "I")]
        host: u8,
        /// Command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Run a command on a host without ssh
    #[command(after_help = "Example:\n  wharf lab exec 1 docker info")]
    Exec {
        /// Number of the host, from 1
        #[arg(value_name = "I")]
        host: u8,
        /// Command
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Cut a host's network
    #[command(after_help = "Example:\n  wharf lab cut 1")]
    Cut {
        /// Number of the host, from 1
        #[arg(value_name = "I")]
        host: u8,
    },
    /// Mend what `cut` did
    #[command(after_help = "Example:\n  wharf lab heal 1")]
    Heal {
        /// Number of the host, from 1
        #[arg(value_name = "I")]
        host: u8,
    },
    /// Power loss of a host: nobody hears a last word
    #[command(after_help = "Example:\n  wharf lab kill 1")]
    Kill {
        /// Number of the host, from 1
        #[arg(value_name = "I")]
        host: u8,
    },
    /// Connect N hosts without containers to a server, to rehearse a large installation (needs no root)
    #[command(
        after_help = "Example:\n  wharf lab agents http://127.0.0.1:7700 --count 100 --token wharf-…\n\n\
                      The token is one of `wharf host token --uses 100`. The hosts say that all they are given runs."
    )]
    Agents {
        /// The server's API
        #[arg(value_name = "URL")]
        url: String,
        /// How many hosts
        #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        count: u32,
        /// What their names begin with
        #[arg(long, default_value = "sim", value_name = "WORD")]
        prefix: String,
        /// What they say their processors are, in the Engine's words: x86_64, aarch64
        #[arg(long, default_value = std::env::consts::ARCH, value_name = "WORD")]
        architecture: String,
    },
    /// Start a host again after `kill`; its disk is kept
    #[command(after_help = "Example:\n  wharf lab start 1")]
    Start {
        /// Number of the host, from 1
        #[arg(value_name = "I")]
        host: u8,
    },
}

/// `wharf lab-init`: what the lab passes to the process that becomes a host's process 1.
#[derive(Args, Debug)]
pub(crate) struct LabInitArgs {
    /// As `wharf_lab` made them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// `wharf demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Clean up and exit at the end; else everything stays up and the console's address is printed
    #[arg(long)]
    pub(crate) once: bool,
    /// Tell the story on the local Docker Engine alone, without lab hosts
    #[arg(long)]
    pub(crate) local: bool,
    /// Requests per second
    #[arg(long, default_value_t = 2_000.0, value_name = "N")]
    pub(crate) rate: f64,
    /// Directory of the example application
    #[arg(long, default_value = "examples/shop", value_name = "DIR")]
    pub(crate) app: std::path::PathBuf,
    /// Run this command at the end, while everything is up, with WHARF_URL and WHARF_TOKEN set
    #[arg(long, value_name = "COMMAND")]
    pub(crate) then: Option<String>,
    /// Write the table as JSON to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<std::path::PathBuf>,
}
