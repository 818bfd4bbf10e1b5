//! A converge with nothing to do, over 100 containers: the server's process (which holds the agent) against Ansible's
//! `community.docker.docker_container` for 100 containers of the same image on the same Engine. And how long it takes
//! until what somebody stopped by hand runs again; that has no peer that waits for events.
//!
//! CPU is that of the whole process: its pings, reports and event log are in it as well.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::process;
use super::super::result::Comparison;

const CONTAINERS: u32 = 100;
const IMAGE: &str = "wharf-bench-idle:1";
/// Between converges, and how many are measured together: the kernel counts CPU in hundredths of a second.
const INTERVAL: Duration = Duration::from_millis(500);
const TURNS: u32 = 40;
const APP: &str = "bench-converge";
const NO_OP: &str = "no-op converge of 100 containers";
const REPAIR: &str = "stopped by hand";
/// A program that does nothing, static, so that the image needs nothing else.
const IDLE: &str = "fn main() { loop { std::thread::sleep(std::time::Duration::from_secs(3600)); } }";

pub(super) fn measure(comparison: &mut Comparison, wharf: &Path, repetitions: u32) -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join(format!("wharf-bench-converge-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let _scratch = Scratch(directory.clone());
    image(&directory)?;
    comparison.version("ansible", "ansible-playbook", &["--version"]);

    let server = Server::start(wharf, &directory)?;
    let playbook = playbook(&directory)?;
    comparison.commands.extend([
        format!(
            "wharf deploy, {CONTAINERS} replicas of {IMAGE}; agent.converge_interval={} ms",
            INTERVAL.as_millis()
        ),
        format!(
            "ansible-playbook -i localhost, -c local playbook.yaml: docker_container, loop of {CONTAINERS}"
        ),
        "docker kill, then docker inspect until it runs".to_owned(),
    ]);
    eprintln!("ansible makes its containers");
    ansible(&playbook)?;
    for repetition in 1..=repetitions {
        let since = now()?;
        let begun = server.process.cpu_seconds();
        process::pause(INTERVAL * TURNS);
        let seconds = (server.process.cpu_seconds() - begun) / f64::from(TURNS);
        let changes = changes(&since)?;
        comparison.row(repetition, "wharf", NO_OP, &[("cpu s", seconds), ("changes", changes)]);

        let begun = Instant::now();
        let seconds = ansible(&playbook)?;
        let wall = begun.elapsed().as_secs_f64();
        comparison.row(repetition, "ansible", NO_OP, &[("cpu s", seconds), ("wall s", wall)]);

        comparison.row(repetition, "wharf", REPAIR, &[("runs again s", repair()?)]);
    }
    comparison.summarize("wharf", "ansible", NO_OP, "cpu s");
    comparison.summarize_one("wharf", NO_OP, "changes");
    comparison.summarize_one("wharf", REPAIR, "runs again s");
    Ok(())
}

/// A directory that is removed in the end, with the containers.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        for filter in [format!("label=wharf.app={APP}"), format!("label={APP}=ansible")] {
            let ids = process::run("docker", &["ps", "-aq", "--filter", &filter]).unwrap_or_default();
            let arguments: Vec<&str> = ["rm", "-f"].into_iter().chain(ids.split_whitespace()).collect();
            if arguments.len() > 2 {
                // What is left over is shown by `docker ps`.
                let _ = process::run("docker", &arguments);
            }
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn image(directory: &Path) -> anyhow::Result<()> {
    if process::run("docker", &["image", "inspect", IMAGE]).is_ok() {
        return Ok(());
    }
    let path = |name: &str| directory.join(name).display().to_string();
    std::fs::write(directory.join("idle.rs"), IDLE)?;
    let (source, program, archive) = (path("idle.rs"), path("idle"), path("idle.tar"));
    process::run(
        "rustc",
        &["-O", "-Ctarget-feature=+crt-static", "-Cstrip=symbols", "-o", &program, &source],
    )?;
    process::run("tar", &["-C", &directory.display().to_string(), "-cf", &archive, "idle"])?;
    process::run("docker", &["import", "--change", "ENTRYPOINT [\"/idle\"]", &archive, IMAGE])?;
    Ok(())
}

/// A server with its own host and the application deployed.
struct Server {
    process: process::Running,
}

impl Server {
    fn start(wharf: &Path, directory: &Path) -> anyhow::Result<Server> {
        let wharf = wharf.display().to_string();
        let data = directory.join("data").display().to_string();
        let ports = process::free_ports(4)?;
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let keys = ["api.listen", "registry.listen", "balancer.http", "agents.listen"];
        let mut sets: Vec<String> =
            keys.iter().zip(&ports).map(|(key, port)| format!("{key}=127.0.0.1:{port}")).collect();
        sets.push(format!("agent.converge_interval={}ms", INTERVAL.as_millis()));
        let mut arguments = vec!["up", "--data", &data];
        for set in &sets {
            arguments.extend(["--set", set]);
        }
        let process = process::start(None, &wharf, &arguments, &directory.join("wharf.log"))?;
        process::wait_for(([127, 0, 0, 1], ports[0]).into())?;
        let compose = directory.join("app");
        std::fs::create_dir_all(&compose)?;
        let text = format!(
            "name: {APP}\nservices:\n  idle:\n    image: {IMAGE}\n    stop_signal: SIGKILL\n    deploy: {{ replicas: {CONTAINERS} }}\n"
        );
        std::fs::write(compose.join("compose.yaml"), text)?;
        let compose = compose.display().to_string();
        process::run(&wharf, &["--server", &url, "--data", &data, "deploy", &compose])?;
        Ok(Server { process })
    }
}

fn playbook(directory: &Path) -> anyhow::Result<String> {
    let path = directory.join("playbook.yaml");
    let text = format!(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - community.docker.docker_container:\n        \
         name: \"{APP}-ansible-{{{{ item }}}}\"\n        image: {IMAGE}\n        pull: false\n        state: started\n        \
         stop_signal: SIGKILL\n        labels: {{ {APP}: ansible }}\n      loop: \"{{{{ range({CONTAINERS}) | list }}}}\"\n"
    );
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// Runs the playbook and returns its CPU seconds, with those of all its children.
fn ansible(playbook: &str) -> anyhow::Result<f64> {
    let script = "ansible-playbook -i localhost, -c local \"$1\" > /dev/null && times";
    let output = Command::new("bash")
        .args(["-c", script, "bash", playbook])
        .env("DOCKER_API_VERSION", "1.41")
        .env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3")
        .output()
        .context("cannot run ansible-playbook")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(output.status.success(), "ansible: {}", String::from_utf8_lossy(&output.stderr));
    // The second line has the children's: `0m1.234s 0m0.567s`.
    let children = text.lines().nth(1).context("`times` prints two lines")?;
    children.split_whitespace().map(seconds).sum()
}

/// `1m2.345s`
fn seconds(text: &str) -> anyhow::Result<f64> {
    let (minutes, rest) = text.split_once('m').context("no minutes")?;
    Ok(minutes.parse::<f64>()? * 60.0 + rest.trim_end_matches('s').parse::<f64>()?)
}

fn now() -> anyhow::Result<String> {
    Ok(process::run("docker", &["info", "--format", "{{.SystemTime}}"])?.trim().to_owned())
}

/// What happened to the application's containers since.
fn changes(since: &str) -> anyhow::Result<f64> {
    let filter = format!("label=wharf.app={APP}");
    let events =
        process::run("docker", &["events", "--since", since, "--until", &now()?, "--filter", &filter])?;
    Ok(events.lines().count() as f64)
}

/// Stops a container by hand and returns the seconds until it runs again.
fn repair() -> anyhow::Result<f64> {
    let filter = format!("label=wharf.app={APP}");
    let ids = process::run("docker", &["ps", "-q", "--filter", &filter])?;
    let id = ids.split_whitespace().next().context("no container runs")?;
    let started = || process::run("docker", &["inspect", "--format", "{{.State.StartedAt}}", id]);
    let before = started()?;
    process::run("docker", &["kill", id])?;
    let begun = Instant::now();
    while started()? == before {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "{id} does not run again");
        process::pause(Duration::from_millis(10));
    }
    Ok(begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shells_times_are_seconds() {
        assert_eq!(seconds("1m2.500s").unwrap(), 62.5);
        assert!(seconds("2.5").is_err());
    }
}
