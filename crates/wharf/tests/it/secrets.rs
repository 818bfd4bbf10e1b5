//! Secrets reach the containers that use them, and nothing and nobody else: afterwards everything that there is, is
//! searched for their values.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_test_support::{DEADLINE, TempDir, require, temp_dir};

use crate::app::App;
use crate::docker::{containers_of, docker, docker_at, inspect};
use crate::hosts::Site;
use crate::server::{Server, wharf};
use crate::support::{Ran, checked, eventually, run};
use crate::web;

const COMPOSE: &str = "services:
  web:
    build: .
    read_only: true
    environment:
      TEXT: hello
      DB_URL: pg://shop:$${secret:DB_PASSWORD}@db
    secrets:
      - API_KEY
      - { source: cert, target: /etc/cert.pem, mode: 0400, uid: '0', gid: '0' }
      - local
    x-wharf:
      route: { host: NAME.test, port: 8000 }
      health: { path: /up, interval: 200ms, start_period: 3s }
  other:
    build: .
    environment: { TEXT: other }
    secrets: [cert]
secrets:
  API_KEY: { external: true }
  cert: { external: true, name: TLS_CERT }
  local: { file: ./local.txt }
";

/// Values that occur nowhere by chance.
const API_KEY: &str = "quokka-api-93f1-Zanzibar";
const NEW_KEY: &str = "numbat-api-77aa-Timbuktu";
const DB_PASSWORD: &str = "wombat/db pass+41&x";
const CERT: &str = "-----BEGIN KEY-----\nbilbyMIIEvQIBADANBgkqh\nbandicootG9w0BAQEFAASC\n-----END KEY-----\n";
const LOCAL: &str = "potoroo-local-5d5d-file";

/// What is searched for: of the certificate a line, because that is how it would show.
const NEEDLES: [&str; 6] =
    [API_KEY, NEW_KEY, DB_PASSWORD, "bilbyMIIEvQIBADANBgkqh", "bandicootG9w0BAQEFAASC", LOCAL];

/// A person with an ssh key, who works in the directory of an application.
struct Person {
    home: TempDir,
    directory: PathBuf,
}

impl Person {
    fn new(app: &App) -> Person {
        let person = Person { home: temp_dir(), directory: app.path().to_owned() };
        let key = person.key("id_ed25519");
        std::fs::create_dir_all(key.parent().unwrap()).unwrap();
        checked(
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "ann", "-f"]).arg(&key),
        );
        person
    }

    fn key(&self, name: &str) -> PathBuf {
        self.home.path().join(".ssh").join(name)
    }

    fn secrets(&self, server: &Server, args: &[&str]) -> Ran {
        let mut command = server.command(&[&["secrets"], args].concat());
        run(command.env("HOME", self.home.path()).current_dir(&self.directory))
    }

    /// Sets a value, from a file that is gone afterwards.
    fn set(&self, server: &Server, name: &str, value: &str) {
        let file = self.home.path().join("value");
        std::fs::write(&file, value).unwrap();
        let said = self.secrets(server, &["set", name, "--from", &file.display().to_string()]).expect(0);
        assert!(!said.stdout.contains(value));
        std::fs::remove_file(&file).unwrap();
    }
}

/// Everything that was found to hold a value, by place.
#[derive(Default)]
struct Leaks(BTreeMap<String, String>);

impl Leaks {
    fn look(&mut self, place: &str, bytes: &[u8]) {
        for needle in NEEDLES {
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                self.0.insert(place.to_owned(), needle.to_owned());
            }
        }
    }

    fn look_at_files(&mut self, path: &Path) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap().flatten() {
                self.look_at_files(&entry.path());
            }
        } else if let Ok(bytes) = std::fs::read(path) {
            self.look(&path.display().to_string(), &bytes);
        }
    }

    fn look_at_process(&mut self, pid: u32) {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{pid}/{file}");
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.is_empty(), "{path}");
            self.look(&path, &bytes);
        }
    }

    fn look_at_api(&mut self, server: &Server, app: &str) {
        let app_paths = ["", "/releases", "/releases/1/diff/2", "/releases/2/diff/1"];
        let mut paths: Vec<String> = app_paths.iter().map(|path| format!("apps/{app}{path}")).collect();
        let others = "apps hosts instances tokens orphans generations builds traffic routes deploys secrets/recipient \
                      events?limit=1000 registry/repositories registry/stats";
        paths.extend(others.split_whitespace().map(str::to_owned));
        let newest = api(server, "/api/v1/generations");
        let numbers = newest.split("\"number\":").skip(1).filter_map(|text| text.split([',', '}']).next());
        paths.extend(numbers.map(|number| format!("generations/{number}")));
        let deploys = server.json(&["deploy", "ls"])["deploys"].as_array().unwrap().len();
        for deploy in 1..=deploys {
            paths.extend([format!("deploys/{deploy}"), format!("deploys/{deploy}/stream")]);
        }
        for path in paths {
            let answer = api(server, &format!("/api/v1/{path}"));
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            self.look(&path, answer.as_bytes());
        }
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "values were found: {:#?}", self.0);
    }
}

/// A whole answer, as it comes.
fn api(server: &Server, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.api)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let token = server.token();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_secret_reaches_its_containers_and_nothing_else() {
    require!(Docker);
    require!(Command("ssh-keygen"));
    let mut server = Server::start();
    let app = App::with(&server, COMPOSE);
    std::fs::write(app.path().join("local.txt"), LOCAL).unwrap();
    std::fs::write(app.path().join(".dockerignore"), "local.txt\n").unwrap();
    let ann = Person::new(&app);
    let mut said = Vec::new();

    // What is missing is told, with what to do, and changes nothing.
    server
        .run(&["deploy", &app.dir()])
        .expect(2)
        .says("API_KEY")
        .says("no secrets.age")
        .says("wharf secrets init");
    ann.secrets(&server, &["init", "--no-server"]).expect(0).says("ann");
    ann.secrets(&server, &["init"]).expect(2).says("is there already");
    ann.set(&server, "API_KEY", API_KEY);
    ann.set(&server, "DB_PASSWORD", DB_PASSWORD);
    let refused = server.run(&["deploy", &app.dir()]).expect(2).says("not encrypted for this server");
    assert!(refused.stderr.contains("1 ssh-ed25519 key") && refused.stderr.contains("recipients add age1"));
    ann.secrets(&server, &["recipients", "add", "--server-key"]).expect(0).says("server 127.0.0.1");
    server.run(&["deploy", &app.dir()]).expect(2).says("TLS_CERT").says("secrets.age");
    ann.set(&server, "TLS_CERT", CERT);
    let names = ann.secrets(&server, &["ls"]).expect(0).stdout;
    assert_eq!(names.lines().collect::<Vec<_>>(), ["API_KEY", "DB_PASSWORD", "TLS_CERT"]);
    assert_eq!(server.json(&["apps"])["apps"].as_array().unwrap().len(), 0);

    // The containers have them.
    let plan = server.ok(&["plan", &app.dir()]);
    assert!(plan.contains("docker inspect") && plan.contains("DB_URL"), "{plan}");
    said.push(plan);
    let deployed = server.run(&["deploy", &app.dir()]).expect(0);
    said.extend([deployed.stdout, deployed.stderr]);
    let host = app.host();
    let read = |path: &str| web::body(server.balancer, &host, path);
    assert_eq!(read("/read?/run/secrets/API_KEY"), API_KEY);
    assert_eq!(read("/read?/etc/cert.pem"), CERT);
    assert_eq!(read("/read?/run/secrets/local"), LOCAL);
    assert_eq!(read("/env?DB_URL"), format!("pg://shop:{DB_PASSWORD}@db"));
    let web_before = containers_of(&app.name, "web");
    let other_before = containers_of(&app.name, "other");
    let mut leaks = Leaks::default();
    let mut seen = inspect(&web_before[0]);
    assert_eq!(seen["HostConfig"]["ReadonlyRootfs"], true, "its files are mounted all the same");
    let variables = seen["Config"]["Env"].take().to_string();
    assert!(variables.contains(DB_PASSWORD), "as a variable Docker shows it, and the plan says so");
    leaks.look("docker inspect", seen.to_string().as_bytes());
    let mounts = seen["Mounts"].as_array().unwrap();
    let cert = mounts.iter().find(|mount| mount["Destination"] == "/etc/cert.pem").unwrap();
    assert_eq!(cert["RW"], false);
    let source = Path::new(cert["Source"].as_str().unwrap());
    assert_eq!(checked(Command::new("stat").args(["-f", "-c", "%T"]).arg(source)), "tmpfs");
    assert_eq!(checked(Command::new("stat").args(["-c", "%a %u %g"]).arg(source)), "400 0 0");

    // A container that prints what it has: where Wharf passes it on, it is taken out.
    assert_eq!(read("/say?/run/secrets/API_KEY"), "said");
    let tail = ["logs", "tail", "web", "--app", &app.name];
    let logs = eventually("the log has it", DEADLINE, || {
        let logs = server.ok(&tail);
        logs.contains("it says").then_some(logs)
    });
    assert!(logs.contains("it says [secret]"), "{logs}");
    said.push(logs);
    let told = |server: &Server, verb: &str, words: &[&str]| {
        let mut command = server.command(&[verb, "web", "--app", &app.name, "-T"]);
        run(command.arg("--").args(words)).expect(0).stdout
    };
    let exec = ["/program", "tell", "DB_URL", "0"];
    assert_eq!(told(&server, "exec", &exec), "pg://shop:[secret]@db\n");
    assert_eq!(told(&server, "run", &exec[1..]), "pg://shop:[secret]@db\n");

    // Another value replaces the containers that use it, and a rollback brings the old one back.
    ann.set(&server, "API_KEY", NEW_KEY);
    let plan = server.ok(&["plan", &app.dir()]);
    assert!(plan.contains("secrets API_KEY") && !plan.contains("secrets cert"), "{plan}");
    said.push(plan);
    said.push(server.deploy(app.path()));
    assert_eq!(web::body(server.balancer, &host, "/read?/run/secrets/API_KEY"), NEW_KEY);
    assert_ne!(containers_of(&app.name, "web"), web_before);
    assert_eq!(containers_of(&app.name, "other"), other_before, "its secrets are the same");
    server.run(&["releases", "diff", &app.name, "1", "2"]).expect(0).says("secrets.API_KEY");
    said.push(server.ok(&["rollback", &app.name]));
    assert_eq!(web::body(server.balancer, &host, "/read?/run/secrets/API_KEY"), API_KEY);
    assert_eq!(containers_of(&app.name, "other"), other_before);

    // The Engine restarts it; the server is killed and started again: nothing is missing, nothing is replaced.
    let web_now = containers_of(&app.name, "web");
    docker(&["restart", "-t", "0", &web_now[0]]);
    eventually("it serves again", DEADLINE, || {
        let answer = web::get(server.balancer, &host, "/read?/run/secrets/API_KEY");
        (answer == Ok((200, API_KEY.to_owned()))).then_some(())
    });
    leaks.look("the server's log", server.child().output().as_bytes());
    server.kill();
    server.run_again();
    eventually("it still serves", DEADLINE, || {
        let answer = web::get(server.balancer, &host, "/read?/etc/cert.pem");
        (answer == Ok((200, CERT.to_owned()))).then_some(())
    });
    assert_eq!(containers_of(&app.name, "web"), web_now);
    assert_eq!(
        told(&server, "exec", &exec),
        "pg://shop:[secret]@db\n",
        "also a server that was restarted knows"
    );
    // What is in memory is lost, as after a power loss: it is put there again.
    for entry in std::fs::read_dir(source.parent().unwrap()).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
    }
    run(Command::new("docker").env("DOCKER_API_VERSION", "1.41").args(["restart", "-t", "0", &web_now[0]]));
    eventually("the agent repairs it", DEADLINE, || {
        let answer = web::get(server.balancer, &host, "/read?/run/secrets/API_KEY");
        (answer == Ok((200, API_KEY.to_owned()))).then_some(())
    });

    // Nobody and nothing else has a value.
    let backup = server.directory.path().join("backup.tar");
    let (data, to) = (server.data().display().to_string(), backup.display().to_string());
    checked(wharf().args(["backup", "--data", &data, "--to", &to]));
    let archive = std::fs::read(&backup).unwrap();
    let has_key = archive.windows(16).any(|window| window == b"secrets/identity");
    assert!(has_key, "a server that is restored from it opens the values again");
    leaks.look("the backup", &archive);
    leaks.look_at_files(&server.data());
    let pid = server.child().pid();
    leaks.look_at_process(pid);
    leaks.look_at_api(&server, &app.name);
    leaks.look("the server's log", server.child().output().as_bytes());
    for text in &said {
        leaks.look("what commands said", text.as_bytes());
    }
    leaks.look("secrets.age", &std::fs::read(app.path().join("secrets.age")).unwrap());
    leaks.none();

    // With the application its values go, from memory and from the disk.
    server.ok(&["rm", &app.name]);
    eventually("the files in memory go", DEADLINE, || (!source.exists()).then_some(()));
    let values = server.data().join("secrets/values");
    eventually("the sealed values go", DEADLINE, || {
        std::fs::read_dir(&values).unwrap().next().is_none().then_some(())
    });
}

#[test]
fn a_host_has_its_secrets_after_a_power_loss_without_a_server() {
    require!(Lab, Docker);
    require!(Command("ssh-keygen"));
    let mut site = Site::new("whsec", "10.83.0", 1, &["deploy.reschedule=false"]);
    site.join(1, "one", &site.token(&[])).expect(0);
    site.start_agent(1);
    site.wait_for("one", "up", DEADLINE);
    let compose = "services:
  web:
    build: .
    restart: always
    environment: { TEXT: hello, DB_URL: 'pg://shop:$${secret:DB_PASSWORD}@db' }
    secrets: [API_KEY]
    ports: ['18083:8000']
    x-wharf: { health: { path: /up, port: 8000, interval: 200ms } }
secrets: { API_KEY: { external: true } }
";
    let app = App::with(&site.server, compose);
    let ann = Person::new(&app);
    ann.secrets(&site.server, &["init"]).expect(0);
    ann.set(&site.server, "API_KEY", API_KEY);
    ann.set(&site.server, "DB_PASSWORD", DB_PASSWORD);
    site.server.deploy(app.path());
    let address = "10.83.0.11:18083".parse().unwrap();
    let serves = |what: &str| {
        eventually(what, DEADLINE, || {
            let key = web::get_at(address, "x", "/read?/run/secrets/API_KEY");
            let url = web::get_at(address, "x", "/env?DB_URL");
            let url_wanted = format!("pg://shop:{DB_PASSWORD}@db");
            (key == Ok((200, API_KEY.to_owned())) && url == Ok((200, url_wanted))).then_some(())
        });
    };
    serves("the container serves");

    // The server is gone, the agent is killed: a new one finds everything in its place.
    let before = site.containers(1);
    site.server.kill();
    site.sh(1, "kill -9 $(cat /run/agent.pid)").expect(0);
    site.start_agent(1);
    serves("the container serves under a new agent");
    assert_eq!(site.containers(1), before);

    // The host loses power; what was in memory is gone, and there is nobody to ask.
    site.runtime.block_on(site.lab.kill(1)).unwrap();
    site.runtime.block_on(site.lab.start(1)).unwrap();
    site.start_agent(1);
    serves("the container serves after the power loss");

    let searched = "/var/lib/wharf /var/log /etc /root /tmp";
    for needle in [API_KEY, DB_PASSWORD] {
        let found = site.sh(1, &format!("grep -rlF -e '{needle}' {searched}"));
        assert_eq!(found.stdout, "", "{needle} is on the host's disk");
    }
    let processes = site.sh(1, "cat /proc/$(cat /run/agent.pid)/cmdline /proc/$(cat /run/agent.pid)/environ");
    let mut leaks = Leaks::default();
    assert!(processes.stdout.contains("agent"), "{}", processes.stdout);
    leaks.look("the agent's process", processes.stdout.as_bytes());
    let container = docker_at(&site.lab.docker_socket(1), &["ps", "-q"]).stdout;
    let format =
        ["inspect", "-f", "{{json .HostConfig}} {{json .Mounts}} {{json .Config.Labels}}", container.trim()];
    leaks.look("docker inspect", docker_at(&site.lab.docker_socket(1), &format).expect(0).stdout.as_bytes());
    leaks.look_at_files(&site.server.data());
    leaks.none();
}

#[test]
fn the_file_is_edited_shared_and_kept_from_others() {
    require!(Command("ssh-keygen"));
    let (home, work) = (temp_dir(), temp_dir());
    let key = |name: &str| home.path().join(name).display().to_string();
    for name in ["ann", "bob"] {
        checked(Command::new("ssh-keygen").args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            name,
            "-f",
            &key(name),
        ]));
    }
    let as_person = |who: &str, args: &[&str]| {
        let mut command = wharf();
        command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).current_dir(work.path());
        command.env("WHARF_IDENTITY", key(who)).env_remove("VISUAL");
        command.env("EDITOR", "sed -i -e 's/one/two/'").arg("secrets").args(args);
        run(&mut command)
    };
    as_person("ann", &["ls"]).expect(2).says("wharf secrets init");
    as_person("ann", &["init", "--no-server"]).expect(0).says("ann");
    as_person("ann", &["set", "KEY=hunter2-x"]).expect(2).says("command line");
    as_person("ann", &["set", "a b", "--from", &key("ann.pub")]).expect(2).says("can't name a secret");
    std::fs::write(work.path().join("value"), "one\n two \n").unwrap();
    as_person("ann", &["set", "KEY", "--from", "value"]).expect(0).says("KEY added");
    assert_eq!(as_person("ann", &["get", "KEY"]).expect(0).stdout, "one\n two \n");
    as_person("ann", &["edit"]).expect(0).says("is changed");
    assert_eq!(as_person("ann", &["get", "KEY"]).expect(0).stdout, "two\n two \n");
    as_person("ann", &["get", "KEI"]).expect(1).says("did you mean `KEY`?");

    as_person("bob", &["ls"]).expect(1).says("none of your keys opens").says("1 ssh-ed25519 key");
    as_person("bob", &["recipients", "add", &key("bob.pub")]).expect(1).says("none of your keys");
    as_person("ann", &["recipients", "add", &key("bob")]).expect(2).says("private key");
    as_person("ann", &["recipients", "add", &key("bob.pub")]).expect(0).says("bob");
    assert_eq!(as_person("bob", &["ls"]).expect(0).stdout, "KEY\n");
    as_person("bob", &["recipients", "ls"]).expect(0).says("ann").says("bob");
    let first = std::fs::read(work.path().join("secrets.age")).unwrap();
    as_person("bob", &["rotate"]).expect(0).says("anew for 2");
    assert_ne!(std::fs::read(work.path().join("secrets.age")).unwrap(), first);
    as_person("bob", &["recipients", "rm", "ann"]).expect(0).says("change the values");
    as_person("ann", &["ls"]).expect(1).says("none of your keys opens");
    as_person("bob", &["rm", "KEY"]).expect(0);
    assert!(!as_person("bob", &["ls", "--output", "json"]).expect(0).stdout.contains("KEY"));

    // A key of age's own.
    as_person("ann", &["keygen", "--to", "ci.key"]).expect(0).says("age1");
    as_person("ann", &["keygen", "--to", "ci.key"]).expect(2).says("is there already");
    let made = std::fs::read_to_string(work.path().join("ci.key")).unwrap();
    let public = made.lines().next().unwrap().strip_prefix("# public key: ").unwrap();
    as_person("bob", &["recipients", "add", public]).expect(0);
    as_person("ann", &["--identity", "ci.key", "ls"]).expect(0).says("holds nothing yet");
    let left = std::fs::read_dir("/dev/shm").unwrap().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("wharf-secrets-")));
}
