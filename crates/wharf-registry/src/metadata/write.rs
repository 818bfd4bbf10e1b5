//! Changes to the records. Each is one transaction; the cache forgets after the commit.

use wharf_base::{Digest, UnixMillis};
use wharf_state::Error;
use wharf_state::rusqlite::{Connection, OptionalExtension, Result as SqlResult, params};

use super::read::repository_id;
use super::{Metadata, link_key, manifest_key, tag_key};
use crate::manifest::Child;
use crate::name::RepositoryName;

/// A manifest whose bytes are on disk already.
#[derive(Clone, Debug)]
pub(crate) struct NewManifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) subject: Option<Digest>,
    pub(crate) artifact_type: Option<String>,
    /// JSON for the referrers list.
    pub(crate) descriptor: Option<String>,
    pub(crate) children: Vec<Child>,
    pub(crate) tags: Vec<String>,
    pub(crate) pushed: UnixMillis,
}

/// How the deletion of a blob went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobDeletion {
    Deleted,
    Unknown,
    /// A manifest of the repository needs it.
    Needed {
        by: String,
    },
}

/// How the deletion of a manifest went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ManifestDeletion {
    Deleted,
    Unknown,
}

impl Metadata {
    /// Lets the repository serve a blob that is on disk.
    pub(crate) async fn add_link(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        size: u64,
    ) -> Result<(), Error> {
        let row = (name.to_string(), digest.to_string(), size);
        self.database
            .write(move |connection| {
                let (name, digest, size) = row;
                insert_link(connection, &name, &digest, size)
            })
            .await?;
        self.cache().remove(&link_key(name, digest));
        Ok(())
    }

    /// Lets the repository serve a blob that `from` has, or any repository if that is `None`. Whether there is one.
    pub(crate) async fn mount(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool, Error> {
        let row = (name.to_string(), digest.to_string(), from.map(RepositoryName::to_string));
        let is_mounted = self
            .database
            .write(move |connection| {
                let (name, digest, from) = row;
                let sql = "SELECT size FROM link JOIN repository ON repository.id = link.repository
                           WHERE digest = ?1 AND (?2 IS NULL OR repository.name = ?2) LIMIT 1";
                let size: Option<i64> = connection
                    .prepare_cached(sql)?
                    .query_row(params![digest, from], |row| row.get(0))
                    .optional()?;
                let Some(size) = size else { return Ok(false) };
                insert_link(connection, &name, &digest, u64::try_from(size).unwrap_or(0))?;
                Ok(true)
            })
            .await?;
        self.cache().remove(&link_key(name, digest));
        Ok(is_mounted)
    }

    /// Stores a manifest and its tags, or nothing if a child is missing: then the missing ones are returned.
    pub(crate) async fn put_manifest(
        &self,
        name: &RepositoryName,
        manifest: NewManifest,
    ) -> Result<Vec<Digest>, Error> {
        let mut forget: Vec<String> = manifest.tags.iter().map(|tag| tag_key(name, tag)).collect();
        forget.push(manifest_key(name, &manifest.digest));
        let repository = name.to_string();
        let missing = self
            .database
            .write(move |connection| insert_manifest(connection, &repository, &manifest))
            .await?;
        self.forget(forget);
        Ok(missing)
    }

    /// Removes a tag; the manifest stays.
    pub(crate) async fn delete_tag(
        &self,
        name: &RepositoryName,
        tag: &str,
    ) -> Result<ManifestDeletion, Error> {
        let row = (name.to_string(), tag.to_owned());
        let removed = self
            .database
            .write(move |connection| {
                let sql = "DELETE FROM tag WHERE name = ?2
                           AND repository = (SELECT id FROM repository WHERE name = ?1)";
                connection.execute(sql, params![row.0, row.1])
            })
            .await?;
        self.forget(vec![tag_key(name, tag)]);
        Ok(if removed > 0 { ManifestDeletion::Deleted } else { ManifestDeletion::Unknown })
    }

    /// Removes a manifest and the tags that point to it.
    pub(crate) async fn delete_manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<ManifestDeletion, Error> {
        let row = (name.to_string(), digest.to_string());
        let tags = self
            .database
            .write(move |connection| {
                let (name, digest) = row;
                let Some(id) = repository_id(connection, &name)? else { return Ok(None) };
                let both = params![id, digest];
                if connection.execute("DELETE FROM manifest WHERE repository = ?1 AND digest = ?2", both)?
                    == 0
                {
                    return Ok(None);
                }
                connection.execute("DELETE FROM child WHERE repository = ?1 AND parent = ?2", both)?;
                let sql = "DELETE FROM tag WHERE repository = ?1 AND digest = ?2 RETURNING name";
                let mut statement = connection.prepare(sql)?;
                let names = statement.query_map(both, |row| row.get::<_, String>(0))?;
                Ok(Some(names.collect::<SqlResult<Vec<_>>>()?))
            })
            .await?;
        let Some(tags) = tags else { return Ok(ManifestDeletion::Unknown) };
        let mut forget: Vec<String> = tags.iter().map(|tag| tag_key(name, tag)).collect();
        forget.push(manifest_key(name, digest));
        self.forget(forget);
        Ok(ManifestDeletion::Deleted)
    }

    /// Takes a blob from a repository, unless one of its manifests needs it.
    pub(crate) async fn delete_link(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobDeletion, Error> {
        let row = (name.to_string(), digest.to_string());
        let deletion = self
            .database
            .write(move |connection| {
                let (name, digest) = row;
                let Some(id) = repository_id(connection, &name)? else { return Ok(BlobDeletion::Unknown) };
                let both = params![id, digest];
                let needed = "SELECT parent FROM child WHERE repository = ?1 AND digest = ?2 LIMIT 1";
                let by = connection.query_row(needed, both, |row| row.get(0)).optional()?;
                let linked = "SELECT 1 FROM link WHERE repository = ?1 AND digest = ?2";
                if connection.query_row(linked, both, |_| Ok(())).optional()?.is_none() {
                    return Ok(BlobDeletion::Unknown);
                }
                if let Some(by) = by {
                    return Ok(BlobDeletion::Needed { by });
                }
                connection.execute("DELETE FROM link WHERE repository = ?1 AND digest = ?2", both)?;
                Ok(BlobDeletion::Deleted)
            })
            .await?;
        self.forget(vec![link_key(name, digest)]);
        Ok(deletion)
    }

    fn forget(&self, keys: Vec<String>) {
        let mut cache = self.cache();
        for key in keys {
            cache.remove(&key);
        }
    }
}

fn ensure_repository(connection: &Connection, name: &str) -> SqlResult<i64> {
    if let Some(id) = repository_id(connection, name)? {
        return Ok(id);
    }
    connection.execute("INSERT INTO repository (name) VALUES (?1)", [name])?;
    Ok(connection.last_insert_rowid())
}

fn insert_link(connection: &Connection, name: &str, digest: &str, size: u64) -> SqlResult<()> {
    let id = ensure_repository(connection, name)?;
    let sql = "INSERT INTO link (repository, digest, size) VALUES (?1, ?2, ?3)
               ON CONFLICT DO UPDATE SET size = excluded.size";
    connection.prepare_cached(sql)?.execute(params![id, digest, signed(size)])?;
    Ok(())
}

fn insert_manifest(connection: &Connection, name: &str, manifest: &NewManifest) -> SqlResult<Vec<Digest>> {
    let missing = missing_children(connection, name, &manifest.children)?;
    if !missing.is_empty() {
        return Ok(missing);
    }
    let id = ensure_repository(connection, name)?;
    let digest = manifest.digest.as_str();
    let sql = "INSERT INTO manifest
               (repository, digest, media_type, size, subject, artifact_type, descriptor, pushed_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT DO UPDATE SET media_type = excluded.media_type, artifact_type = excluded.artifact_type,
               descriptor = excluded.descriptor, pushed_ms = excluded.pushed_ms";
    connection.prepare_cached(sql)?.execute(params![
        id,
        digest,
        manifest.media_type,
        signed(manifest.size),
        manifest.subject.as_ref().map(Digest::as_str),
        manifest.artifact_type,
        manifest.descriptor,
        manifest.pushed.0,
    ])?;
    let sql = "INSERT OR IGNORE INTO child (repository, parent, digest) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(sql)?;
    for child in &manifest.children {
        statement.execute(params![id, digest, child.digest.as_str()])?;
    }
    let sql = "INSERT INTO tag (repository, name, digest, pushed_ms) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET digest = excluded.digest, pushed_ms = excluded.pushed_ms";
    let mut statement = connection.prepare_cached(sql)?;
    for tag in &manifest.tags {
        statement.execute(params![id, tag, digest, manifest.pushed.0])?;
    }
    Ok(Vec::new())
}

fn missing_children(connection: &Connection, name: &str, children: &[Child]) -> SqlResult<Vec<Digest>> {
    let id = repository_id(connection, name)?;
    let mut link = connection.prepare_cached("SELECT 1 FROM link WHERE repository = ?1 AND digest = ?2")?;
    let mut manifest =
        connection.prepare_cached("SELECT 1 FROM manifest WHERE repository = ?1 AND digest = ?2")?;
    let mut missing = Vec::new();
    for child in children.iter().filter(|child| child.is_required) {
        let both = params![id, child.digest.as_str()];
        // An index may list blobs: BuildKit exports its cache so.
        let is_there = link.exists(both)? || (child.may_be_manifest && manifest.exists(both)?);
        if !is_there {
            missing.push(child.digest.clone());
        }
    }
    Ok(missing)
}

/// SQLite has signed integers only; no blob has 2^63 bytes.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
