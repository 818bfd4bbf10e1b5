//! `wharf man`: man pages out of the same descriptions as `--help`, for packages.

use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use serde_json::json;

use crate::cli::Cli;
use crate::output::Output;

/// Writes `wharf.1`, `wharf-deploy.1`, `wharf-host-ls.1` and so on to `directory`.
pub(super) fn write(directory: &Path, output: Output) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    write_page(&command, "wharf", directory, &mut pages)?;
    output.result(&json!({ "directory": directory, "pages": &pages }), || {
        format!("{} pages written to {}", pages.len(), directory.display())
    })
}

fn write_page(
    command: &Command,
    name: &str,
    directory: &Path,
    pages: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().name(name.to_owned())).render(&mut page)?;
    let file = format!("{name}.1");
    let path = directory.join(&file);
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    pages.push(file);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_page(below, &format!("{name}-{}", below.get_name()), directory, pages)?;
    }
    Ok(())
}
