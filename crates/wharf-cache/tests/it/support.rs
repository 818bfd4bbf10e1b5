//! A cache that runs, a client that asks it, an archive behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wharf_base::{ManualClock, Tasks, UnixMillis};
use wharf_cache::{AptConfig, Config, Deps, Handle};
use wharf_disk::cas::{Algorithm, digest_of};

use crate::origin::Origin;

pub(crate) struct Cache {
    pub(crate) handle: Handle,
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    tasks: Tasks,
}

impl Cache {
    pub(crate) async fn start(data: &Path, origin: &Origin) -> Cache {
        let config = Config {
            enabled: true,
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            disk_free_min: wharf_base::ByteSize(0),
            retry_first: Duration::from_millis(1),
            apt: AptConfig { upstreams: Some(vec![origin.url()]) },
            ..Config::default()
        };
        let clock = Arc::new(ManualClock::at(UnixMillis(1_700_000_000_000)));
        let tasks = Tasks::new();
        let deps = Deps { data: data.to_owned(), clock: clock.clone() };
        let handle = wharf_cache::start(config, deps, &tasks).await.unwrap();
        let address = handle.addresses()[0];
        Cache { handle, address, clock, tasks }
    }

    pub(crate) async fn stop(self) {
        let Cache { handle, tasks, .. } = self;
        let report = tasks.stop(Duration::from_secs(20)).await;
        assert!(report.aborted.is_empty() && report.panicked == 0, "{report:?}");
        drop(handle);
    }

    /// Sends one request with this target and these header lines.
    pub(crate) async fn ask(&self, target: &str, more: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A body that is cut off ends with a reset or with too few bytes; both are seen below.
        let _ = stream.read_to_end(&mut bytes).await;
        Answer::parse(&bytes)
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask(target, "").await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the body is as long as the head promises.
    pub(crate) fn is_whole(&self) -> bool {
        self.header("content-length").is_some_and(|length| length.parse() == Ok(self.body.len()))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest_of(Algorithm::Sha256, bytes).hex().to_owned()
}

/// A line of the list in a release file.
pub(crate) fn listed(name: &str, bytes: &[u8]) -> String {
    format!(" {} {} {name}\n", sha256(bytes), bytes.len())
}

/// Publishes an archive with these .debs (`pool/…` and bytes) under `/debian`, suite `x`; returns its Packages.
pub(crate) fn publish(origin: &Origin, debs: &[(&str, &[u8])], by_hash: bool) -> String {
    let mut packages = String::new();
    for (path, bytes) in debs {
        origin.put(&format!("/debian/{path}"), *bytes);
        let name = path.rsplit('/').next().unwrap().split('_').next().unwrap();
        packages += &format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\nFilename: {path}\nSize: {}\nSHA256: {}\n\n",
            bytes.len(),
            sha256(bytes)
        );
    }
    publish_index(origin, &packages, by_hash);
    origin.put("/debian/dists/x/InRelease", in_release(&packages, by_hash));
    packages
}

pub(crate) fn publish_index(origin: &Origin, packages: &str, by_hash: bool) {
    origin.put("/debian/dists/x/main/binary-amd64/Packages", packages);
    if by_hash {
        let hex = sha256(packages.as_bytes());
        origin.put(&format!("/debian/dists/x/main/binary-amd64/by-hash/SHA256/{hex}"), packages);
    }
}

pub(crate) fn in_release(packages: &str, by_hash: bool) -> String {
    let by_hash = if by_hash { "Acquire-By-Hash: yes\n" } else { "" };
    let list = listed("main/binary-amd64/Packages", packages.as_bytes());
    format!(
        "Origin: x\nSuite: x\nCodename: x\nArchitectures: amd64 all\nComponents: main\n{by_hash}Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{list}"
    )
}
