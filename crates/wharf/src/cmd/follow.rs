//! Follows a deploy that runs on the server, and prints its steps as they end.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use wharf_http::Client;

use crate::failure::Reported;
use crate::output::Output;

/// Waits for the end of deploy `id`. Steps and build output go to the terminal; with `--output json` only the final
/// document is printed. A failed deploy is exit status 1.
pub(super) async fn deploy(client: &Client, id: u64, output: Output) -> anyhow::Result<()> {
    tokio::select! {
        ended = watch(client, id, output) => ended,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            output.progress_done();
            anyhow::bail!(
                "interrupted; deploy {id} goes on there\n  hint: `wharf events --follow` shows how, `wharf deploy ls` how it ended"
            )
        }
    }
}

async fn watch(client: &Client, id: u64, output: Output) -> anyhow::Result<()> {
    let mut stream = client.events(&format!("/api/v1/deploys/{id}/stream")).await?;
    let began = Instant::now();
    let mut failed = None;
    while let Some(event) = stream.next().await {
        let data: Value = serde_json::from_str(&event.data).context("the server sent an odd event")?;
        match event.name.as_deref() {
            Some("step") => {
                if data["failed"] == true && data["ended"] != false {
                    failed = Some(data.clone());
                }
                step(&data, output)?;
            }
            Some("output") => {
                output.progress_done();
                output.say(&format!("    {}", data["line"].as_str().unwrap_or_default()))?;
            }
            Some("end") => return end(client, id, began, failed.as_ref(), output).await,
            _ => {}
        }
    }
    output.progress_done();
    anyhow::bail!(
        "the connection to {} ended before deploy {id} did; the server may be down\n  hint: once it runs, `wharf deploy ls` says how the deploy ended, `wharf events --follow` how it goes on",
        client.authority()
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
    let mark = match name {
        _ if data["failed"] == true => output.red("✗"),
        "undo" => output.red("↶"),
        _ => output.green("✓"),
    };
    output.say(format!("{mark} {name:<8} {seconds:>6.1} s  {detail}").trim_end())
}

async fn end(
    client: &Client,
    id: u64,
    began: Instant,
    failed: Option<&Value>,
    output: Output,
) -> anyhow::Result<()> {
    output.progress_done();
    let deploy: Value = client.get(&format!("/api/v1/deploys/{id}")).await?;
    let word = |key: &str| deploy[key].as_str().unwrap_or_default();
    let has_succeeded = word("state") == "succeeded";
    if output.is_json() {
        output.line(&serde_json::to_string_pretty(&deploy)?)?;
    } else if has_succeeded {
        let seconds = began.elapsed().as_secs_f64();
        let outcome = outcome(word("what"), &deploy["release"]);
        output.line(&format!("{} {outcome} ({seconds:.1} s)", word("app")))?;
    } else {
        let reason = reason(word("error"), failed);
        output.line(&output.red(&format!("✗ {}: {reason}", word("state"))))?;
        for line in deploy["log_tail"].as_array().into_iter().flatten() {
            output.line(&format!("    | {}", line.as_str().unwrap_or_default()))?;
        }
    }
    if has_succeeded { Ok(()) } else { Err(Reported.into()) }
}

/// What has come of it, after the application's name.
fn outcome(what: &str, release: &Value) -> String {
    match what {
        "remove" => "is removed; its volumes stay".to_owned(),
        "scale" => format!("is scaled; release {release} serves"),
        "restart" => format!("is restarted; release {release} serves"),
        "move" => format!("has moved; release {release} serves"),
        "rollback" => format!("is back at release {release}, which serves"),
        _ => format!("release {release} serves"),
    }
}

/// Why it failed. What the failed step has said already is not said again.
fn reason(error: &str, failed: Option<&Value>) -> String {
    let said = failed.and_then(|step| Some((step["step"].as_str()?, step["detail"].as_str()?)));
    match said {
        Some((step, detail)) if !detail.is_empty() && (detail.contains(error) || error.contains(detail)) => {
            // What the end knows beyond the step is said.
            let more = error.split_once(detail).map_or("", |(_, more)| more);
            format!("`{step}` did not succeed, as said above{more}")
        }
        _ => error.to_owned(),
    }
}

/// Keeps a stream going over a restart of the server.
#[derive(Default)]
pub(super) struct Again {
    was_connected: bool,
    tries: u32,
}

impl Again {
    /// It has begun.
    pub(super) fn is_connected(&mut self) {
        if self.tries > 0 && self.was_connected {
            eprintln!("wharf: connected again");
        }
        (self.was_connected, self.tries) = (true, 0);
    }

    /// Passes on what another try won't change: a first connection that fails, a token that is refused.
    pub(super) fn unless_lost(&self, error: wharf_http::Error) -> anyhow::Result<()> {
        use wharf_base::ErrorCode::{DeadlineExceeded, Unavailable};
        if self.was_connected && matches!(error.code(), Unavailable | DeadlineExceeded) {
            return Ok(());
        }
        Err(error.into())
    }

    /// Waits a little longer each time, at most 5 s.
    pub(super) async fn wait(&mut self) {
        if self.tries == 0 {
            eprintln!("wharf: the connection to the server is lost; trying again");
        }
        self.tries += 1;
        tokio::time::sleep(Duration::from_millis(250) * self.tries.min(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_is_said_once() {
        let step = |detail: &str| json!({ "step": "healthy", "detail": detail, "failed": true });
        assert_eq!(reason("web died", None), "web died");
        assert_eq!(reason("web died", Some(&step(""))), "web died");
        assert_eq!(reason("web died", Some(&step("2 of 3 healthy"))), "web died");
        let short = "`healthy` did not succeed, as said above";
        assert_eq!(reason("web died", Some(&step("web died"))), short);
        assert_eq!(reason("service web: web died", Some(&step("web died"))), short);
        let more = "\n  not restarted: b";
        assert_eq!(reason(&format!("web died{more}"), Some(&step("web died"))), format!("{short}{more}"));
    }

    #[test]
    fn each_kind_ends_in_its_own_words() {
        for (what, expected) in [
            ("deploy", "release 3 serves"),
            ("restart", "is restarted; release 3 serves"),
            ("move", "has moved; release 3 serves"),
            ("remove", "is removed; its volumes stay"),
            ("rollback", "is back at release 3, which serves"),
            ("scale", "is scaled; release 3 serves"),
        ] {
            assert_eq!(outcome(what, &json!(3)), expected);
        }
    }
}
