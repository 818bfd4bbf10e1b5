//! `wharf registry`: what is in the registry.

use serde_json::Value;

use crate::cli::{Global, RegistryCommand};
use crate::context;
use crate::output::{Output, Table, bytes};

pub(super) async fn run(global: &Global, command: RegistryCommand, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    let RegistryCommand::Ls { repository } = command;
    let path = match &repository {
        Some(name) => format!("/api/v1/registry/repositories/{name}/tags"),
        None => "/api/v1/registry/repositories".to_owned(),
    };
    let answer: Value = client.get(&path).await?;
    output.result(&answer, || match &repository {
        Some(_) => tags(&answer),
        None => repositories(&answer),
    })
}

fn repositories(answer: &Value) -> String {
    let mut table = Table::new(&["REPOSITORY", ">TAGS", ">MANIFESTS", ">SIZE"]);
    for repository in answer.as_array().into_iter().flatten() {
        table.row(vec![
            text(&repository["name"]),
            text(&repository["tags"]),
            text(&repository["manifests"]),
            size(&repository["bytes"]),
        ]);
    }
    if table.is_empty() {
        return "No images yet. `wharf deploy` builds and pushes one, and so does docker push.".to_owned();
    }
    table.render()
}

fn tags(answer: &Value) -> String {
    let mut table = Table::new(&["TAG", "DIGEST", "TYPE", ">SIZE"]);
    for tag in answer.as_array().into_iter().flatten() {
        table.row(vec![
            text(&tag["name"]),
            text(&tag["digest"]),
            text(&tag["media_type"]),
            size(&tag["bytes"]),
        ]);
    }
    if table.is_empty() { "No tags.".to_owned() } else { table.render() }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn size(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), bytes)
}
