//! One connection to PostgreSQL, used by one thread at a time: statements, values, rows.
//!
//! Closures of [`crate::Database`] are not async, so each call here blocks its thread (the writer's, or one for blocking
//! work) until the answer is there; the connection itself is driven by the runtime of [`super::Postgres`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use bytes::BytesMut;
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::dialect::translate;
use crate::sql::{EachRow, Engine, SqlError};
use crate::value::{Columns, Row, Value};

/// LIMIT: statements that a connection keeps prepared; all parts together have about 80.
const STATEMENTS_MAX: usize = 256;
/// LIMIT: wait for the answer of one statement. None of ours takes a second; a connection that is gone without a word does.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(20);

pub(super) struct Session {
    pub(super) client: Client,
    runtime: Handle,
    statements: RefCell<HashMap<String, Statement>>,
}

impl Session {
    pub(super) fn new(client: Client, runtime: Handle) -> Session {
        Session { client, runtime, statements: RefCell::default() }
    }

    /// Whether later statements may still be answered.
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Waits for an answer, on a thread that may block.
    pub(super) fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        let answer = async { tokio::time::timeout(STATEMENT_WAIT_MAX, answer).await };
        match self.runtime.block_on(answer) {
            Ok(result) => result.map_err(SqlError::from),
            Err(_) => Err(SqlError::Gone(format!("no answer within {} s", STATEMENT_WAIT_MAX.as_secs()))),
        }
    }

    /// Statements in PostgreSQL's own words.
    pub(super) fn run(&self, sql: &str) -> Result<(), SqlError> {
        self.wait(self.client.batch_execute(sql))
    }

    fn prepare(&self, sql: &str) -> Result<Statement, SqlError> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(self.client.prepare(&translate(sql)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Engine for Session {
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, SqlError> {
        let statement = self.prepare(sql)?;
        let count = self.wait(self.client.execute(&statement, &parameters(values)))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn execute_batch(&self, sql: &str) -> Result<(), SqlError> {
        self.run(&translate(sql))
    }

    fn query(&self, sql: &str, values: &[Value<'_>], each: EachRow<'_>) -> Result<(), SqlError> {
        let statement = self.prepare(sql)?;
        for row in self.wait(self.client.query(&statement, &parameters(values)))? {
            if !each(&Row { columns: &row })? {
                break;
            }
        }
        Ok(())
    }
}

fn parameters<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) if *kind == Type::INT2 => i16::try_from(number)?.to_sql(kind, out),
            Value::Integer(number) if *kind == Type::INT4 => i32::try_from(number)?.to_sql(kind, out),
            Value::Integer(number) if *kind == Type::INT8 => number.to_sql(kind, out),
            Value::Text(text) if <&str as ToSql>::accepts(kind) => text.to_sql(kind, out),
            Value::Blob(bytes) if *kind == Type::BYTEA => bytes.to_sql(kind, out),
            other => Err(format!("{other:?} is no value of type {kind}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Columns for tokio_postgres::Row {
    fn value(&self, index: usize) -> Result<Value<'_>, SqlError> {
        let column = self.columns().get(index).ok_or_else(|| SqlError::column(index, "there is none"))?;
        let kind = column.type_();
        let found = if *kind == Type::INT8 {
            self.try_get::<_, Option<i64>>(index).map(|value| value.map(Value::Integer))
        } else if *kind == Type::INT4 {
            self.try_get::<_, Option<i32>>(index).map(|value| value.map(|n| Value::Integer(n.into())))
        } else if *kind == Type::BOOL {
            self.try_get::<_, Option<bool>>(index).map(|value| value.map(|n| Value::Integer(n.into())))
        } else if *kind == Type::BYTEA {
            self.try_get::<_, Option<&[u8]>>(index).map(|value| value.map(Value::Blob))
        } else {
            self.try_get::<_, Option<&str>>(index).map(|value| value.map(Value::Text))
        };
        found.map(|value| value.unwrap_or(Value::Null)).map_err(|error| SqlError::column(index, error))
    }
}

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> SqlError {
        let Some(refusal) = error.as_db_error() else {
            return match error.is_closed()
                || std::error::Error::source(&error).is_some_and(|e| e.is::<std::io::Error>())
            {
                true => SqlError::Gone(reason(&error)),
                false => SqlError::Postgres(reason(&error)),
            };
        };
        let code = refusal.code().code();
        match code.get(..2).unwrap_or_default() {
            "23" => SqlError::Taken(refusal.message().to_owned()),
            // Connection, resources (disk, memory, connections), operator (shutdown, crash), system.
            "08" | "53" | "57" | "58" => SqlError::Gone(refusal.message().to_owned()),
            // A standby, which can't write; a session that stood still in its transaction.
            _ if code == "25006" || code == "25P03" => SqlError::Gone(refusal.message().to_owned()),
            _ => SqlError::Postgres(refusal.message().to_owned()),
        }
    }
}

/// The error with its cause; PostgreSQL's own words where it has spoken.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(refusal), _) => refusal.message().to_owned(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
