//! `wharf compose`: looks at Compose files without a server.

mod explain;

use std::path::Path;

use serde_json::json;
use wharf_compose::{Diagnostic, Errors, render};

use super::project::{self, Found, Source};
use crate::cli::{ComposeArgs, ComposeCommand};
use crate::failure::{Reported, usage};
use crate::output::Output;

pub(super) fn run(command: ComposeCommand, output: Output) -> anyhow::Result<()> {
    match command {
        ComposeCommand::Check(arguments) => check(&arguments, output),
        ComposeCommand::Render(arguments) => {
            let Found { result, warnings, .. } = find(&arguments)?;
            let loaded = match result {
                Ok(loaded) => loaded,
                Err(errors) => return Err(failed(&warnings, &errors)),
            };
            for warning in warnings.iter().chain(&loaded.warnings) {
                eprintln!("warning: {warning}");
            }
            output.result(&render::document(&loaded.project), || render::yaml(&loaded.project))
        }
        ComposeCommand::Schema => output.line(&serde_json::to_string_pretty(&wharf_compose::schema())?),
    }
}

fn find(arguments: &ComposeArgs) -> anyhow::Result<Found> {
    let (directory, files) = match arguments.files.as_slice() {
        [] => (Path::new("."), &[][..]),
        [one] => (one.as_path(), &[][..]),
        files => (Path::new("."), files),
    };
    if let Some(directory) = files.iter().find(|file| file.is_dir()) {
        return Err(usage(format!(
            "{} is a directory\n  hint: name one directory, or files",
            directory.display()
        )));
    }
    let is_there = directory == Path::new("-") || directory.exists();
    if !is_there {
        return Err(usage(format!("there is no file or directory {}", directory.display())));
    }
    project::find(&Source {
        directory,
        files,
        env_file: arguments.env_file.as_deref(),
        profiles: &arguments.profiles,
        app: arguments.app.clone(),
    })
}

/// Prints what is wrong.
fn failed(warnings: &[Diagnostic], errors: &Errors) -> anyhow::Error {
    for warning in warnings.iter().chain(&errors.warnings) {
        eprintln!("warning: {warning}");
    }
    for error in &errors.errors {
        eprintln!("error: {error}");
    }
    if errors.omitted > 0 {
        eprintln!("… and {} more errors", errors.omitted);
    }
    Reported.into()
}

fn check(arguments: &ComposeArgs, output: Output) -> anyhow::Result<()> {
    let Found { result, warnings, .. } = find(arguments)?;
    let loaded = match result {
        Ok(loaded) => loaded,
        Err(errors) if output.is_json() => {
            let warnings: Vec<&Diagnostic> = warnings.iter().chain(&errors.warnings).collect();
            let said = json!({
                "ok": false,
                "errors": errors.errors,
                "errors_omitted": errors.omitted,
                "warnings": warnings,
            });
            output.line(&serde_json::to_string_pretty(&said)?)?;
            return Err(Reported.into());
        }
        Err(errors) => return Err(failed(&warnings, &errors)),
    };
    let warnings: Vec<&Diagnostic> = warnings.iter().chain(&loaded.warnings).collect();
    let notes = match wharf_deploy::check(&loaded.project, &loaded.places) {
        Ok(notes) => notes,
        Err(refusal) if output.is_json() => {
            let error = json!({ "kind": "unsupported", "message": format!("{}: {}", refusal.place, refusal.message), "hint": refusal.hint });
            let said = json!({ "ok": false, "errors": [error], "errors_omitted": 0, "warnings": warnings });
            output.line(&serde_json::to_string_pretty(&said)?)?;
            return Err(Reported.into());
        }
        Err(refusal) => {
            warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            eprintln!("error: {refusal}");
            return Err(Reported.into());
        }
    };
    let services = explain::services(&loaded.project);
    if output.is_json() {
        let said = json!({
            "ok": true,
            "name": loaded.project.name,
            "errors": [],
            "warnings": warnings,
            "notes": notes,
            "services": services.iter().map(explain::Explained::to_json).collect::<serde_json::Map<_, _>>(),
            "inactive": loaded.inactive,
        });
        return output.line(&serde_json::to_string_pretty(&said)?);
    }
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    for note in &notes {
        eprintln!("note: {note}");
    }
    let mut text: Vec<String> = services.iter().map(explain::Explained::to_text).collect();
    text.push(explain::summary(&loaded, warnings.len()));
    output.line(&text.join("\n\n"))
}
