//! Every command that talks to a server does so from anywhere: with an address and a token, or after `wharf login`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use wharf_test_support::{TempDir, require, temp_dir};

use crate::app::App;
use crate::help;
use crate::server::{Server, wharf};
use crate::support::{Ran, run};

/// Commands of this machine alone: they ask no server's API.
const LOCAL: &[&str] = &[
    "agent",
    "api ls",
    "api openapi",
    "backup",
    "bench",
    "completions",
    "compose check",
    "compose render",
    "compose schema",
    "config check",
    "config schema",
    "demo",
    "join",
    "lab agents",
    "lab cut",
    "lab down",
    "lab exec",
    "lab heal",
    "lab kill",
    "lab ssh",
    "lab start",
    "lab status",
    "lab up",
    "login",
    "logout",
    "man",
    "restore",
    "secrets edit",
    "secrets get",
    // With `recipients add` it asks a server for its key: see the stories of secrets.
    "secrets init",
    "secrets keygen",
    "secrets ls",
    "secrets recipients add",
    "secrets recipients ls",
    "secrets recipients rm",
    "secrets reencrypt",
    "secrets rm",
    "secrets set",
    "up",
];

/// Somewhere else than the server's machine: nothing of its data directory is here.
struct Elsewhere {
    directory: TempDir,
    url: String,
}

impl Elsewhere {
    fn command(&self, words: &str) -> Command {
        let mut command = wharf();
        command.args(words.split(' ')).current_dir(self.directory.path());
        command.env("XDG_CONFIG_HOME", self.directory.path().join("config"));
        command
    }

    /// With everything from the environment.
    fn with_token(&self, words: &str, token: &str) -> Ran {
        run(self.command(words).env("WHARF_SERVER", &self.url).env("WHARF_TOKEN", token))
    }

    /// As it was logged in.
    fn logged_in(&self, words: &str) -> Ran {
        run(&mut self.command(words))
    }
}

/// The commands in an order in which each finds what it needs, and the status of each. `APP`, `DIR`, `HOST` and `PLAN` are
/// filled in.
const JOURNEY: &[(&str, i32)] = &[
    ("host ls", 0),
    ("host show HOST", 0),
    ("host token --ttl 1h", 0),
    ("plan DIR --save PLAN", 0),
    ("apply PLAN", 0),
    ("deploy DIR", 0),
    ("deploy ls APP", 0),
    // It has ended.
    ("deploy abort 1", 1),
    ("apps", 0),
    ("ps APP", 0),
    ("releases APP", 0),
    ("scale --app APP web=2", 0),
    ("releases diff APP 1 1", 0),
    // There is no release before the first.
    ("rollback APP", 1),
    ("restart web --app APP", 0),
    ("logs tail web --app APP -n 1", 0),
    ("exec web --app APP -T -- /program tell TEXT 5", 5),
    ("run web --app APP -T -- tell TEXT 6", 6),
    ("events --app APP", 0),
    ("registry ls", 0),
    // It is off in this server, which says so.
    ("cache stats", 1),
    ("cache ls", 1),
    ("cache purge", 1),
    ("cache env apt", 1),
    ("token ls", 0),
    ("token create other --role viewer --expires 30d", 0),
    ("token rm other", 0),
    ("host drain HOST --undo", 0),
    ("rm APP", 0),
    ("prune APP", 0),
    // The server's own host stays.
    ("host rm HOST", 2),
];

fn fill(words: &str, app: &App, plan: &Path) -> String {
    let words = words.replace("DIR", &app.dir()).replace("PLAN", &plan.display().to_string());
    words.replace("APP", &app.name).replace("HOST", "local")
}

#[test]
fn every_command_of_a_server_works_from_elsewhere() {
    require!(Docker);
    let commands: BTreeSet<String> = help::leaves().into_iter().collect();
    let is_told = |command: &str| {
        LOCAL.contains(&command)
            || JOURNEY.iter().any(|(words, _)| *words == command || words.starts_with(&format!("{command} ")))
    };
    let silent: Vec<&String> = commands.iter().filter(|command| !is_told(command)).collect();
    assert_eq!(
        silent, [""; 0],
        "new commands: put each into JOURNEY if it talks to a server, else into LOCAL"
    );

    // Every wrong token below counts; the bound on them is not what is tested.
    let server = Server::start_with(&["access.failures_per_minute=1000"]);
    let app = App::web(&server, "hello");
    let elsewhere = Elsewhere { directory: temp_dir(), url: format!("http://127.0.0.1:{}", server.api) };
    let plan = elsewhere.directory.path().join("saved.plan");
    let made = server.json(&["token", "create", "remote", "--role", "admin"]);
    let token = made["token"].as_str().unwrap();
    let wrong = format!("wharf_{}_{}", "0".repeat(12), "0".repeat(64));

    // First from the environment alone, then as logged in; without either it asks this machine's server, which is none.
    run(elsewhere.command("login").arg(&elsewhere.url).args(["--token", &wrong]))
        .expect(1)
        .says("is not valid");
    for (words, status) in JOURNEY {
        let words = fill(words, &app, &plan);
        elsewhere.with_token(&words, token).expect(*status);
    }
    let ran =
        run(elsewhere.command("login").arg(&elsewhere.url).args(["--token", token]).stdin(Stdio::null()));
    ran.expect(0).says("as remote (admin)");
    for (words, status) in JOURNEY {
        let words = fill(words, &app, &plan);
        // The plan was made for a world without the application, and so is this one: it was removed.
        elsewhere.logged_in(&words).expect(*status);
    }
    for (words, _) in JOURNEY.iter().filter(|(words, _)| !words.starts_with("apply")) {
        let words = fill(words, &app, &plan);
        elsewhere.with_token(&words, &wrong).expect(1).says("is not valid");
    }
    run(&mut elsewhere.command("logout")).expect(0);
    elsewhere.logged_in("apps").expect(1);
}
