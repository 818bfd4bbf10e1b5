//! A PostgreSQL of one test: Debian's programs, a directory and a socket of its own, gone with the value.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Child, DEADLINE, TempDir, find_command, free_port, temp_dir};

/// A running PostgreSQL. It trusts whoever connects, on loopback and on its Unix socket.
pub struct Postgres {
    directory: TempDir,
    port: u16,
    server: Option<Child>,
}

/// Directory of the server's programs: `initdb` and `postgres` of the newest version that Debian has installed.
pub fn postgres_programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, directory)| directory.join("initdb").is_file())
        .collect();
    versions.sort();
    let beside = || find_command("initdb").and_then(|file| Some(file.parent()?.to_owned()));
    versions.pop().map(|(_, directory)| directory).or_else(beside)
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Postgres {
        let mut postgres = Postgres { directory: temp_dir(), port: free_port(), server: None };
        if let Some((user, group)) = unprivileged() {
            chown(postgres.directory.path(), Some(user), Some(group)).expect("we are root");
        }
        let made = postgres
            .program("initdb")
            .args(["--username=wharf", "--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8", "-D"])
            .arg(postgres.data())
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        postgres.run_again();
        postgres
    }

    /// Makes a cluster that takes TCP connections over TLS alone, with this certificate and key (PEM), and starts it.
    pub fn start_with_tls(certificate: &str, key: &str) -> Postgres {
        let mut postgres = Postgres::start();
        let data = postgres.data();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            postgres.write(&data.join(name), text);
        }
        postgres
            .write(&data.join("pg_hba.conf"), "local all all trust\nhostssl all all 127.0.0.1/32 trust\n");
        let settings = std::fs::read_to_string(data.join("postgresql.conf")).expect("initdb has made it");
        postgres.write(&data.join("postgresql.conf"), &format!("{settings}\nssl = on\n"));
        postgres.crash();
        postgres.run_again();
        postgres
    }

    /// Writes a file that the server's user alone reads: it refuses a key that others read.
    fn write(&self, path: &Path, text: &str) {
        std::fs::write(path, text).expect("the directory is ours");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
        if let Some((user, group)) = unprivileged() {
            chown(path, Some(user), Some(group)).expect("we are root");
        }
    }

    /// Starts it on the same directory and port as before.
    pub fn run_again(&mut self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-c", &format!("port={}", self.port)]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB"]);
        command.args(["-c", &format!("unix_socket_directories={}", self.directory.path().display())]);
        let server = Child::spawn(&mut command);
        server.wait_for_line("database system is ready to accept connections", DEADLINE);
        self.server = Some(server);
    }

    /// Ends it as a crash does: SIGKILL would leave its other processes, so this is PostgreSQL's own "immediate".
    pub fn crash(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.signal(3);
        server.wait(DEADLINE);
    }

    /// A new, empty database, as the URL that leads to it over TCP.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://wharf@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs statements as the owner of all; returns what they print, columns separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let ran = self
            .program("psql")
            .arg("-h")
            .arg(self.socket_directory())
            .args(["-p", &self.port.to_string(), "-U", "wharf", "-X", "-A", "-t", "-q"])
            .args(["-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql])
            .output()
            .expect("psql runs");
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Everything in a database, as `pg_dump` tells it.
    pub fn dump(&self, database: &str) -> String {
        let ran = self
            .program("pg_dump")
            .arg("-h")
            .arg(self.socket_directory())
            .args(["-p", &self.port.to_string(), "-U", "wharf", database])
            .output()
            .expect("pg_dump runs");
        assert!(ran.status.success(), "pg_dump: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// Directory of its Unix socket; all its files are below it.
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("cluster")
    }

    /// PostgreSQL refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let directory = postgres_programs().expect("require!(Postgres) has looked");
        let mut command = Command::new(directory.join(name));
        command.current_dir(self.directory.path()).env("LC_ALL", "C");
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // "Immediate": nothing in it is needed any more.
            server.signal(3);
            server.wait(DEADLINE);
        }
    }
}

/// User and group to run as instead of root: those that own nobody's files. `None` if we are not root.
fn unprivileged() -> Option<(u32, u32)> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    is_root.then_some((65_534, 65_534))
}
