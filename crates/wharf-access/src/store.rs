//! Access records in the control state: tokens and sessions. Secrets are here as SHA-256 only.

use wharf_base::UnixMillis;
use wharf_state::{Database, Error, Migration, Row, SqlError};

use wharf_http::Role;

use crate::role;
use crate::secret::SecretHash;

const MIGRATIONS: &[Migration] = &[
    "
CREATE TABLE access_token (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    hash BLOB NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER
) STRICT;
CREATE TABLE access_session (
    hash BLOB PRIMARY KEY,
    token TEXT NOT NULL REFERENCES access_token (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL
) STRICT;",
    "ALTER TABLE access_token ADD COLUMN expires INTEGER;",
];

/// One API token as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct TokenRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) hash: SecretHash,
    pub(crate) created: UnixMillis,
    pub(crate) last_used: Option<UnixMillis>,
    /// From when on it admits nobody; `None`: never.
    pub(crate) expires: Option<UnixMillis>,
}

impl TokenRecord {
    /// When it ended, if it has.
    pub(crate) fn expired(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.expires.filter(|expires| *expires <= now)
    }
}

/// One session of the console as it is kept; it has the name and role of its token.
#[derive(Clone, Debug)]
pub(crate) struct SessionRecord {
    pub(crate) hash: SecretHash,
    pub(crate) token: String,
    pub(crate) created: UnixMillis,
    pub(crate) last_used: UnixMillis,
}

/// The tables.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    pub(crate) async fn open(database: Database) -> Result<Store, Error> {
        database.migrate("access", MIGRATIONS).await?;
        Ok(Store { database })
    }

    /// Whether other servers have the same state.
    pub(crate) fn is_shared(&self) -> bool {
        self.database.is_shared()
    }

    pub(crate) async fn load(&self) -> Result<(Vec<TokenRecord>, Vec<SessionRecord>), Error> {
        let tokens_sql = "SELECT id, name, role, hash, created, last_used, expires FROM access_token";
        let sessions_sql = "SELECT hash, token, created, last_used FROM access_session";
        self.database
            .read(move |connection| {
                let tokens = connection.query_map(tokens_sql, (), token)?;
                Ok((tokens, connection.query_map(sessions_sql, (), session)?))
            })
            .await
    }

    /// Adds a token; a record with the same name is replaced if `replace`, else it is an `AlreadyExists`.
    pub(crate) async fn insert_token(&self, record: TokenRecord, replace: bool) -> Result<(), Error> {
        self.database
            .write(move |transaction| {
                if replace {
                    transaction.execute("DELETE FROM access_token WHERE name = ?1", [&record.name])?;
                }
                transaction.execute(
                    "INSERT INTO access_token (id, name, role, hash, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    (
                        record.id,
                        record.name,
                        role::word(record.role),
                        record.hash.0,
                        record.created.0,
                        record.expires.map(|at| at.0),
                    ),
                )?;
                Ok(())
            })
            .await
    }

    /// Removes a token and, by the foreign key, its sessions.
    pub(crate) async fn delete_token(&self, id: String) -> Result<(), Error> {
        self.database
            .write(move |transaction| transaction.execute("DELETE FROM access_token WHERE id = ?1", [id]))
            .await
            .map(drop)
    }

    pub(crate) async fn insert_session(
        &self,
        record: SessionRecord,
        evicted: Option<SecretHash>,
    ) -> Result<(), Error> {
        self.database
            .write(move |transaction| {
                if let Some(evicted) = evicted {
                    transaction.execute("DELETE FROM access_session WHERE hash = ?1", [evicted.0])?;
                }
                transaction.execute(
                    "INSERT INTO access_session (hash, token, created, last_used) VALUES (?1, ?2, ?3, ?4)",
                    (record.hash.0, record.token, record.created.0, record.last_used.0),
                )?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn delete_sessions(&self, hashes: Vec<SecretHash>) -> Result<(), Error> {
        self.database
            .write(move |transaction| {
                for hash in hashes {
                    transaction.execute("DELETE FROM access_session WHERE hash = ?1", [hash.0])?;
                }
                Ok(())
            })
            .await
    }

    /// Writes when tokens and sessions were last used.
    pub(crate) async fn touch(
        &self,
        tokens: Vec<(String, UnixMillis)>,
        sessions: Vec<(SecretHash, UnixMillis)>,
    ) -> Result<(), Error> {
        self.database
            .write(move |transaction| {
                for (id, at) in tokens {
                    transaction
                        .execute("UPDATE access_token SET last_used = ?2 WHERE id = ?1", (id, at.0))?;
                }
                for (hash, at) in sessions {
                    transaction.execute(
                        "UPDATE access_session SET last_used = ?2 WHERE hash = ?1",
                        (hash.0, at.0),
                    )?;
                }
                Ok(())
            })
            .await
    }
}

fn token(row: &Row<'_>) -> Result<TokenRecord, SqlError> {
    let word: String = row.get(2)?;
    Ok(TokenRecord {
        id: row.get(0)?,
        name: row.get(1)?,
        // A role that only a newer Wharf knows gives the least that we know.
        role: role::parse(&word).unwrap_or(Role::Viewer),
        hash: SecretHash(row.get(3)?),
        created: UnixMillis(row.get(4)?),
        last_used: row.get::<Option<i64>>(5)?.map(UnixMillis),
        expires: row.get::<Option<i64>>(6)?.map(UnixMillis),
    })
}

fn session(row: &Row<'_>) -> Result<SessionRecord, SqlError> {
    Ok(SessionRecord {
        hash: SecretHash(row.get(0)?),
        token: row.get(1)?,
        created: UnixMillis(row.get(2)?),
        last_used: UnixMillis(row.get(3)?),
    })
}
