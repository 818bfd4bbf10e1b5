//! `wharf deploy`, `plan`, `rollback`, `scale`: what changes an application.
//!
//! A deploy is resolved here, with the user's environment: the Compose files become a project, each build context an
//! archive, each relative bind mount one too. The server gets all of it and does the rest.

mod inputs;
mod list;
mod saved;
mod secrets;
mod upload;

pub(super) use saved::{apply, plan};

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_deploy::api::{DeployRequest, RollbackRequest, ScaleRequest};
use wharf_http::Client;

use super::{follow, orphans, project};
use crate::cli::{ApplyArgs, DeployAction, DeployArgs, DeployCommand, Global, RollbackArgs, ScaleArgs};
use crate::context;
use crate::failure::usage;
use crate::output::Output;

pub(super) async fn run(global: &Global, command: DeployCommand, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    let arguments = match command.action {
        None => command.arguments,
        Some(DeployAction::Ls(which)) => return list::run(&client, which.app, output).await,
        Some(DeployAction::Abort { deploy }) => {
            let path = format!("/api/v1/deploys/{deploy}/abort");
            let _: Value = client.post(&path, &json!({})).await?;
            return output.result(&json!({ "aborting": deploy }), || {
                format!("deploy {deploy} is ending; what served before stays")
            });
        }
    };
    if let Some(file) = command.plan {
        return apply(global, ApplyArgs { file, detach: arguments.detach }, output).await;
    }
    let (app, request) = resolve(&client, &arguments, output).await?;
    let answer: Value = client.post(&format!("/api/v1/apps/{app}/deploys"), &request).await?;
    started(&client, &answer, arguments.detach, output).await?;
    if command.remove_orphans {
        let choice = orphans::Choice { app: Some(&app), ..Default::default() };
        orphans::remove_chosen(&client, &choice).await?;
    }
    Ok(())
}

pub(super) async fn rollback(global: &Global, arguments: RollbackArgs, output: Output) -> anyhow::Result<()> {
    let app = project::app_name(arguments.app)?;
    let client = context::client(global)?;
    let request = RollbackRequest { release: arguments.to };
    let answer: Value = client.post(&format!("/api/v1/apps/{app}/rollback"), &request).await?;
    started(&client, &answer, false, output).await
}

pub(super) async fn scale(global: &Global, arguments: ScaleArgs, output: Output) -> anyhow::Result<()> {
    let mut services = BTreeMap::new();
    for (service, count) in arguments.services {
        if let Some(first) = services.insert(service.clone(), count) {
            return Err(usage(format!(
                "{service} is named twice: {service}={first} and {service}={count}\n  hint: name each service once"
            )));
        }
    }
    let app = project::app_name(arguments.app)?;
    let client = context::client(global)?;
    let answer: Value = client.post(&format!("/api/v1/apps/{app}/scale"), &ScaleRequest { services }).await?;
    started(&client, &answer, false, output).await
}

async fn resolve(
    client: &Client,
    arguments: &DeployArgs,
    output: Output,
) -> anyhow::Result<(String, DeployRequest)> {
    let source = project::Source {
        directory: &arguments.directory,
        files: &arguments.files,
        env_file: arguments.env_file.as_deref(),
        profiles: &arguments.profiles,
        app: arguments.app.clone(),
    };
    let application = project::load(&source)?;
    let message = arguments.message.clone().unwrap_or_default();
    let variable = |name: &str| application.variable(name);
    let here = secrets::Here {
        directory: &application.directory,
        file: arguments.secrets.as_deref(),
        variable: &variable,
    };
    let secrets = secrets::sealed(client, &application.project, &here).await?;
    let request = upload::all(client, application, message, output).await?;
    Ok((request.project.name.clone(), DeployRequest { secrets, ..request }))
}

pub(super) async fn started(
    client: &Client,
    answer: &Value,
    detach: bool,
    output: Output,
) -> anyhow::Result<()> {
    match answer["deploy"].as_u64() {
        Some(deploy) if !detach => follow::deploy(client, deploy, output).await,
        _ => output.result(answer, || match answer["deploy"].as_u64() {
            Some(deploy) => format!("deploy {deploy} runs; `wharf events --follow` shows how it goes"),
            None => "up to date: nothing to do".to_owned(),
        }),
    }
}
