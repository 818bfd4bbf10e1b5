//! The server and its local agent die at each step of a deploy, a scale, a rollback and a restart: what served serves, the operation
//! is finished or undone as its record says, and nothing is left over.
//! The points are those of `wharf_base::power_loss`.

use std::os::unix::process::ExitStatusExt as _;

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::docker::containers;
use crate::server::Server;
use crate::support::eventually;
use crate::web;

const SIGABRT: i32 = 6;

/// What is asked for. Each leads from one text and number of containers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Deploy,
    /// From one container to two.
    Grow,
    /// From two containers to one.
    Shrink,
    Rollback,
    /// Of however many there are.
    Restart,
}

const POINTS: &[(Operation, &str)] = &[
    (Operation::Deploy, "deploy build begins"),
    (Operation::Deploy, "deploy build done"),
    (Operation::Deploy, "deploy plan begins"),
    (Operation::Deploy, "deploy plan done"),
    (Operation::Deploy, "deploy start begins"),
    (Operation::Deploy, "deploy start committed"),
    (Operation::Deploy, "deploy start done"),
    (Operation::Deploy, "agent pull done"),
    (Operation::Deploy, "agent create begins"),
    (Operation::Deploy, "agent create done"),
    (Operation::Deploy, "agent start begins"),
    (Operation::Deploy, "agent start done"),
    (Operation::Deploy, "deploy healthy begins"),
    (Operation::Deploy, "deploy healthy done"),
    (Operation::Deploy, "deploy switch begins"),
    (Operation::Deploy, "deploy switch committed"),
    (Operation::Deploy, "deploy switch done"),
    (Operation::Deploy, "deploy stop begins"),
    (Operation::Deploy, "deploy stop committed"),
    (Operation::Deploy, "agent stop begins"),
    (Operation::Deploy, "agent stop done"),
    (Operation::Deploy, "agent remove begins"),
    (Operation::Deploy, "agent remove done"),
    (Operation::Deploy, "deploy stop done"),
    (Operation::Grow, "scale plan begins"),
    (Operation::Grow, "scale plan done"),
    (Operation::Grow, "scale start begins"),
    (Operation::Grow, "scale start committed"),
    (Operation::Grow, "scale healthy done"),
    (Operation::Grow, "scale stop done"),
    (Operation::Shrink, "scale plan done"),
    (Operation::Shrink, "scale switch committed"),
    (Operation::Shrink, "scale stop committed"),
    (Operation::Shrink, "agent stop done"),
    (Operation::Shrink, "scale stop done"),
    (Operation::Rollback, "rollback plan done"),
    (Operation::Rollback, "rollback start committed"),
    (Operation::Rollback, "rollback healthy done"),
    (Operation::Rollback, "rollback switch committed"),
    (Operation::Rollback, "rollback stop committed"),
    (Operation::Rollback, "rollback stop done"),
    (Operation::Restart, "restart restart begins"),
    (Operation::Restart, "restart restart done"),
    (Operation::Restart, "restart start committed"),
    (Operation::Restart, "agent create done"),
    (Operation::Restart, "restart healthy done"),
    (Operation::Restart, "restart switch committed"),
    (Operation::Restart, "restart stop committed"),
    (Operation::Restart, "agent remove begins"),
    (Operation::Restart, "restart stop done"),
];

/// The text that is served and by how many containers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Serving {
    text: String,
    count: usize,
}

impl Serving {
    /// Makes what the operation needs to be there before; returns its arguments and what it is to lead to.
    fn prepare(
        &mut self,
        operation: Operation,
        server: &Server,
        app: &App,
        text: &str,
    ) -> (Vec<String>, Serving) {
        app.text(text);
        let scale = |count: usize| ["scale", "--app", &app.name, &format!("web={count}")].map(str::to_owned);
        let scaled = |count: usize| {
            let arguments = scale(count);
            server.ok(&arguments.each_ref().map(String::as_str));
        };
        match operation {
            Operation::Deploy => {
                (vec!["deploy".to_owned(), app.dir()], Serving { text: text.to_owned(), ..self.clone() })
            }
            Operation::Grow | Operation::Shrink => {
                let (from, to) = if operation == Operation::Grow { (1, 2) } else { (2, 1) };
                if self.count != from {
                    scaled(from);
                    self.count = from;
                }
                (scale(to).to_vec(), Serving { count: to, ..self.clone() })
            }
            Operation::Restart => {
                // The text in the file is for the next deploy only.
                (vec!["restart".to_owned(), app.name.clone()], self.clone())
            }
            Operation::Rollback => {
                let earlier = self.clone();
                server.deploy(app.path());
                self.text = text.to_owned();
                (vec!["rollback".to_owned(), app.name.clone()], earlier)
            }
        }
    }
}

#[test]
fn a_crash_at_any_step_is_finished_or_undone() {
    require!(Docker);
    let mut server = Server::start();
    let app = App::web(&server, "text 0");
    server.deploy(app.path());
    let mut now = Serving { text: "text 0".to_owned(), count: 1 };
    for (number, (operation, point)) in (1..).zip(POINTS) {
        let (arguments, after) = now.prepare(*operation, &server, &app, &format!("text {number}"));
        let before = newest(&server, &app);
        server.kill();
        server.run_until(point);
        let _client = server.spawn(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let ended = server.child().wait(DEADLINE);
        assert_eq!(ended.signal(), Some(SIGABRT), "{point}: {}", server.child().output());
        server.run_again();
        let state = eventually(&format!("`{point}`: the operation is settled"), DEADLINE, || {
            let (id, state) = newest(&server, &app);
            (id > before.0 && state != "running").then_some(state)
        });
        if state == "succeeded" {
            now = after;
        }
        eventually(&format!("`{point}` ({state}): {now:?} and nothing else is there"), DEADLINE, || {
            let served = web::get(server.balancer, &app.host(), "/").ok()?;
            (served == (200, now.text.clone()) && containers(&app.name).len() == now.count).then_some(())
        });
    }
    app.text("the end");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "the end");
}

/// Number and state of the newest operation.
fn newest(server: &Server, app: &App) -> (u64, String) {
    let list = server.json(&["deploy", "ls", &app.name]);
    let all = list["deploys"].as_array().unwrap().iter();
    let newest = all.max_by_key(|one| one["id"].as_u64()).expect("there was a deploy");
    (newest["id"].as_u64().unwrap(), newest["state"].as_str().unwrap().to_owned())
}
