//! The control state, whichever engine keeps it.

use std::path::Path;

use crate::sql::{Connection, OptionalExtension as _, SqlError};
use crate::{Error, postgres, sqlite};

/// SQL that brings a part's tables from version `n - 1` to `n`, where `n` is its place in the list, from 1.
/// A migration that has landed is never edited: a change is a new entry.
pub type Migration = &'static str;

/// A handle to the control state; clones share it. It is closed when the last clone is gone.
#[derive(Clone)]
pub struct Database {
    engine: Kind,
}

#[derive(Clone)]
enum Kind {
    Sqlite(sqlite::Database),
    Postgres(postgres::Database),
}

impl Database {
    /// Opens or makes the SQLite file at `path`, readable by its owner alone, and looks through all of it for damage;
    /// its directory must exist.
    ///
    /// Errors: `Corrupt` when it is damaged, `Open` when it can't be opened.
    pub fn open(path: &Path) -> Result<Database, Error> {
        let database = sqlite::Database::open(path)?;
        database.check()?;
        Ok(database.into())
    }

    /// Whether other servers may read it, and go on with it when this one is gone.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Kind::Postgres(_))
    }

    /// Brings the tables of `part` up to date; each migration runs once, in its own transaction.
    ///
    /// Errors: `Newer` when the state knows more migrations than this program.
    pub async fn migrate(&self, part: &'static str, migrations: &'static [Migration]) -> Result<(), Error> {
        let version = "SELECT version FROM migration WHERE part = ?1";
        let found: Option<u32> = self
            .read(move |connection| connection.query_row(version, [part], |row| row.get(0)).optional())
            .await?;
        let found = found.unwrap_or(0) as usize;
        if found > migrations.len() {
            return Err(Error::Newer { part: part.to_owned(), found, known: migrations.len() });
        }
        for (index, sql) in migrations.iter().enumerate().skip(found) {
            self.write(move |transaction| {
                transaction.execute_batch(sql)?;
                transaction.execute(
                    "INSERT INTO migration (part, version) VALUES (?1, ?2)
                     ON CONFLICT (part) DO UPDATE SET version = excluded.version",
                    (part, index as i64 + 1),
                )
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
        F: FnOnce(&Connection<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        match &self.engine {
            Kind::Sqlite(database) => {
                database.write_any(move |savepoint| change(&Connection { engine: &**savepoint })).await
            }
            Kind::Postgres(database) => database.write(change).await,
        }
    }

    /// Runs `query` on a connection that sees the last commit. It runs on a blocking thread and may take its time.
    pub async fn read<T, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        match &self.engine {
            Kind::Sqlite(database) => {
                database.read_any(move |connection| query(&Connection { engine: connection })).await
            }
            Kind::Postgres(database) => database.read(query).await,
        }
    }
}

impl From<sqlite::Database> for Database {
    fn from(database: sqlite::Database) -> Database {
        Database { engine: Kind::Sqlite(database) }
    }
}

impl From<postgres::Database> for Database {
    fn from(database: postgres::Database) -> Database {
        Database { engine: Kind::Postgres(database) }
    }
}
