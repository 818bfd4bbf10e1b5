//! Control state in SQLite.
//!
//! [`Database`] has one writer thread and a few readers. A write is a closure on a transaction; it is answered
//! after the commit is on disk (`synchronous=FULL`, WAL), so what was answered with success survives kill -9 and
//! power loss. Waiting writes are committed together, each in a savepoint of its own: one that fails takes none of the
//! others along. [`EventLog`] stores every [`wharf_model::Event`] and broadcasts it afterwards.
//!
//! Bounds: 1,024 waiting writes (senders wait), 10,000 waiting events (then dropped and counted), 200,000 events kept.

mod database;
mod event_log;

pub use database::{Database, Error, Migration};
pub use event_log::{EventLog, EventLogStats};

pub use rusqlite;
