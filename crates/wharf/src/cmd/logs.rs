//! `wharf logs tail`: lines of a service from all hosts, and on over a restart of the server.

use std::collections::BTreeMap;

use wharf_base::UnixMillis;
use wharf_deploy::api::{LogLineView, LogNote};

use super::follow::Again;
use super::project;
use crate::cli::{Global, LogsCommand, TailArgs};
use crate::context;
use crate::output::Output;

pub(super) async fn run(global: &Global, command: LogsCommand, output: Output) -> anyhow::Result<()> {
    let LogsCommand::Tail(arguments) = command;
    let client = context::client(global)?;
    let app = project::app_name(arguments.app.clone())?;
    let mut tail = Tail { last: BTreeMap::new(), timestamps: arguments.timestamps, output };
    let mut again = Again::default();
    loop {
        let path = path(&app, &arguments, tail.last.values().min().copied());
        match client.events(&path).await {
            Ok(mut stream) => {
                again.is_connected();
                while let Some(event) = stream.next().await {
                    match event.name.as_deref() {
                        Some("line") => tail.line(&event.data)?,
                        Some("note") => {
                            if let Ok(note) = serde_json::from_str::<LogNote>(&event.data) {
                                eprintln!("wharf: host {}: {}", note.host, note.message);
                            }
                        }
                        Some("end") => return Ok(()),
                        _ => {}
                    }
                }
                anyhow::ensure!(
                    arguments.follow,
                    "the connection to {} has ended too early",
                    client.authority()
                );
            }
            Err(error) => again.unless_lost(error)?,
        }
        again.wait().await;
    }
}

/// `after`: the earliest of the times up to which each container has been shown.
fn path(app: &str, arguments: &TailArgs, after: Option<i64>) -> String {
    let mut path =
        format!("/api/v1/apps/{app}/services/{}/logs?follow={}", arguments.service, arguments.follow);
    let since = match after {
        Some(nanos) => {
            Some(format!("{}.{:09}", nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000)))
        }
        None => arguments.since.clone(),
    };
    if let (Some(lines), None) = (arguments.lines, after) {
        path.push_str(&format!("&lines={lines}"));
    }
    if let Some(since) = since {
        path.push_str(&format!("&since={}", super::events::escaped(&since)));
    }
    path
}

struct Tail {
    /// The time of the last line of each instance.
    last: BTreeMap<String, i64>,
    timestamps: bool,
    output: Output,
}

impl Tail {
    fn line(&mut self, data: &str) -> anyhow::Result<()> {
        let line: LogLineView = serde_json::from_str(data)?;
        let at: i64 = line.at.parse().unwrap_or(0);
        if at > 0 {
            let last = self.last.entry(line.instance.clone()).or_insert(0);
            if at <= *last {
                return Ok(());
            }
            *last = at;
        }
        if self.output.is_json() {
            return self.output.line(data);
        }
        let time = if self.timestamps { format!("{}  ", UnixMillis(at / 1_000_000)) } else { String::new() };
        self.output.line(&format!("{time}{} | {}", line.instance, line.text))
    }
}
