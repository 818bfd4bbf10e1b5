//! `wharf events`: the activity feed and audit log.

use serde::{Deserialize, Serialize};
use wharf_model::{Event, EventRecord};

use super::follow::Again;
use crate::cli::{EventsArgs, Global};
use crate::context;
use crate::output::Output;

#[derive(Serialize, Deserialize)]
struct Events {
    events: Vec<EventRecord>,
    /// What `--before` takes for the page before.
    #[serde(default)]
    older: Option<u64>,
}

pub(super) async fn run(global: &Global, arguments: EventsArgs, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    let filter = filter(&arguments);
    let before = arguments.before.map_or_else(String::new, |id| format!("&before={id}"));
    let newest: Events =
        client.get(&format!("/api/v1/events?limit={}{before}{filter}", arguments.limit)).await?;
    if !arguments.follow {
        return output.result(&newest, || newest.events.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    let mut last = 0;
    for record in &newest.events {
        last = record.id;
        print(record, output)?;
    }
    // Ids have no gaps: what came while the connection was lost is told by the next one, once.
    let mut again = Again::default();
    loop {
        match client.events(&format!("/api/v1/events/stream?after={last}{filter}")).await {
            Ok(mut stream) => {
                again.is_connected();
                while let Some(event) = stream.next().await {
                    if let Ok(record) = serde_json::from_str::<EventRecord>(&event.data) {
                        last = record.id;
                        print(&record, output)?;
                    }
                }
            }
            Err(error) => again.unless_lost(error)?,
        }
        again.wait().await;
    }
}

/// The rest of the query. What is no plain word is written in percent.
fn filter(arguments: &EventsArgs) -> String {
    let kinds = (!arguments.kinds.is_empty()).then(|| arguments.kinds.join(","));
    let pairs =
        [("kind", &kinds), ("app", &arguments.app), ("host", &arguments.host), ("who", &arguments.who)];
    let given = pairs.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    given.map(|(key, value)| format!("&{key}={}", escaped(value))).collect()
}

/// RFC 3986, section 2.1.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~,".contains(byte);
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// With `--follow --output json` each event is a line of its own.
fn print(record: &EventRecord, output: Output) -> anyhow::Result<()> {
    if output.is_json() { output.line(&serde_json::to_string(record)?) } else { output.line(&line(record)) }
}

fn line(record: &EventRecord) -> String {
    format!("{}  {}", record.at, sentence(&record.event))
}

/// An event as a sentence without its full stop.
pub(super) fn sentence(event: &Event) -> String {
    match event {
        Event::ServerStarted { version } => format!("server started, version {version}"),
        Event::JoinTokenMade { host: Some(host), by, .. } => {
            format!("a token was made with which {host} can join, by {by}")
        }
        Event::JoinTokenMade { uses, by, .. } => {
            format!(
                "a token was made with which {uses} {} can join, by {by}",
                if *uses == 1 { "host" } else { "hosts" }
            )
        }
        Event::HostJoined { host } => format!("host {host} joined"),
        Event::HostUp { host } => format!("host {host} is up"),
        Event::HostLost { host } => format!("host {host} is lost: no answer to pings"),
        Event::HostDrain { host, draining: true, by } => format!("host {host} drains, by {by}"),
        Event::HostDrain { host, draining: false, by } => {
            format!("host {host} takes containers again, by {by}")
        }
        Event::HostRemoved { host, by } => format!("host {host} was removed, by {by}"),
        Event::GenerationMade { generation, author, reason } => {
            format!("generation {generation}: {reason} ({author})")
        }
        Event::DeployStarted { deploy, app, release, what, by } => {
            format!("deploy {deploy} began: {what} {app} release {release}, by {by}")
        }
        Event::DeployStep { deploy, step, detail, ended: false, .. } => {
            format!("deploy {deploy}: {step} … {detail}")
        }
        Event::DeployStep { deploy, step, detail, millis, .. } => {
            format!("deploy {deploy}: {step} done in {millis} ms {detail}")
        }
        Event::DeployOutput { deploy, line } => format!("deploy {deploy}: {line}"),
        Event::Switched { app, release, previous: Some(previous) } => {
            format!("{app}: requests go to release {release} instead of {previous}")
        }
        Event::Switched { app, release, previous: None } => {
            format!("{app}: requests go to release {release}")
        }
        Event::DeploySucceeded { deploy, app, release, millis } => {
            format!("deploy {deploy} succeeded: {app} release {release} in {millis} ms")
        }
        Event::DeployFailed { deploy, app, release, reason, .. } => {
            format!("deploy {deploy} failed: {app} release {release}: {reason}")
        }
        Event::DeployAborted { deploy, app, release, by } => {
            format!("deploy {deploy} was ended before its switch: {app} release {release}, by {by}")
        }
        Event::InstanceChanged { host, instance, state, detail, .. } if detail.is_empty() => {
            format!("{instance} on {host} is {state}")
        }
        Event::InstanceChanged { host, instance, state, detail, .. } => {
            format!("{instance} on {host} is {state}: {detail}")
        }
        Event::Drifted { host, instance, what, outcome, .. } => {
            format!("{instance} on {host} was changed by hand: {what} ({outcome})")
        }
        Event::OrphanRemoved { host, what, name, by } => {
            format!("{what} {name} on {host}, which no generation names, was removed, by {by}")
        }
        Event::Executed { instance, host, command, by, .. } => {
            format!("{by} ran `{command}` in {instance} on {host}")
        }
        Event::RunStarted { run, release, host, command, by, .. } => {
            format!("{by} runs `{command}` with release {release} as {run} on {host}")
        }
        Event::RunEnded { run, host, detail, .. } => format!("{run} on {host} {detail}"),
        Event::LoggedIn { who } => format!("{who} logged in"),
        Event::TokenMade { name, role, by } => format!("token {name} with role {role} was made, by {by}"),
        Event::TokenRemoved { name, by } => format!("token {name} was removed, by {by}"),
        Event::Warning { part, message } => format!("warning of {part}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_told_to_the_server() {
        let mut arguments = EventsArgs {
            follow: false,
            limit: 50,
            before: None,
            kinds: vec![],
            app: None,
            host: None,
            who: None,
        };
        assert_eq!(filter(&arguments), "");
        arguments.kinds = vec!["deploys".to_owned(), "host_lost".to_owned()];
        arguments.who = Some("ann & bob é".to_owned());
        assert_eq!(filter(&arguments), "&kind=deploys,host_lost&who=ann%20%26%20bob%20%C3%A9");
    }
}
