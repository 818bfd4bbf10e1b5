//! Tables of this part in the state database: applications, releases, scales, deploys.
//!
//! A deploy row with state `running` is the lease on its application: a unique index allows one, so a restarted
//! server knows what it was about. The row holds the whole rollout and its phase; see [`Phase`].

mod apps;
mod deploys;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wharf_state::{Database, Migration, SqlError};

use crate::Error;

pub(crate) use apps::{App, Content, Release, Scale};
pub(crate) use deploys::{NewDeploy, NewRelease, Phase, Planned, Progress, Stored};

const MIGRATIONS: &[Migration] = &[
    "
    CREATE TABLE app (
        name TEXT PRIMARY KEY,
        active INTEGER,
        previous INTEGER
    ) STRICT;
    CREATE TABLE release (
        app TEXT NOT NULL,
        number INTEGER NOT NULL,
        created INTEGER NOT NULL,
        author TEXT NOT NULL,
        message TEXT NOT NULL,
        content TEXT NOT NULL,
        PRIMARY KEY (app, number)
    ) STRICT;
    CREATE TABLE scale (
        app TEXT NOT NULL,
        service TEXT NOT NULL,
        replicas INTEGER NOT NULL,
        stated INTEGER NOT NULL,
        PRIMARY KEY (app, service)
    ) STRICT;
    CREATE TABLE deploy (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app TEXT NOT NULL,
        release INTEGER NOT NULL,
        what TEXT NOT NULL,
        by TEXT NOT NULL,
        state TEXT NOT NULL,
        phase TEXT NOT NULL,
        rollout TEXT,
        scales TEXT,
        steps TEXT NOT NULL,
        items TEXT NOT NULL,
        error TEXT,
        log_tail TEXT NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX deploy_running ON deploy (app) WHERE state = 'running';
    CREATE INDEX deploy_app ON deploy (app, id);
",
    "
    ALTER TABLE release ADD COLUMN has_served INTEGER NOT NULL DEFAULT 0;
    UPDATE release SET has_served = 1 WHERE
        EXISTS (SELECT 1 FROM app WHERE name = release.app AND release.number IN (active, previous))
        OR NOT EXISTS (SELECT 1 FROM deploy WHERE deploy.app = release.app AND deploy.release = release.number
                       AND what = 'deploy' AND state <> 'succeeded');
",
    "ALTER TABLE release ADD COLUMN images_gone INTEGER NOT NULL DEFAULT 0;",
];

/// The tables.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// Brings the tables up to date.
    pub(crate) async fn open(database: Database) -> Result<Store, Error> {
        database.migrate("deploy", MIGRATIONS).await?;
        Ok(Store { database })
    }
}

impl Store {
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}

/// The uploads that stored releases mount, as paths below `data` (the part's own directory): what a backup of `database`
/// needs besides. A database that no deploy part has used yet has none.
pub async fn files_of_releases(
    database: &Database,
    data: &std::path::Path,
) -> Result<Vec<std::path::PathBuf>, Error> {
    let table = "SELECT version FROM migration WHERE part = 'deploy'";
    let version = move |connection: &wharf_state::Connection<'_>| {
        wharf_state::OptionalExtension::optional(connection.query_row(table, (), |row| row.get::<i64>(0)))
    };
    if database.read(version).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut digests = Store { database: database.clone() }.files_in_use().await?;
    digests.sort();
    digests.dedup();
    Ok(digests.iter().map(|digest| crate::uploads::path_of(&data.join("uploads"), digest)).collect())
}

/// A record as text for a column.
fn to_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain records are JSON")
}

/// A column's text as a record.
fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, SqlError> {
    serde_json::from_str(text).map_err(unreadable)
}

/// A record's word, such as a state, as its enum.
fn from_word<T: DeserializeOwned>(word: String) -> Result<T, SqlError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(unreadable)
}

fn unreadable(error: impl std::error::Error) -> SqlError {
    SqlError::column(0, error)
}
