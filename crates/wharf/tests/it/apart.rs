//! A balancer as a process of its own, joined to the server: requests don't depend on the server.

use std::process::Command;

use wharf_test_support::{Child, DEADLINE, TempDir, free_port, require, temp_dir};

use crate::app::App;
use crate::load::Load;
use crate::server::{Server, wharf};
use crate::support::{checked, eventually, run};
use crate::web;

/// An address of this machine that is not loopback's, though it is on that interface; it goes with the value.
struct Address(String);

impl Address {
    fn new() -> Address {
        let pid = std::process::id();
        let address = Address(format!("10.203.{}.{}", pid / 250 % 250, pid % 250 + 1));
        checked(Command::new("ip").args(["addr", "add", &format!("{}/32", address.0), "dev", "lo"]));
        address
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        run(Command::new("ip").args(["addr", "del", &format!("{}/32", self.0), "dev", "lo"]));
    }
}

/// A balancer that has joined.
struct Front {
    data: TempDir,
    port: u16,
}

impl Front {
    fn join(server: &Server, address: &Address) -> Front {
        let front = Front { data: temp_dir(), port: free_port() };
        let token = server.json(&["host", "token"]);
        let url = format!("https://{}:{}", address.0, server.api);
        let joined = run(wharf()
            .args(["join", &url, "--token", token["token"].as_str().unwrap()])
            .args(["--name", "front", "--role", "balancer", "--data"])
            .arg(front.data.path()))
        .expect(0);
        assert!(joined.stdout.contains("wharf up --only balancer"), "{}", joined.stdout);
        front
    }

    fn up(&self) -> Child {
        let child = Child::spawn(
            wharf()
                .args(["up", "--only", "balancer", "--data"])
                .arg(self.data.path())
                .args(["--set", &format!("balancer.http=127.0.0.1:{}", self.port)])
                .current_dir(self.data.path()),
        );
        child.wait_for_line("applications", DEADLINE);
        child
    }
}

#[test]
fn a_balancer_of_its_own_serves_while_the_server_is_down_and_follows_when_it_is_back() {
    require!(Docker, Root, Command("ip"));
    let address = Address::new();
    let mut server = Server::prepare(&[]);
    server.set(&format!("server.address={}", address.0));
    server.set(&format!("api.listen=[127.0.0.1:{0}, {1}:{0}]", server.api, address.0));
    server.set(&format!("agents.listen={}:{}", address.0, server.agents));
    server.run_again();
    let app = App::web(&server, "one");
    let host = app.host();

    // With https the CA is asked for, and found in the server's own directory.
    let url = format!("https://{}:{}", address.0, server.api);
    run(wharf().args(["host", "ls", "--server", &url, "--token", &server.token()]).current_dir("/"))
        .expect(2)
        .says("--ca FILE");
    run(wharf().args(["host", "ls", "--server", &url, "--data"]).arg(server.data())).expect(0);

    let front = Front::join(&server, &address);
    let mut process = front.up();
    server.deploy(app.path());
    assert_eq!(web::body(front.port, &host, "/"), "one", "the switch waits for every balancer");

    let load = Load::start(front.port, &host);
    server.kill();
    assert_eq!(web::body(front.port, &host, "/"), "one");
    assert!(web::get(server.balancer, &host, "/").is_err(), "the server's own balancer is down");
    server.run_again();
    app.text("two");
    eventually("the balancer is linked again", DEADLINE, || {
        let hosts = server.json(&["host", "ls"]).to_string();
        let balancers = api(&server, "/balancers");
        (balancers.contains("front") || hosts.contains("front")).then_some(())
    });
    server.deploy(app.path());
    assert_eq!(web::body(front.port, &host, "/"), "two");
    let outcome = load.end_without_failure();
    assert_eq!(outcome.texts.keys().collect::<Vec<_>>(), ["one", "two"]);

    // Both gone, the balancer back alone: it serves what it last knew.
    server.child().signal(15);
    server.child().wait(DEADLINE);
    process.kill();
    drop(process);
    let mut process = front.up();
    eventually("the last table is used", DEADLINE, || {
        matches!(web::get(front.port, &host, "/"), Ok((200, text)) if text == "two").then_some(())
    });
    process.signal(15);
    assert_eq!(process.wait(DEADLINE).code(), Some(0), "{}", process.output());

    // A balancer that is gone does not stop deploys.
    server.run_again();
    app.text("three");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &host, "/"), "three");
}

fn api(server: &Server, path: &str) -> String {
    let url = format!("http://127.0.0.1:{}/api/v1{path}", server.api);
    run(Command::new("curl").args(["-s", "-H", &format!("authorization: Bearer {}", server.token()), &url]))
        .stdout
}
