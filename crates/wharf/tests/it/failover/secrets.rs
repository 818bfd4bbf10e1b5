//! Secrets after a takeover: the second server opens what the first one has sealed, and the database can't.

use std::process::Command;

use wharf_test_support::{Child, DEADLINE, Postgres, require};

use super::{Server, Site};
use crate::docker;
use crate::support::{eventually, run};
use crate::web;

/// Values that occur nowhere by chance.
const FIRST: &str = "bettong-key-4c1e-Samarkand";
const SECOND: &str = "dunnart-key-88b0-Valparaiso";

impl Site {
    /// Deploys an application with one secret, whose value lies in a file beside its Compose file.
    fn deploy_with_secret(&self, server: usize, value: &str) {
        let directory = self.text("with a secret");
        let mut compose = std::fs::read_to_string(directory.join("compose.yaml")).unwrap();
        compose.push_str("    secrets: [API_KEY]\nsecrets: { API_KEY: { file: ./key.txt } }\n");
        std::fs::write(directory.join("compose.yaml"), compose).unwrap();
        std::fs::write(directory.join("key.txt"), value).unwrap();
        self.servers[server].run(&self.token, &["deploy", &directory.display().to_string()]).expect(0);
    }

    fn has_secret(&self, value: &str) {
        eventually("the container reads its secret", DEADLINE, || {
            let answer = web::get(self.front, &self.host(), "/read?/run/secrets/API_KEY");
            (answer == Ok((200, value.to_owned()))).then_some(())
        });
    }
}

#[test]
fn a_server_that_takes_over_has_the_secrets_and_the_database_has_none_of_them_in_clear() {
    require!(Docker, Postgres);
    let mut site = Site::start();
    site.deploy_with_secret(0, FIRST);
    site.has_secret(FIRST);
    site.servers[0].child().signal(9);
    site.servers[0].child().wait(DEADLINE);
    site.servers[1].leads();
    site.found(1);
    site.has_secret(FIRST);

    // The host loses power: the file in memory is gone; here also what the agent keeps for that case, so it has to ask.
    let container = docker::containers(&site.app).remove(0);
    let agent = &mut site.processes[0];
    agent.signal(9);
    agent.wait(DEADLINE);
    docker::docker(&["kill", &container]);
    let mounted = docker::inspect(&container)["Mounts"][0]["Source"].as_str().unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(&mounted).unwrap(), FIRST);
    std::fs::remove_file(&mounted).unwrap();
    let kept = site.agent.path().join("secrets/values");
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 1);
    std::fs::remove_dir_all(&kept).unwrap();
    site.processes[0] = site.run_agent("connected to the server");
    site.has_secret(FIRST);

    // A deploy on the second server, also of another value; the old one comes back with its release.
    site.deploy_with_secret(1, SECOND);
    site.has_secret(SECOND);
    site.servers[1].run(&site.token, &["rollback", &site.app]).expect(0);
    site.has_secret(FIRST);

    assert_eq!(site.postgres.sql("wharf", "SELECT count(*) FROM secret_value"), "2");
    let identity = std::fs::read_to_string(site.servers[0].key()).unwrap();
    let identity = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let authority = std::fs::read_to_string(site.servers[1].directory.path().join("ca/ca.key")).unwrap();
    let authority = authority.lines().nth(1).unwrap();
    let needles = [FIRST, SECOND, identity, authority];
    // PostgreSQL may compress what it stores, so what it tells is searched as well; bytes are told in hexadecimal.
    let told = site.postgres.dump("wharf");
    assert!(told.contains("secret_value") && told.contains("BEGIN AGE ENCRYPTED FILE"), "the dump is whole");
    for needle in needles {
        assert!(!told.contains(needle) && !told.contains(&hexadecimal(needle)), "{needle} is in the dump");
    }
    site.postgres.sql("wharf", "CHECKPOINT");
    let files = |needle: &str| {
        let mut grep = Command::new("grep");
        run(grep.args(["-rlaF", "-e", needle]).arg(site.postgres.socket_directory()))
    };
    assert_ne!(files("BEGIN AGE ENCRYPTED FILE").expect(0).stdout, "", "tables and log are searched");
    for needle in needles {
        assert_eq!(files(needle).expect(1).stdout, "", "{needle} is in PostgreSQL's files");
    }
    let directory = site.servers[1].directory.path();
    assert!(!directory.join("secrets/values").exists(), "values are in the state alone");
    site.servers[1].run(&site.token, &["rm", &site.app]).expect(0);
    eventually("with the application its values go", DEADLINE, || {
        (site.postgres.sql("wharf", "SELECT count(*) FROM secret_value") == "0").then_some(())
    });
}

#[test]
fn a_server_without_the_key_does_not_stand_by() {
    require!(Postgres);
    let postgres = Postgres::start();
    let url = postgres.database("wharf");
    let (mut first, second) = (Server::new(&url), Server::new(&url));
    first.up("token         cat");
    let refused =
        run(&mut second.up_command()).expect(1).says("does not have it").says("hint: copy secrets/identity");
    assert!(refused.stderr.contains(&second.key().display().to_string()), "{}", refused.stderr);
    assert!(!second.key().exists());
    let other = Server::new(&postgres.database("other"));
    let mut other_up = Child::spawn(&mut other.up_command());
    other_up.wait_for_line("token         cat", DEADLINE);
    other_up.terminate(DEADLINE);
    second.copy_key_of(&other);
    run(&mut second.up_command()).expect(1).says("holds another one").says("identity.old");

    second.copy_key_of(&first);
    let mut second = second;
    second.up("this server stands by");
    first.child().signal(9);
    second.leads();
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
