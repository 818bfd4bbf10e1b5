//! Periodic backups: one every `backup.every`, the newest `backup.keep` are kept.
//!
//! When the next one is due is told by the newest file, so a restart makes none too many and none too few. One that fails
//! is counted, logged, shown as an event, and tried again after an hour at most.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::{Clock, Tasks, UnixMillis};
use wharf_disk::atomic;
use wharf_model::Event;
use wharf_model::ports::EventSink;

use super::{default_directory, file_name, list, make};

/// Longest wait after a failure.
const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// Section `backup` of wharf.yaml: periodic backups of the control plane's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Time between two of them.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub(crate) every: Duration,
    /// How many are kept; 0: none are made.
    pub(crate) keep: usize,
    /// Where they are [default: `backups` in the data directory]. Another disk is better.
    pub(crate) dir: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { every: Duration::from_secs(86_400), keep: 7, dir: None }
    }
}

impl Settings {
    /// Where they are, of a server with this data directory.
    pub(crate) fn directory(&self, data: &Path) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| default_directory(data))
    }
}

/// Starts the task that makes them, if any are wanted.
pub(crate) fn start(
    settings: Settings,
    data: PathBuf,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    tasks: &Tasks,
) {
    if settings.keep == 0 {
        return;
    }
    let shutdown = tasks.shutdown();
    tasks.spawn("backup", async move {
        let directory = settings.directory(&data);
        let mut failures = 0_u64;
        loop {
            let wait = match failures {
                0 => until_due(&directory, settings.every, clock.now()),
                _ => settings.every.min(RETRY_MAX),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
            match one(&settings, &data, &directory, clock.now()).await {
                Ok(file) => {
                    failures = 0;
                    tracing::info!(file = %file.display(), "backup made");
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(error = format!("{error:#}"), failures, "no backup could be made");
                    let message = format!("no backup could be made ({failures} in a row): {error:#}");
                    events.emit(Event::Warning { part: "backup".to_owned(), message });
                }
            }
        }
    });
}

async fn one(settings: &Settings, data: &Path, directory: &Path, now: UnixMillis) -> anyhow::Result<PathBuf> {
    let into = directory.to_owned();
    super::blocking(move || {
        atomic::create_directory(&into)?;
        // Those of a process that was killed while it wrote.
        atomic::remove_temporary(&into)?;
        Ok(())
    })
    .await?;
    let made = make(data, &directory.join(file_name(now)), now).await?;
    let mut all = list(directory);
    let old = all.len().saturating_sub(settings.keep);
    for file in all.drain(..old) {
        atomic::remove(&file)?;
    }
    Ok(made.file)
}

/// How long until the next backup, by the age of the newest.
fn until_due(directory: &Path, every: Duration, now: UnixMillis) -> Duration {
    let newest = list(directory).pop().and_then(|file| std::fs::metadata(file).ok()?.modified().ok());
    let Some(newest) = newest.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()) else {
        // None yet. Not at once: a start has enough to do.
        return every.min(Duration::from_secs(60));
    };
    let age = Duration::from_millis(now.0.unsigned_abs()).saturating_sub(newest);
    every.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_is_due_by_the_age_of_the_newest() {
        let directory = wharf_test_support::temp_dir();
        let (now, hour) = (UnixMillis(1_800_000_000_000), Duration::from_secs(3_600));
        assert_eq!(until_due(directory.path(), hour, now), Duration::from_secs(60));
        let path = directory.path().join(file_name(now));
        let at = |before: Duration| {
            let file = std::fs::File::create(&path).unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_millis(now.0.unsigned_abs()) - before;
            file.set_modified(time).unwrap();
        };
        at(hour / 4);
        assert_eq!(until_due(directory.path(), hour, now), hour / 4 * 3);
        at(hour * 2);
        assert_eq!(until_due(directory.path(), hour, now), Duration::ZERO);
    }
}
