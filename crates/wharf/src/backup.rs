//! Backups of a server's data directory: what they hold, making them, the periodic ones.
//!
//! A backup is one archive ([`wharf_disk::archive`]) of what the control plane needs to serve again: the state database
//! as a consistent copy (SQLite's backup API, so the server goes on writing), the CA with its key, the first token, the
//! local agent's owner id, the secrets with their key, and the files that stored releases mount. Not in it: the registry's blobs and names, build
//! contexts, the balancer's table (computed anew) and what runs in volumes. So whoever reads a backup can sign hosts in and
//! open the secrets: it has mode 0600.

mod restore;
mod schedule;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wharf_base::UnixMillis;
use wharf_disk::archive::{self, Manifest, Source};
use wharf_state::Database;

pub(crate) use restore::{refuse_half_restored, restore};
pub(crate) use schedule::{Settings, start};

/// Files and directories (their files, one level) of the data directory that are kept, where they are there.
const KEPT: [&str; 5] = ["ca", "token", "agent/owner", "secrets", "secrets/values"];
/// Name of the state database in the data directory.
const STATE: &str = "state.db";

/// A backup that was made.
pub(crate) struct Made {
    pub(crate) file: PathBuf,
    pub(crate) manifest: Manifest,
}

/// `<data>/backups`, where periodic backups are if the configuration names no other directory.
pub(crate) fn default_directory(data: &Path) -> PathBuf {
    data.join("backups")
}

/// The name of a backup of that time; names sort by time.
pub(crate) fn file_name(now: UnixMillis) -> String {
    let digits: String = wharf_base::format_utc(now).chars().filter(char::is_ascii_digit).collect();
    format!("wharf-{digits}.tar")
}

/// The backups in `directory`, the oldest first; no more than their names is looked at.
pub(crate) fn list(directory: &Path) -> Vec<PathBuf> {
    let is_ours = |name: &str| {
        let digits = name.strip_prefix("wharf-").and_then(|name| name.strip_suffix(".tar"));
        digits.is_some_and(|digits| digits.len() >= 14 && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_ours))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// Makes a backup of `data` as `to`. The server may run or not.
///
/// Errors: the state database is damaged (then no backup is made, so that none replaces a good one), or the disk refuses.
pub(crate) async fn make(data: &Path, to: &Path, now: UnixMillis) -> anyhow::Result<Made> {
    let state = data.join(STATE);
    anyhow::ensure!(
        state.is_file(),
        "{} holds no server's state\n  hint: name the server's directory with --data",
        data.display()
    );
    let copy = Copy::beside(to, now);
    let (from, aside) = (state, copy.path.clone());
    blocking(move || Ok(wharf_state::sqlite::copy(&from, &aside)?)).await?;
    let database = Database::open(&copy.path)?;
    let mounted = wharf_deploy::files_of_releases(&database, &data.join("deploy")).await?;
    drop(database);

    let mut sources = vec![Source { path: STATE.to_owned(), file: copy.path.clone() }];
    for name in KEPT {
        sources.extend(kept(data, name)?);
    }
    for file in mounted {
        if !file.is_file() {
            tracing::warn!(file = %file.display(), "a stored release mounts files that are gone");
            continue;
        }
        let path = file.strip_prefix(data).context("an upload outside of the data directory")?;
        sources.push(Source { path: path.display().to_string(), file });
    }
    let to = to.to_owned();
    blocking(move || {
        let writer = concat!("wharf ", env!("CARGO_PKG_VERSION"));
        let manifest = archive::write(&to, writer, now, &sources)?;
        drop(copy);
        Ok(Made { file: to, manifest })
    })
    .await
}

fn kept(data: &Path, name: &str) -> anyhow::Result<Vec<Source>> {
    let path = data.join(name);
    if path.is_file() {
        return Ok(vec![Source { path: name.to_owned(), file: path }]);
    }
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))? {
        let entry = entry?;
        let file = entry.file_name();
        // Temporary files begin with a point.
        if entry.file_type()?.is_file() && !file.to_string_lossy().starts_with('.') {
            sources.push(Source { path: format!("{name}/{}", file.to_string_lossy()), file: entry.path() });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

/// The copy of the database while the archive is written; removed with what SQLite puts beside it.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn beside(to: &Path, now: UnixMillis) -> Copy {
        Copy { path: to.with_file_name(format!(".state-{}-{}.wharf-tmp", now.0, std::process::id())) }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            // Not there is what we want; what can't be removed is looked for at the next start.
            let _ = std::fs::remove_file(name);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a step of the backup panicked")?
}

/// The path of the state database. One without a byte in the directory of a server that has run is damage, not a new one.
pub(crate) fn refuse_emptied(data: &Path) -> Result<PathBuf, wharf_state::Error> {
    let path = data.join(STATE);
    let is_empty = std::fs::metadata(&path).is_ok_and(|file| file.len() == 0);
    if is_empty && data.join("token").exists() {
        return Err(wharf_state::Error::Corrupt { path, reason: "it is empty".to_owned() });
    }
    Ok(path)
}

/// Adds to the message about a damaged state what to do: the newest backup, and the command that restores it.
pub(crate) fn explain_damage(error: anyhow::Error, data: &Path, directory: &Path) -> anyhow::Error {
    let is_damage = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(wharf_state::Error::Corrupt { .. }))
    };
    if !error.chain().any(is_damage) {
        return error;
    }
    let hint = match list(directory).pop() {
        Some(newest) => {
            let (newest, data) = (newest.display(), data.display());
            format!("the newest backup is {newest}; restore it: wharf restore {newest} --data {data} --force")
        }
        None => format!(
            "there is no backup in {}; is there one elsewhere? wharf restore FILE",
            directory.display()
        ),
    };
    anyhow::anyhow!("{error:#}\n  hint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_listed_by_time_and_other_files_are_none() {
        let directory = wharf_test_support::temp_dir();
        let old = file_name(UnixMillis(1_700_000_000_000));
        let new = file_name(UnixMillis(1_700_000_001_000));
        assert_eq!(old, "wharf-20231114221320000.tar");
        for name in [
            new.as_str(),
            old.as_str(),
            "wharf-mine.tar",
            ".wharf-20231114221320000.tar.x.wharf-tmp",
            "letter",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(list(directory.path()), [directory.path().join(old), directory.path().join(new)]);
        assert_eq!(list(&directory.path().join("missing")), Vec::<PathBuf>::new());
    }
}
