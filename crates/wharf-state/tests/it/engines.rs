//! What both engines must do alike: each test here runs on SQLite and on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use wharf_base::{ErrorCode, ManualClock, Tasks, UnixMillis};
use wharf_model::Event;
use wharf_model::ports::EventSink as _;
use wharf_state::{
    Database, Error, EventLog, EventLogStats, Migration, OptionalExtension as _, Row, SqlError,
};

use crate::place::Place;

macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Place::sqlite()).await;
            })*
        }
        mod postgresql {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                wharf_test_support::require!(Postgres);
                super::$name(super::Place::postgres()).await;
            })*
        }
    };
}

on_both! {
    a_write_is_seen_by_the_next_read_and_after_reopening
    a_failed_write_takes_no_other_along
    a_state_of_a_newer_wharf_is_refused
    migrations_run_once_each_and_in_order
    values_come_back_as_they_were
    statements_mean_the_same
    texts_sort_by_their_bytes
    a_closure_that_goes_on_after_an_error_keeps_nothing_half
    events_are_stored_before_anybody_hears_of_them
    what_waits_is_stored_when_the_process_stops
}

const MIGRATIONS: &[Migration] = &[
    "CREATE TABLE item (name TEXT PRIMARY KEY) STRICT;",
    "CREATE TABLE value (
         id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER, text TEXT, bytes BLOB, flag INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     CREATE UNIQUE INDEX value_flag ON value (number) WHERE flag = 1;",
];

async fn ready(place: &mut Place) -> Database {
    let database = place.open().await;
    database.migrate("test", MIGRATIONS).await.unwrap();
    database
}

async fn insert(database: &Database, name: &str) -> Result<usize, Error> {
    let name = name.to_owned();
    database.write(move |tx| tx.execute("INSERT INTO item VALUES (?1)", [name])).await
}

async fn names(database: &Database) -> Vec<String> {
    let sql = "SELECT name FROM item ORDER BY name";
    database.read(move |connection| connection.query_map(sql, (), |row| row.get(0))).await.unwrap()
}

async fn a_write_is_seen_by_the_next_read_and_after_reopening(mut place: Place) {
    let database = ready(&mut place).await;
    insert(&database, "a").await.unwrap();
    assert_eq!(names(&database).await, ["a"]);
    drop(database);
    assert_eq!(names(&ready(&mut place).await).await, ["a"]);
}

async fn a_failed_write_takes_no_other_along(mut place: Place) {
    let database = ready(&mut place).await;
    // Side by side, so that they share commits.
    let writes = (0..200).map(|number| {
        let database = database.clone();
        // Each name is there twice.
        tokio::spawn(async move { insert(&database, &format!("{:03}", number / 2)).await })
    });
    let mut refused = 0;
    for write in writes.collect::<Vec<_>>() {
        if let Err(error) = write.await.unwrap() {
            assert_eq!(error.code(), ErrorCode::AlreadyExists, "{error}");
            refused += 1;
        }
    }
    assert_eq!((refused, names(&database).await.len()), (100, 100));
}

async fn a_state_of_a_newer_wharf_is_refused(mut place: Place) {
    let database = ready(&mut place).await;
    database.write(|tx| tx.execute("UPDATE migration SET version = 9", ())).await.unwrap();
    let error = database.migrate("test", MIGRATIONS).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 9, known: 2, .. }), "{error}");
}

async fn migrations_run_once_each_and_in_order(mut place: Place) {
    let database = place.open().await;
    database.migrate("test", &MIGRATIONS[..1]).await.unwrap();
    insert(&database, "kept").await.unwrap();
    database.migrate("test", MIGRATIONS).await.unwrap();
    database.migrate("test", MIGRATIONS).await.unwrap();
    assert_eq!(names(&database).await, ["kept"]);
    const BROKEN: &[Migration] = &["CREATE TABLE half (name TEXT) STRICT; INSERT INTO nowhere VALUES (1);"];
    database.migrate("broken", BROKEN).await.unwrap_err();
    database.migrate("broken", &["CREATE TABLE half (name TEXT) STRICT;"]).await.unwrap();
}

type Values = (Option<i64>, Option<String>, Option<Vec<u8>>, bool);

async fn values_come_back_as_they_were(mut place: Place) {
    let database = ready(&mut place).await;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(1));
    // PostgreSQL's texts can't hold NUL, and ours never do: records are JSON.
    let one = (
        any::<Option<i64>>(),
        proptest::option::of("[^\\x00]{0,40}"),
        any::<Option<Vec<u8>>>(),
        any::<bool>(),
    );
    let tree = proptest::collection::vec(one, 300).new_tree(&mut runner).unwrap();
    let mut all: Vec<Values> = tree.current();
    all.push((Some(i64::MIN), Some(String::new()), Some(Vec::new()), true));
    all.push((Some(i64::MAX), Some("ä\u{1f600}'?1\n".to_owned()), Some(vec![0, 255]), false));
    let stored = all.clone();
    database
        .write(move |tx| {
            for (number, text, bytes, _) in &stored {
                let sql = "INSERT INTO value (number, text, bytes, flag) VALUES (?1, ?2, ?3, ?4)";
                tx.execute(sql, (number, text, bytes, false))?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let sql = "SELECT number, text, bytes, flag FROM value ORDER BY id";
    let found: Vec<Values> = database.read(move |c| c.query_map(sql, (), read)).await.unwrap();
    all.iter_mut().for_each(|values| values.3 = false);
    assert_eq!(found, all);
}

async fn statements_mean_the_same(mut place: Place) {
    let database = ready(&mut place).await;
    let id = |name: &'static str| {
        let database = database.clone();
        async move {
            let sql = "INSERT INTO value (text, number) VALUES (?1, 1) RETURNING id";
            database.write(move |tx| tx.query_row(sql, [name], |row| row.get::<i64>(0))).await.unwrap()
        }
    };
    let (one, two) = (id("one").await, id("two").await);
    assert!(two > one);
    database
        .write(|tx| {
            let none: Option<i64> =
                tx.query_row("SELECT number FROM value WHERE id = 99", (), |row| row.get(0)).optional()?;
            assert_eq!(none, None);
            assert_eq!(
                tx.query_row("SELECT COALESCE(MAX(number), 0) + 1 FROM value", (), |row| row.get::<u32>(0))?,
                2
            );
            assert_eq!(
                tx.query_row(
                    "SELECT count(*) FROM value WHERE CAST(?1 AS TEXT) IS NULL OR text = ?1",
                    [None::<String>],
                    |row| row.get::<i64>(0)
                )?,
                2
            );
            assert_eq!(tx.execute("UPDATE value SET number = ?1 WHERE number IS DISTINCT FROM ?1", [1])?, 0);
            assert_eq!(tx.execute("UPDATE value SET flag = 1 WHERE text = 'one'", ())?, 1);
            let upsert = "INSERT INTO item VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = excluded.name";
            assert_eq!(tx.execute(upsert, ["x"])? + tx.execute(upsert, ["x"])?, 2);
            assert_eq!(tx.execute("INSERT INTO item VALUES (?1) ON CONFLICT DO NOTHING", ["x"])?, 0);
            let text: Result<String, SqlError> =
                tx.query_row("SELECT number FROM value LIMIT 1", (), |row| row.get(0));
            assert!(matches!(text, Err(SqlError::Column { index: 0, .. })), "{text:?}");
            Ok(())
        })
        .await
        .unwrap();
    let taken = database
        .write(|tx| tx.execute("UPDATE value SET flag = 1 WHERE text = 'two'", ()))
        .await
        .unwrap_err();
    assert_eq!(taken.code(), ErrorCode::AlreadyExists, "a partial index holds: {taken}");
    let wrong = database
        .read(|c| c.query_map("SELECT nothing FROM item", (), |row| row.get::<i64>(0)))
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::Internal);
    insert(&database, "after errors all goes on").await.unwrap();
}

async fn texts_sort_by_their_bytes(mut place: Place) {
    let database = ready(&mut place).await;
    let sorted = ["-", "A", "B", "a", "a-b", "aB", "ab", "ä"];
    for name in sorted.iter().rev() {
        insert(&database, name).await.unwrap();
    }
    assert_eq!(names(&database).await, sorted);
}

async fn a_closure_that_goes_on_after_an_error_keeps_nothing_half(mut place: Place) {
    let database = ready(&mut place).await;
    insert(&database, "taken").await.unwrap();
    // SQLite goes on, PostgreSQL does not: ours may not do it, but a slip must not look like success.
    let slip = database.write(|tx| {
        let refused = tx.execute("INSERT INTO item VALUES ('taken')", ());
        assert!(matches!(refused, Err(SqlError::Taken(_))), "{refused:?}");
        tx.execute("INSERT INTO item VALUES ('slip')", ())
    });
    let is_kept = slip.await.is_ok();
    insert(&database, "next").await.unwrap();
    assert_eq!(names(&database).await.contains(&"slip".to_owned()), is_kept);
}

fn warning(message: &str) -> Event {
    Event::Warning { part: "test".to_owned(), message: message.to_owned() }
}

async fn events_are_stored_before_anybody_hears_of_them(mut place: Place) {
    let tasks = Tasks::new();
    let clock = Arc::new(ManualClock::at(UnixMillis(7)));
    let log = EventLog::open(place.open().await, clock, &tasks).await.unwrap();
    let mut listener = log.subscribe();
    log.emit(warning("one"));
    let heard = listener.recv().await.unwrap();
    assert_eq!(log.after(0, 10).await.unwrap(), std::slice::from_ref(&heard));
    assert_eq!((heard.id, heard.at), (1, UnixMillis(7)));
    log.emit(warning("two"));
    let second = listener.recv().await.unwrap();
    assert_eq!(log.newest(1).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(log.before(second.id, 10).await.unwrap(), [heard]);
    tasks.stop(Duration::from_secs(30)).await;
}

async fn what_waits_is_stored_when_the_process_stops(mut place: Place) {
    let tasks = Tasks::new();
    let log = EventLog::open(place.open().await, Arc::new(ManualClock::default()), &tasks).await.unwrap();
    for number in 0..1_000 {
        log.emit(warning(&number.to_string()));
    }
    assert!(tasks.stop(Duration::from_secs(30)).await.aborted.is_empty());
    assert_eq!(log.stats(), EventLogStats { stored: 1_000, dropped: 0 });
    assert_eq!(log.newest(1).await.unwrap()[0].event, warning("999"));
}
