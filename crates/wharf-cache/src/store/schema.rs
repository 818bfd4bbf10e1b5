//! Tables of `cache.db`. Each entry is a version; the list only grows.

/// Migrations, oldest first.
pub(crate) const MIGRATIONS: &[wharf_state::Migration] = &[r"
-- The bytes are a file in blobs/, named by the digest.
CREATE TABLE blob (
    digest    TEXT    PRIMARY KEY,
    size      INTEGER NOT NULL,
    ecosystem TEXT    NOT NULL,
    -- Where it came from, for people.
    source    TEXT    NOT NULL,
    stored_ms INTEGER NOT NULL,
    used_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What upstreams change: its newest bytes are a blob.
CREATE TABLE document (
    key        TEXT    PRIMARY KEY,
    digest     TEXT    NOT NULL,
    -- Freshness and validators: http-cache-semantics, as JSON.
    policy     TEXT    NOT NULL,
    checked_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX document_digest ON document (digest);

-- What the indexes of archives say of the files in them.
CREATE TABLE promise (
    upstream TEXT    NOT NULL,
    path     TEXT    NOT NULL,
    -- The index that says so, without its compression.
    source   TEXT    NOT NULL,
    digest   TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    seen_ms  INTEGER NOT NULL,
    PRIMARY KEY (upstream, path, source)
) STRICT, WITHOUT ROWID;

-- Indexes that were read into `promise`, by the digest of their bytes.
CREATE TABLE read_index (
    upstream TEXT NOT NULL,
    source   TEXT NOT NULL,
    digest   TEXT NOT NULL,
    PRIMARY KEY (upstream, source)
) STRICT, WITHOUT ROWID;
"];
