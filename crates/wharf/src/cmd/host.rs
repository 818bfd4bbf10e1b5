//! `wharf host`: list, show, token, drain, remove.

mod show;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use wharf_base::{Clock, SystemClock, UnixMillis};
use wharf_model::{HostView, Liveness};

use crate::cli::{Global, HostCommand};
use crate::context;
use crate::output::{Output, Table, ago, bytes};

#[derive(Serialize, Deserialize)]
struct Hosts {
    hosts: Vec<HostView>,
}

#[derive(Deserialize)]
struct Generations {
    generations: Vec<GenerationLine>,
}

#[derive(Deserialize)]
struct GenerationLine {
    number: u64,
}

#[derive(Serialize, Deserialize)]
struct JoinToken {
    token: String,
    expires: UnixMillis,
    command: String,
}

pub(super) async fn run(global: &Global, command: HostCommand, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    match command {
        HostCommand::Ls => {
            let answer: Hosts = client.get("/api/v1/hosts").await?;
            output.result(&answer, || table(&answer.hosts))
        }
        HostCommand::Show { name } => {
            let answer: Hosts = client.get("/api/v1/hosts").await?;
            let newest: Generations = client.get("/api/v1/generations?limit=1").await?;
            let newest = newest.generations.first().map_or(0, |line| line.number);
            let host = show::find(answer.hosts, &name)?;
            output.result(&host, || show::page(&host, newest, SystemClock.now()))
        }
        HostCommand::Token { ttl, uses, labels, host } => {
            let labels = super::join::labels(&labels)?;
            let ttl = wharf_base::duration::format(ttl);
            let request = json!({ "ttl": ttl, "uses": uses, "labels": labels, "host": host });
            let answer: JoinToken = client.post("/api/v1/join-tokens", &request).await?;
            output.result(&answer, || {
                let JoinToken { token, expires, command } = &answer;
                match closed(command) {
                    Some(why) => format!("Token (valid until {expires}): {token}\n\n{why}"),
                    None => format!("On the host that is to join (valid until {expires}):\n\n  {command}"),
                }
            })
        }
        HostCommand::Drain { name, undo } => {
            let path = format!("/api/v1/hosts/{name}/drain");
            let answer: serde_json::Value = client.post(&path, &json!({ "draining": !undo })).await?;
            output.result(&answer, || {
                if undo {
                    format!("{name} takes containers again")
                } else {
                    format!("{name} is draining: it gets no new containers, and those that it has move to other hosts")
                }
            })
        }
        HostCommand::Rm { name, force } => {
            client.delete(&format!("/api/v1/hosts/{name}?force={force}")).await?;
            output.result(&json!({ "removed": name }), || format!("{name} is removed"))
        }
    }
}

/// Why no other machine can run `command`, and what to open: joining over http would send the token readable.
fn closed(command: &str) -> Option<String> {
    let url = command.split_whitespace().find(|word| word.starts_with("http://"))?;
    Some(format!(
        "No other machine can join yet: this server is reached at {url}, and joining takes https.\n\
         Open it in its wharf.yaml, with its own address in place of 10.0.0.1, and start it again:\n\n  \
         server: {{ address: 10.0.0.1 }}\n  \
         api: {{ listen: [127.0.0.1:7700, 10.0.0.1:7700] }}   # without api.insecure\n  \
         agents: {{ listen: [10.0.0.1:7701] }}\n  \
         registry: {{ listen: [127.0.0.1:5000, 10.0.0.1:5000], address: 10.0.0.1:5000 }}\n\n\
         Then `wharf host token` prints the command for the new host."
    ))
}

fn table(hosts: &[HostView]) -> String {
    if hosts.is_empty() {
        return "No hosts yet. `wharf host token` prints the command with which one joins.".to_owned();
    }
    let mut table = Table::new(&[
        "HOST",
        "STATE",
        "LABELS",
        "ADDRESS",
        "ENGINE",
        "ARCH",
        ">CPUS",
        ">MEMORY",
        ">CONTAINERS",
        ">GEN",
        "SEEN",
    ]);
    let now = SystemClock.now();
    for host in hosts {
        let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row(vec![
            host.name.to_string(),
            state(host, now).to_owned(),
            or_dash((!labels.is_empty()).then(|| labels.join(","))),
            or_dash(host.address.clone()),
            or_dash(host.engine_version.clone()),
            or_dash(host.architecture.clone()),
            or_dash(host.cpus.map(|count| count.to_string())),
            or_dash(host.memory_bytes.map(bytes)),
            format!("{}/{}", host.instances_healthy, host.instances_desired),
            host.generation.to_string(),
            match host.liveness {
                Liveness::Never => "never".to_owned(),
                Liveness::Up | Liveness::Lost => format!("{} ago", ago(seen(now.since(host.last_seen)))),
            },
        ]);
    }
    let notes =
        hosts.iter().filter_map(|host| Some(format!("! {}: its clock is {}\n", host.name, skew(host)?)));
    table.render() + &notes.collect::<String>()
}

/// How wrong a host's clock is, if so that people should know.
fn skew(host: &HostView) -> Option<String> {
    // What a report's way takes is no skew.
    let seconds = host.clock_skew_ms.map(|skew| skew / 1_000).filter(|seconds| seconds.abs() >= 5)?;
    let by = wharf_base::duration::format(Duration::from_secs(seconds.unsigned_abs()));
    Some(format!("{by} {} the server's", if seconds > 0 { "ahead of" } else { "behind" }))
}

fn seen(elapsed: Duration) -> Duration {
    Duration::from_secs(elapsed.as_secs())
}

fn state(host: &HostView, now: UnixMillis) -> &'static str {
    let is_expired = host.certificate_expires.is_some_and(|expires| expires <= now);
    match (host.liveness, host.draining) {
        (Liveness::Up, false) => "up",
        (Liveness::Up, true) => "draining",
        (Liveness::Lost | Liveness::Never, _) if is_expired => "expired",
        (Liveness::Lost, _) => "lost",
        (Liveness::Never, _) => "joined",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_cannot_work_is_replaced_by_what_to_open() {
        let why = closed("wharf join http://127.0.0.1:7700 --token t --name NAME").unwrap();
        assert!(why.contains("reached at http://127.0.0.1:7700"), "{why}");
        assert!(why.contains("\n  agents: { listen: [10.0.0.1:7701] }\n"), "{why}");
        assert_eq!(closed("wharf join https://10.0.0.1:7700 --token t --name NAME"), None);
    }
}
