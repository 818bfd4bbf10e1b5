//! What the registry knows: repositories, manifests, tags, links, in SQLite with a cache in front.
//!
//! Reads go to the cache, then to the database. Writes go through the database's one writer thread; they return after
//! the commit is on disk, and then forget what the cache had of it. A write and its forgetting must not be torn apart
//! by a client that goes away: callers run writes in a task of their own (`Registry::complete`).

mod read;
mod write;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use wharf_base::{Digest, UnixMillis};
use wharf_state::sqlite::Database;

use crate::cache::Cache;
use crate::name::RepositoryName;
use crate::schema::MIGRATIONS;

pub(crate) use write::{BlobDeletion, ManifestDeletion, NewManifest};

/// The records and their cache.
pub(crate) struct Metadata {
    database: Database,
    cache: Mutex<Cache<Cached>>,
}

#[derive(Clone)]
enum Cached {
    /// Size of a blob that the repository may serve.
    Link(u64),
    /// What a tag points to.
    Tag(Digest),
    Manifest(Arc<StoredManifest>),
}

/// A manifest as it was pushed.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// Row of a manifest.
#[derive(Clone, Debug)]
pub(crate) struct ManifestRow {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
}

/// One page of a sorted list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) items: Vec<String>,
    pub(crate) has_more: bool,
}

/// A repository as the console shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoryView {
    /// Its name.
    pub name: String,
    /// How many tags it has.
    pub tags: u64,
    /// How many manifests.
    pub manifests: u64,
    /// Bytes of its blobs and manifests, each counted once.
    pub bytes: u64,
    /// When a manifest was pushed last.
    pub pushed: Option<UnixMillis>,
}

/// A tag as the console shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TagView {
    /// Its name.
    pub name: String,
    /// The manifest that it points to.
    pub digest: Digest,
    /// Media type of that manifest.
    pub media_type: String,
    /// Bytes of the manifest and the blobs that it names, without those of an index's manifests.
    pub bytes: u64,
    /// When the tag was pushed last.
    pub pushed: UnixMillis,
}

impl Metadata {
    /// Brings the tables up to date.
    pub(crate) async fn open(database: Database, cache_bytes: usize) -> Result<Metadata, wharf_state::Error> {
        database.migrate("registry", MIGRATIONS).await?;
        Ok(Metadata { database, cache: Mutex::new(Cache::new(cache_bytes)) })
    }

    /// Hits and misses of the cache.
    pub(crate) fn cache_counts(&self) -> (u64, u64) {
        self.cache().counts()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache<Cached>> {
        self.cache.lock().expect("no holder panics")
    }
}

fn link_key(name: &RepositoryName, digest: &Digest) -> String {
    format!("link {name} {digest}")
}

fn tag_key(name: &RepositoryName, tag: &str) -> String {
    format!("tag {name} {tag}")
}

fn manifest_key(name: &RepositoryName, digest: &Digest) -> String {
    format!("manifest {name} {digest}")
}

/// A digest that we have written ourselves; a row that has another text is damage.
fn digest_column(
    row: &wharf_state::rusqlite::Row<'_>,
    index: usize,
) -> wharf_state::rusqlite::Result<Digest> {
    use wharf_state::rusqlite::{Error, types::Type};
    let text: String = row.get(index)?;
    text.parse().map_err(|error| Error::FromSqlConversionFailure(index, Type::Text, Box::new(error)))
}

fn size_column(row: &wharf_state::rusqlite::Row<'_>, index: usize) -> wharf_state::rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}
