//! Deploys: the lease, the progress, the end.

use serde::{Deserialize, Serialize};
use wharf_base::{ErrorCode, UnixMillis};
use wharf_model::Name;
use wharf_state::{Connection, OptionalExtension, Row, SqlError};

use super::apps::name;
use super::{Release, Scale, Store, from_text, from_word, to_text};
use crate::Error;
use crate::api::{DeployState, DeployView, EndView, StepView, StreamItem, What};
use crate::plan::Rollout;

/// How far a deploy has come: decides what a restarted server does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Nothing was changed. A restart ends it.
    Preparing,
    /// Generations may have been made. A restart undoes them.
    Planned,
    /// The generation that switches is being made. A restart looks whether it was.
    Switching,
    /// Requests go to the new release. A restart goes on.
    Switched,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Phase::Preparing => "preparing",
            Phase::Planned => "planned",
            Phase::Switching => "switching",
            Phase::Switched => "switched",
        }
    }
}

/// Which release a deploy leads to. It is looked up with the lease in hand: before, another deploy may still switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewRelease {
    /// The next number.
    Next,
    /// The one that is active; 0 when none is.
    Active,
    /// This one.
    Stored(u32),
}

/// What is known when a deploy begins.
#[derive(Clone, Debug)]
pub(crate) struct NewDeploy {
    pub(crate) app: Name,
    pub(crate) release: NewRelease,
    pub(crate) what: What,
    pub(crate) by: String,
    pub(crate) started: UnixMillis,
}

/// What is stored before the first generation is made.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) rollout: Rollout,
    /// The release, if it is new.
    pub(crate) release: Option<Release>,
    /// Scales that hold once it has switched.
    pub(crate) scales: Vec<Scale>,
}

/// What people saw of a deploy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) steps: Vec<StepView>,
    pub(crate) items: Vec<StreamItem>,
}

/// A deploy that had not ended.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) view: DeployView,
    pub(crate) phase: Phase,
    /// `None` before the plan; an error when another version wrote it.
    pub(crate) rollout: Option<Result<Rollout, String>>,
    pub(crate) items: Vec<StreamItem>,
}

const VIEW: &str = "id, app, release, what, by, state, steps, error, log_tail, started, ended";

impl Store {
    /// Takes the lease on the application and stores the deploy. Returns its id and release.
    ///
    /// Errors: `Busy` when another one runs.
    pub(crate) async fn begin(&self, new: NewDeploy) -> Result<(u64, u32), Error> {
        let row = new.clone();
        let insert = move |transaction: &Connection<'_>| {
            let app = row.app.as_str();
            let number = |sql: &str| transaction.query_row(sql, [app], |row| row.get(0)).optional();
            let release = match row.release {
                NewRelease::Stored(release) => Some(release),
                NewRelease::Next => {
                    number("SELECT COALESCE(MAX(number), 0) + 1 FROM release WHERE app = ?1")?
                }
                NewRelease::Active => number("SELECT COALESCE(active, 0) FROM app WHERE name = ?1")?,
            };
            let release: u32 = release.unwrap_or(0);
            let sql =
                "INSERT INTO deploy (app, release, what, by, state, phase, steps, items, log_tail, started)
                       VALUES (?1, ?2, ?3, ?4, 'running', 'preparing', '[]', '[]', '[]', ?5) RETURNING id";
            let values = (app, release, row.what.as_str(), &row.by, row.started.0);
            let id: i64 = transaction.query_row(sql, values, |row| row.get(0))?;
            Ok((id as u64, release))
        };
        match self.database.write(insert).await {
            Err(error) if error.code() == ErrorCode::AlreadyExists => Err(self.busy(&new.app).await?),
            result => Ok(result?),
        }
    }

    async fn busy(&self, app: &Name) -> Result<Error, Error> {
        let key = app.to_string();
        let read = move |connection: &Connection<'_>| {
            let sql = format!("SELECT {VIEW} FROM deploy WHERE app = ?1 AND state = 'running'");
            connection.query_row(&sql, [key], view).optional()
        };
        let running = self.database.read(read).await?;
        Ok(match running {
            Some(deploy) => Error::Busy {
                app: app.clone(),
                deploy: deploy.id,
                what: deploy.what.as_str().to_owned(),
                by: deploy.by,
                since: deploy.started,
            },
            None => Error::Invalid(format!("{app}: another deploy has just ended\n  hint: try again")),
        })
    }

    /// Stores the rollout and the new release: from here on a restart undoes.
    pub(crate) async fn planned(&self, deploy: u64, app: &Name, planned: Planned) -> Result<(), Error> {
        let app = app.to_string();
        let write = move |transaction: &Connection<'_>| {
            transaction.execute("INSERT INTO app (name) VALUES (?1) ON CONFLICT DO NOTHING", [&app])?;
            if let Some(release) = &planned.release {
                let sql = "INSERT INTO release (app, number, created, author, message, content)
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                let content = to_text(&release.content);
                let row =
                    (&app, release.number, release.created.0, &release.author, &release.message, content);
                transaction.execute(sql, row)?;
            }
            let sql = "UPDATE deploy SET phase = 'planned', rollout = ?2, scales = ?3 WHERE id = ?1";
            transaction.execute(sql, (deploy as i64, to_text(&planned.rollout), to_text(&planned.scales)))?;
            Ok(())
        };
        Ok(self.database.write(write).await?)
    }

    /// Stores that the switch is about to be made.
    pub(crate) async fn switching(&self, deploy: u64) -> Result<(), Error> {
        let write = move |transaction: &Connection<'_>| {
            let phase = Phase::Switching.as_str();
            transaction.execute("UPDATE deploy SET phase = ?2 WHERE id = ?1", (deploy as i64, phase))
        };
        self.database.write(write).await?;
        Ok(())
    }

    /// Stores that requests go to `release`, with the scales that were planned.
    pub(crate) async fn switched(&self, deploy: u64, app: &Name, release: u32) -> Result<(), Error> {
        let app = app.to_string();
        let write = move |transaction: &Connection<'_>| {
            let id = deploy as i64;
            transaction
                .execute("UPDATE deploy SET phase = ?2 WHERE id = ?1", (id, Phase::Switched.as_str()))?;
            let sql = "UPDATE app SET previous = active, active = ?2 WHERE name = ?1 AND active IS DISTINCT FROM ?2";
            transaction.execute(sql, (&app, release))?;
            let sql = "UPDATE release SET has_served = 1 WHERE app = ?1 AND number = ?2";
            transaction.execute(sql, (&app, release))?;
            let scales: Option<String> =
                transaction.query_row("SELECT scales FROM deploy WHERE id = ?1", [id], |row| row.get(0))?;
            let scales: Vec<Scale> = scales.as_deref().map_or(Ok(Vec::new()), from_text)?;
            transaction.execute("DELETE FROM scale WHERE app = ?1", [&app])?;
            for scale in scales {
                let sql = "INSERT INTO scale (app, service, replicas, stated) VALUES (?1, ?2, ?3, ?4)";
                transaction.execute(sql, (&app, scale.service.as_str(), scale.replicas, scale.stated))?;
            }
            Ok(())
        };
        Ok(self.database.write(write).await?)
    }

    /// Stores what people have seen so far.
    pub(crate) async fn progress(&self, deploy: u64, progress: Progress) -> Result<(), Error> {
        let write = move |transaction: &Connection<'_>| {
            let sql = "UPDATE deploy SET steps = ?2, items = ?3 WHERE id = ?1";
            transaction.execute(sql, (deploy as i64, to_text(&progress.steps), to_text(&progress.items)))
        };
        self.database.write(write).await?;
        Ok(())
    }

    /// Ends the deploy and gives the lease back. `removed` forgets the application with its releases.
    pub(crate) async fn end(
        &self,
        deploy: u64,
        app: &Name,
        end: &EndView,
        ended: UnixMillis,
        removed: bool,
    ) -> Result<(), Error> {
        let (app, end) = (app.to_string(), end.clone());
        let write = move |transaction: &Connection<'_>| {
            let sql = "UPDATE deploy SET state = ?2, release = ?3, error = ?4, log_tail = ?5, ended = ?6,
                       rollout = NULL, scales = NULL WHERE id = ?1";
            let tail = to_text(&end.log_tail);
            let row = (deploy as i64, end.state.as_str(), end.release, &end.error, tail, ended.0);
            transaction.execute(sql, row)?;
            if removed {
                transaction.execute("DELETE FROM app WHERE name = ?1", [&app])?;
                transaction.execute("DELETE FROM release WHERE app = ?1", [&app])?;
                transaction.execute("DELETE FROM scale WHERE app = ?1", [&app])?;
            }
            Ok(())
        };
        Ok(self.database.write(write).await?)
    }

    /// Removes releases beyond the newest `releases` of the application, and deploys beyond the newest `history`.
    pub(crate) async fn prune(&self, app: &Name, releases: u32, history: u32) -> Result<(), Error> {
        let app = app.to_string();
        let write = move |transaction: &Connection<'_>| {
            let sql = "DELETE FROM release WHERE app = ?1
                       AND number NOT IN (SELECT number FROM release WHERE app = ?1 ORDER BY number DESC LIMIT ?2)
                       AND number NOT IN (SELECT active FROM app WHERE name = ?1 AND active IS NOT NULL
                                          UNION SELECT previous FROM app WHERE name = ?1 AND previous IS NOT NULL)";
            transaction.execute(sql, (&app, releases))?;
            let sql = "DELETE FROM deploy WHERE state <> 'running'
                       AND id <= (SELECT COALESCE(MAX(id), 0) FROM deploy) - ?1";
            transaction.execute(sql, [history])
        };
        self.database.write(write).await?;
        Ok(())
    }

    /// Deploys that have not ended, with all that is needed to go on or back.
    pub(crate) async fn running(&self) -> Result<Vec<Stored>, Error> {
        let read = |connection: &Connection<'_>| {
            let sql = format!(
                "SELECT {VIEW}, phase, rollout, items FROM deploy WHERE state = 'running' ORDER BY id"
            );
            let stored = |row: &Row<'_>| {
                let rollout: Option<String> = row.get(12)?;
                Ok(Stored {
                    view: view(row)?,
                    phase: from_word(row.get(11)?)?,
                    rollout: rollout
                        .map(|text| serde_json::from_str(&text).map_err(|error| error.to_string())),
                    items: from_text(&row.get::<String>(13)?)?,
                })
            };
            connection.query_map(&sql, (), stored)
        };
        Ok(self.database.read(read).await?)
    }

    /// The newest deploys first, of one application or of all.
    pub(crate) async fn deploys(&self, app: Option<&Name>, limit: u32) -> Result<Vec<DeployView>, Error> {
        let app = app.map(Name::to_string);
        let read = move |connection: &Connection<'_>| {
            let sql = format!(
                "SELECT {VIEW} FROM deploy WHERE CAST(?1 AS TEXT) IS NULL OR app = ?1 ORDER BY id DESC LIMIT ?2"
            );
            connection.query_map(&sql, (app, limit), view)
        };
        Ok(self.database.read(read).await?)
    }

    /// One deploy.
    pub(crate) async fn deploy(&self, id: u64) -> Result<Option<DeployView>, Error> {
        let read = move |connection: &Connection<'_>| {
            let sql = format!("SELECT {VIEW} FROM deploy WHERE id = ?1");
            connection.query_row(&sql, [id as i64], view).optional()
        };
        Ok(self.database.read(read).await?)
    }

    /// What people saw of a deploy, without its end.
    pub(crate) async fn items(&self, id: u64) -> Result<Vec<StreamItem>, Error> {
        let read = move |connection: &Connection<'_>| {
            let sql = "SELECT items FROM deploy WHERE id = ?1";
            let text: Option<String> = connection.query_row(sql, [id as i64], |row| row.get(0)).optional()?;
            text.as_deref().map_or(Ok(Vec::new()), from_text)
        };
        Ok(self.database.read(read).await?)
    }
}

fn view(row: &Row<'_>) -> Result<DeployView, SqlError> {
    let state: DeployState = from_word(row.get(5)?)?;
    Ok(DeployView {
        id: row.get::<i64>(0)? as u64,
        app: name(row.get(1)?)?,
        release: row.get(2)?,
        what: from_word(row.get(3)?)?,
        by: row.get(4)?,
        state,
        steps: from_text(&row.get::<String>(6)?)?,
        error: row.get(7)?,
        log_tail: from_text(&row.get::<String>(8)?)?,
        started: UnixMillis(row.get(9)?),
        ended: row.get::<Option<i64>>(10)?.map(UnixMillis),
    })
}
