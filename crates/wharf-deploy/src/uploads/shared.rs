//! Files that releases mount, in a state that several servers share: whoever leads next has them too.
//!
//! They are in the state before the release is, and what no kept release mounts goes with the next prune. On a state of one
//! server nothing of this happens: there the uploads directory is enough.

use std::collections::BTreeSet;

use wharf_base::Digest;
use wharf_state::{Connection, Migration, OptionalExtension as _};

use super::{Uploads, blocking, io};
use crate::Error;
use crate::store::{Release, Store};

const MIGRATIONS: &[Migration] = &["
    CREATE TABLE deploy_file (
        digest TEXT PRIMARY KEY,
        content BLOB NOT NULL
    ) STRICT;
"];

/// LIMIT: bytes of one file in the state. These are configurations; what is larger belongs into an image or a volume.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Puts the files of a new release into the state.
pub(crate) async fn keep(store: &Store, uploads: &Uploads, release: &Release) -> Result<(), Error> {
    if !store.database().is_shared() {
        return Ok(());
    }
    let digests: BTreeSet<&Digest> = release.content.files.values().map(|file| &file.digest).collect();
    for digest in digests {
        let Some(path) = uploads.path(digest) else { continue };
        let content = blocking(move || {
            let size = std::fs::metadata(&path).map_err(io("read a file"))?.len();
            if size > FILE_BYTES_MAX {
                return Err(Error::Invalid(format!(
                    "a mounted file or directory has {size} bytes; servers that share their state keep at most {FILE_BYTES_MAX}\n  hint: put it into the image or a volume"
                )));
            }
            std::fs::read(&path).map_err(io("read a file"))
        })
        .await?;
        let digest = digest.to_string();
        let insert = move |transaction: &Connection<'_>| {
            let sql = "INSERT INTO deploy_file (digest, content) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            transaction.execute(sql, (digest, content))
        };
        store.database().write(insert).await?;
    }
    Ok(())
}

/// Gets from the state what kept releases mount and is not here.
pub(crate) async fn fetch(store: &Store, uploads: &Uploads) -> Result<(), Error> {
    if !store.database().is_shared() {
        return Ok(());
    }
    store.database().migrate("deploy-files", MIGRATIONS).await?;
    let needed: BTreeSet<Digest> = store.files_in_use().await?.into_iter().collect();
    for digest in needed.iter().filter(|digest| uploads.path(digest).is_none()) {
        let key = digest.to_string();
        let select = move |connection: &Connection<'_>| {
            let sql = "SELECT content FROM deploy_file WHERE digest = ?1";
            connection.query_row(sql, [key], |row| row.get::<Vec<u8>>(0)).optional()
        };
        match store.database().read(select).await? {
            Some(content) => {
                let stored = uploads.store(axum::body::Body::from(content)).await?;
                tracing::info!(digest = %stored.digest, "a mounted file was fetched from the shared state");
            }
            None => tracing::warn!(%digest, "a stored release mounts files that are gone"),
        }
    }
    Ok(())
}

/// Removes what is not `needed` from the state.
pub(crate) async fn prune(store: &Store, needed: &BTreeSet<Digest>) -> Result<(), Error> {
    if !store.database().is_shared() {
        return Ok(());
    }
    let needed: BTreeSet<String> = needed.iter().map(Digest::to_string).collect();
    let delete = move |transaction: &Connection<'_>| {
        let all = transaction.query_map("SELECT digest FROM deploy_file", (), |row| row.get::<String>(0))?;
        for digest in all.iter().filter(|digest| !needed.contains(*digest)) {
            transaction.execute("DELETE FROM deploy_file WHERE digest = ?1", [digest])?;
        }
        Ok(())
    };
    Ok(store.database().write(delete).await?)
}
