//! Where sealed values lie: files of a directory, or what somebody else has ([`SealedValues`]).

use std::path::{Path, PathBuf};

use crate::secret::is_fingerprint;
use crate::{Error, files};

/// Sealed values by fingerprint. Whoever keeps them sees no value in clear. Calls may block their thread.
///
/// Every fingerprint that is given has been looked at: it has the form of one.
pub trait SealedValues: Send + Sync {
    /// The age file, if it is there.
    fn read(&self, fingerprint: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Keeps an age file; one that is there already stays. Durable once it returns.
    fn write(&self, fingerprint: &str, sealed: &[u8]) -> Result<(), Error>;
    /// Fingerprints of all of them, in any order.
    fn list(&self) -> Result<Vec<String>, Error>;
    /// Removes them; what is not there is no error.
    fn remove(&self, fingerprints: &[String]) -> Result<(), Error>;
}

/// `<directory>/<fingerprint>` (0600), each an age file.
pub struct SealedFiles {
    directory: PathBuf,
}

impl SealedFiles {
    /// Opens the directory, or makes it.
    pub fn open(directory: &Path) -> Result<SealedFiles, Error> {
        files::make_directory(directory)?;
        Ok(SealedFiles { directory: directory.to_owned() })
    }
}

impl SealedValues for SealedFiles {
    fn read(&self, fingerprint: &str) -> Result<Option<Vec<u8>>, Error> {
        files::read(&self.directory.join(fingerprint))
    }

    fn write(&self, fingerprint: &str, sealed: &[u8]) -> Result<(), Error> {
        let path = self.directory.join(fingerprint);
        if path.exists() {
            return Ok(());
        }
        files::write(&path, sealed)
    }

    fn list(&self) -> Result<Vec<String>, Error> {
        let failed = |error| Error::file("list", &self.directory, error);
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if is_fingerprint(&name) {
                all.push(name);
            }
        }
        Ok(all)
    }

    fn remove(&self, fingerprints: &[String]) -> Result<(), Error> {
        fingerprints.iter().try_for_each(|name| files::remove(&self.directory.join(name)))
    }
}
