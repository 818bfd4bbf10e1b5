//! Arguments of the commands about what runs: logs, exec, run, and tokens.

use clap::{Args, Subcommand, ValueEnum};

use super::client_args::parse_duration;

/// `wharf logs`.
#[derive(Subcommand, Debug)]
pub(crate) enum LogsCommand {
    /// Show what the containers of a service printed, on all hosts
    #[command(
        after_help = "Examples:\n  wharf logs tail web --app shop --lines 20\n  wharf logs tail web --since 10m --follow"
    )]
    Tail(TailArgs),
}

/// `wharf logs tail`.
#[derive(Args, Debug)]
pub(crate) struct TailArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    /// Application [default: the one of ./compose.yaml]
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Go on with what is printed from now on, by later releases too
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Most lines of each container from the past [default: 100, or all with --since]
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) lines: Option<u32>,
    /// Only lines of the last 10m, 1h30m, …, or after a time in seconds since 1970
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Show the time of each line, UTC
    #[arg(long)]
    pub(crate) timestamps: bool,
}

/// `wharf exec`.
#[derive(Args, Debug)]
pub(crate) struct ExecArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    /// One of its containers, as `wharf ps` shows it [default: a healthy one of the newest release]
    #[arg(long, value_name = "ID")]
    pub(crate) instance: Option<String>,
    #[command(flatten)]
    pub(crate) process: ProcessArgs,
    /// Command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// `wharf run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    #[command(flatten)]
    pub(crate) process: ProcessArgs,
    /// Command and its arguments [default: the service's own]
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// How a command is run.
#[derive(Args, Debug)]
pub(crate) struct ProcessArgs {
    /// Application [default: the one of ./compose.yaml]
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// No terminal [default: one if standard input and output are one]
    #[arg(long = "no-tty", short = 'T')]
    pub(crate) no_terminal: bool,
    /// User [default: the container's]
    #[arg(long, short, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Working directory [default: the container's]
    #[arg(long, short, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// A variable more
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = parse_variable)]
    pub(crate) env: Vec<(String, String)>,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

/// `wharf token`.
#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// List tokens; the tokens themselves are nowhere stored
    #[command(after_help = "Example:\n  wharf token ls")]
    Ls,
    /// Make a token and print it; it is shown this once
    #[command(after_help = "Example:\n  wharf token create ci --role deployer --expires 30d")]
    Create {
        /// Name, as it will be in the audit log
        #[arg(value_name = "NAME")]
        name: String,
        /// What it may do
        #[arg(long, value_enum, value_name = "ROLE")]
        role: TokenRole,
        /// How long it is valid, such as 30d or 12h [default: until it is removed]
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        expires: Option<std::time::Duration>,
    },
    /// Remove a token, and the sessions opened with it
    #[command(after_help = "Example:\n  wharf token rm ci")]
    Rm {
        /// Its name, or its id as in `wharf token ls`
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// Read.
    Viewer,
    /// Deploy, scale, roll back, open terminals.
    Deployer,
    /// Everything.
    Admin,
}
