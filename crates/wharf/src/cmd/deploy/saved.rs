//! Plans: shown, saved to a file, and carried out exactly or not at all.

use std::path::Path;

use anyhow::Context as _;
use wharf_deploy::api::{DeployRequest, Item, PlanView, SavedPlan};
use wharf_http::Client;

use super::{resolve, started};
use crate::cli::{ApplyArgs, Global, PlanArgs};
use crate::cmd::orphans;
use crate::context;
use crate::failure::usage;
use crate::output::Output;

/// LIMIT: bytes of a plan file. A request may have 4 MiB, and the plan of it is smaller.
const PLAN_BYTES_MAX: u64 = 16 << 20;

/// `wharf plan`.
pub(in crate::cmd) async fn plan(global: &Global, arguments: PlanArgs, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    let (app, request) = resolve(&client, &arguments.deploy, output).await?;
    let plan: PlanView = client.post(&format!("/api/v1/apps/{app}/plan"), &request).await?;
    if let Some(path) = &arguments.save {
        save(path, request, &plan)?;
    }
    let orphans = orphans::notes(&client, &app).await?;
    output.result(&plan, || {
        let mut text = words(&plan);
        if !orphans.is_empty() {
            text.push_str(&format!("\n\n{}\n(`wharf prune` removes ours)", orphans.join("\n")));
        }
        if let Some(path) = &arguments.save {
            text.push_str(&format!("\nsaved; `wharf apply {}` carries out exactly this", path.display()));
        }
        text
    })
}

/// `wharf apply FILE` and `wharf deploy --plan FILE`.
pub(in crate::cmd) async fn apply(
    global: &Global,
    arguments: ApplyArgs,
    output: Output,
) -> anyhow::Result<()> {
    let plan = read(&arguments.file)?;
    let client = context::client(global)?;
    carry_out(&client, plan, arguments.detach, output).await
}

async fn carry_out(client: &Client, plan: SavedPlan, detach: bool, output: Output) -> anyhow::Result<()> {
    let answer: serde_json::Value =
        client.post(&format!("/api/v1/apps/{}/deploys", plan.app), &plan.request).await?;
    started(client, &answer, detach, output).await
}

fn save(path: &Path, request: DeployRequest, plan: &PlanView) -> anyhow::Result<()> {
    let request = DeployRequest { plan: Some(Box::new(plan.clone())), ..request };
    let saved = SavedPlan { version: SavedPlan::VERSION, app: plan.app.clone(), request };
    let mut document = serde_json::to_vec_pretty(&saved)?;
    document.push(b'\n');
    // The environment of the containers is in it.
    wharf_disk::atomic::write_private(path, &document)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<SavedPlan> {
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > PLAN_BYTES_MAX {
        return Err(usage(format!("{} is no saved plan: it has {size} bytes", path.display())));
    }
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    SavedPlan::read(&text).map_err(|reason| usage(format!("{}: {reason}", path.display())))
}

/// The summary, then item by item under each host.
fn words(plan: &PlanView) -> String {
    let mut text = plan.lines.join("\n");
    let mut host = None;
    for item in &plan.items {
        if host != Some(&item.host) {
            host = Some(&item.host);
            text.push_str(&match &item.host {
                Some(host) => format!("\n\non {host}"),
                None => "\n\non the balancers".to_owned(),
            });
        }
        text.push_str(&format!("\n  {}", line(item)));
    }
    text
}

fn line(item: &Item) -> String {
    let why = item.why.join("; ");
    format!("{} {} {}  ({why})", item.change.sign(), item.kind.word(), item.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_plan_is_refused_with_what_to_do() {
        for (text, expected) in [
            ("", "this is no saved plan"),
            ("services: {}", "this is no saved plan"),
            ("{}", "missing field `version`"),
            (r#"{"version":9}"#, "the plan has version 9, this wharf knows 1"),
            (r#"{"version":1,"app":"shop"}"#, "the plan can't be read: missing field `request`"),
        ] {
            let error = SavedPlan::read(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected) && error.contains("hint: "), "{text}: {error}");
        }
    }
}
