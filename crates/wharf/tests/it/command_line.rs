//! What the command line does with mistakes: exit status, message and hint.

use wharf_test_support::{free_port, temp_dir};

use crate::server::{Server, wharf};
use crate::support::run;

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let directory = temp_dir();
    for (args, hint) in [
        (&[][..], "Usage: wharf"),
        (&["deplyo"], "deploy"),
        (&["up", "--sett", "x=1"], "--set"),
        (&["up", "--only", "web"], "possible values: control, registry, balancer"),
        (&["scale", "--app", "shop"], "SERVICE=N"),
        (&["scale", "--app", "shop", "web=many"], "such as web=5"),
        (&["bench", "http://127.0.0.1/", "--duration", "soon"], "soon"),
        (&["ps", "--output", "xml"], "possible values: text, json"),
        (&["rm"], "wharf apps"),
        (&["releases"], "there is no compose.yaml"),
        (&["deploy"], "hint: name the application's directory"),
        (&["deploy", "nowhere"], "nowhere"),
        (&["lab", "up", "0"], "1..=200"),
        (&["join", "https://127.0.0.1:1"], "wharf host token"),
        (&["join", "https://127.0.0.1:1", "--token", "t", "--label", "web"], "--label pool=web"),
        (&["login", "https://127.0.0.1:1", "--token", "t"], "--ca FILE"),
        (&["--server", "here there", "ps"], "here there"),
        (&["up", "--server", "http://127.0.0.1:1"], "is the server itself"),
        (&["agent", "--server", "http://127.0.0.1:1"], "`wharf join` joins it"),
        (&["scale", "--app", "shop", "web=1", "web=2"], "web is named twice: web=1 and web=2"),
        (&["login", "http://127.0.0.1:1", "--server", "http://127.0.0.1:2"], "are two servers"),
        (&["bench", "https://127.0.0.1/"], "speaks plain HTTP only"),
    ] {
        let ran = run(wharf().args(args).current_dir(directory.path())).expect(2).says(hint);
        assert_eq!(ran.stdout, "", "{args:?}: errors go to standard error");
    }
}

#[test]
fn a_message_has_at_most_one_hint() {
    let directory = temp_dir();
    for args in [&["releases"][..], &["deploy"], &["rm"], &["ps"]] {
        let ran =
            run(wharf().args(args).args(["--server", "http://127.0.0.1:1"]).current_dir(directory.path()));
        assert_eq!(ran.stderr.matches("hint:").count(), 1, "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn without_a_server_the_message_says_how_to_start_one() {
    let server = format!("http://127.0.0.1:{}", free_port());
    for command in
        [&["ps"][..], &["apps"], &["host", "ls"], &["events"], &["registry", "ls"], &["rm", "shop"]]
    {
        run(wharf().args(command).args(["--server", &server]))
            .expect(1)
            .says("Connection refused")
            .says("start it with `wharf up`");
    }
}

#[test]
fn a_wrong_token_is_told_from_a_missing_one() {
    let server = Server::start_with(&["docker.is_host=false"]);
    server.run(&["ps", "--token", "wharf_wrong"]).expect(1).says("this token is not valid").says("hint:");
    let url = format!("http://127.0.0.1:{}", server.api);
    let directory = temp_dir();
    run(wharf().args(["ps", "--server", &url]).current_dir(directory.path()))
        .expect(1)
        .says("token")
        .says("hint: give a token with --token, WHARF_TOKEN or `wharf login`");
    run(wharf().args(["ps", "--server", &url]).env("WHARF_TOKEN", server.token())).expect(0);
}

#[test]
fn an_empty_variable_is_none_and_login_takes_the_server_option() {
    let server = Server::start_with(&["docker.is_host=false"]);
    run(server.command(&["ps"]).env("WHARF_TOKEN", "")).expect(0);
    // Nobody answers there, or somebody who knows no such token; wrong usage it is not.
    run(wharf().args(["ps"]).env("WHARF_SERVER", "").current_dir(server.directory.path())).expect(1);
    let home = temp_dir();
    let token = server.token();
    run(server.command(&["login", "--token", &token]).env("XDG_CONFIG_HOME", home.path()))
        .expect(0)
        .says(&format!("Logged in at http://127.0.0.1:{}", server.api));
}

#[test]
fn a_port_that_speaks_something_else_is_told() {
    let server = Server::start_with(&["docker.is_host=false"]);
    let ask = |scheme: &str, port: u16| {
        let url = format!("{scheme}://127.0.0.1:{port}");
        let data = server.data().display().to_string();
        run(wharf().args(["apps", "--server", &url, "--data", &data])).expect(1)
    };
    ask("https", server.api).says("speak plain HTTP? then write http://");
    ask("http", server.agents).says("speak TLS? then write https://");
    ask("http", server.balancer).says("the API of a Wharf server?");
}

#[test]
fn a_token_that_no_other_machine_can_use_says_what_to_open() {
    let server = Server::start_with(&["docker.is_host=false"]);
    let said = server.ok(&["host", "token"]);
    assert!(said.contains("No other machine can join yet") && said.contains("agents: { listen: ["), "{said}");
    assert!(!said.contains("wharf join http"), "{said}");
}

#[test]
fn a_load_that_nobody_answers_fails_and_says_how() {
    let url = format!("http://127.0.0.1:{}/", free_port());
    let ran = run(wharf().args(["bench", &url, "--rate", "20", "--duration", "500ms"])).expect(1);
    assert!(ran.stdout.contains("most failed with: connect: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("latency: none"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn login_remembers_server_and_token_and_logout_forgets_them() {
    let server = Server::start_with(&["docker.is_host=false"]);
    let home = temp_dir();
    let url = format!("http://127.0.0.1:{}", server.api);
    let command =
        |args: &[&str]| run(wharf().args(args).env("XDG_CONFIG_HOME", home.path()).current_dir(home.path()));
    command(&["login", &url, "--token", "wharf_wrong"]).expect(1).says("not valid");
    command(&["login", &url, "--token", &server.token()]).expect(0).says("admin");
    let file = home.path().join("wharf/login.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    command(&["host", "ls"]).expect(0).says("No hosts yet");
    command(&["logout"]).expect(0).says("Logged out");
    assert!(!file.exists());
}

#[test]
fn what_is_not_there_is_an_error_that_names_it() {
    let server = Server::start_with(&["docker.is_host=false"]);
    for args in [
        &["releases", "nothing"][..],
        &["rm", "nothing"],
        &["rollback", "nothing"],
        &["scale", "--app", "nothing", "web=2"],
        &["host", "drain", "nothing"],
        &["host", "rm", "nothing"],
        &["registry", "ls", "nothing"],
        &["ps", "nothing"],
        &["deploy", "ls", "nothing"],
    ] {
        server.run(args).expect(1).says("nothing");
    }
    server.run(&["deploy", "abort", "77"]).expect(1).says("77");
    server.run(&["ps", "nothing"]).says("hint: `wharf apps` lists them");
    server.run(&["registry", "ls", "nothing"]).says("hint: `wharf registry ls` lists them");
}
