//! The CA of servers that share their state: the first leader puts it there, the others take it from there.
//!
//! So a second server needs nothing but `state.url`, and hosts trust both. Who can read the database can sign hosts in,
//! as who can write it could make tokens: it is as secret as the server's own directory.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use wharf_disk::atomic;
use wharf_http::pki::Authority;
use wharf_state::{Database, Migration, OptionalExtension as _};

const MIGRATIONS: &[Migration] = &["
    CREATE TABLE authority (
        id INTEGER PRIMARY KEY,
        certificate TEXT NOT NULL,
        key TEXT NOT NULL
    ) STRICT;
"];

/// The installation's authority, made by whoever leads first; afterwards it is in `directory` too.
///
/// Errors: `directory` holds another one.
pub(crate) async fn shared_authority(
    database: &Database,
    directory: &Path,
) -> anyhow::Result<Arc<Authority>> {
    database.migrate("authority", MIGRATIONS).await?;
    if let Some(authority) = stored_authority(database, directory).await? {
        return Ok(authority);
    }
    let authority = Authority::load_or_create(directory)?;
    let key_path = directory.join("ca.key");
    let key =
        std::fs::read_to_string(&key_path).with_context(|| format!("cannot read {}", key_path.display()))?;
    let certificate = authority.certificate_pem().to_owned();
    database
        .write(move |transaction| {
            let sql = "INSERT INTO authority (id, certificate, key) VALUES (1, ?1, ?2)";
            transaction.execute(sql, (certificate, key))
        })
        .await?;
    Ok(Arc::new(authority))
}

/// The authority that a leader has stored. It is put into `directory` if none is there.
///
/// Errors: as above; the state has no such table before a server has led.
pub(super) async fn stored_authority(
    database: &Database,
    directory: &Path,
) -> anyhow::Result<Option<Arc<Authority>>> {
    let select = "SELECT certificate, key FROM authority WHERE id = 1";
    let stored = database.read(move |connection| {
        let read = |row: &wharf_state::Row<'_>| Ok((row.get::<String>(0)?, row.get::<String>(1)?));
        connection.query_row(select, (), read).optional()
    });
    let Some((certificate, key)) = stored.await? else { return Ok(None) };
    let (key_path, certificate_path) = (directory.join("ca.key"), directory.join("ca.pem"));
    match atomic::read(&certificate_path)? {
        Some(ours) => anyhow::ensure!(
            ours == certificate.as_bytes(),
            "{} is not the CA of the state at state.url: this directory belongs to another installation\n  hint: give this server a directory of its own with --data",
            certificate_path.display()
        ),
        None => {
            atomic::create_directory(directory)?;
            atomic::write_private(&key_path, key.as_bytes())?;
            atomic::write(&certificate_path, certificate.as_bytes())?;
        }
    }
    Ok(Some(Arc::new(Authority::load_or_create(directory)?)))
}
