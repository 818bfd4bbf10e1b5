//! `kill -9` of an `up` in the middle, then `down`: nothing may be left.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use wharf_test_support::{Child, DEADLINE, require};

use crate::machine::{Links, Namespaces, remains};
use crate::test_lab::{PROGRAM, TestLab};

fn start_up(lab: &TestLab) -> Child {
    Child::spawn(Command::new(PROGRAM).args(["up", "4", &lab.json()]))
}

/// Until `path` exists, or the child has ended. inotify can't watch directories that are not there yet.
fn until_exists(path: &Path, child: &mut Child) {
    let start = Instant::now();
    while !path.exists() && !child.has_ended() {
        assert!(start.elapsed() < DEADLINE, "no {}; {}", path.display(), child.output());
        std::thread::yield_now();
    }
}

fn down_and_check(lab: &TestLab, before: &Links, moment: &str) {
    lab.down_now();
    assert_eq!(remains(lab, before, &Namespaces::default()), Vec::<String>::new(), "killed at {moment}");
}

#[test]
fn down_removes_what_a_killed_up_had_made_at_each_step() {
    require!(Lab);
    let lab = TestLab::new("ca", 41);
    let before = Links::now(&lab);
    let steps = [
        "../ca.lock",
        ".",
        "wharf-lab.json",
        "id_ed25519.new",
        "switch.net",
        "switch.ready",
        "h1",
        "h2/disk",
        "h3/net",
        "h4/net.batch",
        "h2/host.json",
        "h1/console.log",
        "h4/sshd.log",
        "h1/dockerd.log",
        "h3/docker.sock",
    ];
    for step in steps {
        let mut up = start_up(&lab);
        until_exists(&lab.config.run_dir.join("ca").join(step), &mut up);
        up.kill();
        assert_ne!(remains(&lab, &before, &Namespaces::default()), Vec::<String>::new(), "killed at {step}");
        down_and_check(&lab, &before, step);
    }
}

#[test]
fn down_removes_what_an_up_killed_at_any_time_had_made() {
    require!(Lab);
    let lab = TestLab::new("cb", 42);
    let before = Links::now(&lab);
    // As long as a whole `up` takes here and now, in steps that meet other moments than the files do.
    let start = Instant::now();
    assert!(start_up(&lab).wait(DEADLINE).success());
    let whole = start.elapsed();
    down_and_check(&lab, &before, "the end");
    let count = 12;
    for step in 0..count {
        let moment = whole * step / count;
        let mut up = start_up(&lab);
        let (_never, timer) = mpsc::channel::<()>();
        let _ = timer.recv_timeout(moment);
        up.kill();
        down_and_check(&lab, &before, &format!("{moment:?}"));
    }
}

#[test]
fn up_after_a_killed_up_completes_the_lab() {
    require!(Lab);
    let lab = TestLab::new("cc", 43);
    for step in ["id_ed25519.new", "switch.net", "h2/net", "h1/host.json"] {
        let mut up = start_up(&lab);
        until_exists(&lab.config.run_dir.join("cc").join(step), &mut up);
        up.kill();
        let mut up = start_up(&lab);
        assert!(up.wait(DEADLINE).success(), "killed at {step}; {}", up.output());
        up.wait_for_line("cc4 10.87.43.14", Duration::from_secs(1));
        lab.down_now();
    }
}

#[test]
fn down_beside_a_running_up_waits_for_it_and_removes_all() {
    require!(Lab);
    let lab = TestLab::new("cd", 44);
    let before = Links::now(&lab);
    let mut up = start_up(&lab);
    until_exists(&lab.config.run_dir.join("cd/switch.net"), &mut up);
    down_and_check(&lab, &before, "no time");
    assert!(up.has_ended(), "{}", up.output());
}

#[test]
fn a_down_that_was_killed_is_finished_by_the_next() {
    require!(Lab);
    let lab = TestLab::new("ce", 45);
    let before = Links::now(&lab);
    let dir: PathBuf = lab.config.run_dir.join("ce");
    for step in ["h1/docker", "h1", "switch.ready", "wharf-lab.json"] {
        assert!(start_up(&lab).wait(DEADLINE).success());
        let mut down = Child::spawn(Command::new(PROGRAM).args(["down", &lab.json()]));
        let gone = match step {
            "h1/docker" => lab.config.data_dir.join("ce/h1/docker"),
            _ => dir.join(step),
        };
        while gone.exists() && !down.has_ended() {
            std::thread::yield_now();
        }
        down.kill();
        down_and_check(&lab, &before, step);
    }
}
