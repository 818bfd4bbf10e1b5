//! `wharf up --only balancer` in front of servers that have nothing to do with Docker: nginx's job.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_test_support::{Child, DEADLINE, TempDir, free_port, temp_dir};

use crate::server::wharf;
use crate::support::{Ran, eventually, run};
use crate::web;

/// A server in this process that answers everything with its text, and 503 once it is sick.
struct Backend {
    port: u16,
    is_sick: Arc<AtomicBool>,
}

impl Backend {
    fn start(text: &'static str) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend = Backend {
            port: listener.local_addr().unwrap().port(),
            is_sick: Arc::new(AtomicBool::new(false)),
        };
        let is_sick = Arc::clone(&backend.is_sick);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let is_sick = Arc::clone(&is_sick);
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                        let status = if is_sick.load(Ordering::Relaxed) { "503 Sick" } else { "200 OK" };
                        let _ = write!(
                            stream,
                            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}",
                            text.len()
                        );
                    }
                });
            }
        });
        backend
    }
}

fn balancer(directory: &TempDir, port: u16, routes: &str) -> std::process::Command {
    let text = format!("balancer:\n  http: 127.0.0.1:{port}\n  routes:\n{routes}");
    std::fs::write(directory.path().join("wharf.yaml"), text).unwrap();
    let mut command = wharf();
    command.args(["up", "--only", "balancer", "--data", "front"]).current_dir(directory.path());
    command
}

#[test]
fn routes_from_the_file_are_served_and_a_sick_target_is_left_out() {
    let (one, two, other) = (Backend::start("one"), Backend::start("two"), Backend::start("other"));
    let (directory, port) = (temp_dir(), free_port());
    let routes = format!(
        "    - {{ host: shop.test, targets: ['http://127.0.0.1:{}', 'http://127.0.0.1:{}'], health: {{ path: /, interval: 100ms, fall: 1, rise: 1 }} }}\n\
         \x20   - {{ host: '*.shop.test', path: /other, targets: ['http://127.0.0.1:{}'] }}\n",
        one.port, two.port, other.port
    );
    let mut child = Child::spawn(&mut balancer(&directory, port, &routes));
    child.wait_for_line(&format!("http://127.0.0.1:{port}"), DEADLINE);
    let ask = |host: &str, path: &str| web::get(port, host, path).unwrap();
    let texts: std::collections::BTreeSet<String> = (0..20).map(|_| ask("shop.test", "/").1).collect();
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(ask("x.shop.test", "/other/a"), (200, "other".to_owned()));
    assert_eq!(ask("x.shop.test", "/").0, 404);
    assert_eq!(ask("nobody.test", "/").0, 404);

    one.is_sick.store(true, Ordering::Relaxed);
    eventually("the sick one is left out", Duration::from_secs(10), || {
        (0..10).all(|_| ask("shop.test", "/") == (200, "two".to_owned())).then_some(())
    });
    one.is_sick.store(false, Ordering::Relaxed);
    eventually("it is used again", Duration::from_secs(10), || {
        (ask("shop.test", "/").1 == "one").then_some(())
    });
    child.signal(15);
    assert_eq!(child.wait(DEADLINE).code(), Some(0), "{}", child.output());
    let log = std::fs::read_to_string(directory.path().join("front/balancer/access.log")).unwrap();
    assert!(log.lines().count() >= 24 && log.contains("shop.test"), "{log}");
}

#[test]
fn mistakes_in_routes_are_explained() {
    let directory = temp_dir();
    let check = |routes: &str| -> Ran { run(&mut balancer(&directory, free_port(), routes)) };
    for (routes, expected) in [
        ("    - { host: a.test, target: ['http://127.0.0.1:1'] }\n", "did you mean `targets`?"),
        ("    - { host: a.test, targets: [] }\n", "balancer.routes[0].targets`: no target is given"),
        ("    - { host: a.test, targets: ['http://one two'] }\n", "hint: write http://127.0.0.1"),
        ("    - { host: a.test, targets: ['https://127.0.0.1:1'] }\n", "hint: use http://"),
        ("    - { path: api, targets: ['http://127.0.0.1:1'] }\n", "balancer.routes[0].path"),
        ("    - { targets: ['http://127.0.0.1:1'], balance: random }\n", "random"),
    ] {
        let ran = check(routes).expect(2).says(expected);
        assert!(ran.stderr.starts_with("wharf: wharf.yaml:4:"), "the line is named: {}", ran.stderr);
    }
    let twice = "    - { host: a.test, targets: ['http://127.0.0.1:1'] }\n    - { host: a.test, targets: ['http://127.0.0.1:2'] }\n";
    check(twice).expect(2).says("a.test");
}

#[test]
fn a_balancer_with_nothing_to_route_says_what_to_do() {
    let directory = temp_dir();
    run(wharf().args(["up", "--only", "balancer", "--data", "front"]).current_dir(directory.path()))
        .expect(1)
        .says("give balancer.routes in wharf.yaml, or join a server");
}
