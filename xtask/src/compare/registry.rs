//! CPU and time per GiB pushed and pulled: Debian's docker-registry and `wharf up --only registry`.
//!
//! Push: one POST, one streaming PATCH of 512 MiB of random bytes by curl, one PUT. Pull: 16 parallel GETs of that blob.
//! Debian's docker-registry 2.8.2 is built with a Go that has no SHA-NI; what is said of pushes holds for that build.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use super::process::{self, Running, start, wait_for};
use super::result::Comparison;

const PEER: u16 = 18_095;
const WHARF: u16 = 18_096;
const MIB: u32 = 512;
const PULLS: u32 = 16;

pub(super) fn compare(wharf: &Path, repetitions: u32) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::new("registry");
    comparison.version("docker-registry", "docker-registry", &["--version"]);
    comparison.version("wharf", &wharf.display().to_string(), &["--version"]);
    comparison.version("curl", "curl", &["--version"]);
    comparison.commands = vec![
        format!("curl -X PATCH -T FILE ({MIB} MiB, random) LOCATION; curl -X PUT LOCATION?digest=…"),
        format!("{PULLS} × curl -o /dev/null http://127.0.0.1:PORT/v2/bench/blobs/DIGEST"),
    ];
    let scratch = tempfile::tempdir_in("/var/tmp")?;
    let folder = scratch.path();
    let peer = docker_registry(folder)?;
    let ours = our_registry(wharf, folder)?;
    for port in [PEER, WHARF] {
        wait_for(([127, 0, 0, 1], port).into())?;
    }
    for repetition in 1..=repetitions {
        let blob = folder.join("blob").display().to_string();
        process::run(
            "dd",
            &["if=/dev/urandom", &format!("of={blob}"), "bs=1M", &format!("count={MIB}"), "status=none"],
        )?;
        let digest =
            process::run("sha256sum", &[&blob])?.split_whitespace().next().context("no digest")?.to_owned();
        let mut tools = [("docker-registry", &peer, PEER), ("wharf", &ours, WHARF)];
        if repetition % 2 == 1 {
            tools.reverse();
        }
        for (tool, process, port) in tools {
            let values = measured(process, f64::from(MIB) / 1024.0, || push(port, &blob, &digest))?;
            comparison.row(repetition, tool, "push", &values);
            let gib = f64::from(MIB * PULLS) / 1024.0;
            let values = measured(process, gib, || pull(port, &digest))?;
            comparison.row(repetition, tool, "pull x16", &values);
        }
    }
    for measure in ["push", "pull x16"] {
        for value in ["CPU s per GiB", "MiB per s", "peak MiB"] {
            comparison.summarize("wharf", "docker-registry", measure, value);
        }
    }
    Ok(comparison)
}

fn measured(
    process: &Running,
    gib: f64,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<[(&'static str, f64); 3]> {
    process.reset_peak();
    let (cpu_before, began) = (process.cpu_seconds(), Instant::now());
    work()?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = process.cpu_seconds() - cpu_before;
    Ok([
        ("CPU s per GiB", cpu / gib),
        ("MiB per s", gib * 1024.0 / seconds),
        ("peak MiB", process.peak_mib()),
    ])
}

fn push(port: u16, blob: &str, digest: &str) -> anyhow::Result<()> {
    let base = format!("http://127.0.0.1:{port}");
    let begin =
        process::run("curl", &["-sf", "-i", "-X", "POST", &format!("{base}/v2/bench/blobs/uploads/")])?;
    let upload = location(&begin, &base)?;
    let sent = process::run(
        "curl",
        &[
            "-sf",
            "-i",
            "-X",
            "PATCH",
            "-H",
            "Expect:",
            "-H",
            "Content-Type: application/octet-stream",
            "-T",
            blob,
            &upload,
        ],
    )?;
    let upload = location(&sent, &base)?;
    let separator = if upload.contains('?') { '&' } else { '?' };
    process::run("curl", &["-sf", "-X", "PUT", &format!("{upload}{separator}digest=sha256:{digest}")])?;
    Ok(())
}

fn location(answer: &str, base: &str) -> anyhow::Result<String> {
    let location = answer
        .lines()
        .find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("location")))
        .with_context(|| format!("no Location in {answer}"))?
        .1
        .trim();
    Ok(if location.starts_with("http") { location.to_owned() } else { format!("{base}{location}") })
}

fn pull(port: u16, digest: &str) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{port}/v2/bench/blobs/sha256:{digest}");
    let mut curls = Vec::new();
    for _ in 0..PULLS {
        let mut command = Command::new("curl");
        command.args(["-sf", "-o", "/dev/null", &url]).stdin(Stdio::null());
        curls.push(command.spawn().context("cannot run curl")?);
    }
    for mut curl in curls {
        anyhow::ensure!(curl.wait()?.success(), "a pull of {url} failed");
    }
    Ok(())
}

fn docker_registry(folder: &Path) -> anyhow::Result<Running> {
    let config = folder.join("registry.yml");
    let storage = folder.join("peer");
    let text = format!(
        "version: 0.1\nlog: {{ accesslog: {{ disabled: true }}, level: error }}\nstorage:\n  filesystem: {{ rootdirectory: {} }}\n  delete: {{ enabled: true }}\n  maintenance: {{ uploadpurging: {{ enabled: false }} }}\nhttp: {{ addr: 127.0.0.1:{PEER} }}\n",
        storage.display()
    );
    std::fs::write(&config, text)?;
    start(None, "docker-registry", &["serve", &config.display().to_string()], &folder.join("peer.out"))
}

fn our_registry(wharf: &Path, folder: &Path) -> anyhow::Result<Running> {
    let config = folder.join("wharf.yaml");
    std::fs::write(&config, format!("registry:\n  listen: [127.0.0.1:{WHARF}]\n"))?;
    let (wharf, data) = (wharf.display().to_string(), folder.join("data").display().to_string());
    let config = config.display().to_string();
    let arguments = ["up", "--only", "registry", "--data", &data, "--config", &config];
    start(None, &wharf, &arguments, &folder.join("wharf.out"))
}
