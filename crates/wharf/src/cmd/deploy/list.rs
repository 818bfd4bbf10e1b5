//! `wharf deploy ls`: deploys, rollbacks, scalings and removals, the newest first.

use serde_json::Value;
use wharf_base::{Clock, SystemClock, UnixMillis};
use wharf_http::Client;

use super::super::apps;
use crate::output::{Output, Table, ago};

/// All of them, or those of `app`.
pub(super) async fn run(client: &Client, app: Option<String>, output: Output) -> anyhow::Result<()> {
    let query = app.as_ref().map_or_else(String::new, |app| format!("?app={app}"));
    let answer: Value = client.get(&format!("/api/v1/deploys{query}")).await?;
    if let (Some(app), Some([])) = (&app, answer["deploys"].as_array().map(Vec::as_slice)) {
        apps::must_exist(client, app).await?;
    }
    output.result(&answer, || table(&answer))
}

fn table(answer: &Value) -> String {
    let now = SystemClock.now();
    let mut table = Table::new(&[">DEPLOY", "WHAT", "APP", ">RELEASE", "STATE", "BEGAN", "BY", "ERROR"]);
    for deploy in answer["deploys"].as_array().into_iter().flatten() {
        let word = |key: &str| deploy[key].as_str().unwrap_or("-").to_owned();
        let began = UnixMillis(deploy["started"].as_i64().unwrap_or_default());
        table.row(vec![
            deploy["id"].to_string(),
            word("what"),
            word("app"),
            deploy["release"].to_string(),
            word("state"),
            format!("{} ago", ago(now.since(began))),
            word("by"),
            word("error").lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    if table.is_empty() {
        "No deploys yet. `wharf deploy DIR` begins one.".to_owned()
    } else {
        table.render()
    }
}
