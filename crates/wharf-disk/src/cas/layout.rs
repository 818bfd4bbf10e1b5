//! Where the files of a store are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use wharf_base::Digest;

use super::{Entry, Shard};
use crate::{Error, atomic};

/// Prefix of files that are put whole; they belong to nobody after a restart.
const PUT: &str = "put-";

/// The directories of a store.
pub(super) struct Layout {
    root: PathBuf,
    blobs: PathBuf,
    uploads: PathBuf,
}

impl Layout {
    /// Makes all directories, so that storing a blob never has to, and removes half-written files.
    pub(super) fn create(root: &Path) -> Result<Layout, Error> {
        let layout =
            Layout { root: root.to_owned(), blobs: root.join("blobs"), uploads: root.join("uploads") };
        atomic::create_directory(&layout.uploads)?;
        for algorithm in ["sha256", "sha512"] {
            let above = layout.blobs.join(algorithm);
            atomic::create_directory(&above)?;
            create_shards(&above).map_err(Error::io("create directories in", &above))?;
            // Also when all were there: whoever made them may have been killed before this.
            atomic::sync_directory(&above)?;
        }
        for name in layout.upload_names()? {
            if name.starts_with(PUT) {
                let path = layout.upload(&name);
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(layout)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let mut path = self.blobs.join(digest.algorithm());
        path.push(&hex[..2]);
        path.push(hex);
        path
    }

    pub(super) fn upload(&self, name: &str) -> PathBuf {
        self.uploads.join(name)
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.uploads.join(format!("{PUT}{}", uuid::Uuid::new_v4().simple()))
    }

    /// Names of all files in `uploads/`.
    pub(super) fn upload_names(&self) -> Result<Vec<String>, Error> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.uploads)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            Ok(names)
        };
        list().map_err(Error::io("list", &self.uploads))
    }

    /// Every file of one shard whose name is a digest; others are left alone.
    pub(super) fn list(&self, shard: Shard) -> Result<Vec<Entry>, Error> {
        let directory = self.blobs.join(shard.algorithm).join(format!("{:02x}", shard.first));
        list(shard.algorithm, &directory).map_err(Error::io("list", &directory))
    }
}

fn create_shards(above: &Path) -> io::Result<()> {
    if fs::read_dir(above)?.count() >= 256 {
        return Ok(());
    }
    for first in 0..=255u8 {
        match fs::create_dir(above.join(format!("{first:02x}"))) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn list(algorithm: &str, directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{algorithm}:{}", entry.file_name().to_string_lossy());
        let Ok(digest) = name.parse() else { continue };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Deleted since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        entries.push(Entry { digest, size: metadata.len(), modified_ms: modified_ms(&metadata) });
    }
    Ok(entries)
}

/// Milliseconds since 1970 of the last write; 0 when the file system doesn't tell.
pub(super) fn modified_ms(metadata: &fs::Metadata) -> i64 {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    modified.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The directory of a path that [`Layout`] made.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().expect("paths of the layout have a directory")
}
