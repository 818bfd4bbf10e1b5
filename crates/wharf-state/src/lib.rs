//! The control state, in one SQLite file or in PostgreSQL.
//!
//! [`Database`] has one writer and a few readers. A write is a closure on a transaction; it is answered after the commit
//! is on disk, so what was answered with success survives kill -9 and power loss. Waiting writes are committed together,
//! each in a savepoint of its own: one that fails takes none of the others along. Statements keep to words that both
//! engines know ([`Connection`] says which). [`EventLog`] stores every [`wharf_model::Event`] and broadcasts it
//! afterwards. [`sqlite::Database`] is the same for who needs SQLite itself: the registry's metadata.
//! [`postgres`] is for two servers of which one takes over from the other.
//!
//! Faults of SQLite: on a full disk a write is refused and nothing of it kept; the next one is tried again, as no fsync
//! has failed. After any other failed write or fsync nothing more is written until a restart. Reads go on in both cases.
//!
//! Bounds: 1,024 waiting writes (senders wait), 10,000 waiting events (then dropped and counted), 200,000 events kept.

mod database;
mod error;
mod event_log;
pub mod postgres;
mod sql;
pub mod sqlite;
mod value;

pub use database::{Database, Migration};
pub use error::Error;
pub use event_log::{EventLog, EventLogStats};
pub use sql::{Connection, OptionalExtension, SqlError};
pub use value::{FromValue, Params, Row, ToValue, Value};

pub use rusqlite;
