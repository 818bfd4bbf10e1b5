//! Up, look, down.

use std::fs;
use std::process::Command;

use wharf_base::ErrorCode;
use wharf_lab::{Config, Error, Lab};
use wharf_test_support::require;

use crate::machine::{Links, Namespaces, remains};
use crate::test_lab::{PROGRAM, TestLab, checked, run};

#[tokio::test]
async fn down_leaves_nothing_behind() {
    require!(Lab, Command("busybox"), Command("docker"));
    let lab = TestLab::new("ta", 1);
    let before = Links::now(&lab);
    assert_eq!(remains(&lab, &before, &Namespaces::default()), Vec::<String>::new());

    let hosts = lab.up(3).await.unwrap();
    assert_eq!(hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["ta1", "ta2", "ta3"]);
    for host in &hosts {
        assert!(host.is_running && host.is_linked && host.is_docker_ready, "{host:?}");
    }
    let namespaces = Namespaces::of(hosts.iter().filter_map(|host| host.pid));
    assert_eq!(namespaces.count(), 3 * 5, "net, mnt, pid, uts and ipc each");
    lab.run_web(1);
    // Also what a user left running inside, and a process that is in the host's network only.
    let mut inside = lab.exec_command(2, &["sleep", "600"]).unwrap().spawn().unwrap();
    let net = format!("--net=/proc/{}/ns/net", hosts[2].pid.unwrap());
    let mut beside = Command::new("nsenter").args([&net, "sleep", "600"]).spawn().unwrap();
    assert!(remains(&lab, &before, &namespaces).len() > 10, "the look itself finds a running lab");

    lab.down().await.unwrap();
    inside.wait().unwrap();
    beside.wait().unwrap();
    assert_eq!(remains(&lab, &before, &namespaces), Vec::<String>::new());
    assert_eq!(lab.status().await.unwrap(), []);
    lab.down().await.unwrap();
}

#[tokio::test]
async fn up_again_adds_hosts_and_leaves_the_others_alone() {
    require!(Lab);
    let lab = TestLab::with(Config { bare: true, ..TestLab::new("tb", 2).config.clone() });
    let first = lab.up(1).await.unwrap();
    let second = lab.up(2).await.unwrap();
    assert_eq!(first[0].pid, second[0].pid);
    assert_eq!(second.len(), 2);
    assert!(!second[1].is_docker_ready, "a bare host has no dockerd");
    assert!(lab.reaches(2, 22, crate::test_lab::REACHABLE));
    let error = lab.dockerd_restart(1).await.unwrap_err();
    assert!(matches!(error, Error::Bare { .. }), "{error}");
}

#[tokio::test]
async fn exec_and_ssh_run_inside_of_the_host() {
    require!(Lab, Command("ssh"));
    let lab = TestLab::with(Config { bare: true, ..TestLab::new("tc", 3).config.clone() });
    lab.up(2).await.unwrap();
    assert_eq!(lab.sh(1, "hostname; cat /etc/hostname"), "tc1\ntc1");
    assert_eq!(lab.sh(2, "cat /proc/1/cmdline | tr '\\0' ' ' | cut -d' ' -f2"), "lab-init");
    let cgroups = lab.sh(1, "cat /proc/self/cgroup");
    assert!(cgroups.lines().any(|line| line.contains("/wharf-lab-tc-h1")), "{cgroups}");
    let output = run(&mut lab.exec_command(1, &["sh", "-c", "exit 7"]).unwrap());
    assert_eq!(output.status.code(), Some(7));
    // Each is reached by its own name and key, knows its neighbours, and has the program.
    assert_eq!(checked(lab.ssh_command(2).unwrap().arg("hostname")), "tc2");
    assert_eq!(
        checked(lab.ssh_command(1).unwrap().args(["getent", "hosts", "tc2"])).split(' ').next(),
        Some("10.87.3.12")
    );
    let usage = run(lab.ssh_command(1).unwrap().arg("wharf"));
    assert!(String::from_utf8_lossy(&usage.stderr).starts_with("usage: wharf-lab-host"), "{usage:?}");
    // What one host writes, neither the other nor this machine sees.
    lab.sh(1, "echo mine > /etc/only-here; echo mine > /root/only-here");
    assert_eq!(lab.sh(2, "ls /etc/only-here /root/only-here 2>/dev/null || echo none"), "none");
    assert!(!fs::exists("/etc/only-here").unwrap());
}

#[tokio::test]
async fn two_labs_live_side_by_side() {
    require!(Lab);
    let (left, right) = (TestLab::new("tl", 4), TestLab::new("tr", 5));
    let (left_up, right_up) = tokio::join!(left.up(2), right.up(2));
    assert_eq!((left_up.unwrap().len(), right_up.unwrap().len()), (2, 2));
    // A lab is reached by its name alone; it keeps the network that it has.
    let named =
        |network: &str| Config { name: "tr".to_owned(), network: network.to_owned(), ..left.config.clone() };
    let by_name = Lab::open(named("10.77.0")).unwrap();
    assert_eq!(by_name.gateway().to_string(), "10.87.5.1");
    assert_eq!(checked(by_name.ssh_command(1).unwrap().arg("hostname")), "tr1");
    assert_eq!(by_name.up(3).await.unwrap()[2].address.to_string(), "10.87.5.13");
    // Another network, asked for by number, is a mistake; so is a lab in one that is taken. Neither leaves a trace.
    assert!(matches!(Lab::open(named("10.87.6")).unwrap().up(1).await, Err(Error::OtherNetwork { .. })));
    let third = TestLab::new("tx", 5);
    let before = Links::now(&third);
    assert!(matches!(third.up(1).await, Err(Error::NetworkTaken { interface, .. }) if interface == "tr-up"));
    assert_eq!(remains(&third, &before, &Namespaces::default()), Vec::<String>::new());
    left.down().await.unwrap();
    for host in right.status().await.unwrap() {
        assert!(host.is_running && host.is_linked && host.is_docker_ready, "{host:?}");
    }
}

#[tokio::test]
async fn wrong_calls_name_what_is_wrong() {
    require!(Lab);
    let lab = TestLab::with(Config { bare: true, ..TestLab::new("te", 6).config.clone() });
    assert!(matches!(lab.cut(1).await, Err(Error::NoSuchHost { .. })), "no lab at all");
    lab.up(1).await.unwrap();
    for index in [0, 2, 255, u32::MAX] {
        assert_eq!(lab.kill(index).await.unwrap_err().code(), ErrorCode::NotFound, "{index}");
    }
    assert!(matches!(lab.start(1).await, Err(Error::AlreadyRunning { .. })));
    assert!(matches!(lab.up(0).await, Err(Error::HostCount { .. })));
    assert!(matches!(lab.up(201).await, Err(Error::HostCount { .. })));
    let by_hand = run(Command::new(PROGRAM).args(["lab-init", "/run/wharf-lab/te/h1/host.json"]));
    assert_eq!(by_hand.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&by_hand.stderr).contains("not by hand"), "{by_hand:?}");
}

#[tokio::test]
async fn a_directory_that_is_no_labs_is_not_touched() {
    require!(Lab);
    let dir = wharf_test_support::temp_dir();
    let other = dir.path().join("tf");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("precious"), "x").unwrap();
    let config = TestLab::new("tf", 7).config.clone();
    let lab = Lab::open(Config { data_dir: dir.path().to_owned(), ..config }).unwrap();
    assert!(matches!(lab.up(1).await, Err(Error::NotOurs { .. })));
    assert!(matches!(lab.down().await, Err(Error::NotOurs { .. })));
    assert_eq!(fs::read_to_string(other.join("precious")).unwrap(), "x");
    assert!(!fs::exists("/run/wharf-lab/tf").unwrap() && !fs::exists("/run/wharf-lab/tf.lock").unwrap());
}

#[tokio::test]
async fn a_half_written_marker_is_a_labs_and_links_are_followed() {
    require!(Lab);
    let dir = wharf_test_support::temp_dir();
    let real = dir.path().join("real");
    let link = dir.path().join("link");
    fs::create_dir_all(real.join("th")).unwrap();
    fs::write(real.join("th/wharf-lab.new"), "{").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let config = Config {
        name: "th".to_owned(),
        network: "10.87.9".to_owned(),
        run_dir: link,
        program: Some(PROGRAM.into()),
        bare: true,
        ..Config::default()
    };
    let lab = Lab::open(config).unwrap();
    lab.down().await.unwrap();
    assert!(!real.exists(), "the last lab takes the shared directory along");
    fs::create_dir(&real).unwrap();
    lab.up(1).await.unwrap();
    assert!(lab.status().await.unwrap()[0].is_linked);
    lab.down().await.unwrap();
    assert!(!real.exists());
}

#[tokio::test]
async fn a_dockerd_that_ends_is_reported_with_its_log() {
    require!(Lab);
    let args = vec!["--no-such-flag".to_owned()];
    let lab = TestLab::with(Config { dockerd_args: args, ..TestLab::new("tg", 8).config.clone() });
    let error = lab.up(1).await.unwrap_err();
    assert!(matches!(error, Error::DockerdEnded { .. }), "{error}");
    assert!(error.to_string().contains("unknown flag: --no-such-flag"), "{error}");
}

/// The kernel's hierarchies are this machine's; on one with v1 the v2 that this mounts has no controllers.
#[test]
fn a_machine_with_only_cgroup_v2_will_do() {
    require!(Lab, Command("busybox"), Command("docker"));
    let lab = TestLab::new("ti", 10);
    let before = Links::now(&lab);
    let script = format!(
        r#"set -e
        umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
        trap '{PROGRAM} down "$CONFIG"' EXIT
        {PROGRAM} up 1 "$CONFIG"
        d=$(mktemp -d) && mkdir $d/bin && cp $(command -v busybox) $d/bin/
        export DOCKER_HOST=unix:///run/wharf-lab/ti/h1/docker.sock DOCKER_API_VERSION=1.41
        tar -C $d -c . | docker import - box && rm -r $d
        docker run -d box /bin/busybox sleep 600
        cd /sys/fs/cgroup/wharf-lab-ti-h1
        echo "pid 1 and its services: $(wc -l < init/cgroup.procs), containers: $(ls -d ?????????????*/ | grep -vc 'cgroup')"
        "#
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).env("CONFIG", lab.json());
    let printed = checked(&mut command);
    let last = printed.lines().last().unwrap();
    assert!(last.starts_with("pid 1 and its services: ") && last.ends_with("containers: 1"), "{printed}");
    assert_eq!(remains(&lab, &before, &Namespaces::default()), Vec::<String>::new());
}

#[test]
fn without_root_the_error_says_so() {
    require!(Root, Command("setpriv"));
    // The target directory may be closed to others.
    let dir = wharf_test_support::temp_dir();
    let program = dir.path().join("program");
    fs::copy(PROGRAM, &program).unwrap();
    checked(Command::new("chmod").args(["755".as_ref(), dir.path().as_os_str(), program.as_os_str()]));
    for command in [&["up", "1", "{}"][..], &["down", "{}"]] {
        let drop = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let output = run(Command::new("setpriv").args(drop).arg(&program).args(command));
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("needs root; hint: run it with sudo"), "{stderr}");
    }
}
