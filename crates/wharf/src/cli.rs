//! The command line: every command, its arguments and an example. What a command does is in `cmd/<name>.rs`.

mod cache_args;
mod client_args;
mod compose_args;
mod fleet_args;
mod lab_args;
mod operate_args;
mod secrets_args;
mod server_args;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use cache_args::{CacheClient, CacheCommand};
pub(crate) use client_args::{
    ApiCommand, AppArgs, ApplyArgs, BenchArgs, DeployAction, DeployArgs, DeployCommand, EventsArgs,
    LoginArgs, PlanArgs, PruneArgs, PsArgs, RegistryCommand, ReleasesAction, ReleasesCommand, RestartArgs,
    RmArgs, RollbackArgs, ScaleArgs,
};
pub(crate) use compose_args::{ComposeArgs, ComposeCommand};
pub(crate) use fleet_args::{AgentArgs, HostCommand, JoinArgs, JoinRole};
pub(crate) use lab_args::{DemoArgs, LabArgs, LabCommand, LabInitArgs};
pub(crate) use operate_args::{ExecArgs, LogsCommand, ProcessArgs, RunArgs, TailArgs, TokenCommand};
pub(crate) use secrets_args::{RecipientsAction, SecretsAction, SecretsArgs};
pub(crate) use server_args::{BackupArgs, ConfigCommand, Part, RestoreArgs, UpArgs};

/// Takes a web application packaged for Docker from source to production and keeps it fast there.
#[derive(Parser)]
#[command(
    name = "wharf",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Example, on one machine:\n  wharf up &\n  wharf deploy examples/shop\n  wharf ps\n\n\
                        Every command has --help with an example."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Arguments of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Server to talk to [default: the one of `wharf login`, else this machine's]
    #[arg(long, global = true, env = "WHARF_SERVER", value_name = "URL", help_heading = "Global options")]
    pub(crate) server: Option<String>,
    /// Token [default: of `wharf login`; on the server's own machine, of the file under --data]
    #[arg(
        long,
        global = true,
        env = "WHARF_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) token: Option<String>,
    /// Where the server keeps its state [default: ./wharf-data, for commands also /var/lib/wharf-server; of `wharf agent`
    /// and `wharf join`: /var/lib/wharf]
    #[arg(
        long = "data",
        global = true,
        env = "WHARF_DATA",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub(crate) data_given: Option<PathBuf>,
    /// How to print results
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = OutputFormat::Text,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub(crate) output: OutputFormat,
    /// Say more about what happens (twice: debug)
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
}

impl Global {
    /// An empty `WHARF_SERVER=` or `WHARF_TOKEN=` is none, as in other tools.
    pub(crate) fn without_empty(mut self) -> Global {
        self.server = self.server.filter(|server| !server.is_empty());
        self.token = self.token.filter(|token| !token.is_empty());
        self
    }

    /// The directory of a server.
    pub(crate) fn data(&self) -> &Path {
        self.data_given.as_deref().unwrap_or(Path::new("wharf-data"))
    }

    /// The directory of the server of this machine, for those who talk to it: what was given, else ./wharf-data, else
    /// that of the package's unit, so that `wharf ps` needs no more words where the server was installed.
    pub(crate) fn data_of_server(&self) -> &Path {
        let packaged = Path::new("/var/lib/wharf-server");
        match self.data_given {
            None if !self.data().is_dir() && packaged.is_dir() => packaged,
            _ => self.data(),
        }
    }

    /// The server of the command line; not that of the environment, which is meant for all commands.
    pub(crate) fn server_option(&self) -> Option<&str> {
        let environment = std::env::var("WHARF_SERVER").ok();
        self.server.as_deref().filter(|server| environment.as_deref() != Some(server))
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the server: control plane, registry, balancer and console in one process
    #[command(
        after_help = "Examples:\n  wharf up\n  wharf up --data /srv/wharf --set registry.listen=127.0.0.1:5001\n  \
                            wharf up --only balancer --config routes.yaml"
    )]
    Up(UpArgs),
    /// Back up the server's state: database, CA, first token, mounted files (not the registry's images)
    #[command(
        after_help = "The server may run meanwhile. The file holds the CA's key: keep it where only you can read it.\n\n\
                            Examples:\n  wharf backup --data /srv/wharf\n  wharf backup --to /mnt/other-disk/wharf.tar"
    )]
    Backup(BackupArgs),
    /// Restore a backup into the directory of a server that does not run
    #[command(
        after_help = "Example:\n  wharf restore wharf-data/backups/wharf-20261124084512123.tar --data /srv/wharf"
    )]
    Restore(RestoreArgs),
    /// Run the agent of this Docker host (after `wharf join`)
    #[command(after_help = "Example:\n  wharf agent --data /var/lib/wharf")]
    Agent(AgentArgs),
    /// Join this machine to a server
    #[command(
        after_help = "Example:\n  wharf join https://10.77.0.1:7700 --token wharf-… --name web1 --address 10.77.0.11 \\\n    \
                            --label pool=web,colour=green"
    )]
    Join(JoinArgs),
    /// Hosts: list, join tokens, drain, remove
    #[command(
        subcommand,
        after_help = "Examples:\n  wharf host ls\n  wharf host token\n  wharf host drain web1"
    )]
    Host(HostCommand),
    /// Build, push and deploy the application of DIR/compose.yaml
    #[command(after_help = "Examples:\n  wharf deploy\n  wharf deploy examples/shop --message 'new prices'")]
    Deploy(DeployCommand),
    /// Show what a deploy would change, on which host and why, and change nothing
    #[command(after_help = "Examples:\n  wharf plan examples/shop\n  wharf plan --save shop.plan")]
    Plan(PlanArgs),
    /// Carry out a saved plan, exactly, or refuse when the world has moved since
    #[command(after_help = "Example:\n  wharf plan --save shop.plan\n  wharf apply shop.plan")]
    Apply(ApplyArgs),
    /// List applications
    #[command(after_help = "Example:\n  wharf apps --output json")]
    Apps,
    /// List releases of an application
    #[command(after_help = "Examples:\n  wharf releases shop\n  wharf releases diff shop 3 4")]
    Releases(ReleasesCommand),
    /// Go back to an earlier release
    #[command(after_help = "Examples:\n  wharf rollback shop\n  wharf rollback shop --to 3")]
    Rollback(RollbackArgs),
    /// Replace the containers of services, or of a whole application, by equal ones, one after the other
    #[command(after_help = "Examples:\n  wharf restart web --app shop\n  wharf restart shop\n\n\
                            New ones start beside the old and take over once they are healthy; what can't run twice is\n\
                            stopped first. A name that is no service of ./compose.yaml is an application.")]
    Restart(RestartArgs),
    /// Run more or fewer containers of a service
    #[command(after_help = "Example:\n  wharf scale --app shop web=5")]
    Scale(ScaleArgs),
    /// List containers
    #[command(after_help = "Examples:\n  wharf ps shop\n  wharf ps --orphans")]
    Ps(PsArgs),
    /// Remove an application: its containers and networks go, its volumes stay unless told otherwise
    #[command(after_help = "Examples:\n  wharf rm shop\n  wharf rm shop --volumes --yes")]
    Rm(RmArgs),
    /// Remove what no generation names any more (see `wharf ps --orphans`); volumes only with --volumes --yes
    #[command(after_help = "Examples:\n  wharf prune\n  wharf prune shop --volumes --yes")]
    Prune(PruneArgs),
    /// What containers print
    #[command(subcommand, after_help = "Example:\n  wharf logs tail web --app shop --follow")]
    Logs(LogsCommand),
    /// Run a command in a container of a service, with a terminal
    #[command(after_help = "Examples:\n  wharf exec web --app shop -- sh\n  \
                            wharf exec db -T -- pg_dump shop > shop.sql\n\n\
                            The exit status is the command's.")]
    Exec(ExecArgs),
    /// Run a command in a one-off container of a service
    #[command(
        after_help = "Examples:\n  wharf run web --app shop -- ./manage.py migrate\n  wharf run web -- sh\n\n\
                            The container has the image, environment, networks and volumes of the release that serves,\n\
                            and is removed afterwards. The exit status is the command's."
    )]
    Run(RunArgs),
    /// Secrets of an application, in an encrypted file that belongs into its repository
    #[command(
        after_help = "Examples:\n  wharf secrets init\n  wharf secrets set DB_PASSWORD\n  wharf secrets ls\n  wharf deploy\n\n\
                      The file is an age file: `age -d -i ~/.ssh/id_ed25519 secrets.age` reads it too."
    )]
    Secrets(SecretsArgs),
    /// Tokens for people and programs: list, make, remove
    #[command(
        subcommand,
        after_help = "Examples:\n  wharf token ls\n  wharf token create ci --role deployer\n  wharf token rm ci"
    )]
    Token(TokenCommand),
    /// Show what happened
    #[command(
        after_help = "Examples:\n  wharf events --follow\n  wharf events --kind deploys,hosts --app shop\n  wharf events --who ann"
    )]
    Events(EventsArgs),
    /// Images in the registry
    #[command(subcommand, after_help = "Example:\n  wharf registry ls shop/web")]
    Registry(RegistryCommand),
    /// The package cache: what is in it, how it does, how clients use it
    #[command(
        subcommand,
        after_help = "Examples:\n  wharf cache env apt\n  wharf cache stats\n  wharf cache ls --limit 10"
    )]
    Cache(CacheCommand),
    /// Send requests at a fixed rate and report latencies and failures
    #[command(after_help = "Example:\n  wharf bench http://127.0.0.1:8080/ --rate 2000 --duration 30s")]
    Bench(BenchArgs),
    /// Remember a server and a token for later commands
    #[command(
        after_help = "Example:\n  wharf login https://10.77.0.1:7700 --token wharf_… --ca wharf-data/ca/ca.pem"
    )]
    Login(LoginArgs),
    /// Forget the server and token of `wharf login`
    #[command(after_help = "Example:\n  wharf logout")]
    Logout,
    /// The Compose files of an application: check them, print what they come to, their schema
    #[command(
        subcommand,
        after_help = "Examples:\n  wharf compose check\n  wharf compose render --profile debug\n  \
                            wharf compose schema > compose.schema.json"
    )]
    Compose(ComposeCommand),
    /// The configuration file wharf.yaml
    #[command(subcommand, after_help = "Example:\n  wharf config check")]
    Config(ConfigCommand),
    /// The control API, for programs: its operations, and its OpenAPI document
    #[command(subcommand, after_help = "Examples:\n  wharf api ls\n  wharf api openapi > openapi.json")]
    Api(ApiCommand),
    /// Throw-away Docker hosts on this machine, for trying things (needs root)
    #[command(
        after_help = "Examples:\n  wharf lab up 3\n  wharf lab exec 1 docker info\n  wharf lab down\n  \
                      wharf lab --name dev --network 10.78.0 up 3"
    )]
    Lab(LabArgs),
    /// Tell the whole story on throw-away hosts: deploy, break, scale, power loss, roll back, under load
    #[command(after_help = "Example:\n  wharf demo --once")]
    Demo(DemoArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  wharf completions bash > /etc/bash_completion.d/wharf")]
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write a man page for each command
    #[command(after_help = "Example:\n  wharf man /usr/local/share/man/man1")]
    Man {
        /// Directory to write to; it is made if need be
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Process 1 of a lab host
    #[command(hide = true, name = "lab-init")]
    LabInit(LabInitArgs),
}
