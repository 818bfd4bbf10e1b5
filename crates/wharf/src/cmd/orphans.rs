//! What no generation names: shown by `wharf ps --orphans`, removed by `wharf prune`, `wharf rm --volumes` and
//! `wharf deploy --remove-orphans`. What Wharf did not make is shown and never removed; volumes go only with `--yes`.

use serde::{Deserialize, Serialize};
use serde_json::json;
use wharf_http::Client;
use wharf_model::{Liveness, Name, OrphanKind, OrphanOwner};

use crate::cli::{Global, PruneArgs};
use crate::context;
use crate::failure::usage;
use crate::output::{Output, Table};

/// One orphan as the server lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    host: Name,
    host_liveness: Liveness,
    kind: OrphanKind,
    name: String,
    id: String,
    app: String,
    owner: OrphanOwner,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct List {
    orphans: Vec<Line>,
}

/// What became of a request.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Removed {
    removed: Vec<serde_json::Value>,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Failed {
    host: Name,
    kind: OrphanKind,
    id: String,
    reason: String,
}

/// Which orphans are to go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choice<'a> {
    pub(super) app: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) with_volumes: bool,
    pub(super) of_other_agents: bool,
}

impl Choice<'_> {
    fn takes(&self, line: &Line) -> bool {
        let is_allowed = match line.owner {
            OrphanOwner::ThisAgent => true,
            OrphanOwner::OtherAgent => self.of_other_agents,
            OrphanOwner::Foreign => false,
        };
        is_allowed
            && line.host_liveness == Liveness::Up
            && (self.with_volumes || line.kind != OrphanKind::Volume)
            && self.app.is_none_or(|app| line.app == app)
            && self.host.is_none_or(|host| line.host.as_str() == host)
    }
}

/// `wharf ps --orphans [APP]`.
pub(super) async fn list(client: &Client, app: Option<&str>, output: Output) -> anyhow::Result<()> {
    let lines = lines(client, app).await?;
    output.result(&json!({ "orphans": &lines }), || {
        if lines.is_empty() {
            return "No orphans: all that carries a label of Wharf's is named by a generation.".to_owned();
        }
        table(&lines)
    })
}

/// Those of one application, or all.
async fn lines(client: &Client, app: Option<&str>) -> anyhow::Result<Vec<Line>> {
    let mut list: List = client.get("/api/v1/orphans").await?;
    list.orphans.retain(|line| app.is_none_or(|app| line.app == app));
    Ok(list.orphans)
}

/// The orphans of an application for the plan, as lines.
pub(super) async fn notes(client: &Client, app: &str) -> anyhow::Result<Vec<String>> {
    let note = |line: &Line| {
        let (kind, name, whose) = (line.kind.word(), &line.name, line.owner.words());
        format!("orphan on {}: {kind} {name} ({whose}, {})", line.host, line.detail)
    };
    Ok(lines(client, Some(app)).await?.iter().map(note).collect())
}

/// `wharf prune`.
pub(super) async fn prune(global: &Global, arguments: PruneArgs, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    let choice = Choice {
        app: arguments.app.as_deref(),
        host: arguments.host.as_deref(),
        with_volumes: arguments.volumes,
        of_other_agents: arguments.all_agents,
    };
    let chosen = chosen(&client, &choice).await?;
    confirm(&chosen, arguments.yes)?;
    let removed = remove(&client, &chosen).await?;
    output.result(&removed, || words(&chosen, &removed))?;
    fail_with(&removed)
}

/// After a deploy, or the removal of an application. Prints to standard error.
pub(super) async fn remove_chosen(client: &Client, choice: &Choice<'_>) -> anyhow::Result<()> {
    let chosen = chosen(client, choice).await?;
    let removed = remove(client, &chosen).await?;
    eprintln!("{}", words(&chosen, &removed));
    fail_with(&removed)
}

async fn chosen(client: &Client, choice: &Choice<'_>) -> anyhow::Result<Vec<Line>> {
    let mut lines = lines(client, None).await?;
    lines.retain(|line| choice.takes(line));
    Ok(lines)
}

fn confirm(chosen: &[Line], is_confirmed: bool) -> anyhow::Result<()> {
    let volumes: Vec<&Line> = chosen.iter().filter(|line| line.kind == OrphanKind::Volume).collect();
    if volumes.is_empty() || is_confirmed {
        return Ok(());
    }
    let names: Vec<String> = volumes.iter().map(|line| format!("{} on {}", line.name, line.host)).collect();
    Err(usage(format!(
        "this removes {} with all their data: {}\n  hint: say --yes if that is what you want",
        if volumes.len() == 1 { "a volume".to_owned() } else { format!("{} volumes", volumes.len()) },
        names.join(", ")
    )))
}

async fn remove(client: &Client, chosen: &[Line]) -> anyhow::Result<Removed> {
    if chosen.is_empty() {
        return Ok(Removed::default());
    }
    let targets: Vec<_> =
        chosen.iter().map(|line| json!({ "host": line.host, "kind": line.kind, "id": line.id })).collect();
    Ok(client.post("/api/v1/orphans/remove", &json!({ "orphans": targets })).await?)
}

fn words(chosen: &[Line], removed: &Removed) -> String {
    if chosen.is_empty() {
        return "no orphans to remove".to_owned();
    }
    let is_failed = |line: &&Line| {
        removed.failed.iter().any(|one| one.host == line.host && one.kind == line.kind && one.id == line.id)
    };
    let gone = chosen.iter().filter(|line| !is_failed(line));
    let lines: Vec<String> =
        gone.map(|line| format!("removed {} {} on {}", line.kind.word(), line.name, line.host)).collect();
    lines.join("\n")
}

fn fail_with(removed: &Removed) -> anyhow::Result<()> {
    let reasons: Vec<String> = removed
        .failed
        .iter()
        .map(|one| format!("{} {} on {}: {}", one.kind.word(), one.id, one.host, one.reason))
        .collect();
    anyhow::ensure!(reasons.is_empty(), "not removed: {}", reasons.join("; "));
    Ok(())
}

fn table(lines: &[Line]) -> String {
    let mut table = Table::new(&["HOST", "KIND", "NAME", "APP", "WHOSE", "DETAIL"]);
    for line in lines {
        let app = if line.app.is_empty() { "-" } else { &line.app };
        table.row(vec![
            line.host.to_string(),
            line.kind.word().to_owned(),
            line.name.clone(),
            app.to_owned(),
            line.owner.words().to_owned(),
            line.detail.clone(),
        ]);
    }
    table.render()
}
