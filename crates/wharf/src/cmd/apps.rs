//! `wharf apps`, `ps`, `rm`: what the server knows of applications.

use serde_json::Value;
use wharf_base::{Clock, SystemClock, UnixMillis};
use wharf_http::Client;

use super::{follow, orphans};
use crate::cli::{Global, PsArgs, RmArgs};
use crate::context;
use crate::output::{Output, Table, ago};

pub(super) async fn list(global: &Global, output: Output) -> anyhow::Result<()> {
    let answer: Value = context::client(global)?.get("/api/v1/apps").await?;
    output.result(&answer, || {
        let mut table = Table::new(&["APP", ">RELEASE", "SERVICES", "ROUTES", "DEPLOY"]);
        for app in list_of(&answer, "apps") {
            let services = list_of(app, "services").map(|service| {
                format!(
                    "{} {}/{}",
                    text(&service["name"]),
                    service["replicas_healthy"],
                    service["replicas_desired"]
                )
            });
            let routes = list_of(app, "routes").map(|route| {
                format!("{}{}", route["host"].as_str().unwrap_or("*"), route["path"].as_str().unwrap_or("/"))
            });
            table.row(vec![
                text(&app["name"]),
                text(&app["release"]),
                or_dash(services.collect::<Vec<_>>().join(", ")),
                or_dash(routes.collect::<Vec<_>>().join(", ")),
                app["deploying"].as_u64().map_or_else(|| "-".to_owned(), |id| format!("{id} runs")),
            ]);
        }
        if table.is_empty() {
            "No applications yet. `wharf deploy DIR` deploys one.".to_owned()
        } else {
            table.render()
        }
    })
}

pub(super) async fn ps(global: &Global, arguments: PsArgs, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    if arguments.orphans {
        return orphans::list(&client, arguments.app.as_deref(), output).await;
    }
    let mut answer: Value = client.get("/api/v1/instances").await?;
    if let (Some(app), Some(instances)) = (&arguments.app, answer["instances"].as_array_mut()) {
        instances.retain(|instance| instance["app"] == app.as_str());
        if instances.is_empty() {
            must_exist(&client, app).await?;
        }
    }
    output.result(&answer, || {
        let now = SystemClock.now();
        let mut table =
            Table::new(&["INSTANCE", "HOST", "STATE", "SINCE", ">RESTARTS", "ADDRESS", "CONTAINER"]);
        for instance in list_of(&answer, "instances") {
            let since = UnixMillis(instance["since"].as_i64().unwrap_or_default());
            let container = instance["container_id"].as_str().map_or("-", |id| &id[..id.len().min(12)]);
            table.row(vec![
                text(&instance["id"]),
                text(&instance["host"]),
                state(instance),
                ago(now.since(since)),
                text(&instance["restarts"]),
                text(&instance["address"]),
                container.to_owned(),
            ]);
        }
        if table.is_empty() {
            "No containers. `wharf deploy DIR` deploys an application.".to_owned()
        } else {
            table.render()
        }
    })
}

/// The state in words. What a lost host said last is the past, and shown as that.
fn state(instance: &Value) -> String {
    let word = text(&instance["state"]["state"]);
    if instance["host_liveness"] != "up" {
        return format!("host lost (was {word})");
    }
    match instance["state"]["reason"].as_str() {
        // What to do about it is told by the deploy that failed.
        Some(reason) => format!("{word}: {}", reason.lines().next().unwrap_or_default()),
        None => word,
    }
}

pub(super) async fn remove(global: &Global, arguments: RmArgs, output: Output) -> anyhow::Result<()> {
    let Some(app) = arguments.app else {
        return Err(crate::failure::usage(
            "name the application that is to go\n  hint: `wharf apps` lists them",
        ));
    };
    if arguments.volumes && !arguments.yes {
        return Err(crate::failure::usage(format!(
            "--volumes removes all data of {app} for ever\n  hint: say --yes as well if that is what you want"
        )));
    }
    let client = context::client(global)?;
    let path = format!("/api/v1/apps/{app}");
    let answer: Value = client.json(http::Method::DELETE, &path, wharf_http::empty()).await?;
    match answer["deploy"].as_u64() {
        Some(deploy) => follow::deploy(&client, deploy, output).await?,
        None => output.result(&answer, || format!("{app} is removed"))?,
    }
    if arguments.volumes {
        let choice = orphans::Choice { app: Some(&app), with_volumes: true, ..Default::default() };
        orphans::remove_chosen(&client, &choice).await?;
    }
    Ok(())
}

/// An empty list of a misspelt application would be misleading: the server's answer says that there is none.
pub(super) async fn must_exist(client: &Client, app: &str) -> anyhow::Result<()> {
    let _: Value = client.get(&format!("/api/v1/apps/{app}")).await?;
    Ok(())
}

pub(super) fn list_of<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
