//! Arguments of the commands that talk to a server's API.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

/// Reads a duration such as `30s` or `1m30s`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    wharf_base::duration::parse(text).map_err(|error| error.to_string())
}

/// `wharf deploy`: a deploy, or a command about deploys. A directory that is called like one of them is `./ls`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DeployCommand {
    #[command(subcommand)]
    pub(crate) action: Option<DeployAction>,
    #[command(flatten)]
    pub(crate) arguments: DeployArgs,
    /// Carry out exactly this saved plan, or refuse (the same as `wharf apply FILE`)
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["directory", "files", "app", "env_file", "profiles", "secrets", "message"]
    )]
    pub(crate) plan: Option<PathBuf>,
    /// After the deploy, remove what no generation names any more of the application; volumes stay
    #[arg(long, conflicts_with = "detach")]
    pub(crate) remove_orphans: bool,
}

/// `wharf ps`.
#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    /// Application [default: all]
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Show containers, networks and volumes that no generation names instead
    #[arg(long)]
    pub(crate) orphans: bool,
}

/// `wharf rm`.
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// Application
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Remove its volumes with all their data as well (needs --yes)
    #[arg(long)]
    pub(crate) volumes: bool,
    /// Yes, remove the data
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `wharf prune`.
#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// Only what carries this application's label [default: all]
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only on this host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Volumes with all their data as well (needs --yes)
    #[arg(long)]
    pub(crate) volumes: bool,
    /// Also what an agent with another data directory has made: an earlier one, or another installation
    #[arg(long)]
    pub(crate) all_agents: bool,
    /// Yes, remove the data
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `wharf plan`.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) deploy: DeployArgs,
    /// Write the plan to this file, for `wharf apply` (readable only by you: the environment is in it)
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}

/// `wharf apply`.
#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    /// Plan that `wharf plan --save FILE` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Return as soon as the server has accepted the deploy
    #[arg(long)]
    pub(crate) detach: bool,
}

/// What can be done about deploys that the server has.
#[derive(Subcommand, Debug)]
pub(crate) enum DeployAction {
    /// List deploys, the newest first
    #[command(after_help = "Examples:\n  wharf deploy ls\n  wharf deploy ls shop")]
    Ls(AppArgs),
    /// End a deploy before its switch; the release that served stays
    #[command(after_help = "Example:\n  wharf deploy abort 7")]
    Abort {
        /// Number of the deploy
        #[arg(value_name = "DEPLOY")]
        deploy: u64,
    },
}

/// `wharf deploy` and `wharf plan`.
#[derive(Args, Debug)]
pub(crate) struct DeployArgs {
    /// Directory with the application's compose.yaml
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Compose files, later ones override earlier ones, `-` is standard input [default: COMPOSE_FILE, else
    /// compose.yaml and compose.override.yaml in DIR]
    #[arg(long = "file", short, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Name of the application, instead of the file's
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// File with variables for ${…} in the Compose files [default: .env in DIR]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Also the services with this profile; again for more, `*` for all [default: COMPOSE_PROFILES]
    #[arg(long = "profile", value_name = "NAME")]
    pub(crate) profiles: Vec<String>,
    /// The application's encrypted secrets [default: secrets.age beside the Compose file]
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,
    /// Why, for the list of releases
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Return as soon as the server has accepted the deploy
    #[arg(long)]
    pub(crate) detach: bool,
}

/// A command about one application.
#[derive(Args, Debug)]
pub(crate) struct AppArgs {
    /// Application [default: the one of ./compose.yaml]
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
}

/// `wharf releases`: a list, or a command about releases.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ReleasesCommand {
    #[command(subcommand)]
    pub(crate) action: Option<ReleasesAction>,
    #[command(flatten)]
    pub(crate) arguments: AppArgs,
}

/// What can be asked about releases.
#[derive(Subcommand, Debug)]
pub(crate) enum ReleasesAction {
    /// Show what differs between two releases; values that may be secrets are not shown
    #[command(after_help = "Example:\n  wharf releases diff shop 3 4")]
    Diff {
        /// Application
        #[arg(value_name = "APP")]
        app: String,
        /// Release to begin with
        #[arg(value_name = "FROM")]
        from: u32,
        /// Release to compare it with
        #[arg(value_name = "TO")]
        to: u32,
    },
}

/// `wharf rollback`.
#[derive(Args, Debug)]
pub(crate) struct RollbackArgs {
    /// Application [default: the one of ./compose.yaml]
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Release to go back to [default: the one before]
    #[arg(long, value_name = "RELEASE")]
    pub(crate) to: Option<u32>,
}

/// `wharf restart`.
#[derive(Args, Debug)]
pub(crate) struct RestartArgs {
    /// Services, or an application [default: the application of ./compose.yaml]
    #[arg(value_name = "SERVICE|APP")]
    pub(crate) names: Vec<String>,
    /// Application; the names are its services then
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Return as soon as the server has accepted the restart
    #[arg(long)]
    pub(crate) detach: bool,
}

/// `wharf scale`.
#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {
    /// Application [default: the one of ./compose.yaml]
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Services and their numbers of containers
    #[arg(required = true, value_name = "SERVICE=N", value_parser = parse_scale)]
    pub(crate) services: Vec<(String, u32)>,
}

fn parse_scale(text: &str) -> Result<(String, u32), String> {
    let hint = || format!("`{text}` is not SERVICE=N, such as web=5");
    let (service, count) = text.split_once('=').ok_or_else(hint)?;
    Ok((service.to_owned(), count.parse().map_err(|_| hint())?))
}

/// `wharf events`.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Go on as things happen
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many of the newest to show first
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: u32,
    /// Only those before this number, which `--output json` shows as `id`
    #[arg(long, value_name = "ID", conflicts_with = "follow")]
    pub(crate) before: Option<u64>,
    /// Only these topics (access, containers, deploys, hosts, server) or kinds (host_lost)
    #[arg(long = "kind", value_delimiter = ',', value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
    /// Only what concerns this application
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only what concerns this host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Only what the holder of this token did
    #[arg(long, value_name = "NAME")]
    pub(crate) who: Option<String>,
}

/// `wharf registry`.
#[derive(Subcommand, Debug)]
pub(crate) enum RegistryCommand {
    /// List repositories, or the tags of one
    #[command(after_help = "Examples:\n  wharf registry ls\n  wharf registry ls shop/web")]
    Ls {
        /// Repository
        #[arg(value_name = "REPOSITORY")]
        repository: Option<String>,
    },
}

/// `wharf api`.
#[derive(Subcommand, Debug)]
pub(crate) enum ApiCommand {
    /// List operations, with the role that each needs
    #[command(after_help = "Example:\n  wharf api ls")]
    Ls,
    /// Print the OpenAPI 3.1 document, which a server also has at /api/v1/openapi.json
    #[command(after_help = "Example:\n  wharf api openapi > openapi.json")]
    Openapi,
}

/// `wharf bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Where to send GET requests
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Requests per second; request k is due at start + k / rate, whatever the answers take
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pub(crate) rate: f64,
    /// How long
    #[arg(long, value_parser = parse_duration, default_value = "10s", value_name = "DURATION")]
    pub(crate) duration: Duration,
    /// Most connections at a time
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(crate) connections: usize,
    /// A request that takes longer has failed
    #[arg(long, value_parser = parse_duration, default_value = "5s", value_name = "DURATION")]
    pub(crate) timeout: Duration,
}

/// `wharf login`. The token comes from `--token`, `WHARF_TOKEN` or standard input.
#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// The server's API [default: --server, else http://127.0.0.1:7700]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The server's CA certificate, for https
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}
