//! Control state in SQLite: one writer, migrations, the stored event log.
