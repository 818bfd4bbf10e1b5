//! The log of everything that changed state: stored first, broadcast then.
//!
//! One thread takes events from a bounded queue, writes each waiting batch in one transaction of the database and sends
//! the records to a broadcast channel. The console's activity feed and the audit log are both this list.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc};
use wharf_base::{Clock, Tasks, UnixMillis};
use wharf_model::ports::EventSink;
use wharf_model::{Event, EventRecord};

use crate::{Database, Error, Migration};

const MIGRATIONS: &[Migration] = &["CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    event TEXT NOT NULL
) STRICT;"];

/// LIMIT: events that wait to be stored. A build of 10,000 lines a second would have to wait a second on the disk.
const WAITING_MAX: usize = 10_000;
/// LIMIT: events that a slow listener may lag behind before it is told that it missed some.
const BROADCAST_MAX: usize = 4_096;
/// LIMIT: events kept on disk; older ones are removed. About 60 MB.
const KEPT_MAX: i64 = 200_000;

/// The event log; clones share it.
#[derive(Clone)]
pub struct EventLog {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    clock: Arc<dyn Clock>,
    queue: mpsc::Sender<(UnixMillis, Event)>,
    broadcast: broadcast::Sender<EventRecord>,
    stored: AtomicU64,
    dropped: AtomicU64,
}

/// Counters of the event log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventLogStats {
    /// Events stored since the start.
    pub stored: u64,
    /// Events lost because the queue was full or the disk refused.
    pub dropped: u64,
}

impl EventLog {
    /// Opens the log in `database` and starts its task. When `tasks` stops, what waits is stored before the task ends.
    pub async fn open(database: Database, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<EventLog, Error> {
        database.migrate("event", MIGRATIONS).await?;
        let (queue, receiver) = mpsc::channel(WAITING_MAX);
        let (broadcast, _) = broadcast::channel(BROADCAST_MAX);
        let (stored, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        let inner = Arc::new(Inner { database, clock, queue, broadcast, stored, dropped });
        tasks.spawn("event-log", store_loop(Arc::clone(&inner), receiver, tasks.shutdown()));
        Ok(EventLog { inner })
    }

    /// Records from now on. A listener that lags by more than 4,096 gets `Lagged` and should read [`EventLog::after`].
    pub fn subscribe(&self) -> broadcast::Receiver<EventRecord> {
        self.inner.broadcast.subscribe()
    }

    /// At most `limit` records with an id above `id`, oldest first.
    pub async fn after(&self, id: u64, limit: usize) -> Result<Vec<EventRecord>, Error> {
        let sql = "SELECT id, at, event FROM event WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.query(sql, id, limit).await
    }

    /// The newest `limit` records, oldest of them first.
    pub async fn newest(&self, limit: usize) -> Result<Vec<EventRecord>, Error> {
        let sql = "SELECT id, at, event FROM
                   (SELECT * FROM event WHERE id > ?1 ORDER BY id DESC LIMIT ?2) AS newest ORDER BY id";
        self.query(sql, 0, limit).await
    }

    /// At most `limit` of the newest records with an id below `id`, oldest of them first.
    pub async fn before(&self, id: u64, limit: usize) -> Result<Vec<EventRecord>, Error> {
        let sql = "SELECT id, at, event FROM (SELECT * FROM event WHERE id < ?1 ORDER BY id DESC LIMIT ?2) AS older ORDER BY id";
        self.query(sql, id, limit).await
    }

    /// Counters since the start.
    pub fn stats(&self) -> EventLogStats {
        EventLogStats {
            stored: self.inner.stored.load(Ordering::Relaxed),
            dropped: self.inner.dropped.load(Ordering::Relaxed),
        }
    }

    async fn query(&self, sql: &'static str, id: u64, limit: usize) -> Result<Vec<EventRecord>, Error> {
        let arguments = (i64::try_from(id).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
        self.inner
            .database
            .read(move |connection| {
                let records = connection.query_map(sql, arguments, |row| {
                    let (id, at): (i64, i64) = (row.get(0)?, row.get(1)?);
                    // An event that only a newer Wharf knows is left out, not an error: the rest still tells its story.
                    let event = serde_json::from_str(&row.get::<String>(2)?).ok();
                    Ok(event.map(|event| EventRecord { id: id as u64, at: UnixMillis(at), event }))
                })?;
                Ok(records.into_iter().flatten().collect())
            })
            .await
    }
}

impl EventSink for EventLog {
    fn emit(&self, event: Event) {
        let at = self.inner.clock.now();
        if let Err(error) = self.inner.queue.try_send((at, event)) {
            self.inner.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "an event was dropped");
        }
    }
}

async fn store_loop(
    inner: Arc<Inner>,
    mut queue: mpsc::Receiver<(UnixMillis, Event)>,
    shutdown: wharf_base::Shutdown,
) {
    // LIMIT: events in one transaction; a batch of this size takes a few milliseconds.
    const BATCH_MAX: usize = 512;
    loop {
        let mut batch = Vec::new();
        let count = tokio::select! {
            count = queue.recv_many(&mut batch, BATCH_MAX) => count,
            () = shutdown.cancelled() => {
                // What other parts say while they stop still counts; the queue is read until it is empty.
                queue.close();
                queue.recv_many(&mut batch, WAITING_MAX).await
            }
        };
        if count == 0 {
            return;
        }
        store(&inner, batch).await;
    }
}

async fn store(inner: &Inner, batch: Vec<(UnixMillis, Event)>) {
    let count = batch.len() as u64;
    let result = inner
        .database
        .write(move |transaction| {
            let mut records = Vec::with_capacity(batch.len());
            let insert = "INSERT INTO event (at, event) VALUES (?1, ?2) RETURNING id";
            for (at, event) in batch {
                let text = serde_json::to_string(&event).expect("events are plain data");
                let id: i64 = transaction.query_row(insert, (at.0, text), |row| row.get(0))?;
                records.push(EventRecord { id: id as u64, at, event });
            }
            if let Some(last) = records.last()
                && last.id % 1_000 < records.len() as u64
            {
                transaction.execute("DELETE FROM event WHERE id <= ?1", [last.id as i64 - KEPT_MAX])?;
            }
            Ok(records)
        })
        .await;
    match result {
        Ok(records) => {
            inner.stored.fetch_add(count, Ordering::Relaxed);
            for record in records {
                // No listener is no error.
                let _ = inner.broadcast.send(record);
            }
        }
        Err(error) => {
            inner.dropped.fetch_add(count, Ordering::Relaxed);
            tracing::error!(%error, count, "events could not be stored");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wharf_base::ManualClock;

    use super::*;

    fn warning(message: &str) -> Event {
        Event::Warning { part: "test".to_owned(), message: message.to_owned() }
    }

    #[tokio::test]
    async fn an_event_is_on_disk_before_anybody_hears_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("state.db")).unwrap();
        let tasks = Tasks::new();
        let clock = Arc::new(ManualClock::at(UnixMillis(7)));
        let log = EventLog::open(database, clock, &tasks).await.unwrap();
        let mut listener = log.subscribe();
        log.emit(warning("one"));
        let heard = listener.recv().await.unwrap();
        assert_eq!(log.after(0, 10).await.unwrap(), std::slice::from_ref(&heard));
        assert_eq!((heard.id, heard.at), (1, UnixMillis(7)));
    }

    #[tokio::test]
    async fn what_waits_is_stored_when_the_process_stops() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let tasks = Tasks::new();
        let clock = Arc::new(ManualClock::default());
        let log = EventLog::open(Database::open(&path).unwrap(), clock, &tasks).await.unwrap();
        for number in 0..1_000 {
            log.emit(warning(&number.to_string()));
        }
        assert!(tasks.stop(Duration::from_secs(30)).await.aborted.is_empty());
        assert_eq!(log.stats(), EventLogStats { stored: 1_000, dropped: 0 });
        assert_eq!(log.newest(1).await.unwrap()[0].event, warning("999"));
    }
}
