//! Walks a folder in byte order of the names and hands to the archive what is not ignored.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use wharf_dockerfile::Ignore;

use super::Dockerfile;
use super::archive::Archive;
use crate::Error;

/// What was left out.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) ignored: u64,
    pub(super) special: u64,
}

pub(super) fn walk(
    dir: &Path,
    ignore: &Ignore,
    dockerfile: &Dockerfile,
    archive: &mut Archive,
) -> Result<Counts, Error> {
    let mut walk = Walk { dir, ignore, dockerfile, archive, counts: Counts::default() };
    let mut open = vec![Level::read(dir, PathBuf::new())?];
    while let Some(level) = open.last_mut() {
        let Some(name) = level.names.pop() else {
            open.pop();
            continue;
        };
        let relative = level.relative.join(&name);
        if let Some(below) = walk.visit(&relative)? {
            open.push(below);
        }
    }
    Ok(walk.counts)
}

/// A folder whose names are still to be visited, the first one last.
struct Level {
    relative: PathBuf,
    names: Vec<OsString>,
}

impl Level {
    fn read(path: &Path, relative: PathBuf) -> Result<Level, Error> {
        let failed = |source| Error::Read { path: path.to_path_buf(), source };
        let entries = fs::read_dir(path).map_err(failed)?;
        let names: Result<Vec<OsString>, _> =
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
        let mut names = names.map_err(failed)?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Level { relative, names })
    }
}

struct Walk<'a> {
    dir: &'a Path,
    ignore: &'a Ignore,
    dockerfile: &'a Dockerfile,
    archive: &'a mut Archive,
    counts: Counts,
}

impl Walk<'_> {
    /// Adds one name; returns the level below if it is a folder to enter.
    fn visit(&mut self, relative: &Path) -> Result<Option<Level>, Error> {
        let path = self.dir.join(relative);
        // Names that are no UTF-8 are matched as Go does it, with a replacement character, and packed as they are.
        let name = relative.to_string_lossy();
        let is_dockerfile = self.dockerfile.is_inside && *name == self.dockerfile.name;
        let is_wanted = is_dockerfile || *name == *".dockerignore";
        if is_dockerfile {
            // A link as well: the Engine gets what it points to.
            self.archive.add_file(&path, relative)?;
            return Ok(None);
        }
        let failed = |source| Error::Read { path: path.clone(), source };
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        let is_ignored = !is_wanted && self.ignore.is_ignored(&name);
        self.counts.ignored += u64::from(is_ignored);
        let kind = metadata.file_type();
        if kind.is_dir() {
            let is_hopeless = is_ignored && self.ignore.may_skip_dir(&name);
            if is_hopeless && !self.leads_to_dockerfile(relative) {
                return Ok(None);
            }
            // An ignored folder enters the archive only once something below it does.
            match is_ignored {
                true => self.archive.hold_folder(relative, metadata),
                false => self.archive.add_folder(relative, &metadata)?,
            }
            return Level::read(&path, relative.to_path_buf()).map(Some);
        }
        if is_ignored {
            return Ok(None);
        }
        if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(failed)?;
            self.archive.add_link(relative, &target, &metadata)?;
        } else if kind.is_file() {
            self.archive.add_file(&path, relative)?;
        } else {
            self.counts.special += 1;
        }
        Ok(None)
    }

    fn leads_to_dockerfile(&self, relative: &Path) -> bool {
        self.dockerfile.is_inside && Path::new(&self.dockerfile.name).starts_with(relative)
    }
}
