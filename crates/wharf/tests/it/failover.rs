//! Two servers on one PostgreSQL: one leads, the other takes over, and nothing is done twice or lost.

mod secrets;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use wharf_test_support::{Child, DEADLINE, Postgres, TempDir, free_port, require, temp_dir};

use crate::docker;
use crate::load::Load;
use crate::server::wharf;
use crate::support::{Ran, checked, eventually, run};
use crate::{program, web};

/// The image of the application, as people have it in a registry. Made once per test, removed at its end.
struct Image(String);

impl Image {
    fn build() -> Image {
        let directory = temp_dir();
        std::fs::copy(program::built(), directory.path().join("program")).unwrap();
        let dockerfile =
            "FROM scratch\nCOPY program /program\nSTOPSIGNAL SIGKILL\nENTRYPOINT [\"/program\"]\n";
        std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
        let name = format!("wharf-failover-{}:1", std::process::id());
        docker::docker(&["build", "-q", "-t", &name, &directory.path().display().to_string()]);
        Image(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker::sweep_images(&self.0);
    }
}

/// One of the servers.
struct Server {
    directory: TempDir,
    api: u16,
    agents: u16,
    url: String,
    child: Option<Child>,
}

impl Server {
    fn new(url: &str) -> Server {
        Server {
            directory: temp_dir(),
            api: free_port(),
            agents: free_port(),
            url: url.to_owned(),
            child: None,
        }
    }

    /// The file with the key of the installation.
    fn key(&self) -> PathBuf {
        self.directory.path().join("secrets/identity")
    }

    /// Gives it the key of a server that has led, as an operator does.
    fn copy_key_of(&self, other: &Server) {
        std::fs::create_dir_all(self.key().parent().unwrap()).unwrap();
        std::fs::copy(other.key(), self.key()).unwrap();
    }

    /// Starts it and waits for a line that it prints.
    fn up(&mut self, line: &str) {
        let child = Child::spawn(&mut self.up_command());
        child.wait_for_line(line, DEADLINE);
        self.child = Some(child);
    }

    fn up_command(&self) -> Command {
        let sets = [
            format!("state.url={}", self.url),
            "state.lease=2s".to_owned(),
            "docker.is_host=false".to_owned(),
            format!("api.listen=127.0.0.1:{}", self.api),
            format!("agents.listen=127.0.0.1:{}", self.agents),
        ];
        let mut command = wharf();
        command.args(["up", "--only", "control", "--data"]).arg(self.directory.path());
        command.args(sets.iter().flat_map(|set| ["--set", set.as_str()]));
        command.current_dir(self.directory.path());
        command
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    fn leads(&self) {
        self.child.as_ref().unwrap().wait_for_line("this server leads now", DEADLINE);
        let api = self.api;
        let is_well = || web::get(api, "any", "/healthz").is_ok_and(|(status, _)| status == 200);
        eventually("its API answers", DEADLINE, || is_well().then_some(()));
    }

    fn command(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = wharf();
        let server = format!("http://127.0.0.1:{}", self.api);
        command.args(arguments).args(["--server", &server, "--token", token]).current_dir("/");
        command
    }

    fn run(&self, token: &str, arguments: &[&str]) -> Ran {
        run(&mut self.command(token, arguments))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.signal(18);
            child.signal(9);
        }
    }
}

/// Two servers, an agent for this machine's Engine and a balancer, each a process of its own, and one application.
struct Site {
    postgres: Postgres,
    servers: [Server; 2],
    token: String,
    agent: TempDir,
    balancer: TempDir,
    front: u16,
    processes: Vec<Child>,
    image: Image,
    app: String,
    compose: TempDir,
}

impl Site {
    fn start() -> Site {
        let postgres = Postgres::start();
        let url = postgres.database("wharf");
        let mut servers = [Server::new(&url), Server::new(&url)];
        servers[0].up("token         cat");
        servers[1].copy_key_of(&servers[0]);
        servers[1].up("this server stands by");
        let token = std::fs::read_to_string(servers[0].directory.path().join("token")).unwrap();
        let mut site = Site {
            postgres,
            servers,
            token: token.trim().to_owned(),
            agent: temp_dir(),
            balancer: temp_dir(),
            front: free_port(),
            processes: Vec::new(),
            image: Image::build(),
            app: format!("fo{}", std::process::id()),
            compose: temp_dir(),
        };
        site.join();
        site
    }

    fn join(&mut self) {
        let url = format!("http://127.0.0.1:{}", self.servers[0].api);
        for (name, role, data) in [("h1", "host", &self.agent), ("front", "balancer", &self.balancer)] {
            let made = self.servers[0].run(&self.token, &["host", "token", "--output", "json"]).expect(0);
            let made: Value = serde_json::from_str(&made.stdout).unwrap();
            let token = made["token"].as_str().unwrap();
            checked(
                wharf()
                    .args(["join", &url, "--token", token, "--name", name, "--role", role, "--data"])
                    .arg(data.path()),
            );
        }
        let agent = self.run_agent("the servers are known");
        let balancer = Child::spawn(
            wharf()
                .args(["up", "--only", "balancer", "--data"])
                .arg(self.balancer.path())
                .args(["--set", &format!("balancer.http=127.0.0.1:{}", self.front)])
                .current_dir(self.balancer.path()),
        );
        balancer.wait_for_line("the servers are known", DEADLINE);
        self.processes = vec![agent, balancer];
    }

    fn run_agent(&self, line: &str) -> Child {
        let agent = Child::spawn(wharf().arg("agent").arg("--data").arg(self.agent.path()));
        agent.wait_for_line(line, DEADLINE);
        agent
    }

    /// Writes the Compose file; returns its directory.
    fn text(&self, text: &str) -> PathBuf {
        let compose = format!(
            "name: {app}\nservices:\n  web:\n    image: {image}\n    environment: {{ TEXT: {text} }}\n    x-wharf:\n      \
             route: {{ host: {app}.test, port: 8000 }}\n      health: {{ path: /up, interval: 200ms, start_period: 3s }}\n",
            app = self.app,
            image = self.image.0,
        );
        std::fs::write(self.compose.path().join("compose.yaml"), compose).unwrap();
        self.compose.path().to_owned()
    }

    fn deploy(&self, server: usize, text: &str) -> Ran {
        let directory = self.text(text).display().to_string();
        self.servers[server].run(&self.token, &["deploy", &directory])
    }

    fn host(&self) -> String {
        format!("{}.test", self.app)
    }

    fn serves(&self) -> String {
        web::body(self.front, &self.host(), "/")
    }

    /// Waits until the host and the balancer have found this server.
    fn found(&self, server: usize) {
        eventually("host and balancer are up", DEADLINE, || {
            let hosts = self.servers[server].run(&self.token, &["host", "ls", "--output", "json"]);
            let hosts: Value = serde_json::from_str(&hosts.stdout).ok()?;
            let up = hosts["hosts"].as_array()?.iter().filter(|host| host["liveness"] == "up").count();
            (up == 2).then_some(())
        });
    }

    /// Waits until one container is there.
    fn is_settled(&self) {
        eventually("one container", DEADLINE, || (docker::containers(&self.app).len() == 1).then_some(()));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for server in &mut self.servers {
            if let (Some(child), true) = (&server.child, std::thread::panicking()) {
                eprintln!("--- a server's output:\n{}", child.output());
            }
            server.child = None;
        }
        self.processes.clear();
        docker::sweep(&self.app);
    }
}

#[test]
fn a_leader_killed_in_the_middle_of_a_deploy_is_followed_by_the_other_server() {
    require!(Docker, Postgres);
    let mut site = Site::start();
    site.deploy(0, "one").expect(0);
    assert_eq!(site.serves(), "one");
    let api = site.servers[1].api;
    site.servers[1]
        .run(&site.token, &["ps"])
        .expect(1)
        .says("stands by")
        .says(&format!("{}", site.servers[0].api));
    assert_eq!(web::get(api, "any", "/apps").unwrap().0, 307, "a browser is sent to the leader");

    let load = Load::start(site.front, &site.host());
    let directory = site.text("two").display().to_string();
    let mut deploy = Child::spawn(&mut site.servers[0].command(&site.token, &["deploy", &directory]));
    eventually("the second release's container", DEADLINE, || {
        (docker::containers(&site.app).len() == 2).then_some(())
    });
    site.servers[0].child().signal(9);
    site.servers[0].child().wait(DEADLINE);
    site.servers[1].leads();
    site.found(1);
    site.is_settled();
    assert!(!deploy.wait(DEADLINE).success(), "its server is gone: {}", deploy.output());
    let served = site.serves();
    assert!(["one", "two"].contains(&served.as_str()), "{served}");
    site.deploy(1, "three").expect(0);
    assert_eq!(site.serves(), "three");
    load.end_without_failure();

    // The old one comes back: it stands by, and takes over when the other one ends in peace.
    site.servers[0].up("this server stands by");
    site.servers[1].child().terminate(DEADLINE);
    site.servers[0].leads();
    site.found(0);
    site.deploy(0, "four").expect(0);
    assert_eq!(site.serves(), "four");
    site.is_settled();
}

#[test]
fn a_stopped_leader_that_goes_on_changes_nothing_and_stands_by() {
    require!(Docker, Postgres);
    let mut site = Site::start();
    site.deploy(0, "one").expect(0);
    let directory = site.text("two").display().to_string();
    let mut deploy = Child::spawn(&mut site.servers[0].command(&site.token, &["deploy", &directory]));
    eventually("the second release's container", DEADLINE, || {
        (docker::containers(&site.app).len() == 2).then_some(())
    });
    let load = Load::start(site.front, &site.host());
    // SIGSTOP: its connections stay open, its memory says that it leads.
    site.servers[0].child().signal(19);
    site.servers[1].leads();
    site.found(1);
    site.deploy(1, "three").expect(0);
    assert_eq!(site.serves(), "three");
    site.is_settled();
    let before = docker::containers(&site.app);

    site.servers[0].child().signal(18);
    site.servers[0].child().wait_for_line("this server stands by", DEADLINE);
    assert!(!deploy.wait(DEADLINE).success(), "{}", deploy.output());
    assert_eq!(docker::containers(&site.app), before, "the old leader changed nothing");
    assert_eq!(site.serves(), "three");
    load.end_without_failure();
    site.servers[0].run(&site.token, &["ps"]).expect(1).says("stands by");
    site.deploy(1, "four").expect(0);
    assert_eq!(site.serves(), "four");
}
