//! One SQLite file: a writer thread with group commit, and readers.
//!
//! What a failed write means: a full disk (`SQLITE_FULL`, write(2) said ENOSPC before anything was fsynced) rolls the
//! whole group back, and the next write is tried again. Anything else that the disk refuses ends the writer: after a
//! failed fsync the kernel may have dropped dirty pages, so nothing written later could be trusted.

use std::fs::{OpenOptions, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, ErrorCode, OpenFlags, Savepoint};
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Migration, SqlError};

/// LIMIT: writes that wait for the writer thread; more senders wait in turn.
const WRITES_WAITING_MAX: usize = 1_024;
/// LIMIT: writes that share one commit. 128 small writes take about 2 ms, so a waiting caller hardly notices.
const WRITES_PER_COMMIT_MAX: usize = 128;
/// LIMIT: idle reader connections that are kept.
const READERS_IDLE_MAX: usize = 4;
/// LIMIT: statements that each connection keeps prepared; all parts together have about 80.
const STATEMENTS_MAX: usize = 128;

/// Longest wait for another process that has the file.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Why nothing of a group of writes was kept.
#[derive(Clone, Debug)]
enum Failure {
    /// The disk is full: the next group is tried.
    Full,
    /// Another process holds the file: the next group is tried.
    Busy(String),
    /// The disk can't be trusted any more.
    Broken(String),
}

impl Failure {
    /// What an error of SQLite says about the disk; `None` when it is only about the statement.
    fn of(error: &rusqlite::Error) -> Option<Failure> {
        match error.sqlite_error_code()? {
            ErrorCode::DiskFull => Some(Failure::Full),
            ErrorCode::DatabaseBusy => Some(Failure::Busy(error.to_string())),
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory => Some(Failure::Broken(error.to_string())),
            _ => None,
        }
    }

    fn into_error(self, path: &Path) -> Error {
        match self {
            Failure::Full => Error::Full { path: path.to_owned() },
            Failure::Busy(message) => Error::Busy(message),
            Failure::Broken(message) => Error::Commit(message),
        }
    }
}

/// A write: runs on the writer thread, in a transaction if one could be begun, and returns what to do with the result once
/// the commit is known, and whether the disk has failed it.
type Write = Box<dyn FnOnce(Option<&mut Connection>) -> (Answer, Option<Failure>) + Send>;
/// Told `Ok` after the commit, `Err` when nothing was kept.
type Answer = Box<dyn FnOnce(Result<(), Failure>) + Send>;

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
    /// Opens or makes the file at `path`, readable by its owner alone; its directory must exist.
    ///
    /// Errors: `Corrupt` when it is no database, `Open` when it can't be opened.
    pub fn open(path: &Path) -> Result<Database, Error> {
        let open_error = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::Corrupt { path: path.to_owned(), reason: source.to_string() }
            }
            _ => Error::Open { path: path.to_owned(), source },
        };
        make_private(path)
            .map_err(|error| open_error(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let connection = Connection::open(path).map_err(open_error)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;
                 CREATE TABLE IF NOT EXISTS migration (part TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;",
            )
            .map_err(open_error)?;
        fold_log(&connection);
        refuse_half_page(path)?;
        let (writes, receiver) = mpsc::channel(WRITES_WAITING_MAX);
        std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || write_loop(connection, receiver))
            .map_err(|error| open_error(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let readers = Arc::new(Readers { path: path.to_owned(), idle: Mutex::new(Vec::new()) });
        Ok(Database { writes, readers })
    }

    /// Looks through the whole file: its length, every page, every record. About a second per GB.
    ///
    /// Errors: `Corrupt`.
    pub fn check(&self) -> Result<(), Error> {
        let corrupt = |reason: String| Error::Corrupt { path: self.readers.path.clone(), reason };
        let result = self.readers.with(|connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        });
        match result {
            Ok(word) if word == "ok" => Ok(()),
            Ok(reason) => Err(corrupt(reason)),
            Err(error) => Err(corrupt(error.to_string())),
        }
    }

    /// Brings the tables of `part` up to date; see [`crate::Database::migrate`].
    pub async fn migrate(&self, part: &'static str, migrations: &'static [Migration]) -> Result<(), Error> {
        crate::Database::from(self.clone()).migrate(part, migrations).await
    }

    /// Runs `change` in a transaction on the writer thread. Returns after the commit is on disk; an `Err` of
    /// `change` rolls it back. `change` must not block on anything but the database.
    pub async fn write<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Savepoint<'_>) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        self.write_any(change).await
    }

    pub(crate) async fn write_any<T, E, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Into<SqlError> + Send + 'static,
        F: FnOnce(&Savepoint<'_>) -> Result<T, E> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let path = self.readers.path.clone();
        let write: Write = Box::new(move |connection| {
            let result = connection.map(|connection| in_savepoint(connection, change).map_err(Into::into));
            let failure = match &result {
                Some(Err(SqlError::Sqlite(error))) => Failure::of(error),
                _ => None,
            };
            let answer: Answer = Box::new(move |commit| {
                let answer = match (commit, result) {
                    (Err(failure), _) => Err(failure.into_error(&path)),
                    (Ok(()), Some(result)) => result.map_err(Error::Sql),
                    (Ok(()), None) => Err(Error::Closed),
                };
                // A caller that went away does not undo its write.
                let _ = sender.send(answer);
            });
            (answer, failure)
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
        self.read_any(query).await
    }

    pub(crate) async fn read_any<T, E, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Into<SqlError>,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let work = move || readers.with(query);
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
    }
}

/// Copies the database file `from` as of one commit to the new file `to` (mode 0600), whether or not it is in use, and
/// looks through the copy for damage. Writers go on meanwhile. Blocks.
///
/// Errors: `Corrupt` when `from` is damaged, `Open` when either can't be opened or written.
pub fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let damage = |reason: String| Error::Corrupt { path: from.to_owned(), reason };
    let failed = |path: &Path, source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damage(source.to_string()),
        Some(ErrorCode::DiskFull) => Error::Full { path: path.to_owned() },
        _ => Error::Open { path: path.to_owned(), source },
    };
    refuse_half_page(from)?;
    make_private(to).map_err(|error| failed(to, rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let source = source.map_err(|error| failed(from, error))?;
    source.busy_timeout(BUSY_TIMEOUT).map_err(|error| failed(from, error))?;
    let mut copy = Connection::open(to).map_err(|error| failed(to, error))?;
    {
        let backup = rusqlite::backup::Backup::new(&source, &mut copy);
        // All pages at once: a reader holds up no writer, and a copy in steps begins anew after every commit.
        backup.and_then(|backup| backup.step(-1)).map_err(|error| failed(to, error))?;
    }
    // One file, without a log beside it.
    let check = "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL;";
    copy.execute_batch(check).map_err(|error| failed(to, error))?;
    match copy.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(word) if word == "ok" => Ok(()),
        Ok(reason) => Err(damage(reason)),
        Err(error) => Err(damage(error.to_string())),
    }
}

/// Writes what the log has into the file, so that the file shows what it is: of a page that was cut off, the log may have
/// the whole. Not being able to (another process reads, the disk is full or read-only) is no reason not to start.
fn fold_log(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::debug!(%error, "the log of the state database stays as it is");
    }
}

/// A file that ends in the middle of a page has lost the rest of it. SQLite reads that as zeros, which in the text of a
/// long record no check of its own would notice. With a log beside it nothing is said: the page may be in there.
fn refuse_half_page(path: &Path) -> Result<(), Error> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    let mut header = [0; 18];
    let Ok(mut file) = std::fs::File::open(path) else { return Ok(()) };
    let (Ok(size), Ok(())) = (file.metadata().map(|file| file.len()), file.read_exact(&mut header)) else {
        return Ok(());
    };
    // Bytes 16 and 17 of the header: the page's size; 1 stands for 65,536.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    if page == 0 || size % page == 0 {
        return Ok(());
    }
    let reason = format!("its last page is torn: {size} bytes are no whole number of pages of {page}");
    Err(Error::Corrupt { path: path.to_owned(), reason })
}

/// What is in the file is nobody else's business. SQLite gives `-wal` and `-shm` the mode of the file.
fn make_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::set_permissions(&name, Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

impl Readers {
    fn with<T, E: Into<SqlError>>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, Error> {
        let idle = self.idle.lock().expect("no holder panics").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
                connection.execute_batch("PRAGMA query_only=ON; PRAGMA busy_timeout=5000;")?;
                connection
            }
        };
        let result = query(&connection);
        let mut idle = self.idle.lock().expect("no holder panics");
        if idle.len() < READERS_IDLE_MAX {
            idle.push(connection);
        }
        result.map_err(|error| Error::Sql(error.into()))
    }
}

fn in_savepoint<T, E: From<rusqlite::Error>>(
    connection: &mut Connection,
    change: impl FnOnce(&Savepoint<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let savepoint = connection.savepoint()?;
    let value = change(&savepoint)?;
    savepoint.commit()?;
    Ok(value)
}

fn write_loop(mut connection: Connection, mut writes: mpsc::Receiver<Write>) {
    let mut was_full = false;
    while let Some(first) = writes.blocking_recv() {
        let (answers, result) = commit_group(&mut connection, first, &mut writes);
        for answer in answers {
            answer(result.clone());
        }
        match result {
            Ok(()) if was_full => {
                was_full = false;
                tracing::info!("the disk of the state database has room again");
            }
            Err(Failure::Full) if !was_full => {
                was_full = true;
                tracing::error!(
                    "the disk of the state database is full; writes are refused until there is room"
                );
            }
            Err(Failure::Broken(error)) => {
                tracing::error!(error, "the state database cannot commit; it takes no more writes");
                return;
            }
            Ok(()) | Err(Failure::Full | Failure::Busy(_)) => {}
        }
    }
}

/// Runs the first write and those that wait in one transaction. All of it is kept, or nothing.
fn commit_group(
    connection: &mut Connection,
    first: Write,
    writes: &mut mpsc::Receiver<Write>,
) -> (Vec<Answer>, Result<(), Failure>) {
    let mut failure = statement(connection, "BEGIN IMMEDIATE").err();
    let mut answers = Vec::new();
    let mut next = Some(first);
    while let Some(write) = next.take() {
        let (answer, failed) = write(failure.is_none().then_some(&mut *connection));
        answers.push(answer);
        failure = failure.or(failed);
        // SQLite rolls a transaction back by itself on some failures; nothing may run outside of one.
        if failure.is_some() || connection.is_autocommit() || answers.len() >= WRITES_PER_COMMIT_MAX {
            break;
        }
        next = writes.try_recv().ok();
    }
    if failure.is_none() && connection.is_autocommit() {
        failure = Some(Failure::Broken("the transaction was rolled back".to_owned()));
    }
    if failure.is_none() {
        failure = statement(connection, "COMMIT").err();
    }
    let Some(mut failure) = failure else { return (answers, Ok(())) };
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        failure = Failure::Broken(error.to_string());
    }
    (answers, Err(failure))
}

fn statement(connection: &Connection, sql: &str) -> Result<(), Failure> {
    connection
        .execute_batch(sql)
        .map_err(|error| Failure::of(&error).unwrap_or_else(|| Failure::Broken(error.to_string())))
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
        assert_eq!(error.code(), wharf_base::ErrorCode::AlreadyExists);
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
