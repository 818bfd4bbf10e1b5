//! Arguments of `wharf cache`.

use clap::{Subcommand, ValueEnum};

/// `wharf cache`.
#[derive(Subcommand, Debug)]
pub(crate) enum CacheCommand {
    /// List the largest stored files
    #[command(after_help = "Example:\n  wharf cache ls --ecosystem apt --limit 20")]
    Ls {
        /// Only this kind of packages
        #[arg(long, value_enum)]
        ecosystem: Option<Ecosystem>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Show what is stored, hit rates and bytes saved
    #[command(after_help = "Example:\n  wharf cache stats")]
    Stats,
    /// Remove stored files; they are fetched again when somebody asks for them
    #[command(after_help = "Example:\n  wharf cache purge --ecosystem apt")]
    Purge {
        /// Only this kind of packages
        #[arg(long, value_enum)]
        ecosystem: Option<Ecosystem>,
    },
    /// Print the configuration that makes clients use the cache
    #[command(
        after_help = "Examples:\n  wharf cache env apt > /etc/apt/apt.conf.d/01wharf\n  wharf cache env docker"
    )]
    Env {
        /// Which client
        #[arg(value_enum, default_value_t = CacheClient::Apt)]
        client: CacheClient,
    },
}

/// A kind of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ecosystem {
    /// Debian packages.
    Apt,
}

impl Ecosystem {
    /// Its name in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Ecosystem::Apt => "apt",
        }
    }
}

/// Who is to use the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheClient {
    /// apt: a file for /etc/apt/apt.conf.d.
    Apt,
    /// docker build: arguments.
    Docker,
}
