//! The CA of servers that share their state: the first leader puts it there, the others take it from there.
//!
//! So hosts trust both. Its key is sealed to the installation's ([`super::vault`]): who reads the database, or a dump of
//! it, can't sign hosts in. A key that an earlier Wharf has stored in clear is sealed by the next leader.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use wharf_disk::atomic;
use wharf_http::pki::Authority;
use wharf_secrets::{Key, Secret};
use wharf_state::{Database, Migration, OptionalExtension as _};

const MIGRATIONS: &[Migration] = &[
    "
    CREATE TABLE authority (
        id INTEGER PRIMARY KEY,
        certificate TEXT NOT NULL,
        key TEXT NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE authority RENAME COLUMN key TO sealed_key;
",
];

/// How a sealed key begins; one that is in clear begins as PEM does.
const SEALED: &str = "-----BEGIN AGE ";

/// The installation's authority, made by whoever leads first; afterwards it is in `directory` too.
///
/// Errors: `directory` holds another one.
pub(crate) async fn shared_authority(
    database: &Database,
    directory: &Path,
    secrets: &Key,
) -> anyhow::Result<Arc<Authority>> {
    database.migrate("authority", MIGRATIONS).await?;
    seal_if_clear(database, secrets).await?;
    if let Some(authority) = stored_authority(database, directory, Some(secrets)).await? {
        return Ok(authority);
    }
    let authority = Authority::load_or_create(directory)?;
    let key_path = directory.join("ca.key");
    let key = std::fs::read(&key_path).with_context(|| format!("cannot read {}", key_path.display()))?;
    let key = secrets.seal(Secret::new(key).expose())?;
    let certificate = authority.certificate_pem().to_owned();
    database
        .write(move |transaction| {
            let sql = "INSERT INTO authority (id, certificate, sealed_key) VALUES (1, ?1, ?2)";
            transaction.execute(sql, (certificate, key))
        })
        .await?;
    Ok(Arc::new(authority))
}

/// The authority that a leader has stored. It is put into `directory` if none is there.
///
/// Errors: as above; the state has no such table before a server has led; there is no key to open it with.
pub(super) async fn stored_authority(
    database: &Database,
    directory: &Path,
    secrets: Option<&Key>,
) -> anyhow::Result<Option<Arc<Authority>>> {
    let select = "SELECT certificate, sealed_key FROM authority WHERE id = 1";
    let stored = database.read(move |connection| {
        let read = |row: &wharf_state::Row<'_>| Ok((row.get::<String>(0)?, row.get::<String>(1)?));
        connection.query_row(select, (), read).optional()
    });
    let Some((certificate, sealed)) = stored.await? else { return Ok(None) };
    let (key_path, certificate_path) = (directory.join("ca.key"), directory.join("ca.pem"));
    match atomic::read(&certificate_path)? {
        Some(ours) => anyhow::ensure!(
            ours == certificate.as_bytes(),
            "{} is not the CA of the state at state.url: this directory belongs to another installation\n  hint: give this server a directory of its own with --data",
            certificate_path.display()
        ),
        None => {
            let secrets = secrets.context("the CA is sealed to a key that this server does not have")?;
            let key = secrets.open(sealed.as_bytes()).context("cannot open the CA's key in the state")?;
            atomic::create_directory(directory)?;
            atomic::write_private(&key_path, key.expose())?;
            atomic::write(&certificate_path, certificate.as_bytes())?;
        }
    }
    Ok(Some(Arc::new(Authority::load_or_create(directory)?)))
}

/// A key that an earlier Wharf has stored as it was.
async fn seal_if_clear(database: &Database, secrets: &Key) -> anyhow::Result<()> {
    let select = "SELECT sealed_key FROM authority WHERE id = 1";
    let stored = database
        .read(move |connection| connection.query_row(select, (), |row| row.get::<String>(0)).optional());
    let Some(clear) = stored.await?.filter(|key| !key.starts_with(SEALED)) else { return Ok(()) };
    let sealed = secrets.seal(Secret::new(clear.into_bytes()).expose())?;
    let sql = "UPDATE authority SET sealed_key = ?1 WHERE id = 1";
    database.write(move |transaction| transaction.execute(sql, [sealed])).await?;
    tracing::info!("the CA's key is sealed in the state from now on");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_test_support::temp_dir;

    async fn stored(database: &Database) -> String {
        let sql = "SELECT sealed_key FROM authority WHERE id = 1";
        database.read(move |connection| connection.query_row(sql, (), |row| row.get(0))).await.unwrap()
    }

    #[tokio::test]
    async fn the_key_is_sealed_in_the_state_and_in_clear_only_beside_it() {
        let world = temp_dir();
        let database = Database::open(&world.path().join("state.db")).unwrap();
        let key = Key::read_or_make(&world.path().join("identity")).unwrap();
        let (one, two) = (world.path().join("one"), world.path().join("two"));
        let made = shared_authority(&database, &one, &key).await.unwrap();
        let sealed = stored(&database).await;
        assert!(sealed.starts_with(SEALED), "{sealed}");
        let again = shared_authority(&database, &two, &key).await.unwrap();
        assert_eq!(made.certificate_pem(), again.certificate_pem());
        assert_eq!(std::fs::read(one.join("ca.key")).unwrap(), std::fs::read(two.join("ca.key")).unwrap());
        let none = stored_authority(&database, &world.path().join("three"), None).await;
        assert!(none.err().unwrap().to_string().contains("does not have"));
    }

    #[tokio::test]
    async fn a_key_that_an_earlier_wharf_stored_in_clear_is_sealed() {
        let world = temp_dir();
        let database = Database::open(&world.path().join("state.db")).unwrap();
        let key = Key::read_or_make(&world.path().join("identity")).unwrap();
        let made = Authority::load_or_create(&world.path().join("one")).unwrap();
        let clear = std::fs::read_to_string(world.path().join("one/ca.key")).unwrap();
        database.migrate("authority", &MIGRATIONS[..1]).await.unwrap();
        let (certificate, stored_key) = (made.certificate_pem().to_owned(), clear.clone());
        let sql = "INSERT INTO authority (id, certificate, key) VALUES (1, ?1, ?2)";
        database.write(move |tx| tx.execute(sql, (certificate, stored_key))).await.unwrap();
        let found = shared_authority(&database, &world.path().join("two"), &key).await.unwrap();
        assert_eq!(found.certificate_pem(), made.certificate_pem());
        assert!(stored(&database).await.starts_with(SEALED));
        assert_eq!(std::fs::read_to_string(world.path().join("two/ca.key")).unwrap(), clear);
    }
}
