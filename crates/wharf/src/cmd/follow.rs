//! Follows a deploy that runs on the server, and prints its steps as they end.

use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;
use wharf_http::Client;

use crate::failure::Reported;
use crate::output::Output;

/// Waits for the end of deploy `id`. Steps and build output go to the terminal; with `--output json` only the final
/// document is printed. A failed deploy is exit status 1.
pub(super) async fn deploy(client: &Client, id: u64, output: Output) -> anyhow::Result<()> {
    let mut stream = client.events(&format!("/api/v1/deploys/{id}/stream")).await?;
    let began = Instant::now();
    while let Some(event) = stream.next().await {
        let data: Value = serde_json::from_str(&event.data).context("the server sent an odd event")?;
        match event.name.as_deref() {
            Some("step") => step(&data, output)?,
            Some("output") => {
                output.progress_done();
                output.say(&format!("    {}", data["line"].as_str().unwrap_or_default()))?;
            }
            Some("end") => return end(client, id, began, output).await,
            _ => {}
        }
    }
    anyhow::bail!(
        "the connection to the server ended before deploy {id} did\n  hint: `wharf events --follow` shows how it goes on"
    )
}

fn step(data: &Value, output: Output) -> anyhow::Result<()> {
    let word = |key: &str| data[key].as_str().unwrap_or_default();
    let (name, detail) = (word("step"), word("detail"));
    if data["ended"] == false {
        output.progress(&format!("  … {name} {detail}"));
        return Ok(());
    }
    output.progress_done();
    let seconds = data["millis"].as_u64().unwrap_or_default() as f64 / 1_000.0;
    // A detail of several lines (the plan) is indented below its first.
    let detail = detail.replace('\n', "\n                     ");
    let mark = if name == "undo" { output.red("↶") } else { output.green("✓") };
    output.say(format!("{mark} {name:<8} {seconds:>6.1} s  {detail}").trim_end())
}

async fn end(client: &Client, id: u64, began: Instant, output: Output) -> anyhow::Result<()> {
    output.progress_done();
    let deploy: Value = client.get(&format!("/api/v1/deploys/{id}")).await?;
    let word = |key: &str| deploy[key].as_str().unwrap_or_default();
    let has_succeeded = word("state") == "succeeded";
    if output.is_json() {
        output.line(&serde_json::to_string_pretty(&deploy)?)?;
    } else if has_succeeded {
        let seconds = began.elapsed().as_secs_f64();
        let outcome = match word("what") {
            "remove" => "is removed; its volumes stay".to_owned(),
            _ => format!("release {} serves", deploy["release"]),
        };
        output.line(&format!("{} {outcome} ({seconds:.1} s)", word("app")))?;
    } else {
        output.line(&output.red(&format!("✗ {}: {}", word("state"), word("error"))))?;
        for line in deploy["log_tail"].as_array().into_iter().flatten() {
            output.line(&format!("    | {}", line.as_str().unwrap_or_default()))?;
        }
    }
    if has_succeeded { Ok(()) } else { Err(Reported.into()) }
}
