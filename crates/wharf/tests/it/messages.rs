//! What goes wrong with containers, really done, and what people are told: what happened, where, and what to do next.

use std::net::TcpListener;
use std::process::Command;

use wharf_test_support::{free_port, require};

use crate::app::App;
use crate::docker::docker;
use crate::server::Server;
use crate::support::checked;

/// One mistake and the words that must be told about it.
struct Case<'a> {
    what: &'a str,
    /// Lines of the service `web`, each indented by four spaces.
    service: String,
    expected: Vec<String>,
}

fn case<'a>(what: &'a str, service: impl Into<String>, expected: &[&str]) -> Case<'a> {
    Case { what, service: service.into(), expected: expected.iter().map(|one| (*one).to_owned()).collect() }
}

#[test]
fn every_failure_of_a_container_says_what_where_and_what_next() {
    require!(Docker);
    let server = Server::start_with(&["deploy.healthy_deadline=20s", "docker.labels={pool: web}"]);
    let nobody = free_port();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let by_process = taken.local_addr().unwrap().port();
    let holder = App::web(&server, "holder");
    let by_container = free_port();
    holder.web_with("holder", &format!("    ports: ['{by_container}:8000']"));
    server.deploy(holder.path());
    let name = format!("{}-web-r1-1", holder.name);
    let registry = format!("127.0.0.1:{}", server.registry);
    let cases = [
        case(
            "an image that does not exist",
            format!("    image: {registry}/nothing/here:1\n"),
            &["web on local", "the registry has no such image", "`wharf registry ls`"],
        ),
        case(
            "a registry that is not there",
            format!("    image: 127.0.0.1:{nobody}/shop/web:1\n"),
            &[
                "the registry can't be reached from the host",
                &format!("docker pull 127.0.0.1:{nobody}/shop/web:1"),
            ],
        ),
        case(
            "a registry whose name is unknown",
            "    image: registry.invalid/shop/web:1\n",
            &["the registry can't be reached from the host", "no such host"],
        ),
        case(
            "a port that a program has",
            format!("    build: .\n    ports: ['{by_process}:8000']\n"),
            &[
                &format!("port {by_process} of the host is taken by a program"),
                "ss -ltnp",
                "publish another port",
            ],
        ),
        case(
            "a port that a container has",
            format!("    build: .\n    ports: ['{by_container}:8000']\n"),
            &[
                &format!("port {by_container} of the host is taken by the container `{name}`"),
                "publish another port",
            ],
        ),
        case(
            "a container that ends at once",
            "    build: .\n    environment: { DIE: 'yes' }\n",
            &["web on local ended with status 7", "no such drawer", "`wharf run web --app NAME`"],
        ),
        case(
            "one that ends again and again",
            "    build: .\n    restart: always\n    environment: { DIE: 'yes' }\n",
            &["web on local was restarted 3 times", "no such drawer", "`wharf run web --app NAME`"],
        ),
        case(
            "a program that is not in the image",
            "    build: .\n    entrypoint: [/not/there]\n",
            &["its program `/not/there` is not in the image", "`entrypoint`"],
        ),
        case(
            "a check that never passes",
            "    build: .\n    environment: { UP: 'no' }\n    x-wharf: { health: { port: 8000, path: /up, interval: 200ms, start_period: 1s } }\n",
            &["web on local is unhealthy after 1s: GET /up: status 503", "`start_period`", "| serving"],
        ),
        case(
            "a check that flaps",
            "    build: .\n    environment: { UP: flaps }\n    x-wharf: { health: { port: 8000, path: /up, interval: 200ms, start_period: 1s, rise: 30, fall: 2 } }\n",
            &["web on local is unhealthy after 1s: GET /up: status 503", "`start_period`"],
        ),
        case(
            "too little memory",
            "    build: .\n    environment: { HOG: 'yes' }\n    mem_limit: 24m\n",
            &[
                "web on local",
                "more memory than its limit of 24 MiB",
                "`deploy.resources.limits.memory`",
                "counting the stock",
            ],
        ),
    ];
    for Case { what, service, expected } in cases {
        let app = App::with(&server, &format!("services:\n  web:\n{service}"));
        let ran = server.run(&["deploy", &app.dir()]);
        let told = format!("{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(ran.status, 1, "{what}: {told}");
        for words in expected.into_iter().map(|words| words.replace("NAME", &app.name)) {
            assert!(told.contains(&words), "{what}: nothing of `{words}` in:\n{told}");
        }
        assert!(told.contains("hint: "), "{what}: nothing to do next in:\n{told}");
        // A failed first deploy leaves nothing.
        assert_eq!(crate::docker::containers(&app.name), [""; 0], "{what}");
    }
    drop(taken);
    assert_eq!(crate::web::body(server.balancer, &holder.host(), "/"), "holder");
}

#[test]
fn a_build_step_that_fails_shows_the_step_and_its_output() {
    require!(Docker);
    let server = Server::start();
    let app = App::with(&server, "services:\n  web:\n    build: .\n");
    let base = base_image();
    let dockerfile = format!("FROM {base}\nRUN [\"/program\", \"tell\", \"PATH\", \"3\"]\n");
    std::fs::write(app.path().join("Dockerfile"), dockerfile).unwrap();
    server
        .run(&["deploy", &app.dir()])
        .expect(1)
        .says("building web: the build failed at ")
        .says("/program tell PATH 3")
        .says("complaint")
        .says("hint: ");
    checked(Command::new("docker").env("DOCKER_API_VERSION", "1.41").args(["rmi", "-f", &base]));
}

/// An image on this machine's Engine with the tests' program in it.
fn base_image() -> String {
    let directory = wharf_test_support::temp_dir();
    std::fs::copy(crate::program::built(), directory.path().join("program")).unwrap();
    std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\nCOPY program /program\n").unwrap();
    let name = format!("wharf-it-base-{}:1", std::process::id());
    docker(&["build", "-q", "-t", &name, &directory.path().display().to_string()]);
    name
}
