//! Arguments of `wharf compose`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `wharf compose`.
#[derive(Subcommand, Debug)]
pub(crate) enum ComposeCommand {
    /// Say what is wrong with the files, or what every service will get; asks no server
    #[command(
        after_help = "Examples:\n  wharf compose check\n  wharf compose check compose.yaml production.yaml\n  \
                            wharf compose check --profile '*' --output json\n\n\
                            Exit status: 0 it can be deployed (there may be warnings), 1 something is wrong with the files,\n\
                            2 wrong usage."
    )]
    Check(ComposeArgs),
    /// Print the files as one, with everything resolved; the environment is in it as it is
    #[command(
        after_help = "Examples:\n  wharf compose render examples/shop\n  wharf compose render -- - < compose.yaml\n\n\
                            The result is a Compose file that says the same: it can be compared, kept and deployed."
    )]
    Render(ComposeArgs),
    /// Print the JSON Schema of compose.yaml with x-wharf, for editors
    #[command(after_help = "Example:\n  wharf compose schema > compose.schema.json")]
    Schema,
}

/// Which application.
#[derive(Args, Debug)]
pub(crate) struct ComposeArgs {
    /// A directory, or Compose files, of which later ones override earlier ones; `-` is standard input [default:
    /// COMPOSE_FILE, else compose.yaml and compose.override.yaml here]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Name of the application, instead of the file's
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// File with variables for ${…} in the Compose files [default: .env beside them]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Also the services with this profile; again for more, `*` for all [default: COMPOSE_PROFILES]
    #[arg(long = "profile", value_name = "NAME")]
    pub(crate) profiles: Vec<String>,
}
