//! The engine against an upstream that goes wrong.

#[path = "../../../tests/it/origin.rs"]
mod origin;

mod documents;
mod faults;
mod fills;

use std::path::Path;
use std::time::Duration;

use wharf_base::{ByteSize, ManualClock};
use wharf_disk::cas::{Algorithm, digest_of};

use super::*;
use crate::store::Limits;
use origin::{Fault, Origin};

struct Bench {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    tasks: Tasks,
    directory: tempfile::TempDir,
}

impl Bench {
    async fn new(cap: u64) -> Bench {
        // In memory where there is such a place: thousands of fsyncs are not what is tested here.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Bench::at(directory.unwrap(), cap).await
    }

    async fn at(directory: tempfile::TempDir, cap: u64) -> Bench {
        let clock = Arc::new(ManualClock::at(UnixMillis(1_700_000_000_000)));
        let limits = Limits { cap, keep_free: 0 };
        let store = Store::open(&directory.path().join("cache"), limits, clock.clone()).await.unwrap();
        let config = Config {
            size_max: ByteSize(cap),
            retry_first: Duration::from_millis(1),
            stall_timeout: Duration::from_millis(100),
            // A kept connection whose other end rests is noticed by this one.
            head_timeout: Duration::from_secs(1),
            ..Config::default()
        };
        let tasks = Tasks::new();
        let engine = Engine::new(&config, store, &tasks).unwrap();
        Bench { engine, clock, tasks, directory }
    }

    /// Ends it as a process ends, and opens the same files again.
    async fn restart(self, cap: u64) -> Bench {
        let Bench { engine, tasks, directory, .. } = self;
        let report = tasks.stop(Duration::from_secs(10)).await;
        assert!(report.aborted.is_empty(), "{report:?}");
        drop(engine);
        Bench::at(directory, cap).await
    }

    async fn read(&self, wanted: &Wanted) -> Result<Vec<u8>, Error> {
        read_all(self.engine.content(wanted.clone()).await?).await
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }
}

/// What a client gets: everything, or an error and maybe a part.
async fn read_all(served: Served) -> Result<Vec<u8>, Error> {
    let mut reader = match served {
        Served::Stored { file, size } => Reader::of_file(file, 0, size),
        Served::Filling(fill) => {
            let size = fill.started().await?;
            Reader::of_fill(fill, 0, size)
        }
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

fn bytes_of(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|index| (index * 7 + index / 251) as u8 ^ seed).collect()
}

fn wanted(origin: &Origin, path: &str, bytes: &[u8], has_size: bool) -> Wanted {
    Wanted {
        ecosystem: Ecosystem::Apt,
        upstream: Arc::new(Upstream::parse(&origin.url()).unwrap()),
        path: path.to_owned(),
        headers: HeaderMap::new(),
        digest: digest_of(Algorithm::Sha256, bytes),
        size: has_size.then_some(bytes.len() as u64),
    }
}
