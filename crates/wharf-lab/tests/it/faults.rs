//! Partition, power loss, a killed dockerd, shutdown.

use std::fs;
use std::process::Command;

use wharf_lab::{Config, Error};
use wharf_test_support::require;

use crate::test_lab::{REACHABLE, TestLab, UNREACHABLE, checked};

#[tokio::test]
async fn a_cut_host_runs_on_unreached_until_it_is_healed() {
    require!(Lab, Command("busybox"), Command("docker"));
    let lab = TestLab::new("fa", 21);
    lab.up(2).await.unwrap();
    lab.run_web(1);
    lab.import_box(2);
    let get = "/bin/busybox timeout 3 /bin/busybox wget -q -O - http://10.87.21.11/";
    let from_other = &format!("docker run --init --rm box {get} 2>&1 || echo unreached");
    assert!(lab.reaches(1, 80, REACHABLE));
    assert_eq!(lab.sh(2, from_other), "hello");

    lab.cut(1).await.unwrap();
    assert!(!lab.reaches(1, 80, UNREACHABLE));
    assert!(lab.sh(2, from_other).ends_with("unreached"));
    let status = lab.status().await.unwrap();
    assert!(status[0].is_running && !status[0].is_linked && status[0].is_docker_ready, "{status:?}");
    assert!(status[1].is_linked);
    assert_eq!(lab.docker(1, &["inspect", "-f", "{{.State.Running}}", "web"]), "true");

    lab.heal(1).await.unwrap();
    assert!(lab.reaches(1, 80, REACHABLE));
    assert_eq!(lab.sh(2, from_other), "hello");
}

#[tokio::test]
async fn after_power_loss_a_host_starts_with_its_disk_and_runs_rc_local() {
    require!(Lab, Command("busybox"), Command("docker"), Command("mkfifo"));
    let lab = TestLab::new("fb", 22);
    let before = lab.up(2).await.unwrap();
    lab.run_web(1);
    let containers = lab.docker(1, &["ps", "-aq"]);
    // What an agent's installation does: a program that comes back with the machine.
    let fifo = lab.docker_socket(1).with_file_name("booted");
    checked(Command::new("mkfifo").arg(&fifo));
    lab.sh(
        1,
        "echo kept | tee /etc/kept > /root/kept; echo gone > /tmp/gone; ip link add left-over type bridge",
    );
    lab.sh(
        1,
        "printf '#!/bin/sh\\ndocker start web\\necho booted > /run/wharf-host/booted\\n' > /etc/rc.local; chmod +x /etc/rc.local",
    );

    lab.kill(1).await.unwrap();
    assert!(!lab.reaches(1, 22, UNREACHABLE));
    let off = lab.status().await.unwrap();
    assert!(
        !off[0].is_running && off[0].pid.is_none() && !off[0].is_docker_ready && !off[0].is_linked,
        "{off:?}"
    );
    assert!(off[1].is_running && off[1].is_docker_ready, "the other one is not affected");
    assert!(matches!(lab.exec_command(1, &["true"]), Err(Error::NotRunning { .. })));
    assert!(matches!(lab.kill(1).await, Err(Error::NotRunning { .. })));

    lab.start(1).await.unwrap();
    // Opening the pipe waits for rc.local to write.
    let booted = tokio::task::spawn_blocking(move || fs::read_to_string(fifo)).await.unwrap().unwrap();
    assert_eq!(booted, "booted\n");
    assert_eq!(lab.docker(1, &["ps", "-aq"]), containers);
    assert!(lab.reaches(1, 80, REACHABLE), "rc.local started the container");
    assert_eq!(lab.sh(1, "cat /etc/kept /root/kept; hostname"), "kept\nkept\nfb1");
    assert_eq!(
        lab.sh(1, "ls /tmp/gone 2>/dev/null; ip link show left-over 2>/dev/null || echo none"),
        "none"
    );
    let after = lab.status().await.unwrap();
    assert!(after[0].is_running && after[0].is_linked, "{after:?}");
    assert_ne!(after[0].pid, before[0].pid);
    assert_eq!(checked(lab.ssh_command(1).unwrap().arg("hostname")), "fb1", "the host key is the same");
}

#[tokio::test]
async fn power_loss_sends_no_farewell() {
    require!(Lab);
    let lab = TestLab::with(Config { bare: true, ..TestLab::new("fc", 23).config.clone() });
    lab.up(1).await.unwrap();
    let mut stream = std::net::TcpStream::connect("10.87.23.11:22").unwrap();
    let mut greeting = [0; 4];
    std::io::Read::read_exact(&mut stream, &mut greeting).unwrap();
    lab.kill(1).await.unwrap();
    // A process that is only killed would have sent FIN or RST, on which the read below ends at once.
    stream.set_read_timeout(Some(UNREACHABLE)).unwrap();
    let mut rest = Vec::new();
    let error = std::io::Read::read_to_end(&mut stream, &mut rest).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_killed_dockerd_is_started_again_and_a_running_one_restarted() {
    require!(Lab);
    let lab = TestLab::new("fd", 24);
    lab.up(1).await.unwrap();
    let pid = |lab: &TestLab| lab.sh(1, "cat /run/docker.pid");
    let first = pid(&lab);
    lab.sh(1, "kill -9 $(cat /run/docker.pid)");
    lab.dockerd_restart(1).await.unwrap();
    let second = pid(&lab);
    assert_ne!(first, second);
    lab.dockerd_restart(1).await.unwrap();
    assert_ne!(pid(&lab), second);
    assert!(lab.status().await.unwrap()[0].is_docker_ready);
}

#[tokio::test]
async fn pid_1_reaps_orphans_and_shuts_down_on_sigterm() {
    require!(Lab);
    let lab = TestLab::new("fe", 25);
    let hosts = lab.up(1).await.unwrap();
    // The shell ends before its child, which pid 1 inherits.
    let orphan = lab.sh(1, "sleep 0.01 >/dev/null & echo $!");
    let gone = format!("while [ -e /proc/{orphan} ]; do sleep 0.01; done; echo gone");
    assert_eq!(lab.sh(1, &gone), "gone");
    let pid = hosts[0].pid.unwrap();
    checked(Command::new("kill").arg(pid.to_string()));
    checked(Command::new("timeout").args(["20", "tail", &format!("--pid={pid}"), "-f", "/dev/null"]));
    assert!(!lab.status().await.unwrap()[0].is_running);
    lab.start(1).await.unwrap();
}
