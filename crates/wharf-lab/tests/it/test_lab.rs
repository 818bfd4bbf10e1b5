//! A lab of one test, gone when the test ends in whatever way, and what tests do with its hosts.

use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use wharf_lab::{Config, Lab};

/// The program that is pid 1 of the hosts, and `up` and `down` as processes of their own.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wharf-lab-host");

/// The kernel sends the first packet of a connection again after 1 s, 3 s and 7 s: reachable within this or not.
pub(crate) const REACHABLE: Duration = Duration::from_secs(15);

/// An answer on this machine takes less than a millisecond.
pub(crate) const UNREACHABLE: Duration = Duration::from_millis(500);

pub(crate) struct TestLab {
    lab: Lab,
    pub(crate) config: Config,
}

impl TestLab {
    /// A lab in network 10.87.`number`; tests with different names and numbers don't meet.
    pub(crate) fn new(name: &str, number: u8) -> TestLab {
        TestLab::with(Config {
            name: name.to_owned(),
            network: format!("10.87.{number}"),
            ..Config::default()
        })
    }

    pub(crate) fn with(config: Config) -> TestLab {
        let config = Config { program: Some(PROGRAM.into()), ..config };
        let lab = TestLab { lab: Lab::open(config.clone()).unwrap(), config };
        // An earlier run may have been killed.
        lab.down_now();
        lab
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(&self.config).unwrap()
    }

    /// `down` in a process of its own, as a user would after a crash.
    pub(crate) fn down_now(&self) {
        let output = run(Command::new(PROGRAM).args(["down", &self.json()]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a shell script inside of host `index` and returns what it prints. Panics if it fails.
    pub(crate) fn sh(&self, index: u32, script: &str) -> String {
        checked(&mut self.lab.exec_command(index, &["sh", "-c", script]).unwrap())
    }

    /// The docker CLI against host `index`.
    pub(crate) fn docker(&self, index: u32, args: &[&str]) -> String {
        let socket = format!("unix://{}", self.lab.docker_socket(index).display());
        checked(Command::new("docker").env("DOCKER_API_VERSION", "1.41").args(["-H", &socket]).args(args))
    }

    /// Gives host `index` the image `box`, made from this machine's static busybox.
    pub(crate) fn import_box(&self, index: u32) {
        let socket = self.lab.docker_socket(index);
        let script = format!(
            "set -e; d=$(mktemp -d); mkdir $d/bin $d/www; cp $(command -v busybox) $d/bin/; ln -s busybox $d/bin/sh; \
             echo hello > $d/www/index.html; tar -C $d -c . | docker -H unix://{} import - box; rm -r $d",
            socket.display()
        );
        checked(Command::new("sh").env("DOCKER_API_VERSION", "1.41").args(["-c", &script]));
    }

    /// A web server in a container, published on port 80 of the host.
    pub(crate) fn run_web(&self, index: u32) {
        self.import_box(index);
        let serve = ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"];
        self.docker(index, &[&["run", "-d", "--name", "web", "-p", "80:80", "box"], &serve[..]].concat());
    }

    /// Whether `port` of host `index` takes a connection from this machine.
    pub(crate) fn reaches(&self, index: u8, port: u16, within: Duration) -> bool {
        let address = format!("{}.{}:{port}", self.config.network, 10 + index);
        TcpStream::connect_timeout(&address.parse::<SocketAddr>().unwrap(), within).is_ok()
    }
}

impl Deref for TestLab {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        let _ = run(Command::new(PROGRAM).args(["down", &self.json()]));
    }
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn checked(command: &mut Command) -> String {
    let output = run(command);
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{command:?}\n{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    stdout
}
