//! Backups: made by hand and by the clock, restored after damage, refused where they would do harm.

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use wharf_test_support::{DEADLINE, require, temp_dir};

use crate::app::App;
use crate::docker;
use crate::server::{Server, wharf};
use crate::support::{checked, eventually, run};
use crate::web;

/// A control plane without an Engine.
const ALONE: &[&str] = &["docker.is_host=false"];

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_torn_last_page_names_the_newest_backup_and_its_restore_serves_again() {
    require!(Docker);
    let mut server = Server::start();
    let still = App::web(&server, "still");
    server.deploy(still.path());
    let app = App::web(&server, "one");
    server.deploy(app.path());
    let (token, before) = (server.token(), docker::containers(&still.name));
    let data = server.data().display().to_string();
    let backup = checked(wharf().args(["backup", "--data", &data]));
    assert!(backup.contains("registry's images are not in it"), "{backup}");
    let file = files(&server.data().join("backups")).pop().unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // What the backup does not know of.
    app.text("two");
    server.deploy(app.path());
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "two");
    server.child().terminate(DEADLINE);
    tear(&server.data().join("state.db"));
    let refused = run(&mut server.up_command()).expect(1).says("state.db is damaged");
    let restore = format!("wharf restore {} --data {data} --force", file.display());
    assert!(refused.stderr.contains(&restore), "no `{restore}` in {}", refused.stderr);

    let words: Vec<&str> = restore.split(' ').skip(1).collect();
    run(wharf().args(&words)).expect(0).says("What was there is in");
    server.run_again();
    assert_eq!(server.token(), token, "tokens are good as before");
    let serves = |server: &Server, app: &App, text: &str| {
        eventually(&format!("{} serves {text}", app.name), DEADLINE, || {
            let answer = web::get(server.balancer, &app.host(), "/").ok();
            (answer == Some((200, text.to_owned()))).then_some(())
        });
    };
    serves(&server, &app, "one");
    serves(&server, &still, "still");
    eventually("one container of the application is left", DEADLINE, || {
        (docker::containers(&app.name).len() == 1).then_some(())
    });
    assert_eq!(docker::containers(&still.name), before, "what had not changed runs on untouched");
    app.text("three");
    server.deploy(app.path());
    serves(&server, &app, "three");
    assert_eq!(docker::containers(&still.name), before);
}

/// Folds the log into the file, as a long run would, and writes only half of its last page.
fn tear(state: &Path) {
    let connection = wharf_state::rusqlite::Connection::open(state).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let size = std::fs::metadata(state).unwrap().len();
    OpenOptions::new().write(true).open(state).unwrap().set_len(size - 2_048).unwrap();
}

#[test]
fn a_restore_changes_nothing_where_it_would_do_harm() {
    let mut server = Server::start_with(ALONE);
    let data = server.data().display().to_string();
    let scratch = temp_dir();
    let file = scratch.path().join("mine.tar").display().to_string();
    checked(wharf().args(["backup", "--data", &data, "--to", &file]));
    checked(Command::new("tar").args(["-tf", &file]));

    let restore = |file: &str, data: &str, more: &[&str]| {
        run(wharf().args(["restore", file, "--data", data]).args(more))
    };
    restore(&file, &data, &["--force"]).expect(1).says("is in use by process");
    server.child().terminate(DEADLINE);
    restore(&file, &data, &[]).expect(2).says("is not empty");

    let damaged = scratch.path().join("damaged.tar");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    let empty = scratch.path().join("empty").display().to_string();
    restore(&damaged.display().to_string(), &empty, &[]).expect(1).says("no whole backup");
    assert!(files(Path::new(&empty)).is_empty());
    std::fs::write(&damaged, &bytes[..middle]).unwrap();
    restore(&damaged.display().to_string(), &empty, &[]).expect(1).says("no whole backup");
    std::fs::write(&damaged, "a letter").unwrap();
    restore(&damaged.display().to_string(), &empty, &[]).expect(1).says("no whole backup");

    let new = scratch.path().join("new").display().to_string();
    restore(&file, &new, &[]).expect(0).says("Now run: wharf up");
    let names = ["ca", "state.db", "token"];
    for name in names {
        assert!(Path::new(&new).join(name).exists(), "{name}");
    }
    let read = |directory: &str| std::fs::read(Path::new(directory).join("ca/ca.pem")).unwrap();
    assert_eq!(read(&new), read(&data), "the same authority");
    // Cut off in the middle: nothing begins there.
    std::fs::write(Path::new(&new).join("restoring"), format!("{file}\n")).unwrap();
    run(wharf().args(["up", "--data", &new, "--set", "docker.is_host=false"])).expect(1).says("was cut off");
    restore(&file, &new, &[]).expect(0).says("What was there is in");
}

#[test]
fn a_backup_needs_a_state_and_a_whole_one() {
    let scratch = temp_dir();
    let data = scratch.path().join("data");
    let data_text = data.display().to_string();
    run(wharf().args(["backup", "--data", &data_text])).expect(1).says("holds no server's state");
    assert!(!data.exists(), "nothing is made");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(
        data.join("state.db"),
        "no database, but longer than a header of one hundred bytes".repeat(9),
    )
    .unwrap();
    run(wharf().args(["backup", "--data", &data_text]))
        .expect(1)
        .says("is damaged")
        .says("there is no backup in");
    assert!(files(&data.join("backups")).is_empty());
    run(wharf().args(["backup", "--server", "http://127.0.0.1:1"])).expect(2).says("run it there");
}

#[test]
fn backups_are_made_by_the_clock_and_only_the_newest_are_kept() {
    let server = Server::start_with(&["docker.is_host=false", "backup.every=300ms", "backup.keep=2"]);
    let directory = server.data().join("backups");
    let backups =
        || files(&directory).into_iter().filter(|file| file.extension().is_some_and(|end| end == "tar"));
    let first = eventually("a backup", DEADLINE, || backups().next());
    eventually("the first one is removed for newer ones", DEADLINE, || (!first.exists()).then_some(()));
    // One that was just made may be there before the oldest is removed.
    assert!(backups().count() <= 3);
    let newest = backups().next_back().unwrap().display().to_string();
    let target = temp_dir();
    let into = target.path().join("data").display().to_string();
    checked(wharf().args(["restore", &newest, "--data", &into]));
}

#[test]
fn a_backup_that_fails_is_an_event() {
    let server =
        Server::start_with(&["docker.is_host=false", "backup.every=200ms", "backup.dir=/proc/no/such"]);
    eventually("an event about it", DEADLINE, || {
        server.ok(&["events"]).contains("no backup could be made").then_some(())
    });
    server.ok(&["host", "token"]);
}

#[test]
fn a_full_disk_is_said_and_the_server_goes_on_when_there_is_room() {
    require!(Root);
    let disk = temp_dir();
    checked(Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "wharf-test"]).arg(disk.path()));
    let _unmount = Unmount(disk.path().to_owned());
    let mut server = Server::prepare(ALONE);
    std::fs::create_dir(disk.path().join("data")).unwrap();
    std::os::unix::fs::symlink(disk.path().join("data"), server.data()).unwrap();
    server.set("registry.disk_free_min=0B");
    server.run_again();
    let ballast = disk.path().join("ballast");
    let _ = std::fs::write(&ballast, vec![0; 4 << 20]);
    // What the log of the database has room for already may still fit.
    let refused = eventually("a refusal", DEADLINE, || {
        Some(server.run(&["host", "token"])).filter(|ran| ran.status != 0)
    });
    refused.expect(1).says("the disk of the state database is full").says("hint: free space");
    server.ok(&["host", "ls"]);
    server.ok(&["events"]);
    std::fs::remove_file(&ballast).unwrap();
    server.ok(&["host", "token"]);
    server.child().terminate(DEADLINE);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
