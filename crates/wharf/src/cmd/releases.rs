//! `wharf releases`: the list, and what differs between two.

use serde_json::Value;
use wharf_base::{Clock, SystemClock, UnixMillis};
use wharf_deploy::api::{Change, ChangeKind, ReleaseDiff};

use super::apps::{list_of, or_dash, text};
use super::project;
use crate::cli::{AppArgs, Global, ReleasesAction, ReleasesCommand};
use crate::context;
use crate::output::{Output, Table, ago};

pub(super) async fn run(global: &Global, command: ReleasesCommand, output: Output) -> anyhow::Result<()> {
    match command.action {
        None => list(global, command.arguments, output).await,
        Some(ReleasesAction::Diff { app, from, to }) => {
            let path = format!("/api/v1/apps/{app}/releases/{from}/diff/{to}");
            let answer: ReleaseDiff = context::client(global)?.get(&path).await?;
            output.result(&answer, || page(&answer, output))
        }
    }
}

async fn list(global: &Global, arguments: AppArgs, output: Output) -> anyhow::Result<()> {
    let app = project::app_name(arguments.app)?;
    let answer: Value = context::client(global)?.get(&format!("/api/v1/apps/{app}/releases")).await?;
    output.result(&answer, || {
        let now = SystemClock.now();
        let mut table = Table::new(&[">RELEASE", "", "ROLLBACK", "CREATED", "BY", "MESSAGE", "IMAGES"]);
        for release in list_of(&answer, "releases") {
            let created = UnixMillis(release["created"].as_i64().unwrap_or_default());
            let images = release["images"].as_object().into_iter().flatten();
            let images = images.map(|(service, image)| format!("{service}={}", short_image(image)));
            table.row(vec![
                text(&release["number"]),
                if release["is_active"] == true { "serves".to_owned() } else { String::new() },
                rollback(release).to_owned(),
                format!("{} ago", ago(now.since(created))),
                text(&release["author"]),
                or_dash(release["message"].as_str().unwrap_or_default().to_owned()),
                or_dash(images.collect::<Vec<_>>().join(", ")),
            ]);
        }
        if table.is_empty() { format!("{app} has no releases.") } else { table.render() }
    })
}

/// Whether a rollback can lead to it, and why not.
fn rollback(release: &Value) -> &'static str {
    let is = |key: &str| release[key] == true;
    match (is("is_active"), is("can_roll_back"), is("has_served")) {
        (true, ..) => "",
        (_, true, _) => "possible",
        (_, _, false) => "never served",
        (_, false, true) => "images gone",
    }
}

/// A line for each change, by service: `+` for what is new, `-` for what is gone, `~` for what is another.
fn page(diff: &ReleaseDiff, output: Output) -> String {
    let (from, to) = (diff.from.number, diff.to.number);
    if diff.changes.is_empty() {
        return format!("Releases {from} and {to} of {} lead to the same containers.", diff.app);
    }
    let mut lines = vec![format!("{}: from release {from} to release {to}", diff.app)];
    lines.extend(diff.changes.iter().map(|change| line(change, output)));
    lines.join("\n")
}

fn line(change: &Change, output: Output) -> String {
    let sign = match change.kind {
        ChangeKind::Added => output.green("+"),
        ChangeKind::Removed => output.red("-"),
        ChangeKind::Changed => "~".to_owned(),
    };
    let value = match (&change.before, &change.after) {
        _ if change.is_hidden => "  (the value is not shown)".to_owned(),
        (Some(before), Some(after)) => format!("  {before} → {after}"),
        (Some(value), None) | (None, Some(value)) if !value.is_empty() => format!("  {value}"),
        _ => String::new(),
    };
    format!("  {sign} {}{value}", change.path)
}

/// `sha256:` and the first digits are enough for people.
fn short_image(image: &Value) -> String {
    let image = image.as_str().unwrap_or("-");
    match image.rsplit_once("@sha256:") {
        Some((_, hex)) => hex[..hex.len().min(12)].to_owned(),
        None => image.to_owned(),
    }
}
