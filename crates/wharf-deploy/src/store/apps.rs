//! Applications, their releases, and numbers of replicas that differ from the file's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wharf_base::{Digest, UnixMillis};
use wharf_compose::project::Project;
use wharf_model::{Name, SecretRef};
use wharf_state::{Connection, OptionalExtension, Row, SqlError};

use super::{Store, from_text};
use crate::Error;
use crate::api::BuildContext;
use crate::translate::UploadedFile;

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) name: Name,
    /// Release that serves.
    pub(crate) active: Option<u32>,
    /// Release that served before.
    pub(crate) previous: Option<u32>,
}

/// A stored release.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Release {
    pub(crate) number: u32,
    pub(crate) created: UnixMillis,
    pub(crate) author: String,
    pub(crate) message: String,
    pub(crate) content: Content,
    /// Requests have gone to it.
    pub(crate) has_served: bool,
    /// Images that were built for it were removed, or are about to be.
    pub(crate) images_gone: bool,
}

/// What a release is made of. Equal contents are the same release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) project: Project,
    /// Reference by digest of each service that was built.
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<String, UploadedFile>,
    /// What was built, to foresee whether a build gives something new.
    pub(crate) contexts: BTreeMap<String, BuildContext>,
    /// The secrets that it uses, by their names in the project. The values are in the vault.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secrets: BTreeMap<String, SecretRef>,
}

impl Content {
    /// Whether both lead to the same containers; how the images came about does not matter.
    pub(crate) fn is_same(&self, other: &Content) -> bool {
        let same_files = self.files == other.files && self.secrets == other.secrets;
        self.project == other.project && self.images == other.images && same_files
    }
}

/// A number of replicas set by `wharf scale`. It holds as long as the file states the same number as then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) service: Name,
    pub(crate) replicas: u32,
    /// What the file said when it was set.
    pub(crate) stated: u32,
}

impl Store {
    /// All applications by name.
    pub(crate) async fn apps(&self) -> Result<Vec<App>, Error> {
        let read = |connection: &Connection<'_>| {
            connection.query_map("SELECT name, active, previous FROM app ORDER BY name", (), app)
        };
        Ok(self.database.read(read).await?)
    }

    /// One application.
    pub(crate) async fn app(&self, name: &Name) -> Result<Option<App>, Error> {
        let name = name.to_string();
        let read = move |connection: &Connection<'_>| {
            let sql = "SELECT name, active, previous FROM app WHERE name = ?1";
            connection.query_row(sql, [name], app).optional()
        };
        Ok(self.database.read(read).await?)
    }

    /// Releases of an application, the newest first.
    pub(crate) async fn releases(&self, app: &Name) -> Result<Vec<Release>, Error> {
        let app = app.to_string();
        let read = move |connection: &Connection<'_>| {
            let sql = "SELECT number, created, author, message, content, has_served, images_gone FROM release
                       WHERE app = ?1 ORDER BY number DESC";
            connection.query_map(sql, [app], release)
        };
        Ok(self.database.read(read).await?)
    }

    /// One release.
    pub(crate) async fn release(&self, app: &Name, number: u32) -> Result<Option<Release>, Error> {
        let app = app.to_string();
        let read = move |connection: &Connection<'_>| {
            let sql = "SELECT number, created, author, message, content, has_served, images_gone FROM release
                       WHERE app = ?1 AND number = ?2";
            connection.query_row(sql, (app, number), release).optional()
        };
        Ok(self.database.read(read).await?)
    }

    /// From now on nobody can go back to these releases.
    pub(crate) async fn images_gone(&self, app: &Name, numbers: Vec<u32>) -> Result<(), Error> {
        let app = app.to_string();
        let write = move |transaction: &Connection<'_>| {
            for number in numbers {
                let sql = "UPDATE release SET images_gone = 1 WHERE app = ?1 AND number = ?2";
                transaction.execute(sql, (&app, number))?;
            }
            Ok(())
        };
        Ok(self.database.write(write).await?)
    }

    /// Scales of an application.
    pub(crate) async fn scales(&self, app: &Name) -> Result<Vec<Scale>, Error> {
        let app = app.to_string();
        let read = move |connection: &Connection<'_>| {
            let sql = "SELECT service, replicas, stated FROM scale WHERE app = ?1 ORDER BY service";
            let scale = |row: &Row<'_>| {
                Ok(Scale { service: name(row.get(0)?)?, replicas: row.get(1)?, stated: row.get(2)? })
            };
            connection.query_map(sql, [app], scale)
        };
        Ok(self.database.read(read).await?)
    }

    /// Digests of the files that kept releases mount.
    pub(crate) async fn files_in_use(&self) -> Result<Vec<Digest>, Error> {
        let read = |connection: &Connection<'_>| {
            let digests = |row: &Row<'_>| {
                let content: Content = from_text(&row.get::<String>(0)?)?;
                Ok(content.files.into_values().map(|file| file.digest).collect::<Vec<_>>())
            };
            let digests = connection.query_map("SELECT content FROM release", (), digests)?;
            Ok(digests.into_iter().flatten().collect())
        };
        Ok(self.database.read(read).await?)
    }

    /// Fingerprints of the secrets that kept releases use.
    pub(crate) async fn secrets_in_use(&self) -> Result<Vec<String>, Error> {
        let read = |connection: &Connection<'_>| {
            let fingerprints = |row: &Row<'_>| {
                let content: Content = from_text(&row.get::<String>(0)?)?;
                Ok(content.secrets.into_values().map(|secret| secret.fingerprint).collect::<Vec<_>>())
            };
            let all = connection.query_map("SELECT content FROM release", (), fingerprints)?;
            Ok(all.into_iter().flatten().collect())
        };
        Ok(self.database.read(read).await?)
    }
}

/// A column as a name.
pub(super) fn name(text: String) -> Result<Name, SqlError> {
    text.parse().map_err(super::unreadable)
}

fn app(row: &Row<'_>) -> Result<App, SqlError> {
    Ok(App { name: name(row.get(0)?)?, active: row.get(1)?, previous: row.get(2)? })
}

fn release(row: &Row<'_>) -> Result<Release, SqlError> {
    Ok(Release {
        number: row.get(0)?,
        created: UnixMillis(row.get(1)?),
        author: row.get(2)?,
        message: row.get(3)?,
        content: from_text(&row.get::<String>(4)?)?,
        has_served: row.get(5)?,
        images_gone: row.get(6)?,
    })
}
