//! Tables of `registry.db`. Each entry is a version; the list only grows.

/// Migrations, oldest first.
pub(crate) const MIGRATIONS: &[wharf_state::Migration] = &[r"
CREATE TABLE repository (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The bytes are a file in blobs/, named by the digest.
CREATE TABLE manifest (
    repository    INTEGER NOT NULL REFERENCES repository (id),
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    size          INTEGER NOT NULL,
    subject       TEXT,
    artifact_type TEXT,
    -- What the referrers list says of it; only where there is a subject.
    descriptor    TEXT,
    pushed_ms     INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifest_digest ON manifest (digest);

CREATE TABLE tag (
    repository INTEGER NOT NULL REFERENCES repository (id),
    name       TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    pushed_ms  INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_digest ON tag (repository, digest);

-- Which repository may serve which blob.
CREATE TABLE link (
    repository INTEGER NOT NULL REFERENCES repository (id),
    digest     TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_digest ON link (digest);

-- What a manifest needs: blobs and manifests of the same repository.
CREATE TABLE child (
    repository INTEGER NOT NULL,
    parent     TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    PRIMARY KEY (repository, parent, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX child_digest ON child (repository, digest);
"];
