//! `wharf cache`: the package cache.

use serde_json::{Value, json};

use crate::cli::{CacheClient, CacheCommand, Global};
use crate::context;
use crate::output::{Output, Table, bytes};

pub(super) async fn run(global: &Global, command: CacheCommand, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    match command {
        CacheCommand::Stats => {
            let answer: Value = client.get("/api/v1/cache/stats").await?;
            output.result(&answer, || stats(&answer))
        }
        CacheCommand::Ls { ecosystem, limit } => {
            let only = ecosystem.map(|only| format!("&ecosystem={}", only.as_str())).unwrap_or_default();
            let answer: Value = client.get(&format!("/api/v1/cache/entries?limit={limit}{only}")).await?;
            output.result(&answer, || entries(&answer))
        }
        CacheCommand::Purge { ecosystem } => {
            let only = ecosystem.map(|only| format!("?ecosystem={}", only.as_str())).unwrap_or_default();
            let answer: Value = client.post(&format!("/api/v1/cache/purge{only}"), &json!({})).await?;
            output
                .result(&answer, || format!("{} files removed, {}", answer["files"], size(&answer["bytes"])))
        }
        CacheCommand::Env { client: of } => {
            let answer: Value = client.get("/api/v1/cache/stats").await?;
            let address = address(&answer);
            let text = env(of, &address);
            let value = json!({ "client": name(of), "address": address, "text": text });
            output.result(&value, || text.clone())
        }
    }
}

/// Where clients reach the cache: the first address that is not loopback, else the first.
fn address(stats: &Value) -> String {
    let listens: Vec<&str> =
        stats["listens"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_local = |address: &&&str| address.starts_with("127.") || address.starts_with("[::1]");
    let best = listens.iter().find(|address| !is_local(address)).or(listens.first());
    best.map_or_else(String::new, |address| (*address).to_owned())
}

fn name(client: CacheClient) -> &'static str {
    match client {
        CacheClient::Apt => "apt",
        CacheClient::Docker => "docker",
    }
}

fn env(client: CacheClient, address: &str) -> String {
    match client {
        CacheClient::Apt => format!("Acquire::http::Proxy \"http://{address}\";"),
        // A predefined build argument: neither in the image's history nor in the cache key.
        CacheClient::Docker if address.starts_with("127.") || address.starts_with("[::1]") => {
            format!("--network host --build-arg http_proxy=http://{address}")
        }
        CacheClient::Docker => format!("--build-arg http_proxy=http://{address}"),
    }
}

fn stats(answer: &Value) -> String {
    let mut table = Table::new(&[
        "PACKAGES",
        ">FILES",
        ">SIZE",
        ">REQUESTS",
        ">HITS",
        ">FETCHED",
        ">SENT",
        ">WRONG",
        "UPSTREAMS",
    ]);
    for row in answer["ecosystems"].as_array().into_iter().flatten() {
        let count = |name: &str| row["counts"][name].as_u64().unwrap_or_default();
        let (hits, all) = (
            count("hits") + count("joined") + count("stale"),
            count("hits") + count("joined") + count("misses") + count("passed"),
        );
        let percent = (100 * hits.min(all)).checked_div(all);
        let rate = percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"));
        let upstreams: Vec<&str> =
            row["upstreams"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let upstreams = if upstreams.is_empty() {
            "off: set cache.apt.upstreams".to_owned()
        } else {
            upstreams.join(" ")
        };
        table.row(vec![
            row["ecosystem"].as_str().unwrap_or("-").to_owned(),
            row["files"].to_string(),
            size(&row["bytes"]),
            all.to_string(),
            rate,
            bytes(count("bytes_in")),
            bytes(count("bytes_out")),
            count("wrong").to_string(),
            upstreams,
        ]);
    }
    format!("{}\n{} of {} used", table.render(), size(&answer["bytes"]), size(&answer["bytes_max"]))
}

fn entries(answer: &Value) -> String {
    let mut table = Table::new(&[">SIZE", "SOURCE", "DIGEST"]);
    for row in answer.as_array().into_iter().flatten() {
        let digest = row["digest"].as_str().unwrap_or("-");
        let short = digest.split_once(':').map_or(digest, |(_, hex)| hex.get(..12).unwrap_or(hex));
        table.row(vec![
            size(&row["bytes"]),
            row["source"].as_str().unwrap_or("-").to_owned(),
            short.to_owned(),
        ]);
    }
    if table.is_empty() {
        return "Nothing is stored yet. `wharf cache env` prints how clients use the cache.".to_owned();
    }
    table.render()
}

fn size(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_are_told() {
        let stats = json!({ "listens": ["127.0.0.1:3142", "172.17.0.1:3142"] });
        assert_eq!(address(&stats), "172.17.0.1:3142");
        assert_eq!(
            env(CacheClient::Apt, "172.17.0.1:3142"),
            "Acquire::http::Proxy \"http://172.17.0.1:3142\";"
        );
        let docker = env(CacheClient::Docker, "127.0.0.1:3142");
        assert_eq!(docker, "--network host --build-arg http_proxy=http://127.0.0.1:3142");
    }
}
