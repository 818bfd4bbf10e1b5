//! Arguments of `wharf agent`, `wharf join` and `wharf host`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::client_args::parse_duration;

/// `wharf agent`. Its `--data` is the agent's own directory.
#[derive(Args, Debug)]
pub(crate) struct AgentArgs {
    /// The Docker Engine's socket
    #[arg(long, value_name = "PATH", default_value = "/var/run/docker.sock")]
    pub(crate) docker: PathBuf,
}

/// `wharf join`.
#[derive(Args, Debug)]
pub(crate) struct JoinArgs {
    /// The server's API, https://HOST:7700
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Name of this host, unique in the installation [default: this machine's host name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Labels by which applications choose hosts
    #[arg(long = "label", value_delimiter = ',', value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Private address at which balancers reach this host's containers [default: the one that reaches the server]
    #[arg(long, value_name = "IP")]
    pub(crate) address: Option<std::net::IpAddr>,
    /// What this machine is to be
    #[arg(long, value_enum, default_value_t = JoinRole::Host, value_name = "ROLE")]
    pub(crate) role: JoinRole,
}

/// What joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JoinRole {
    /// A Docker host with an agent.
    Host,
    /// A balancer of its own.
    Balancer,
}

/// `wharf host`.
#[derive(Subcommand, Debug)]
pub(crate) enum HostCommand {
    /// List hosts
    #[command(after_help = "Example:\n  wharf host ls")]
    Ls,
    /// Show one host: what it is, what it does and how much of it is in use
    #[command(after_help = "Example:\n  wharf host show web1")]
    Show {
        /// Name of the host
        name: String,
    },
    /// Make a token with which a host can join, and print the command for it
    #[command(after_help = "Example:\n  wharf host token --ttl 1h")]
    Token {
        /// How long it is valid
        #[arg(long, value_parser = parse_duration, default_value = "1h", value_name = "DURATION")]
        ttl: Duration,
        /// How many hosts may use it
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
        /// Labels that every host gets which joins with it
        #[arg(long = "label", value_delimiter = ',', value_name = "KEY=VALUE")]
        labels: Vec<String>,
        /// Only for the host of this name, which may exist already: it is replaced
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
    },
    /// Give a host no new containers and move those that it has
    #[command(after_help = "Examples:\n  wharf host drain web1\n  wharf host drain web1 --undo")]
    Drain {
        /// Name of the host
        name: String,
        /// Let it take containers again
        #[arg(long)]
        undo: bool,
    },
    /// Remove a host; its certificate is refused from then on
    #[command(after_help = "Examples:\n  wharf host rm web1\n  wharf host rm web1 --force")]
    Rm {
        /// Name of the host
        name: String,
        /// Even if containers are to run there: they leave the desired state
        #[arg(long)]
        force: bool,
    },
}
