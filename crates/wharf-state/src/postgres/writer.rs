//! The one writer: group commits, each under the lease.
//!
//! Waiting writes share a transaction, each in a savepoint: one that fails takes none of the others along. The
//! transaction begins with the lease's row (see [`super`]). A connection that is lost takes its group along; the next
//! group gets a new one.

use tokio::sync::mpsc;

use super::Postgres;
use super::lease::Lease;
use super::session::Session;
use crate::Error;
use crate::sql::{Connection, Engine as _, SqlError};

/// LIMIT: writes that wait; more senders wait in turn.
pub(super) const WRITES_WAITING_MAX: usize = 1_024;
/// LIMIT: writes that share one commit.
const WRITES_PER_COMMIT_MAX: usize = 128;

/// A write: runs in a savepoint if there is a session, and says whether the connection was lost. What it gives back is told
/// the commit's outcome.
pub(super) type Write = Box<dyn FnOnce(Option<&Session>) -> (Answer, Option<Failure>) + Send>;
type Answer = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// Why nothing of a group of writes was kept.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Another server has the lease.
    NotLeading,
    /// PostgreSQL does not answer, or can't write.
    Gone(String),
    /// Whether it was kept is not known.
    Unknown(String),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Failure::NotLeading => Error::NotLeading,
            Failure::Gone(reason) => Error::Unreachable(reason),
            Failure::Unknown(reason) => Error::Unknown(reason),
        }
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Failure {
        Failure::Gone(error.to_string())
    }
}

/// Packs a closure; `tell` hears what it returned once the commit is known.
pub(super) fn write<T: Send + 'static>(
    change: impl FnOnce(&Connection<'_>) -> Result<T, SqlError> + Send + 'static,
    tell: impl FnOnce(Result<T, Error>) + Send + 'static,
) -> Write {
    Box::new(move |session| {
        let result = session.map(|session| in_savepoint(session, change));
        let failure = match &result {
            Some(Err(SqlError::Gone(reason))) => Some(Failure::Gone(reason.clone())),
            _ => None,
        };
        let answer: Answer = Box::new(move |commit| {
            tell(match (commit, result) {
                (Err(failure), _) => Err(failure.into_error()),
                (Ok(()), Some(result)) => result.map_err(Error::from),
                (Ok(()), None) => Err(Error::Closed),
            });
        });
        (answer, failure)
    })
}

fn in_savepoint<T>(
    session: &Session,
    change: impl FnOnce(&Connection<'_>) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    session.run("SAVEPOINT one")?;
    let result = change(&Connection { engine: session }).and_then(|value| {
        // Refused when the closure has gone on after a failed statement: then nothing of it is kept.
        session.run("RELEASE one")?;
        Ok(value)
    });
    match result {
        Err(error @ SqlError::Gone(_)) => Err(error),
        Err(error) => {
            session.run("ROLLBACK TO one; RELEASE one")?;
            Err(error)
        }
        result => result,
    }
}

pub(super) struct Writer {
    postgres: Postgres,
    lease: Lease,
    session: Option<Session>,
}

impl Writer {
    pub(super) fn new(postgres: Postgres, lease: Lease) -> Writer {
        Writer { postgres, lease, session: None }
    }

    /// Until nobody can send writes any more. After the lease is lost every write is refused.
    pub(super) fn run(mut self, mut writes: mpsc::Receiver<Write>) {
        let mut was_gone = false;
        while let Some(first) = writes.blocking_recv() {
            let (answers, result) = self.commit_group(first, &mut writes);
            for answer in answers {
                answer(result.clone());
            }
            match result {
                Ok(()) if was_gone => {
                    was_gone = false;
                    tracing::info!("PostgreSQL takes writes again");
                }
                Err(Failure::Gone(error)) if !was_gone => {
                    was_gone = true;
                    tracing::error!(error, "PostgreSQL takes no writes; they are refused until it does");
                }
                Err(Failure::Unknown(error)) => {
                    tracing::error!(error, "it is not known whether a commit was kept; giving up the lease");
                    self.lease.give_up();
                }
                Err(Failure::NotLeading) => self.lease.give_up(),
                Ok(()) | Err(Failure::Gone(_)) => {}
            }
        }
    }

    fn commit_group(
        &mut self,
        first: Write,
        writes: &mut mpsc::Receiver<Write>,
    ) -> (Vec<Answer>, Result<(), Failure>) {
        let begun = self.begin();
        let mut failure = begun.as_ref().err().cloned();
        let mut answers = Vec::new();
        let mut next = Some(first);
        while let Some(write) = next.take() {
            let session = if failure.is_none() { self.session.as_ref() } else { None };
            let (answer, failed) = write(session);
            answers.push(answer);
            failure = failure.or(failed);
            if failure.is_some() || answers.len() >= WRITES_PER_COMMIT_MAX {
                break;
            }
            next = writes.try_recv().ok();
        }
        let result = match (failure, begun) {
            (Some(failure), _) | (None, Err(failure)) => Err(failure),
            (None, Ok(transaction)) => self.commit(&transaction),
        };
        if result.is_err() {
            // Dropping the connection is a rollback.
            self.session = None;
        }
        (answers, result)
    }

    /// Begins a transaction that only the holder of the lease can commit; returns its id.
    fn begin(&mut self) -> Result<String, Failure> {
        if self.lease.is_lost() {
            return Err(Failure::NotLeading);
        }
        // One that was closed while nobody wrote, as by a restart of PostgreSQL, is found out here.
        if let Some(session) = &self.session
            && session.is_open()
            && session.run("BEGIN").is_ok()
        {
            return self.fence();
        }
        let session = self.postgres.session()?;
        session.run("BEGIN")?;
        self.session = Some(session);
        self.fence()
    }

    fn fence(&self) -> Result<String, Failure> {
        let session = self.session.as_ref().expect("a transaction was begun");
        let mut transaction = None;
        session.query(super::lease::FENCE, &self.lease.fence(), &mut |row| {
            transaction = Some(row.get::<String>(0)?);
            Ok(false)
        })?;
        transaction.ok_or(Failure::NotLeading)
    }

    fn commit(&self, transaction: &str) -> Result<(), Failure> {
        let session = self.session.as_ref().expect("a transaction was begun");
        match session.run("COMMIT") {
            Ok(()) => Ok(()),
            Err(error) => self.outcome(transaction, error.to_string()),
        }
    }

    /// What became of a commit that was not answered.
    fn outcome(&self, transaction: &str, error: String) -> Result<(), Failure> {
        while !self.lease.is_lost() {
            let Ok(session) = self.postgres.session() else {
                // PostgreSQL restarts: until the lease is lost there is time to wait for it.
                self.lease.pause();
                continue;
            };
            let mut status = None;
            let asked = session.query(
                "SELECT pg_xact_status(?1::text::xid8)",
                &[crate::Value::Text(transaction)],
                &mut |row| {
                    status = row.get::<Option<String>>(0)?;
                    Ok(false)
                },
            );
            match (asked, status.as_deref()) {
                (Ok(()), Some("committed")) => return Ok(()),
                (Ok(()), Some("aborted")) => return Err(Failure::Gone(error)),
                _ => self.lease.pause(),
            }
        }
        Err(Failure::Unknown(error))
    }
}
