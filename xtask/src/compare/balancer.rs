//! CPU per balanced request: nginx with a timed log and `wharf up --only balancer`, one thread each.
//!
//! The proxy has core 1; wrk and the backend (nginx, a static file) share core 0. Method and peer's settings:
//! `keepalive 256` upstream, HTTP/1.1 to the backend, log with request and upstream time, as in nginx's documentation.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use super::process::{self, Running, start, wait_for};
use super::result::Comparison;

const BACKEND: u16 = 18_090;
const NGINX: u16 = 18_091;
const WHARF: u16 = 18_092;
const SECONDS: u32 = 5;
/// Sizes of the answer in bytes, with their names in the result.
const SIZES: [(&str, usize); 2] = [("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];

pub(super) fn compare(wharf: &Path, repetitions: u32) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::new("balancer");
    comparison.version("nginx", "nginx", &["-v"]);
    comparison.version("wharf", &wharf.display().to_string(), &["--version"]);
    comparison.version("wrk", "wrk", &["-v"]);
    comparison
        .commands
        .push(format!("taskset -c 0 wrk -t1 -c32 -d{SECONDS}s --latency http://127.0.0.1:PORT/FILE"));
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path();
    for (name, size) in SIZES {
        std::fs::write(folder.join(file(name)), vec![b'x'; size])?;
    }
    let _backend = nginx(folder, "backend", &backend_conf(folder), 0)?;
    let peer = nginx(folder, "proxy", &proxy_conf(folder), 1)?;
    let ours = balancer(wharf, folder)?;
    for port in [BACKEND, NGINX, WHARF] {
        wait_for(([127, 0, 0, 1], port).into())?;
    }
    for repetition in 0..=repetitions {
        for (name, _) in SIZES {
            let mut tools = [("nginx", &peer, NGINX), ("wharf", &ours, WHARF)];
            // The order changes, so that a slow change of the machine favours nobody.
            if repetition % 2 == 1 {
                tools.reverse();
            }
            for (tool, process, port) in tools {
                let values = load(process, port, &file(name))?;
                // The first round warms up files, connections and branch predictors.
                if repetition > 0 {
                    comparison.row(repetition, tool, name, &values);
                }
            }
        }
    }
    for (name, _) in SIZES {
        for value in ["CPU s per 100k", "requests per s", "p99 ms", "RSS MiB"] {
            comparison.summarize("wharf", "nginx", name, value);
        }
    }
    Ok(comparison)
}

fn load(process: &Running, port: u16, file: &str) -> anyhow::Result<[(&'static str, f64); 4]> {
    let url = format!("http://127.0.0.1:{port}/{file}");
    let duration = format!("-d{SECONDS}s");
    process.reset_peak();
    let (cpu_before, began) = (process.cpu_seconds(), Instant::now());
    let text = process::run("taskset", &["-c", "0", "wrk", "-t1", "-c32", &duration, "--latency", &url])?;
    let (cpu, seconds) = (process.cpu_seconds() - cpu_before, began.elapsed().as_secs_f64());
    anyhow::ensure!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{url}: {text}");
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse::<f64>().ok())
        .with_context(|| format!("wrk printed no count: {text}"))?;
    let p99 = text.lines().find_map(|line| millis(line.trim().strip_prefix("99%")?.trim()));
    Ok([
        ("CPU s per 100k", cpu / requests * 100_000.0),
        ("requests per s", requests / seconds),
        ("p99 ms", p99.with_context(|| format!("wrk printed no p99: {text}"))?),
        ("RSS MiB", process.peak_mib()),
    ])
}

/// `1.23ms`, `456.00us`, `1.20s` of wrk.
fn millis(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let value: f64 = text[..split].parse().ok()?;
    match &text[split..] {
        "us" => Some(value / 1_000.0),
        "ms" => Some(value),
        "s" => Some(value * 1_000.0),
        _ => None,
    }
}

fn file(size: &str) -> String {
    size.replace(' ', "")
}

fn nginx(folder: &Path, name: &str, conf: &str, core: u32) -> anyhow::Result<Running> {
    let path = folder.join(format!("{name}.conf"));
    std::fs::write(&path, conf)?;
    let path = path.display().to_string();
    start(Some(core), "nginx", &["-c", &path, "-e", "/dev/null"], &folder.join(format!("{name}.out")))
}

fn common_conf(folder: &Path, name: &str) -> String {
    format!(
        "daemon off;\npid {0}/{name}.pid;\nworker_processes 1;\nevents {{ worker_connections 8192; }}\n",
        folder.display()
    )
}

fn backend_conf(folder: &Path) -> String {
    let head = common_conf(folder, "backend");
    let root = folder.display();
    format!(
        "user root;\n{head}http {{ access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 3600s; \
         server {{ listen 127.0.0.1:{BACKEND} backlog=4096; root {root}; default_type text/plain; }} }}\n"
    )
}

fn proxy_conf(folder: &Path) -> String {
    let head = common_conf(folder, "proxy");
    let root = folder.display();
    format!(
        "user root;\n{head}http {{\n  log_format timed '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
         \"$http_referer\" \"$http_user_agent\" $request_time $upstream_response_time';\n  \
         access_log {root}/nginx.log timed buffer=64k flush=1s;\n  tcp_nodelay on;\n  \
         keepalive_requests 1000000000;\n  keepalive_timeout 3600s;\n  \
         upstream backend {{ server 127.0.0.1:{BACKEND}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 3600s; }}\n  \
         server {{ listen 127.0.0.1:{NGINX} backlog=4096; location / {{ proxy_pass http://backend; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Host $host; }} }}\n}}\n"
    )
}

fn balancer(wharf: &Path, folder: &Path) -> anyhow::Result<Running> {
    let config = folder.join("wharf.yaml");
    let text = format!(
        "balancer:\n  http: [127.0.0.1:{WHARF}]\n  workers: 1\n  access_log: {}/wharf.log\n  routes:\n    - targets: [http://127.0.0.1:{BACKEND}]\n",
        folder.display()
    );
    std::fs::write(&config, text)?;
    let (wharf, data) = (wharf.display().to_string(), folder.join("data").display().to_string());
    let config = config.display().to_string();
    let arguments = ["up", "--only", "balancer", "--data", &data, "--config", &config];
    start(Some(1), &wharf, &arguments, &folder.join("wharf.out"))
}
