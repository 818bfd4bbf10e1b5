//! `wharf restart`: the containers of services, or of a whole application, are replaced by equal ones.

use serde_json::Value;
use wharf_deploy::api::RestartRequest;

use super::{deploy, project};
use crate::cli::{Global, RestartArgs};
use crate::context;
use crate::failure::usage;
use crate::output::Output;

pub(super) async fn run(global: &Global, arguments: RestartArgs, output: Output) -> anyhow::Result<()> {
    let RestartArgs { names, app, detach } = arguments;
    let (app, services) = match app {
        Some(app) => (app, names),
        None => meant(names)?,
    };
    let client = context::client(global)?;
    let request = RestartRequest { services };
    let answer: Value = client.post(&format!("/api/v1/apps/{app}/restart"), &request).await?;
    deploy::started(&client, &answer, detach, output).await
}

/// Application and services that are meant without `--app`: names are services of ./compose.yaml; one that is not, or
/// that stands where there is no such file, is an application.
fn meant(names: Vec<String>) -> anyhow::Result<(String, Vec<String>)> {
    let here = project::load(&project::Source::here());
    if let Ok(here) = &here
        && names.iter().all(|name| here.project.services.contains_key(name))
    {
        return Ok((here.project.name.clone(), names));
    }
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok((name, Vec::new())),
        Err(names) if names.is_empty() => Ok((project::app_name(None)?, names)),
        Err(names) => Err(usage(format!(
            "{} are not all services of an application that is described here\n  hint: name the application: wharf restart --app APP {}",
            names.join(", "),
            names.join(" ")
        ))),
    }
}
