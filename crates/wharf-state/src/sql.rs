//! The statements' side of the control state, for both engines.
//!
//! A closure given to [`crate::Database::read`] or [`crate::Database::write`] gets a [`Connection`]. Statements use what
//! both engines know, in SQLite's words (`postgres::dialect` translates): `?1`, `INTEGER`, `BLOB`, `ON CONFLICT … DO UPDATE SET x = excluded.x`,
//! `ON CONFLICT DO NOTHING`, `IS DISTINCT FROM`, `RETURNING`; an inner SELECT after FROM has a name. Not: `INSERT OR …`,
//! `IS ?1`, `?1 IS NULL` (but `CAST(?1 AS TEXT) IS NULL`), `last_insert_rowid()`, functions on JSON or times. A closure ends with the first error of a statement.

use crate::value::{Columns, Params, Row, Value};

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// One row was asked for, there is none.
    #[error("there is no such row")]
    NoRows,
    /// A unique key is taken, or another constraint does not hold.
    #[error("a constraint refuses it: {0}")]
    Taken(String),
    /// A column can't be read as what was asked for.
    #[error("column {index} can't be read: {reason}")]
    Column {
        /// From 0.
        index: usize,
        /// Why.
        reason: String,
    },
    /// SQLite refuses.
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    /// PostgreSQL refuses.
    #[error("{0}")]
    Postgres(String),
    /// PostgreSQL is not reached any more, or takes no writes.
    #[error("{0}")]
    Gone(String),
}

impl SqlError {
    /// A column that holds no readable record.
    pub fn column(index: usize, reason: impl ToString) -> SqlError {
        SqlError::Column { index, reason: reason.to_string() }
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> SqlError {
        match error {
            rusqlite::Error::QueryReturnedNoRows => SqlError::NoRows,
            rusqlite::Error::SqliteFailure(failure, message)
                if failure.code == rusqlite::ErrorCode::ConstraintViolation =>
            {
                SqlError::Taken(message.unwrap_or_else(|| failure.to_string()))
            }
            other => SqlError::Sqlite(other),
        }
    }
}

/// Makes "no such row" a `None`.
pub trait OptionalExtension<T> {
    /// `Ok(None)` instead of `NoRows`.
    fn optional(self) -> Result<Option<T>, SqlError>;
}

impl<T> OptionalExtension<T> for Result<T, SqlError> {
    fn optional(self) -> Result<Option<T>, SqlError> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(SqlError::NoRows) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Runs statements, inside of a transaction for writes. Each statement is prepared once and kept.
pub struct Connection<'a> {
    pub(crate) engine: &'a dyn Engine,
}

/// Takes each row of an answer; false ends the reading.
pub(crate) type EachRow<'a> = &'a mut dyn FnMut(&Row<'_>) -> Result<bool, SqlError>;

/// What an engine can do.
pub(crate) trait Engine {
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, SqlError>;
    fn execute_batch(&self, sql: &str) -> Result<(), SqlError>;
    fn query(&self, sql: &str, values: &[Value<'_>], each: EachRow<'_>) -> Result<(), SqlError>;
}

impl Connection<'_> {
    /// Runs a statement; returns how many rows it changed.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize, SqlError> {
        self.engine.execute(sql, &params.values())
    }

    /// Runs statements without arguments, separated by `;`.
    pub fn execute_batch(&self, sql: &str) -> Result<(), SqlError> {
        self.engine.execute_batch(sql)
    }

    /// The first row as `read` makes it of it.
    ///
    /// Errors: `NoRows`; see [`OptionalExtension::optional`].
    pub fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let mut read = Some(read);
        let mut found = None;
        self.engine.query(sql, &params.values(), &mut |row| {
            if let Some(read) = read.take() {
                found = Some(read(row)?);
            }
            Ok(false)
        })?;
        found.ok_or(SqlError::NoRows)
    }

    /// Every row as `read` makes it of it.
    pub fn query_map<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut all = Vec::new();
        self.engine.query(sql, &params.values(), &mut |row| {
            all.push(read(row)?);
            Ok(true)
        })?;
        Ok(all)
    }
}

/// SQLite's own connection, or a savepoint of it.
impl Engine for rusqlite::Connection {
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, SqlError> {
        Ok(self.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?)
    }

    fn execute_batch(&self, sql: &str) -> Result<(), SqlError> {
        Ok(rusqlite::Connection::execute_batch(self, sql)?)
    }

    fn query(&self, sql: &str, values: &[Value<'_>], each: EachRow<'_>) -> Result<(), SqlError> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if !each(&Row { columns: row })? {
                break;
            }
        }
        Ok(())
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn value(&self, index: usize) -> Result<Value<'_>, SqlError> {
        use rusqlite::types::ValueRef;
        match self.get_ref(index)? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Text(bytes) => {
                std::str::from_utf8(bytes).map(Value::Text).map_err(|error| SqlError::column(index, error))
            }
            ValueRef::Blob(bytes) => Ok(Value::Blob(bytes)),
            ValueRef::Real(_) => Err(SqlError::column(index, "it is a fraction")),
        }
    }
}
