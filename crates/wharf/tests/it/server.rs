//! A server of one test, as a process of its own, and commands against it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;
use wharf_test_support::{Child, DEADLINE, TempDir, free_port, temp_dir};

use crate::docker;
use crate::support::{Ran, run};

/// The program under test.
pub(crate) const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

/// A command of ours that is not disturbed by the environment or files of whoever runs the tests.
pub(crate) fn wharf() -> Command {
    let mut command = Command::new(WHARF);
    for name in
        ["WHARF_SERVER", "WHARF_TOKEN", "WHARF_DATA", "WHARF_CONFIG", "WHARF_LOG", "COMPOSE_PROJECT_NAME"]
    {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("NO_COLOR", "1");
    command
}

/// A server with ports and a directory of its own. Dropping it ends the process and removes its applications.
pub(crate) struct Server {
    pub(crate) directory: TempDir,
    pub(crate) api: u16,
    pub(crate) agents: u16,
    pub(crate) registry: u16,
    pub(crate) balancer: u16,
    sets: Vec<String>,
    child: Option<Child>,
    apps: Mutex<Vec<String>>,
}

impl Server {
    /// Runs with this machine's Engine as its host, which has the label pool=web.
    pub(crate) fn start() -> Server {
        Server::start_with(&["docker.labels={pool: web}"])
    }

    /// Runs with more settings.
    pub(crate) fn start_with(sets: &[&str]) -> Server {
        let mut server = Server::prepare(sets);
        server.run_again();
        server
    }

    /// As `start_with`, but not yet running.
    pub(crate) fn prepare(sets: &[&str]) -> Server {
        Server {
            directory: temp_dir(),
            api: free_port(),
            agents: free_port(),
            registry: free_port(),
            balancer: free_port(),
            sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            child: None,
            apps: Mutex::default(),
        }
    }

    /// One more setting, before the server runs.
    pub(crate) fn set(&mut self, set: &str) {
        self.sets.push(set.to_owned());
    }

    /// Starts the process, on the same directory and ports as before, and waits until it says where it listens.
    pub(crate) fn run_again(&mut self) {
        self.run_until("");
    }

    /// The same with a process that ends by itself at this point, as by SIGKILL (`wharf_base::power_loss`).
    pub(crate) fn run_until(&mut self, point: &str) {
        let child = Child::spawn(self.up_command().env("WHARF_CRASH_AT", point));
        child.wait_for_line("token         cat", DEADLINE);
        self.child = Some(child);
    }

    /// `wharf up` with this server's directory and ports. Settings of the test win over these.
    pub(crate) fn up_command(&self) -> Command {
        let ports = [
            ("api.listen", self.api),
            ("agents.listen", self.agents),
            ("registry.listen", self.registry),
            ("balancer.http", self.balancer),
        ];
        let mut command = wharf();
        command.arg("up").arg("--data").arg(self.data()).current_dir(self.directory.path());
        for (key, port) in ports {
            command.args(["--set", &format!("{key}=127.0.0.1:{port}")]);
        }
        command.args(self.sets.iter().flat_map(|set| ["--set", set.as_str()]));
        command
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("the server runs")
    }

    /// The process's end by SIGKILL, as a crash.
    pub(crate) fn kill(&mut self) {
        self.child.take().expect("the server runs").kill();
    }

    /// The admin token.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.data().join("token")).unwrap().trim().to_owned()
    }

    /// `wharf ARGS` against this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = wharf();
        command.args(args).arg("--server").arg(format!("http://127.0.0.1:{}", self.api));
        command.arg("--data").arg(self.data()).current_dir(self.directory.path());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Runs it; it must succeed. Returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.run(args).expect(0).stdout
    }

    /// Runs it with `--output json`; it must succeed and print one document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{args:?} printed no JSON: {error}\n{text}"))
    }

    /// Runs it in the background.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        Child::spawn(&mut self.command(args))
    }

    /// Notes an application whose containers are to be removed at the end.
    pub(crate) fn note(&self, app: &str) {
        self.apps.lock().unwrap().push(app.to_owned());
    }

    /// Deploys the application in `directory`; it must succeed.
    pub(crate) fn deploy(&self, directory: &Path) -> String {
        self.ok(&["deploy", &directory.display().to_string()])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process first: it would make again what is removed below.
        if let Some(child) = &mut self.child {
            child.signal(9);
            if std::thread::panicking() {
                eprintln!("--- the server's output:\n{}", child.output());
            }
        }
        self.child = None;
        let apps = self.apps.lock().map(|apps| apps.clone()).unwrap_or_default();
        apps.iter().for_each(|app| docker::sweep(app));
        if !apps.is_empty() {
            docker::sweep_images(&format!("127.0.0.1:{}/", self.registry));
        }
    }
}
