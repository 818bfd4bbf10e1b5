//! `wharf config`: the schema and the check of wharf.yaml.

use crate::cli::ConfigCommand;
use crate::config;
use crate::output::Output;

pub(super) fn run(command: ConfigCommand, output: Output) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Schema => output.line(&serde_json::to_string_pretty(&config::schema())?),
        ConfigCommand::Check { config: file, sets } => {
            let config = config::load(file.as_deref(), &sets, &[])?;
            match config::file_read(file.as_deref()) {
                Some(path) => eprintln!("{} is right", path.display()),
                None => eprintln!("there is no ./wharf.yaml; these are the defaults, and what --set says"),
            }
            output.line(&serde_json::to_string_pretty(&config)?)
        }
    }
}
