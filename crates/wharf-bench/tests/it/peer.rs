//! Against nginx: the real server that everybody measures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wharf_base::Tasks;
use wharf_bench::{Load, LoadConfig};
use wharf_test_support::{Child, free_addr, require, temp_dir};

/// Two seconds at the rate of the demonstration; nginx's own log must agree with the count.
#[tokio::test]
async fn two_thousand_per_second_are_really_sent() {
    require!(Command("nginx"));
    let dir = temp_dir();
    let address = free_addr();
    let root = dir.path().display();
    let text = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
         events {{ worker_connections 2048; }}\n\
         http {{ access_log {root}/access.log; keepalive_requests 100000;\n\
         client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
         uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
         server {{ listen {address}; location / {{ return 200 'hello'; }} }} }}\n"
    );
    let path = dir.path().join("nginx.conf");
    fs::write(&path, text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(dir.path()).arg("-c").arg(&path);
    let nginx = Child::spawn(&mut command);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let config = LoadConfig {
        duration: Some(Duration::from_secs(2)),
        ..LoadConfig::new(format!("http://{address}/"), 2000.0)
    };
    let load = Load::start(config, &Tasks::new()).await.unwrap();
    let thread = load_thread().await;
    tokio::time::sleep(Duration::from_millis(1900)).await;
    let seconds = cpu_seconds(&thread);
    load.ended().await;
    let report = load.stop().await;
    eprintln!(
        "generator: {seconds} CPU seconds in 1.9 s; {:?}; late by {} ms",
        report.total, report.lateness_p99_ms
    );
    // The goal is 15 % of a core for a release build; unoptimised on a busy machine 7 to 9 % were measured. Twice
    // the goal says that something is wrong.
    assert!(seconds < 0.57, "{seconds}");
    assert_eq!((report.total.due, report.total.ok, report.total.failed.total()), (4000, 4000, 0));
    assert!(report.total.seconds < 2.5, "{report:?}");
    drop(nginx);
    let log = fs::read_to_string(dir.path().join("access.log")).unwrap();
    assert_eq!(log.lines().count(), 4000);
}

/// Folder of the generator's thread in /proc, once it has given itself its name.
async fn load_thread() -> PathBuf {
    let is_load =
        |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "wharf-load");
    loop {
        let mut threads = fs::read_dir("/proc/self/task").unwrap().flatten().map(|entry| entry.path());
        if let Some(thread) = threads.find(is_load) {
            return thread;
        }
        tokio::task::yield_now().await;
    }
}

/// User and system time of a thread (proc_pid_stat(5), fields 14 and 15, in hundredths of a second).
fn cpu_seconds(thread: &Path) -> f64 {
    let stat = fs::read_to_string(thread.join("stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(|field| field.parse().unwrap()).collect();
    ticks.iter().sum::<f64>() / 100.0
}
