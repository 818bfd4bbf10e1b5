//! The fleet's tables in the control state: hosts, reports, join tokens, generations.
//!
//! Generations are append-only and chained: each row's hash covers its document and the hash before it, so a row that
//! was changed or removed later shows. Old documents are dropped after `generations_kept`; their lines and hashes stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use wharf_base::{Digest, UnixMillis, hex};
use wharf_model::{Generation, HostReport, Name};
use wharf_state::{Connection, Database, Migration, OptionalExtension as _, Row, SqlError};

use crate::Error;

pub(crate) const MIGRATIONS: &[Migration] = &[
    "
    CREATE TABLE fleet_host (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        labels TEXT NOT NULL,
        address TEXT,
        fingerprint TEXT UNIQUE,
        registry_hash TEXT,
        draining INTEGER NOT NULL DEFAULT 0,
        joined INTEGER NOT NULL,
        last_seen INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE fleet_report (
        host TEXT PRIMARY KEY REFERENCES fleet_host (id) ON DELETE CASCADE,
        report TEXT NOT NULL
    ) STRICT;
    CREATE TABLE fleet_join_token (
        id TEXT PRIMARY KEY,
        secret_hash TEXT NOT NULL,
        expires INTEGER NOT NULL,
        uses_left INTEGER NOT NULL,
        labels TEXT NOT NULL,
        host TEXT,
        made_by TEXT NOT NULL
    ) STRICT;
    CREATE TABLE fleet_generation (
        number INTEGER PRIMARY KEY,
        created INTEGER NOT NULL,
        author TEXT NOT NULL,
        reason TEXT NOT NULL,
        hash TEXT NOT NULL,
        document TEXT
    ) STRICT;
",
    "
    ALTER TABLE fleet_host ADD COLUMN former_fingerprint TEXT;
    ALTER TABLE fleet_host ADD COLUMN certificate_expires INTEGER;
",
];

/// A host as stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HostRecord {
    pub(crate) id: String,
    pub(crate) name: Name,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) address: Option<std::net::IpAddr>,
    /// Of its client certificate; `None` for the server's own host.
    pub(crate) fingerprint: Option<Digest>,
    /// Of the certificate with which it asked for that one: it may have been killed before it had stored the new one.
    pub(crate) former: Option<Digest>,
    /// When the newest certificate ends; `None` for one from before lifetimes, which doesn't.
    pub(crate) expires: Option<UnixMillis>,
    /// SHA-256 of its password for the registry.
    pub(crate) registry_hash: Option<String>,
    pub(crate) draining: bool,
    pub(crate) joined: UnixMillis,
    pub(crate) last_seen: UnixMillis,
}

impl HostRecord {
    /// Of all certificates that it may show.
    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = &Digest> {
        self.fingerprint.iter().chain(&self.former)
    }

    pub(crate) fn has(&self, fingerprint: &Digest) -> bool {
        self.fingerprints().any(|one| one == fingerprint)
    }
}

/// A join token as stored.
#[derive(Clone, Debug)]
pub(crate) struct TokenRecord {
    pub(crate) id: String,
    pub(crate) secret_hash: String,
    pub(crate) expires: UnixMillis,
    pub(crate) uses_left: u32,
    pub(crate) labels: BTreeMap<String, String>,
    /// The one name that it is good for, even if a host has it.
    pub(crate) host: Option<Name>,
    pub(crate) made_by: String,
}

/// A line of the list of generations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct GenerationLine {
    pub(crate) number: u64,
    pub(crate) created: UnixMillis,
    pub(crate) author: String,
    pub(crate) reason: String,
    pub(crate) hash: String,
}

/// Why a token admits nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Expired,
    Used,
}

#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    pub(crate) async fn open(database: Database) -> Result<Store, Error> {
        database.migrate("fleet", MIGRATIONS).await?;
        Ok(Store { database })
    }

    pub(crate) async fn hosts(&self) -> Result<Vec<(HostRecord, HostReport)>, Error> {
        let sql = "SELECT id, name, labels, address, fingerprint, registry_hash, draining, joined, last_seen, report,
                          former_fingerprint, certificate_expires
                   FROM fleet_host LEFT JOIN fleet_report ON host = id";
        let rows = self.database.read(move |connection| {
            connection.query_map(sql, (), |row| {
                let report: Option<String> = row.get(9)?;
                // A report that only a newer Wharf can read is as good as none: the next one comes within seconds.
                let report = report.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                Ok((read_host(row)?, report))
            })
        });
        Ok(rows.await?)
    }

    /// Adds a host, or replaces the one of the same name if `replace`.
    pub(crate) async fn put_host(&self, host: HostRecord, replace: bool) -> Result<(), Error> {
        let write = move |transaction: &Connection<'_>| {
            if replace {
                transaction.execute("DELETE FROM fleet_host WHERE name = ?1", [host.name.as_str()])?;
            }
            let columns = "(id, name, labels, address, fingerprint, registry_hash, draining, joined, last_seen, certificate_expires)";
            transaction.execute(
                &format!("INSERT INTO fleet_host {columns} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
                (
                    host.id,
                    host.name.as_str(),
                    json(&host.labels),
                    host.address.map(|address| address.to_string()),
                    host.fingerprint.as_ref().map(Digest::as_str),
                    host.registry_hash,
                    host.draining,
                    host.joined.0,
                    host.last_seen.0,
                    host.expires.map(|expires| expires.0),
                ),
            )?;
            Ok(())
        };
        Ok(self.database.write(write).await?)
    }

    pub(crate) async fn set_draining(&self, id: String, draining: bool) -> Result<(), Error> {
        let sql = "UPDATE fleet_host SET draining = ?2 WHERE id = ?1";
        self.database.write(move |transaction| transaction.execute(sql, (id, draining))).await?;
        Ok(())
    }

    /// Keeps a host's new certificate and the one that it was asked for with.
    pub(crate) async fn set_certificate(
        &self,
        id: String,
        (fingerprint, former): (Digest, Digest),
        expires: UnixMillis,
    ) -> Result<(), Error> {
        let sql = "UPDATE fleet_host SET fingerprint = ?2, former_fingerprint = ?3, certificate_expires = ?4
                   WHERE id = ?1";
        let write = move |transaction: &Connection<'_>| {
            transaction.execute(sql, (id, fingerprint.as_str(), former.as_str(), expires.0))
        };
        self.database.write(write).await?;
        Ok(())
    }

    pub(crate) async fn set_labels(&self, id: String, labels: BTreeMap<String, String>) -> Result<(), Error> {
        let sql = "UPDATE fleet_host SET labels = ?2 WHERE id = ?1";
        self.database.write(move |transaction| transaction.execute(sql, (id, json(&labels)))).await?;
        Ok(())
    }

    pub(crate) async fn remove_host(&self, id: String) -> Result<(), Error> {
        self.database.write(move |tx| tx.execute("DELETE FROM fleet_host WHERE id = ?1", [id])).await?;
        Ok(())
    }

    /// Keeps a host's last report. A host that was removed meanwhile is left out.
    pub(crate) async fn put_report(
        &self,
        id: String,
        report: &HostReport,
        seen: UnixMillis,
    ) -> Result<(), Error> {
        let report = json(report);
        let write = move |transaction: &Connection<'_>| {
            let known =
                transaction.execute("UPDATE fleet_host SET last_seen = ?2 WHERE id = ?1", (&id, seen.0))?;
            if known == 1 {
                let sql = "INSERT INTO fleet_report (host, report) VALUES (?1, ?2)
                           ON CONFLICT (host) DO UPDATE SET report = excluded.report";
                transaction.execute(sql, (&id, report))?;
            }
            Ok(())
        };
        Ok(self.database.write(write).await?)
    }

    pub(crate) async fn put_token(&self, token: TokenRecord, now: UnixMillis) -> Result<(), Error> {
        let write = move |transaction: &Connection<'_>| {
            // Expired ones are kept for a week, so that a late use is told "expired" and not "unknown".
            transaction
                .execute("DELETE FROM fleet_join_token WHERE expires < ?1", [now.0 - 7 * 86_400_000])?;
            transaction.execute(
                "INSERT INTO fleet_join_token VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    token.id,
                    token.secret_hash,
                    token.expires.0,
                    token.uses_left,
                    json(&token.labels),
                    token.host.as_ref().map(Name::as_str),
                    token.made_by,
                ),
            )
        };
        self.database.write(write).await?;
        Ok(())
    }

    /// The token with this id, if it still admits someone.
    pub(crate) async fn token(
        &self,
        id: String,
        now: UnixMillis,
    ) -> Result<Result<TokenRecord, Refusal>, Error> {
        let found = self.database.read(move |connection| {
            let sql =
                "SELECT id, secret_hash, expires, uses_left, labels, host, made_by FROM fleet_join_token
                       WHERE id = ?1";
            let read = |row: &Row<'_>| {
                Ok(TokenRecord {
                    id: row.get(0)?,
                    secret_hash: row.get(1)?,
                    expires: UnixMillis(row.get(2)?),
                    uses_left: row.get(3)?,
                    labels: parse(row, 4)?,
                    host: row.get::<Option<String>>(5)?.and_then(|name| name.parse().ok()),
                    made_by: row.get(6)?,
                })
            };
            connection.query_row(sql, [id], read).optional()
        });
        Ok(match found.await? {
            None => Err(Refusal::Unknown),
            Some(token) if token.uses_left == 0 => Err(Refusal::Used),
            Some(token) if token.expires < now => Err(Refusal::Expired),
            Some(token) => Ok(token),
        })
    }

    /// Uses the token once. False when another took the last use meanwhile.
    pub(crate) async fn use_token(&self, id: String) -> Result<bool, Error> {
        let sql = "UPDATE fleet_join_token SET uses_left = uses_left - 1 WHERE id = ?1 AND uses_left > 0";
        Ok(self.database.write(move |transaction| transaction.execute(sql, [id])).await? == 1)
    }

    /// Gives a use back: the join did not come to be.
    pub(crate) async fn return_token(&self, id: String) -> Result<(), Error> {
        let sql = "UPDATE fleet_join_token SET uses_left = uses_left + 1 WHERE id = ?1";
        self.database.write(move |transaction| transaction.execute(sql, [id])).await?;
        Ok(())
    }

    /// Appends a generation whose number is one above the newest.
    pub(crate) async fn append(&self, generation: Arc<Generation>, kept: u32) -> Result<(), Error> {
        let document = crate::blocking({
            let generation = Arc::clone(&generation);
            move || json(&*generation)
        });
        let document = document.await;
        let number = i64::try_from(generation.number).unwrap_or(i64::MAX);
        let line = (number, generation.created.0, generation.author.clone(), generation.reason.clone());
        let write = move |transaction: &Connection<'_>| {
            let (number, created, author, reason) = line;
            let newest = "SELECT hash FROM fleet_generation WHERE number = ?1";
            let before: String =
                transaction.query_row(newest, [number - 1], |row| row.get(0)).optional()?.unwrap_or_default();
            transaction.execute(
                "INSERT INTO fleet_generation VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (number, created, author, reason, chained(&before, &document), document),
            )?;
            let old =
                "UPDATE fleet_generation SET document = NULL WHERE number <= ?1 AND document IS NOT NULL";
            transaction.execute(old, [number - i64::from(kept.max(1))])?;
            Ok(())
        };
        Ok(self.database.write(write).await?)
    }

    /// The newest generation, or the empty one.
    pub(crate) async fn newest(&self) -> Result<Generation, Error> {
        let sql = "SELECT document FROM fleet_generation ORDER BY number DESC LIMIT 1";
        let document: Option<String> = self
            .database
            .read(move |connection| connection.query_row(sql, (), |row| row.get(0)).optional())
            .await?;
        document.map_or_else(|| Ok(Generation::default()), |text| parse_generation(&text))
    }

    pub(crate) async fn generation(&self, number: u64) -> Result<Generation, Error> {
        let sql = "SELECT document FROM fleet_generation WHERE number = ?1 AND document IS NOT NULL";
        let number_stored = i64::try_from(number).unwrap_or(i64::MAX);
        let read = self.database.read(move |connection| {
            connection.query_row(sql, [number_stored], |row| row.get::<String>(0)).optional()
        });
        parse_generation(&read.await?.ok_or(Error::NoSuchGeneration(number))?)
    }

    /// The newest `limit` lines, newest first.
    pub(crate) async fn generations(&self, limit: u32) -> Result<Vec<GenerationLine>, Error> {
        let sql = "SELECT number, created, author, reason, hash FROM fleet_generation ORDER BY number DESC LIMIT ?1";
        let rows = self.database.read(move |connection| {
            connection.query_map(sql, [limit], |row| {
                Ok(GenerationLine {
                    number: row.get::<i64>(0)? as u64,
                    created: UnixMillis(row.get(1)?),
                    author: row.get(2)?,
                    reason: row.get(3)?,
                    hash: row.get(4)?,
                })
            })
        });
        Ok(rows.await?)
    }
}

/// SHA-256 over the hash before and the document.
fn chained(before: &str, document: &str) -> String {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update(before);
    hasher.update(document);
    hex(&hasher.finalize())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain records are JSON")
}

fn parse_generation(text: &str) -> Result<Generation, Error> {
    let form = |error: serde_json::Error| Error::Form {
        what: "a stored generation".to_owned(),
        reason: error.to_string(),
    };
    serde_json::from_str(text).map_err(form)
}

fn read_host(row: &Row<'_>) -> Result<HostRecord, SqlError> {
    let text = |index: usize| row.get::<Option<String>>(index);
    Ok(HostRecord {
        id: row.get(0)?,
        name: row.get::<String>(1)?.parse().map_err(|error| unreadable(1, error))?,
        labels: parse(row, 2)?,
        address: text(3)?.and_then(|address| address.parse().ok()),
        fingerprint: text(4)?.and_then(|fingerprint| fingerprint.parse().ok()),
        registry_hash: text(5)?,
        draining: row.get(6)?,
        joined: UnixMillis(row.get(7)?),
        last_seen: UnixMillis(row.get(8)?),
        former: text(10)?.and_then(|fingerprint| fingerprint.parse().ok()),
        expires: row.get::<Option<i64>>(11)?.map(UnixMillis),
    })
}

fn parse<T: serde::de::DeserializeOwned>(row: &Row<'_>, index: usize) -> Result<T, SqlError> {
    serde_json::from_str(&row.get::<String>(index)?).map_err(|error| unreadable(index, error))
}

fn unreadable(index: usize, error: impl std::error::Error) -> SqlError {
    SqlError::column(index, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn generations_are_chained_and_old_documents_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Database::open(&directory.path().join("state.db")).unwrap()).await.unwrap();
        assert_eq!(store.newest().await.unwrap(), Generation::default());
        for number in 1..=5 {
            let generation = Generation { number, reason: format!("change {number}"), ..Default::default() };
            store.append(Arc::new(generation), 3).await.unwrap();
        }
        assert_eq!(store.newest().await.unwrap().number, 5);
        assert_eq!(store.generation(3).await.unwrap().reason, "change 3");
        assert!(matches!(store.generation(2).await, Err(Error::NoSuchGeneration(2))));
        let lines = store.generations(10).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
        let document = json(&store.generation(5).await.unwrap());
        assert_eq!(lines[0].hash, chained(&lines[1].hash, &document));
        let again = store.append(Arc::new(Generation { number: 5, ..Default::default() }), 3).await;
        assert!(again.is_err(), "a number is given once");
    }
}
