//! Background work: named, joined, panics reported, stopped together within a deadline.
//!
//! A `Tasks` is cheap to clone; all clones share one set. `shutdown()` gives the token that says when to stop;
//! `stop(deadline)` sets it, waits for every task, and returns the names of those that did not end in time (they
//! are aborted). A task that panics is logged as an error with its name, and does not take others down.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// Says when to stop: `cancelled().await` in a `select!`, `is_cancelled()` in a loop.
pub type Shutdown = CancellationToken;

/// The running tasks of one process or one part.
#[derive(Clone, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    shutdown: Shutdown,
    running: Mutex<BTreeMap<u64, (String, AbortHandle)>>,
    ended: Notify,
    next_id: AtomicU64,
    panicked: AtomicU64,
}

/// How a stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskReport {
    /// Names of the tasks that did not end before the deadline and were aborted.
    pub aborted: Vec<String>,
    /// How many tasks panicked over the whole life of the set.
    pub panicked: u64,
}

impl Tasks {
    /// An empty set.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// The token that is cancelled when this set is to stop.
    pub fn shutdown(&self) -> Shutdown {
        self.inner.shutdown.clone()
    }

    /// Starts `future` on the current tokio runtime under `name`, which logs use.
    ///
    /// Panics if there is no tokio runtime.
    pub fn spawn<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let inner = Arc::clone(&self.inner);
        let task_name = name.clone();
        // The entry is written before the task can end: both happen under this lock.
        let mut running = self.inner.running.lock().expect("no holder panics");
        #[expect(clippy::disallowed_methods, reason = "this is the one place that starts tasks")]
        let handle = tokio::spawn(async move {
            let guard = Ended { inner, id };
            if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
                guard.inner.panicked.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = %task_name, panic = %panic_text(&*panic), "task panicked");
            }
        });
        running.insert(id, (name, handle.abort_handle()));
    }

    /// Names of the tasks that run now, sorted.
    pub fn running(&self) -> Vec<String> {
        let running = self.inner.running.lock().expect("no holder panics");
        let mut names: Vec<String> = running.values().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// Tells every task to stop and waits until all have ended or `deadline` has passed; then aborts the rest.
    pub async fn stop(&self, deadline: Duration) -> TaskReport {
        self.inner.shutdown.cancel();
        let all_ended = async {
            loop {
                let ended = self.inner.ended.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                if self.inner.running.lock().expect("no holder panics").is_empty() {
                    return;
                }
                ended.await;
            }
        };
        let mut aborted = Vec::new();
        if tokio::time::timeout(deadline, all_ended).await.is_err() {
            let running = self.inner.running.lock().expect("no holder panics");
            for (name, handle) in running.values() {
                handle.abort();
                aborted.push(name.clone());
            }
            aborted.sort();
            tracing::warn!(tasks = ?aborted, "tasks did not stop in time and were aborted");
        }
        TaskReport { aborted, panicked: self.inner.panicked.load(Ordering::Relaxed) }
    }
}

/// Takes the task off the list when it ends in any way, an abort included.
struct Ended {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.inner.running.lock().expect("no holder panics").remove(&self.id);
        self.inner.ended.notify_waiters();
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_joins_tasks_that_heed_the_token() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        tasks.spawn("waiter", async move { shutdown.cancelled().await });
        assert_eq!(tasks.running(), ["waiter"]);
        let report = tasks.stop(Duration::from_secs(5)).await;
        assert_eq!(report, TaskReport::default());
        assert!(tasks.running().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn stop_aborts_and_names_a_task_that_hangs() {
        let tasks = Tasks::new();
        tasks.spawn("hangs", std::future::pending());
        let report = tasks.stop(Duration::from_secs(1)).await;
        assert_eq!(report.aborted, ["hangs"]);
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_leaves_the_others_running() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        tasks.spawn("good", async move { shutdown.cancelled().await });
        tasks.spawn("bad", async { panic!("as the test wants") });
        while tasks.running().len() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks.running(), ["good"]);
        assert_eq!(tasks.stop(Duration::from_secs(5)).await.panicked, 1);
    }
}
