//! Hosts that join over the network: lab hosts with their own Docker Engines.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use wharf_lab::{Config, Lab};
use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::docker::{docker_at, sweep_images};
use crate::load::Load;
use crate::server::{Server, WHARF};
use crate::support::{Ran, eventually, pause, run};
use crate::web;

/// A lab of this test, and a server at its gateway.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) lab: Lab,
    pub(crate) runtime: tokio::runtime::Runtime,
    certificates: PathBuf,
}

impl Site {
    /// `name` and `network` are not those of another test or of the demo.
    pub(crate) fn new(name: &str, network: &str, hosts: u32, sets: &[&str]) -> Site {
        Site::with_dockerd(name, network, hosts, sets, &[])
    }

    /// The same with more arguments for each dockerd.
    pub(crate) fn with_dockerd(
        name: &str,
        network: &str,
        hosts: u32,
        sets: &[&str],
        dockerd: &[&str],
    ) -> Site {
        let config = Config {
            name: name.to_owned(),
            network: network.to_owned(),
            dockerd_args: dockerd.iter().map(|&argument| argument.to_owned()).collect(),
            program: Some(WHARF.into()),
            ..Config::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let lab = Lab::open(config).unwrap();
        // An earlier run may have been killed.
        runtime.block_on(lab.down()).unwrap();
        runtime.block_on(lab.up(hosts)).unwrap();
        let gateway = lab.gateway();
        let mut server = Server::prepare(&["docker.is_host=false"]);
        server.set(&format!("server.address={gateway}"));
        server.set(&format!("api.listen=[127.0.0.1:{0}, {gateway}:{0}]", server.api));
        server.set(&format!("agents.listen={gateway}:{}", server.agents));
        server.set(&format!("registry.listen={gateway}:{}", server.registry));
        sets.iter().for_each(|set| server.set(set));
        let certificates = PathBuf::from(format!("/etc/docker/certs.d/{gateway}:{}", server.registry));
        let mut site = Site { server, lab, runtime, certificates };
        site.server.run_again();
        site
    }

    /// Runs a script in a host.
    pub(crate) fn sh(&self, host: u32, script: &str) -> Ran {
        run(&mut self.lab.exec_command(host, &["sh", "-c", script]).unwrap())
    }

    /// Joins host `host` as `name`, with a token.
    pub(crate) fn join(&self, host: u32, name: &str, token: &str) -> Ran {
        let url = format!("https://{}:{}", self.lab.gateway(), self.server.api);
        self.sh(
            host,
            &format!("wharf join {url} --token {token} --name {name} --label pool=web --data /var/lib/wharf"),
        )
    }

    /// Starts the agent of a host, which has joined.
    pub(crate) fn start_agent(&self, host: u32) {
        self.start_agent_until(host, "");
    }

    /// The same with a process that ends by itself at this point, as by SIGKILL (`wharf_base::power_loss`).
    pub(crate) fn start_agent_until(&self, host: u32, point: &str) {
        let script = "export WHARF_CRASH_AT='POINT'; setsid wharf agent --data /var/lib/wharf >>/var/log/agent.log 2>&1 </dev/null & echo $! >/run/agent.pid";
        self.sh(host, &script.replace("POINT", point)).expect(0);
    }

    /// Whether the agent that was started last still runs.
    pub(crate) fn agent_runs(&self, host: u32) -> bool {
        self.sh(host, "kill -0 $(cat /run/agent.pid)").status == 0
    }

    /// Its end by SIGKILL; comes back when it is gone.
    pub(crate) fn kill_agent(&self, host: u32) {
        self.sh(host, "kill -9 $(cat /run/agent.pid)").expect(0);
        eventually("the agent is gone", DEADLINE, || (!self.agent_runs(host)).then_some(()));
    }

    pub(crate) fn token(&self, args: &[&str]) -> String {
        let answer = self.server.json(&[&["host", "token"], args].concat());
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn host(&self, name: &str) -> Option<Value> {
        let hosts = self.server.json(&["host", "ls"]);
        hosts["hosts"].as_array().unwrap().iter().find(|host| host["name"] == name).cloned()
    }

    pub(crate) fn wait_for(&self, name: &str, liveness: &str, within: Duration) {
        eventually(&format!("{name} is {liveness}"), within, || {
            (self.host(name)?["liveness"] == liveness).then_some(())
        });
    }

    /// Id and start time of each container of a host.
    pub(crate) fn containers(&self, host: u32) -> Vec<String> {
        let socket = self.lab.docker_socket(host);
        let ids = docker_at(&socket, &["ps", "-q"]).stdout;
        // One that goes between the two calls is not counted.
        let started = |id| docker_at(&socket, &["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", id]);
        ids.lines().map(started).filter(|ran| ran.status == 0).map(|ran| ran.stdout).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for host in 1..=3 {
                if let Ok(mut command) = self.lab.exec_command(host, &["tail", "-n20", "/var/log/agent.log"])
                {
                    eprintln!("--- agent of host {host}:\n{}", run(&mut command).stdout);
                }
            }
        }
        let _ = self.runtime.block_on(self.lab.down());
        let _ = std::fs::remove_dir_all(&self.certificates);
        sweep_images(&format!("{}:{}/", self.lab.gateway(), self.server.registry));
    }
}

#[test]
fn hosts_join_serve_drain_are_cut_off_and_leave() {
    require!(Lab, Docker);
    // What is lost for a moment is looked at where it is.
    let site = Site::new("whit", "10.79.0", 2, &["deploy.reschedule=false"]);
    let server = &site.server;

    // Tokens: wrong, for one host, expired.
    let token = site.token(&[]);
    let half = token.len() / 2;
    let wrong = format!("{}{}", &token[..half], token[half..].chars().rev().collect::<String>());
    let ran = site.join(1, "one", &wrong);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("token"), "{}", ran.stderr);
    site.join(1, "one", &token).expect(0).says("wharf agent");
    site.join(2, "two", &token).expect(1).says("used");
    let expired = site.token(&["--ttl", "1s"]);
    pause(Duration::from_millis(1_100));
    site.join(2, "two", &expired).expect(1).says("expired");
    site.join(2, "one", &site.token(&[])).expect(1).says("one");
    site.join(2, "two", &site.token(&[])).expect(0);
    assert_eq!(site.host("two").unwrap()["liveness"], "never");
    server.run(&["host", "ls"]).expect(0).says("joined");
    site.start_agent(1);
    site.start_agent(2);
    site.wait_for("one", "up", DEADLINE);
    site.wait_for("two", "up", DEADLINE);

    // One container on each.
    let app = App::with(server, "");
    let compose = |text: &str| {
        format!(
            "services:\n  web:\n    build: .\n    environment: {{ TEXT: {text} }}\n    deploy: {{ replicas: 2 }}\n    x-wharf:\n      \
             hosts: pool(web)\n      route: {{ host: NAME.test, port: 8000 }}\n      health: {{ path: /up, interval: 200ms }}\n"
        )
    };
    app.compose(&compose("here"));
    server.deploy(app.path());
    assert_eq!((site.containers(1).len(), site.containers(2).len()), (1, 1));
    let load = Load::start(server.balancer, &app.host());

    // Agents die and come back; cables are pulled. Containers don't notice.
    let before = site.containers(2);
    site.sh(2, "kill -9 $(cat /run/agent.pid)").expect(0);
    site.wait_for("two", "lost", Duration::from_secs(4));
    site.start_agent(2);
    site.wait_for("two", "up", DEADLINE);
    assert_eq!(site.containers(2), before);
    let began = Instant::now();
    site.runtime.block_on(site.lab.cut(2)).unwrap();
    site.wait_for("two", "lost", Duration::from_secs(4));
    let lost = began.elapsed();
    site.runtime.block_on(site.lab.heal(2)).unwrap();
    site.wait_for("two", "up", Duration::from_secs(15));
    assert_eq!(site.containers(2), before, "not restarted");
    assert!(lost < Duration::from_secs(4), "{lost:?}");
    assert_eq!(load.end_without_failure().texts.keys().collect::<Vec<_>>(), ["here"]);

    // A deploy while a host is cut off goes to the others; what the lost one still runs goes when it is back.
    let load = Load::start(server.balancer, &app.host());
    site.runtime.block_on(site.lab.cut(2)).unwrap();
    site.wait_for("two", "lost", Duration::from_secs(4));
    app.compose(&compose("there"));
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "there");
    assert_eq!((site.containers(1).len(), site.containers(2)), (2, before));
    site.runtime.block_on(site.lab.heal(2)).unwrap();
    eventually("the old release leaves the host that was cut off", DEADLINE, || {
        site.containers(2).is_empty().then_some(())
    });

    // An Engine that restarts takes its containers along; they come back, and no request notices.
    server.ok(&["scale", "--app", &app.name, "web=3"]);
    assert_eq!((site.containers(1).len(), site.containers(2).len()), (2, 1));
    let before = site.containers(2);
    site.runtime.block_on(site.lab.dockerd_restart(2)).unwrap();
    eventually("the container has been started again", DEADLINE, || {
        let now = site.containers(2);
        (now.len() == 1 && now != before).then_some(())
    });
    eventually("all are healthy again", DEADLINE, || {
        let instances = server.json(&["ps", &app.name]);
        let states = instances["instances"].as_array()?;
        (states.len() == 3 && states.iter().all(|one| one["state"]["state"] == "healthy")).then_some(())
    });
    let before = site.containers(2);
    server.run(&["events", "--limit", "500"]).expect(0).says("host two is lost").says("host two is up");

    // A host is emptied, and leaves.
    server.run(&["host", "rm", "one"]).expect(1).says("one").says("hint:");
    server.run(&["host", "drain", "one"]).expect(0).says("draining");
    eventually("host one is empty", DEADLINE, || site.containers(1).is_empty().then_some(()));
    assert_eq!(site.containers(2).len(), 3, "{}\n{}", server.ok(&["ps"]), server.ok(&["deploy", "ls"]));
    assert!(site.containers(2).contains(&before[0]));
    assert_eq!(load.end_without_failure().texts.keys().collect::<Vec<_>>(), ["here", "there"]);
    server.run(&["host", "rm", "one"]).expect(0).says("removed");
    assert!(site.host("one").is_none());
    server.run(&["host", "rm", "one"]).expect(1).says("one");
    let log = "tail -n 5 /var/log/agent.log";
    eventually("the removed host's certificate is refused", DEADLINE, || {
        let said = site.sh(1, log).stdout;
        ["removed", "refused", "revoked", "not known", "no longer"]
            .iter()
            .any(|word| said.contains(word))
            .then_some(())
    });
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "there");
    server.ok(&["rm", &app.name]);
    assert!(site.containers(2).is_empty());
}
