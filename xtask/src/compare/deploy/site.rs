//! Lab hosts that have joined a server on this machine, and an application that runs on them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::super::process;

/// A lab of its own, beside the demo's and the tests'.
const LAB: [&str; 4] = ["--name", "whbench", "--network", "10.76.0"];
const GATEWAY: &str = "10.76.0.1";
pub(super) const APP: &str = "bench-serve";
/// How long anything may take before the comparison fails.
const LIMIT: Duration = Duration::from_secs(60);
/// Answers every request with the variable TEXT; static, so that the image needs nothing else.
const PROGRAM: &str = r#"
use std::io::{Read, Write};
fn main() {
    let listener = std::net::TcpListener::bind("0.0.0.0:8000").unwrap();
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let text = std::env::var("TEXT").unwrap_or_default();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            let (mut bytes, mut request) = ([0; 4096], Vec::new());
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                request.extend_from_slice(&bytes[..count]);
                while let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                    request.drain(..end + 4);
                    if stream.write_all(answer.as_bytes()).is_err() { return; }
                }
            }
        });
    }
}
"#;

/// The hosts and their server. Dropping it ends all of it.
pub(super) struct Site {
    wharf: String,
    directory: PathBuf,
    data: String,
    ports: Vec<u16>,
    server: Option<process::Running>,
}

impl Site {
    /// Brings `hosts` hosts up and starts the server; none has joined yet.
    pub(super) fn new(wharf: &Path, hosts: u32) -> anyhow::Result<Site> {
        let directory = std::env::temp_dir().join(format!("wharf-bench-site-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let mut site = Site {
            wharf: wharf.display().to_string(),
            data: directory.join("data").display().to_string(),
            directory,
            ports: process::free_ports(4)?,
            server: None,
        };
        site.lab(&["down"])?;
        site.lab(&["up", &hosts.to_string()])?;
        let [api, agents, registry, balancer] = site.ports[..] else { anyhow::bail!("four ports") };
        let mut arguments = vec!["up".to_owned(), "--data".to_owned(), site.data.clone()];
        for set in [
            format!("api.listen=[127.0.0.1:{api}, {GATEWAY}:{api}]"),
            format!("agents.listen={GATEWAY}:{agents}"),
            format!("registry.listen={GATEWAY}:{registry}"),
            format!("balancer.http=127.0.0.1:{balancer}"),
            format!("server.address={GATEWAY}"),
            "docker.is_host=false".to_owned(),
        ] {
            arguments.extend(["--set".to_owned(), set]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let log = site.directory.join("wharf.log");
        site.server = Some(process::start(None, &site.wharf, &arguments, &log)?);
        process::wait_for(([127, 0, 0, 1], api).into())?;
        Ok(site)
    }

    fn lab(&self, arguments: &[&str]) -> anyhow::Result<String> {
        process::run(&self.wharf, &[&["lab"], &LAB[..], arguments].concat())
    }

    /// Runs a script on a host.
    pub(super) fn sh(&self, host: u32, script: &str) -> anyhow::Result<String> {
        self.lab(&["exec", &host.to_string(), "sh", "-c", script])
    }

    /// Power off, or on again.
    pub(super) fn power(&self, verb: &str, host: u32) -> anyhow::Result<()> {
        self.lab(&[verb, &host.to_string()]).map(drop)
    }

    /// `wharf ARGUMENTS` against the server.
    pub(super) fn wharf(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{}", self.ports[0]);
        process::run(&self.wharf, &[arguments, &["--server", &url, "--data", &self.data]].concat())
    }

    pub(super) fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.wharf(&[arguments, &["--output", "json"]].concat())?)?)
    }

    pub(super) fn join(&self, host: u32) -> anyhow::Result<()> {
        let made = self.json(&["host", "token"])?;
        let token = made["token"].as_str().context("no token")?;
        let url = format!("https://{GATEWAY}:{}", self.ports[0]);
        self.sh(host, &format!("wharf join {url} --token {token} --name host{host} --label pool=web"))?;
        self.start_agent(host)
    }

    pub(super) fn start_agent(&self, host: u32) -> anyhow::Result<()> {
        let script = "setsid wharf agent >>/var/log/agent.log 2>&1 </dev/null & echo $! >/run/agent.pid";
        self.sh(host, script).map(drop)
    }

    /// Waits until a question has an answer; asks 50 times a second.
    pub(super) fn wait<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            anyhow::ensure!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
            process::pause(Duration::from_millis(20));
        }
    }

    pub(super) fn wait_up(&self, hosts: usize) -> anyhow::Result<()> {
        self.wait("the hosts are up", || {
            let listed = self.json(&["host", "ls"])?;
            let up = listed["hosts"].as_array().into_iter().flatten().filter(|host| host["liveness"] == "up");
            Ok((up.count() == hosts).then_some(()))
        })
    }

    /// How many containers are healthy on hosts that `counts` says yes to.
    pub(super) fn healthy(&self, counts: impl Fn(&str) -> bool) -> anyhow::Result<usize> {
        let listed = self.json(&["ps", APP])?;
        let all = listed["instances"].as_array().into_iter().flatten();
        let here = all.filter(|one| one["host"].as_str().is_some_and(&counts));
        Ok(here.filter(|one| one["host_liveness"] == "up" && one["state"]["state"] == "healthy").count())
    }

    /// Writes the application; each text makes a release, and none of them has anything to build but the first.
    pub(super) fn write_app(&self, text: &str, replicas: u32) -> anyhow::Result<String> {
        let app = self.directory.join("app");
        if !app.exists() {
            std::fs::create_dir_all(&app)?;
            let (source, program) = (app.join("serve.rs"), app.join("serve"));
            std::fs::write(&source, PROGRAM)?;
            let (source, program) = (source.display().to_string(), program.display().to_string());
            let flags = ["-O", "-Ctarget-feature=+crt-static", "-Cstrip=symbols", "-o", &program, &source];
            process::run("rustc", &flags)?;
            let dockerfile = "FROM scratch\nCOPY serve /serve\nSTOPSIGNAL SIGKILL\nENTRYPOINT [\"/serve\"]\n";
            std::fs::write(app.join("Dockerfile"), dockerfile)?;
        }
        let compose = format!(
            "name: {APP}\nservices:\n  web:\n    build: .\n    environment: {{ TEXT: \"{text}\" }}\n    \
             deploy: {{ replicas: {replicas} }}\n    x-wharf:\n      route: {{ port: 8000 }}\n      \
             health: {{ path: /, interval: 200ms }}\n"
        );
        std::fs::write(app.join("compose.yaml"), compose)?;
        Ok(app.display().to_string())
    }

    /// Where the application is reached.
    pub(super) fn front(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports[3])
    }

    /// What it answers now.
    pub(super) fn answer(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[3]))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    }

    /// A process of this program beside the others; its output goes to a file of this name.
    pub(super) fn start(&self, arguments: &[&str], log: &str) -> anyhow::Result<(process::Running, PathBuf)> {
        let url = format!("http://127.0.0.1:{}", self.ports[0]);
        let arguments = [arguments, &["--server", &url, "--data", &self.data]].concat();
        let path = self.directory.join(log);
        Ok((process::start(None, &self.wharf, &arguments, &path)?, path))
    }

    pub(super) fn server(&self) -> &process::Running {
        self.server.as_ref().expect("it runs until the site is dropped")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server = None;
        // What is left over is shown by `wharf lab --name whbench status`.
        let _ = self.lab(&["down"]);
        let prefix = format!("{GATEWAY}:{}", self.ports[2]);
        let _ = std::fs::remove_dir_all(format!("/etc/docker/certs.d/{prefix}"));
        let images = process::run("docker", &["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        for image in images.unwrap_or_default().lines().filter(|image| image.starts_with(&prefix)) {
            let _ = process::run("docker", &["rmi", "-f", image]);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
