//! What commands print for people and for programs.

use serde_json::Value;
use wharf_test_support::{DEADLINE, require};

use crate::app::App;
use crate::server::Server;
use crate::support::run;

/// Every command that lists or shows something.
const LISTING: [&[&str]; 9] = [
    &["apps"],
    &["ps"],
    &["host", "ls"],
    &["registry", "ls"],
    &["events"],
    &["releases", "APP"],
    &["ps", "APP"],
    &["deploy", "ls"],
    &["registry", "ls", "APP/web"],
];

#[test]
fn every_listing_is_a_table_for_people_and_one_document_for_programs() {
    require!(Docker);
    let server = Server::start();
    let app = App::web(&server, "hello");
    server.deploy(app.path());
    for words in LISTING {
        let words: Vec<String> = words.iter().map(|word| word.replace("APP", &app.name)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let document = server.json(&words);
        assert!(document.is_object() || document.is_array(), "{words:?}: {document}");
        assert!(
            document.to_string().contains(if words[0] == "host" { "local" } else { &app.name })
                || words.len() == 3,
            "{words:?}: {document}"
        );
        let text = server.ok(&words);
        assert!(!text.contains('\x1b'), "{words:?} has escape codes in a pipe: {text:?}");
        assert!(text.lines().count() >= 2, "{words:?} shows nothing: {text}");
        assert!(!text.lines().any(|line| line.ends_with(' ')), "{words:?}: blanks at the end of a line");
    }
    let plan = server.json(&["plan", &app.dir()]);
    assert_eq!(plan["app"], *app.name);
    let deploy = server.json(&["deploy", &app.dir()]);
    assert_eq!(deploy["state"], "succeeded");
    let scaled = server.json(&["scale", "--app", &app.name, "web=2"]);
    assert_eq!(scaled["what"], "scale");
    let removed = server.json(&["rm", &app.name]);
    assert_eq!(removed["what"], "remove");
}

#[test]
fn empty_listings_say_what_to_do_next() {
    let server = Server::start_with(&["docker.is_host=false"]);
    for (words, hint) in [
        (&["apps"][..], "wharf deploy DIR"),
        (&["ps"], "wharf deploy DIR"),
        (&["host", "ls"], "wharf host token"),
        (&["registry", "ls"], "wharf deploy"),
        (&["deploy", "ls"], "wharf deploy DIR"),
    ] {
        server.run(words).expect(0).says(hint);
    }
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let server = Server::start_with(&["docker.is_host=false"]);
    let command = server.command(&["config", "schema"]);
    let words: Vec<String> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let script = format!("set -o pipefail; {} {} | head -1", crate::server::WHARF, words.join(" "));
    let ran = run(std::process::Command::new("bash").args(["-c", &script])).expect(0);
    assert_eq!((ran.stdout.trim(), ran.stderr.as_str()), ("{", ""));
}

#[test]
fn events_are_followed_as_they_happen_and_each_is_one_line_of_json() {
    let server = Server::start_with(&["docker.is_host=false"]);
    let text = server.spawn(&["events", "--follow"]);
    text.wait_for_line("server started", DEADLINE);
    let json = server.spawn(&["events", "--follow", "--output", "json"]);
    json.wait_for_line("server_started", DEADLINE);
    // A session of the console.
    let body = format!("{{\"token\":\"{}\"}}", server.token());
    let url = format!("http://127.0.0.1:{}/api/v1/session", server.api);
    run(std::process::Command::new("curl").args([
        "-sf",
        "-H",
        "content-type: application/json",
        "-d",
        &body,
        &url,
    ]));
    text.wait_for_line("logged in", DEADLINE);
    json.wait_for_line("logged_in", DEADLINE);
    for line in json.output().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}
