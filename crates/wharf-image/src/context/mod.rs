//! Packs a folder into the tar archive that the Engine builds from.
//!
//! The archive has names in byte order, user and group 0, and the files' own modes and times, so the same folder
//! gives the same bytes and the Engine's cache hits. Symbolic links stay links. Sockets are left out, as by Docker's
//! own client; other special files are left out too and counted.
//!
//! The Dockerfile and `.dockerignore` are always in, whatever `.dockerignore` says: the classic builder takes them
//! out again before `COPY` sees them. `<Dockerfile>.dockerignore` is used in place of `.dockerignore` where it exists.

mod archive;
mod walk;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wharf_base::ByteSize;
use wharf_dockerfile::Ignore;

use crate::Error;
use archive::Archive;

/// Name in the archive of a Dockerfile that lies outside of the context.
const FOREIGN_DOCKERFILE: &str = ".wharf.Dockerfile";

/// How much may go into a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLimits {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of the archive.
    pub bytes: ByteSize,
}

impl Default for ContextLimits {
    /// 500,000 entries and 4 GiB: a forgotten `node_modules` fits, somebody's home directory does not.
    fn default() -> ContextLimits {
        ContextLimits { entries: 500_000, bytes: ByteSize(4 << 30) }
    }
}

/// A packed context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedContext {
    /// Path of the Dockerfile in the archive.
    pub dockerfile: String,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of the archive.
    pub bytes: u64,
    /// Files and folders that `.dockerignore` left out, not counting what is below such a folder.
    pub ignored: u64,
    /// Sockets, devices and pipes that were left out.
    pub special: u64,
}

/// Packs folder `dir` for building with `dockerfile` (relative to `dir`, or absolute; `None` is `Dockerfile`) and
/// writes the archive to `to`, which is replaced. Blocks.
///
/// Errors name the path. Nothing is promised about `to` after one.
pub fn pack_context(
    dir: &Path,
    dockerfile: Option<&str>,
    to: &Path,
    limits: ContextLimits,
) -> Result<PackedContext, Error> {
    if !dir.is_dir() {
        return Err(Error::NoContext(dir.to_path_buf()));
    }
    let dockerfile = Dockerfile::find(dir, dockerfile.unwrap_or("Dockerfile"))?;
    let ignore = read_ignore(dir, &dockerfile)?;
    let mut archive = Archive::create(to, dir, limits)?;
    let counts = walk::walk(dir, &ignore, &dockerfile, &mut archive)?;
    if !dockerfile.is_inside {
        archive.add_file(&dockerfile.path, FOREIGN_DOCKERFILE)?;
    }
    let (entries, bytes) = archive.finish()?;
    Ok(PackedContext {
        dockerfile: dockerfile.name,
        entries,
        bytes,
        ignored: counts.ignored,
        special: counts.special,
    })
}

/// The Dockerfile to use.
struct Dockerfile {
    /// Where it is.
    path: PathBuf,
    /// Its name in the archive.
    name: String,
    is_inside: bool,
}

impl Dockerfile {
    fn find(dir: &Path, written: &str) -> Result<Dockerfile, Error> {
        let path = dir.join(written);
        if !path.is_file() {
            return Err(Error::NoDockerfile(path));
        }
        // Compared without following links: a link inside of the context is inside.
        let absolute = |path: &Path| std::path::absolute(path).map(|path| without_dots(&path));
        let read = |source| Error::Read { path: path.clone(), source };
        let inside = absolute(&path).map_err(read)?;
        let inside = inside.strip_prefix(absolute(dir).map_err(read)?).map(Path::to_path_buf);
        Ok(match inside.ok().and_then(|path| path.to_str().map(str::to_owned)) {
            Some(name) => Dockerfile { path, name, is_inside: true },
            None => Dockerfile { path, name: FOREIGN_DOCKERFILE.to_owned(), is_inside: false },
        })
    }
}

fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn read_ignore(dir: &Path, dockerfile: &Dockerfile) -> Result<Ignore, Error> {
    let mut own = dockerfile.path.clone().into_os_string();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), dir.join(".dockerignore")] {
        match fs::read(&path) {
            Ok(bytes) => {
                return Ignore::parse(&String::from_utf8_lossy(&bytes))
                    .map_err(|source| Error::Ignore { path, source });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    Ok(Ignore::default())
}
