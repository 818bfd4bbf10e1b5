//! One SQLite file: a writer thread with group commit, and readers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags, Savepoint};
use tokio::sync::{mpsc, oneshot};
use wharf_base::ErrorCode;

/// SQL that brings a part's tables from version `n - 1` to `n`, where `n` is its place in the list, from 1.
/// A migration that has landed is never edited: a change is a new entry.
pub type Migration = &'static str;

/// LIMIT: writes that wait for the writer thread; more senders wait in turn.
const WRITES_WAITING_MAX: usize = 1_024;
/// LIMIT: writes that share one commit. 128 small writes take about 2 ms, so a waiting caller hardly notices.
const WRITES_PER_COMMIT_MAX: usize = 128;
/// LIMIT: idle reader connections that are kept.
const READERS_IDLE_MAX: usize = 4;

/// What can go wrong with the control state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be opened or is no database of ours.
    #[error("cannot open the state database {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer Wharf has written this file.
    #[error(
        "the state of `{part}` has version {found}, this wharf knows {known}\n  hint: run the newer wharf, or restore a backup"
    )]
    Newer {
        /// Part that owns the tables.
        part: String,
        /// Version in the file.
        found: usize,
        /// Version that this program knows.
        known: usize,
    },
    /// A statement failed; nothing of its transaction was kept.
    #[error("the state database refused a statement: {0}")]
    Sql(#[from] rusqlite::Error),
    /// The commit failed (disk full, fsync failed). The database stops taking writes.
    #[error("the state database cannot commit: {0}\n  hint: check the disk, then restart wharf")]
    Commit(String),
    /// The writer has ended: the process stops, or an earlier commit failed.
    #[error("the state database takes no more writes")]
    Closed,
}

impl Error {
    /// How a caller may act on it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Error::Sql(rusqlite::Error::QueryReturnedNoRows) => ErrorCode::NotFound,
            Error::Sql(rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == rusqlite::ErrorCode::ConstraintViolation =>
            {
                ErrorCode::AlreadyExists
            }
            Error::Open { .. } | Error::Newer { .. } | Error::Sql(_) => ErrorCode::Internal,
            Error::Commit(_) | Error::Closed => ErrorCode::Unavailable,
        }
    }
}

/// A write: runs on the writer thread and returns what to do with the result once the commit is known.
type Write = Box<dyn FnOnce(&mut Connection) -> Answer + Send>;
/// Told `Ok` after the commit, `Err` when it failed.
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

/// A handle to the database; clones share it. The file is closed when the last clone is gone.
#[derive(Clone)]
pub struct Database {
    writes: mpsc::Sender<Write>,
    readers: Arc<Readers>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Database {
    /// Opens or makes the file at `path`; its directory must exist.
    pub fn open(path: &Path) -> Result<Database, Error> {
        let open_error = |source| Error::Open { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(open_error)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;
                 CREATE TABLE IF NOT EXISTS migration (part TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;",
            )
            .map_err(open_error)?;
        let (writes, receiver) = mpsc::channel(WRITES_WAITING_MAX);
        std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || write_loop(connection, receiver))
            .map_err(|error| open_error(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let readers = Arc::new(Readers { path: path.to_owned(), idle: Mutex::new(Vec::new()) });
        Ok(Database { writes, readers })
    }

    /// Brings the tables of `part` up to date; each migration runs once, in its own transaction.
    ///
    /// Errors: `Newer` when the file knows more migrations than this program.
    pub async fn migrate(&self, part: &'static str, migrations: &'static [Migration]) -> Result<(), Error> {
        let found: usize = self
            .read(move |connection| {
                let mut statement = connection.prepare("SELECT version FROM migration WHERE part = ?1")?;
                let mut rows = statement.query([part])?;
                Ok(rows.next()?.map_or(Ok(0), |row| row.get::<_, i64>(0))? as usize)
            })
            .await?;
        if found > migrations.len() {
            return Err(Error::Newer { part: part.to_owned(), found, known: migrations.len() });
        }
        for (index, sql) in migrations.iter().enumerate().skip(found) {
            self.write(move |transaction| {
                transaction.execute_batch(sql)?;
                transaction.execute(
                    "INSERT INTO migration (part, version) VALUES (?1, ?2)
                     ON CONFLICT (part) DO UPDATE SET version = excluded.version",
                    (part, (index + 1) as i64),
                )?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Runs `change` in a transaction on the writer thread. Returns after the commit is on disk; an `Err` of
    /// `change` rolls it back. `change` must not block on anything but the database.
    pub async fn write<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Savepoint<'_>) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let write: Write = Box::new(move |connection| {
            let result = in_savepoint(connection, change);
            Box::new(move |commit: Result<(), String>| {
                let answer = match (result, commit) {
                    (Err(error), _) => Err(Error::Sql(error)),
                    (Ok(_), Err(message)) => Err(Error::Commit(message)),
                    (Ok(value), Ok(())) => Ok(value),
                };
                // A caller that went away does not undo its write.
                let _ = sender.send(answer);
            })
        });
        self.writes.send(write).await.map_err(|_| Error::Closed)?;
        receiver.await.map_err(|_| Error::Closed)?
    }

    /// Runs `query` on a connection that sees the last commit. It runs on a blocking thread and may take its time.
    pub async fn read<T, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let work = move || readers.with(query);
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
    }

    /// Like [`Database::read`], on the calling thread: for start-up and for blocking threads.
    pub fn read_blocking<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        self.readers.with(query)
    }
}

impl Readers {
    fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Result<T, Error> {
        let idle = self.idle.lock().expect("no holder panics").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                connection.execute_batch("PRAGMA query_only=ON; PRAGMA busy_timeout=5000;")?;
                connection
            }
        };
        let result = query(&connection);
        let mut idle = self.idle.lock().expect("no holder panics");
        if idle.len() < READERS_IDLE_MAX {
            idle.push(connection);
        }
        Ok(result?)
    }
}

fn in_savepoint<T>(
    connection: &mut Connection,
    change: impl FnOnce(&Savepoint<'_>) -> Result<T, rusqlite::Error>,
) -> Result<T, rusqlite::Error> {
    let savepoint = connection.savepoint()?;
    let value = change(&savepoint)?;
    savepoint.commit()?;
    Ok(value)
}

fn write_loop(mut connection: Connection, mut writes: mpsc::Receiver<Write>) {
    while let Some(first) = writes.blocking_recv() {
        let mut answers: Vec<Answer> = Vec::new();
        let begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| error.to_string());
        if begun.is_ok() {
            answers.push(first(&mut connection));
            while answers.len() < WRITES_PER_COMMIT_MAX {
                match writes.try_recv() {
                    Ok(write) => answers.push(write(&mut connection)),
                    Err(_) => break,
                }
            }
        }
        let committed =
            begun.and_then(|()| connection.execute_batch("COMMIT").map_err(|error| error.to_string()));
        if let Err(message) = &committed {
            // After a failed fsync the kernel may have dropped the dirty pages: nothing later can be trusted.
            tracing::error!(error = %message, "the state database cannot commit; it takes no more writes");
        }
        for answer in answers {
            answer(committed.clone());
        }
        if committed.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIGRATIONS: &[Migration] = &["CREATE TABLE item (name TEXT PRIMARY KEY) STRICT;"];

    async fn open(directory: &Path) -> Database {
        let database = Database::open(&directory.join("state.db")).unwrap();
        database.migrate("test", MIGRATIONS).await.unwrap();
        database
    }

    async fn insert(database: &Database, name: String) -> Result<usize, Error> {
        database.write(move |tx| tx.execute("INSERT INTO item VALUES (?1)", [name])).await
    }

    async fn count(database: &Database) -> i64 {
        database.read(|c| c.query_row("SELECT count(*) FROM item", [], |row| row.get(0))).await.unwrap()
    }

    #[tokio::test]
    async fn a_write_is_seen_by_the_next_read_and_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        insert(&database, "a".to_owned()).await.unwrap();
        assert_eq!(count(&database).await, 1);
        drop(database);
        assert_eq!(count(&open(directory.path()).await).await, 1);
    }

    #[tokio::test]
    async fn a_failed_write_takes_no_other_along() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        let names = ["a", "b", "a", "c"];
        let writes = names.map(|name| insert(&database, name.to_owned()));
        let results = futures(writes).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
        let error = results.into_iter().find_map(Result::err).unwrap();
        assert_eq!(error.code(), ErrorCode::AlreadyExists);
        assert_eq!(count(&database).await, 3);
    }

    #[tokio::test]
    async fn a_file_of_a_newer_wharf_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        database.write(|tx| tx.execute("UPDATE migration SET version = 9", [])).await.unwrap();
        let error = database.migrate("test", MIGRATIONS).await.unwrap_err();
        assert!(matches!(error, Error::Newer { found: 9, known: 1, .. }), "{error}");
    }

    async fn futures<const N: usize, T>(all: [impl Future<Output = T>; N]) -> Vec<T> {
        let mut results = Vec::new();
        for future in all {
            results.push(future.await);
        }
        results
    }
}
