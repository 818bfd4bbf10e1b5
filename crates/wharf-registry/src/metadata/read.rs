//! Questions to the records.

use std::sync::Arc;

use wharf_base::{Digest, UnixMillis};
use wharf_disk::cas::{Algorithm, Store, digest_of};
use wharf_state::Error;
use wharf_state::rusqlite::{Connection, OptionalExtension, Result as SqlResult, params};

use super::{
    Cached, ManifestRow, Metadata, Page, RepositoryView, StoredManifest, TagView, digest_column, link_key,
    manifest_key, size_column, tag_key,
};
use crate::name::{Reference, RepositoryName};

/// Bytes that a digest or a size takes in the cache.
const SMALL: usize = 160;

impl Metadata {
    /// Size of a blob, if the repository may serve it.
    pub(crate) async fn link(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<u64>, Error> {
        let key = link_key(name, digest);
        let epoch = {
            let mut cache = self.cache();
            if let Some(Cached::Link(size)) = cache.get(&key) {
                return Ok(Some(size));
            }
            cache.epoch()
        };
        let (name, digest) = (name.to_string(), digest.to_string());
        let size = self
            .database
            .read(move |connection| {
                let sql = "SELECT size FROM link WHERE digest = ?2
                           AND repository = (SELECT id FROM repository WHERE name = ?1)";
                connection
                    .prepare_cached(sql)?
                    .query_row([name, digest], |row| size_column(row, 0))
                    .optional()
            })
            .await?;
        if let Some(size) = size {
            self.cache().insert(epoch, key, Cached::Link(size), SMALL);
        }
        Ok(size)
    }

    /// A manifest with its bytes, which are read from `store` if they are not cached.
    pub(crate) async fn manifest(
        &self,
        store: &Store,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Arc<StoredManifest>>, crate::Error> {
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => match self.tag(name, tag).await? {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        let key = manifest_key(name, &digest);
        let epoch = {
            let mut cache = self.cache();
            if let Some(Cached::Manifest(manifest)) = cache.get(&key) {
                return Ok(Some(manifest));
            }
            cache.epoch()
        };
        let Some(row) = self.manifest_row(name, &digest).await? else { return Ok(None) };
        // Checked whenever it comes from the disk: a client that is told of a manifest doesn't push it again.
        let bytes = store.read(&digest).await?;
        let bytes = bytes.filter(|bytes| digest_of(Algorithm::of(&digest), bytes) == digest);
        let Some(bytes) = bytes else {
            tracing::error!(%name, %digest, "bytes of a manifest are missing or damaged on the disk");
            return Ok(None);
        };
        let size = bytes.len();
        let manifest = Arc::new(StoredManifest { digest: row.digest, media_type: row.media_type, bytes });
        self.cache().insert(epoch, key, Cached::Manifest(Arc::clone(&manifest)), size + SMALL);
        Ok(Some(manifest))
    }

    async fn tag(&self, name: &RepositoryName, tag: &str) -> Result<Option<Digest>, Error> {
        let key = tag_key(name, tag);
        let epoch = {
            let mut cache = self.cache();
            if let Some(Cached::Tag(digest)) = cache.get(&key) {
                return Ok(Some(digest));
            }
            cache.epoch()
        };
        let (name, tag) = (name.to_string(), tag.to_owned());
        let digest = self
            .database
            .read(move |connection| {
                let sql = "SELECT digest FROM tag WHERE name = ?2
                           AND repository = (SELECT id FROM repository WHERE name = ?1)";
                connection.prepare_cached(sql)?.query_row([name, tag], |row| digest_column(row, 0)).optional()
            })
            .await?;
        if let Some(digest) = &digest {
            self.cache().insert(epoch, key, Cached::Tag(digest.clone()), SMALL);
        }
        Ok(digest)
    }

    async fn manifest_row(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRow>, Error> {
        let (name, digest) = (name.to_string(), digest.to_string());
        self.database
            .read(move |connection| {
                let sql = "SELECT digest, media_type FROM manifest WHERE digest = ?2
                           AND repository = (SELECT id FROM repository WHERE name = ?1)";
                let row = |row: &wharf_state::rusqlite::Row<'_>| {
                    Ok(ManifestRow { digest: digest_column(row, 0)?, media_type: row.get(1)? })
                };
                connection.prepare_cached(sql)?.query_row([name, digest], row).optional()
            })
            .await
    }

    /// Tags after `last`, at most `count`, in bytewise order. `None`: no such repository.
    pub(crate) async fn tags(
        &self,
        name: &RepositoryName,
        last: &str,
        count: usize,
    ) -> Result<Option<Page>, Error> {
        let (name, last) = (name.to_string(), last.to_owned());
        self.database
            .read(move |connection| {
                let Some(id) = repository_id(connection, &name)? else { return Ok(None) };
                let sql = "SELECT name FROM tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![id, last, limit(count)], |row| row.get(0))?;
                Ok(Some(page(rows.collect::<SqlResult<_>>()?, count)))
            })
            .await
    }

    /// Names of repositories that have a manifest, after `last`, at most `count`, in bytewise order.
    pub(crate) async fn catalog(&self, last: &str, count: usize) -> Result<Page, Error> {
        let last = last.to_owned();
        self.database
            .read(move |connection| {
                let sql = "SELECT name FROM repository WHERE name > ?1
                           AND EXISTS (SELECT 1 FROM manifest WHERE repository = repository.id)
                           ORDER BY name LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map(params![last, limit(count)], |row| row.get(0))?;
                Ok(page(rows.collect::<SqlResult<_>>()?, count))
            })
            .await
    }

    /// Descriptors (JSON) of the manifests whose subject is `digest`, with the digest of each, after the digest `last`.
    pub(crate) async fn referrers(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        artifact_type: Option<&str>,
        last: &str,
        count: usize,
    ) -> Result<(Vec<(String, String)>, bool), Error> {
        let (name, digest, last) = (name.to_string(), digest.to_string(), last.to_owned());
        let artifact_type = artifact_type.map(str::to_owned);
        self.database
            .read(move |connection| {
                let sql = "SELECT digest, descriptor FROM manifest
                           WHERE repository = (SELECT id FROM repository WHERE name = ?1) AND subject = ?2
                           AND digest > ?3 AND (?4 IS NULL OR artifact_type = ?4) ORDER BY digest LIMIT ?5";
                let mut statement = connection.prepare_cached(sql)?;
                let values = params![name, digest, last, artifact_type, limit(count)];
                let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
                let mut found: Vec<(String, String)> = rows.collect::<SqlResult<_>>()?;
                let has_more = found.len() > count;
                found.truncate(count);
                Ok((found, has_more))
            })
            .await
    }

    /// Every repository that has a manifest, by name; at most 10,000.
    pub(crate) async fn repositories(&self) -> Result<Vec<RepositoryView>, Error> {
        self.database
            .read(|connection| {
                let sql = "SELECT name,
                    (SELECT count(*) FROM tag WHERE repository = r.id),
                    (SELECT count(*) FROM manifest WHERE repository = r.id),
                    (SELECT ifnull(sum(size), 0) FROM link WHERE repository = r.id)
                      + (SELECT ifnull(sum(size), 0) FROM manifest WHERE repository = r.id),
                    (SELECT max(pushed_ms) FROM manifest WHERE repository = r.id)
                    FROM repository r WHERE EXISTS (SELECT 1 FROM manifest WHERE repository = r.id)
                    ORDER BY name LIMIT 10000";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map([], |row| {
                    Ok(RepositoryView {
                        name: row.get(0)?,
                        tags: size_column(row, 1)?,
                        manifests: size_column(row, 2)?,
                        bytes: size_column(row, 3)?,
                        pushed: row.get::<_, Option<i64>>(4)?.map(UnixMillis),
                    })
                })?;
                rows.collect()
            })
            .await
    }

    /// The tags of a repository, newest first; at most 10,000. `None`: no such repository.
    pub(crate) async fn tag_views(&self, name: &str) -> Result<Option<Vec<TagView>>, Error> {
        let name = name.to_owned();
        self.database
            .read(move |connection| {
                let Some(id) = repository_id(connection, &name)? else { return Ok(None) };
                let sql = "SELECT t.name, t.digest, m.media_type, m.size + (
                        SELECT ifnull(sum(l.size), 0) FROM child c
                        JOIN link l ON l.repository = c.repository AND l.digest = c.digest
                        WHERE c.repository = t.repository AND c.parent = t.digest), t.pushed_ms
                    FROM tag t JOIN manifest m ON m.repository = t.repository AND m.digest = t.digest
                    WHERE t.repository = ?1 ORDER BY t.pushed_ms DESC, t.name LIMIT 10000";
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map([id], |row| {
                    Ok(TagView {
                        name: row.get(0)?,
                        digest: digest_column(row, 1)?,
                        media_type: row.get(2)?,
                        bytes: size_column(row, 3)?,
                        pushed: UnixMillis(row.get(4)?),
                    })
                })?;
                Ok(Some(rows.collect::<SqlResult<_>>()?))
            })
            .await
    }

    /// Those of `digests` that no repository has, neither as a blob nor as a manifest.
    pub(crate) async fn unreferenced(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, Error> {
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM link WHERE digest = ?1)
                     OR EXISTS (SELECT 1 FROM manifest WHERE digest = ?1)",
                )?;
                let mut unreferenced = Vec::new();
                for digest in digests {
                    if !statement.query_row([digest.as_str()], |row| row.get::<_, bool>(0))? {
                        unreferenced.push(digest);
                    }
                }
                Ok(unreferenced)
            })
            .await
    }
}

pub(super) fn repository_id(connection: &Connection, name: &str) -> SqlResult<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM repository WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// One more than the page has, to see whether there is a next one.
fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX - 1) + 1
}

fn page(mut items: Vec<String>, count: usize) -> Page {
    let has_more = items.len() > count;
    items.truncate(count);
    Page { items, has_more }
}
