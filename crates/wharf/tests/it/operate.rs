//! Logs, terminals and one-off containers, through the agent.

use std::io::Write as _;
use std::process::{Command, Stdio};

use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::docker::docker;
use crate::server::{Server, WHARF, wharf};
use crate::support::{Ran, eventually, run};

/// `wharf VERB web --app APP -T` at the server, with these words after `--`.
fn command(server: &Server, app: &App, verb: &str, words: &[&str]) -> Command {
    let mut command = server.command(&[verb, "web", "--app", &app.name, "-T"]);
    command.arg("--").args(words);
    command
}

fn one_offs(app: &App) -> Vec<String> {
    let label = format!("label=wharf.app={}", app.name);
    let listed = docker(&["ps", "-aq", "--filter", &label, "--filter", "label=wharf.run"]);
    listed.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn commands_run_in_containers_and_their_status_comes_back() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "hello");
    server.deploy(app.path());

    let Ran { status, stdout, stderr } =
        run(&mut command(&server, &app, "exec", &["/program", "tell", "TEXT", "7"]));
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (7, "hello\n", "complaint\n"));
    let mut with_variable = server.command(&["exec", "web", "--app", &app.name, "-T", "-e", "TEXT=other"]);
    run(with_variable.args(["--", "/program", "tell", "TEXT", "0"])).expect(0).says("other");

    // More than fits into any pipe, both ways at once.
    let sent: Vec<u8> = (0..4_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut copy = command(&server, &app, "exec", &["/program", "copy"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = copy.stdin.take().unwrap();
    let bytes = sent.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = copy.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == sent, "{} bytes of {}", output.stdout.len(), sent.len());

    // A one-off container: its entry point with other words; nothing is left of it, and the service is untouched.
    let before = crate::docker::containers_of(&app.name, "web");
    run(&mut command(&server, &app, "run", &["tell", "TEXT", "3"])).expect(3).says("hello").says("complaint");
    assert_eq!(one_offs(&app), Vec::<String>::new());
    assert_eq!(crate::docker::containers_of(&app.name, "web"), before);

    // A client that is killed takes its one-off container along.
    let mut waits = command(&server, &app, "run", &["copy"]).stdin(Stdio::piped()).spawn().unwrap();
    eventually("it runs", DEADLINE, || (one_offs(&app).len() == 1).then_some(()));
    waits.kill().unwrap();
    waits.wait().unwrap();
    eventually("it is gone", DEADLINE, || one_offs(&app).is_empty().then_some(()));

    run(&mut command(&server, &app, "exec", &["/no-such-program"])).expect(126);
    let mut misspelt = server.command(&["exec", "wbe", "--app", &app.name, "-T"]);
    run(misspelt.args(["--", "x"])).expect(1).says("did you mean `web`?");
    server
        .run(&["events", "--limit", "50"])
        .expect(0)
        .says("admin ran `/program tell TEXT 7` in")
        .says("ended with status 3")
        .says("its caller went away");
}

#[test]
fn a_terminal_is_one() {
    require!(Docker);
    require!(Command("script"));
    let server = Server::start();
    let app = App::web(&server, "hello");
    server.deploy(app.path());
    let line = format!(
        "{WHARF} exec web --app {} --server http://127.0.0.1:{} --data {} -- /program tell TEXT 5",
        app.name,
        server.api,
        server.data().display()
    );
    // A terminal turns line feeds into CR LF, and both outputs are one.
    let ran = run(wharf_in_terminal(&line)).expect(5);
    assert!(ran.stdout.contains("hello\r\n") && ran.stdout.contains("complaint\r\n"), "{:?}", ran.stdout);
}

/// `script` runs the line in a pseudo-terminal and passes its status on.
fn wharf_in_terminal(line: &str) -> &mut Command {
    let command = Box::leak(Box::new(Command::new("script")));
    command.args(["-qec", line, "/dev/null"]).env("XDG_CONFIG_HOME", "/nonexistent")
}

#[test]
fn logs_follow_new_releases_and_viewers_may_only_read() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "one");
    server.deploy(app.path());
    server.run(&["logs", "tail", "web", "--app", &app.name]).expect(0).says("-web-r1-1 | serving");
    let follow = server.spawn(&["logs", "tail", "web", "--app", &app.name, "--follow"]);
    follow.wait_for_line("-web-r1-1 | serving", DEADLINE);
    app.text("two");
    server.deploy(app.path());
    follow.wait_for_line("-web-r2-1 | serving", DEADLINE);

    let made = server.json(&["token", "create", "reader", "--role", "viewer"]);
    let token = made["token"].as_str().unwrap();
    let url = format!("http://127.0.0.1:{}", server.api);
    let as_reader = |args: &[&str]| {
        let mut command = wharf();
        run(command.args(["--server", &url, "--token", token]).args(args))
    };
    as_reader(&["logs", "tail", "web", "--app", &app.name, "-n", "1"]).expect(0).says("serving");
    for verb in ["exec", "run"] {
        as_reader(&[verb, "web", "--app", &app.name, "-T", "--", "/program", "copy"])
            .expect(1)
            .says("role viewer may not do this");
    }
    as_reader(&["token", "ls"]).expect(1).says("role");
    server.run(&["token", "ls"]).expect(0).says("reader");
    server.run(&["token", "rm", "reader"]).expect(0);
    as_reader(&["apps"]).expect(1);
    server.run(&["token", "rm", "reader"]).expect(1).says("wharf token ls");
}
