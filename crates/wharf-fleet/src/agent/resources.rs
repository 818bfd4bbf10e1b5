//! How much of the host is in use, read when a report goes out: `/proc` and the file system of the Engine's directory.
//!
//! Reports follow each other closely while containers start; a sample younger than [`SAMPLE_AGE_MAX`] is sent again then, so
//! that the share of the CPUs is a mean over a time that means something. What can't be read is left out: an agent in a
//! container without the host's `/proc` still reports its containers.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use wharf_model::HostResources;

/// Younger samples are used again.
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(5);

/// Takes samples; knows the one before.
#[derive(Default)]
pub(crate) struct Sampler {
    last: Option<(Instant, HostResources)>,
    times: Option<CpuTimes>,
}

/// Clock ticks since the boot, over all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CpuTimes {
    busy: u64,
    all: u64,
}

impl Sampler {
    /// The resources now. `docker_root` is the Engine's directory; empty while it is not known.
    pub(crate) async fn sample(&mut self, docker_root: &str) -> Option<HostResources> {
        if let Some((at, resources)) = &self.last
            && at.elapsed() < SAMPLE_AGE_MAX
            && (resources.disk_path.is_some() || docker_root.is_empty())
        {
            return Some(resources.clone());
        }
        let (root, before) = (docker_root.to_owned(), self.times);
        // A file system that hangs must not hold up the connection's task.
        let (resources, times) = crate::blocking(move || read(&root, before)).await;
        self.times = times.or(self.times);
        if resources == HostResources::default() {
            return None;
        }
        self.last = Some((Instant::now(), resources.clone()));
        Some(resources)
    }
}

fn read(docker_root: &str, before: Option<CpuTimes>) -> (HostResources, Option<CpuTimes>) {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let times = cpu_times(&text("/proc/stat"));
    let space = Some(docker_root).filter(|root| !root.is_empty());
    let space = space.and_then(|root| Some((root, wharf_disk::space(Path::new(root)).ok()?)));
    let resources = HostResources {
        load: load(&text("/proc/loadavg")),
        cpu_busy: before.zip(times).and_then(|(before, now)| busy_share(before, now)),
        memory_available_bytes: memory_available(&text("/proc/meminfo")),
        disk_path: space.map(|(root, _)| root.to_owned()),
        disk_bytes: space.map(|(_, space)| space.total_bytes),
        disk_free_bytes: space.map(|(_, space)| space.free_bytes),
    };
    (resources, times)
}

/// `0.20 0.18 0.12 1/80 11206` (proc(5), `/proc/loadavg`).
fn load(text: &str) -> Option<[f64; 3]> {
    let mut numbers =
        text.split_whitespace().map(|word| word.parse::<f64>().ok().filter(|one| one.is_finite()));
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// The line `MemAvailable:   24023884 kB` (proc(5), `/proc/meminfo`), in bytes.
fn memory_available(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The first line of `/proc/stat`: `cpu user nice system idle iowait irq softirq steal …` (proc(5)). Guests' time is part
/// of the user's, so only the first eight count.
fn cpu_times(text: &str) -> Option<CpuTimes> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Option<Vec<u64>> = line.split_whitespace().take(8).map(|word| word.parse().ok()).collect();
    let ticks = ticks.filter(|ticks| ticks.len() >= 4)?;
    let all = ticks.iter().try_fold(0_u64, |sum, tick| sum.checked_add(*tick))?;
    let idle = ticks[3] + ticks.get(4).unwrap_or(&0);
    Some(CpuTimes { busy: all - idle, all })
}

/// From 0 to 1; `None` when no time has passed, or when the counters went back (iowait may, proc(5)).
fn busy_share(before: CpuTimes, now: CpuTimes) -> Option<f64> {
    let all = now.all.checked_sub(before.all).filter(|ticks| *ticks > 0)?;
    let busy = now.busy.checked_sub(before.busy)?.min(all);
    #[expect(clippy::cast_precision_loss, reason = "ticks between two samples are far below 2^52")]
    Some(busy as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(load("0.20 0.18 0.12 1/80 11206\n"), Some([0.20, 0.18, 0.12]));
        let memory = "MemTotal:       24623884 kB\nMemFree:   1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(memory_available(memory), Some(2 << 20));
        let stat = "cpu  100 5 50 800 40 1 2 2 7 9\ncpu0 1 2 3 4\n";
        assert_eq!(cpu_times(stat), Some(CpuTimes { busy: 160, all: 1_000 }));
    }

    #[test]
    fn what_is_not_as_the_manual_says_is_not_known() {
        for text in ["", "x", "1 2", "NaN 1 2", "1 inf 2"] {
            assert_eq!(load(text), None, "{text}");
        }
        for text in ["", "MemAvailable:", "MemAvailable: x kB", "MemAvailable: 18446744073709551615 kB"] {
            assert_eq!(memory_available(text), None, "{text}");
        }
        for text in ["", "cpu0 1 2 3 4", "cpu 1 2 3", "cpu 1 2 x 4", "cpu 18446744073709551615 1 1 1"] {
            assert_eq!(cpu_times(text), None, "{text}");
        }
    }

    #[test]
    fn the_busy_share_is_of_the_time_between_two_samples() {
        let times = |busy, all| CpuTimes { busy, all };
        assert_eq!(busy_share(times(10, 100), times(35, 200)), Some(0.25));
        assert_eq!(busy_share(times(10, 100), times(10, 100)), None);
        assert_eq!(busy_share(times(10, 200), times(10, 100)), None);
        assert_eq!(busy_share(times(20, 100), times(10, 200)), None, "a counter went back");
    }

    #[tokio::test]
    async fn this_machine_has_resources_and_a_young_sample_is_used_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().to_str().unwrap();
        let mut sampler = Sampler::default();
        let first = sampler.sample(root).await.unwrap();
        assert!(first.load.is_some() && first.memory_available_bytes.is_some_and(|bytes| bytes > 0));
        assert!(first.disk_bytes >= first.disk_free_bytes && first.disk_bytes.is_some());
        assert_eq!(sampler.sample(root).await.unwrap(), first);
        let without = Sampler::default().sample("/no/such/directory").await.unwrap();
        assert_eq!((without.disk_path, without.disk_bytes), (None, None));
    }
}
