//! Uploaded archives: build contexts and files to mount, by the digest of their bytes.
//!
//! A body is streamed into a temporary file, hashed on the way, fsynced and renamed to its digest; only then is it
//! answered. Bounds: bytes of one upload, bytes of all. What no kept release mounts is removed after a while.

pub(crate) mod shared;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;
use wharf_base::{Clock, Digest, UnixMillis};

use crate::Error;
use crate::api::Uploaded;

/// The uploads directory.
#[derive(Clone)]
pub(crate) struct Uploads {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    bytes_max: u64,
    bytes_total_max: u64,
    /// Bytes of all uploads, those in progress included.
    bytes_total: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// Where the upload with this digest is in the uploads directory.
pub(crate) fn path_of(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join(format!("{}-{}", digest.algorithm(), digest.hex()))
}

/// Takes back what an unfinished upload has counted and written.
struct Unfinished<'a> {
    inner: &'a Inner,
    path: &'a Path,
    counted: u64,
}

impl Uploads {
    /// Opens or makes `directory`; removes what a killed process left half written.
    pub(crate) async fn open(
        directory: PathBuf,
        bytes_max: u64,
        bytes_total_max: u64,
        clock: Arc<dyn Clock>,
    ) -> Result<Uploads, Error> {
        let made = directory.clone();
        let total = blocking(move || {
            wharf_disk::atomic::create_directory(&made)?;
            let mut total = 0;
            for entry in std::fs::read_dir(&made).map_err(io("list"))? {
                let entry = entry.map_err(io("list"))?;
                if digest_of(&entry.path()).is_some() {
                    total += entry.metadata().map_err(io("list"))?.len();
                } else if entry.file_name().to_string_lossy().ends_with(TEMPORARY) {
                    std::fs::remove_file(entry.path()).map_err(io("remove a file"))?;
                }
            }
            Ok(total)
        })
        .await?;
        let bytes_total = AtomicU64::new(total);
        Ok(Uploads { inner: Arc::new(Inner { directory, bytes_max, bytes_total_max, bytes_total, clock }) })
    }

    /// Stores a body. Durable once it returns.
    ///
    /// Errors: `UploadTooLarge`, `UploadBroken` when the body ends early, `Io`.
    pub(crate) async fn store(&self, body: axum::body::Body) -> Result<Uploaded, Error> {
        let inner = &self.inner;
        let temporary = inner.directory.join(format!("{}{TEMPORARY}", uuid::Uuid::new_v4().simple()));
        let mut unfinished = Unfinished { inner, path: &temporary, counted: 0 };
        let mut file = tokio::fs::File::create_new(&temporary).await.map_err(io("create a file"))?;
        let mut hash = Sha256::new();
        let mut body = body.into_data_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Error::UploadBroken(error.to_string()))?;
            unfinished.count(chunk.len() as u64)?;
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(io("write"))?;
        }
        file.flush().await.map_err(io("write"))?;
        file.sync_all().await.map_err(io("fsync"))?;
        let digest = Digest::from_sha256(hash.finalize().into());
        let (from, to) = (temporary.clone(), inner.path_of(&digest));
        let directory = inner.directory.clone();
        let is_new = blocking(move || {
            let is_new = !to.exists();
            std::fs::rename(&from, &to).map_err(io("rename a file"))?;
            wharf_disk::atomic::sync_directory(&directory)?;
            Ok(is_new)
        })
        .await?;
        let size = unfinished.counted;
        if is_new {
            // The bytes stay, and so does their count.
            unfinished.counted = 0;
        }
        Ok(Uploaded { digest, size })
    }

    /// The file with this digest, if it is here.
    pub(crate) fn path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.inner.path_of(digest)).filter(|path| path.is_file())
    }

    /// Removes uploads that are older than `age` and not in `needed`. Returns how many.
    pub(crate) async fn prune(&self, needed: BTreeSet<Digest>, age: Duration) -> Result<usize, Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let mut removed = 0;
            let now = inner.clock.now();
            for entry in std::fs::read_dir(&inner.directory).map_err(io("list"))? {
                let entry = entry.map_err(io("list"))?;
                let metadata = entry.metadata().map_err(io("list"))?;
                let written = metadata.modified().ok().map_or(now, unix_millis);
                let is_needed = digest_of(&entry.path()).is_none_or(|digest| needed.contains(&digest));
                if !is_needed && now.since(written) > age {
                    std::fs::remove_file(entry.path()).map_err(io("remove a file"))?;
                    inner.discount(metadata.len());
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }
}

const TEMPORARY: &str = ".upload-tmp";

impl Inner {
    fn path_of(&self, digest: &Digest) -> PathBuf {
        path_of(&self.directory, digest)
    }

    /// Counts bytes out. Never below zero: an upload whose client went away at the very end is a file that was not
    /// counted, and a sum that wraps around would refuse every further upload.
    fn discount(&self, bytes: u64) {
        let less = |total: u64| Some(total.saturating_sub(bytes));
        let _ = self.bytes_total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl Unfinished<'_> {
    fn count(&mut self, bytes: u64) -> Result<(), Error> {
        let max = self.inner.bytes_max;
        if self.counted + bytes > max {
            return Err(Error::UploadTooLarge { max, key: "upload_bytes_max" });
        }
        self.counted += bytes;
        let max = self.inner.bytes_total_max;
        if self.inner.bytes_total.fetch_add(bytes, Ordering::Relaxed) + bytes > max {
            tracing::warn!(max, "an upload was refused because the uploads directory is full");
            return Err(Error::UploadTooLarge { max, key: "uploads_bytes_max" });
        }
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.inner.discount(self.counted);
        // After a rename there is nothing to remove; a leftover is removed at the next start.
        let _ = std::fs::remove_file(self.path);
    }
}

/// The digest that a file in the directory is named after.
fn digest_of(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    let (algorithm, hex) = name.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

fn unix_millis(time: std::time::SystemTime) -> UnixMillis {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn io(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::UploadBroken("the server stops".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use wharf_base::SystemClock;

    use super::*;

    async fn open(directory: &Path) -> Uploads {
        Uploads::open(directory.join("uploads"), 100, 150, Arc::new(SystemClock)).await.unwrap()
    }

    fn count(directory: &Path) -> usize {
        std::fs::read_dir(directory.join("uploads")).unwrap().count()
    }

    #[tokio::test]
    async fn an_upload_is_found_by_its_digest_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let uploads = open(directory.path()).await;
        let uploaded = uploads.store(Body::from("hello")).await.unwrap();
        assert_eq!(
            uploaded.digest.as_str(),
            "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(uploads.store(Body::from("hello")).await.unwrap(), uploaded);
        std::fs::write(directory.path().join("uploads/1.upload-tmp"), b"half").unwrap();
        let path = open(directory.path()).await.path(&uploaded.digest).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"hello");
        assert_eq!(count(directory.path()), 1);
    }

    #[tokio::test]
    async fn bounds_hold_and_leave_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let uploads = open(directory.path()).await;
        let too_large = uploads.store(Body::from(vec![0; 101])).await.unwrap_err();
        assert_eq!(too_large.code(), wharf_base::ErrorCode::TooLarge);
        uploads.store(Body::from(vec![1; 100])).await.unwrap();
        let full = uploads.store(Body::from(vec![2; 100])).await.unwrap_err();
        assert_eq!(full.code(), wharf_base::ErrorCode::ResourceExhausted);
        assert_eq!(count(directory.path()), 1);
        uploads.store(Body::from(vec![2; 50])).await.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_stored() {
        let directory = tempfile::tempdir().unwrap();
        let uploads = open(directory.path()).await;
        let chunks = [Ok("half"), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        assert!(matches!(uploads.store(body).await, Err(Error::UploadBroken(_))));
        assert_eq!(count(directory.path()), 0);
    }

    #[tokio::test]
    async fn pruning_keeps_what_is_needed_and_what_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(wharf_base::ManualClock::at(SystemClock.now()));
        let uploads = Uploads::open(directory.path().join("uploads"), 100, 100, clock.clone()).await.unwrap();
        let needed = uploads.store(Body::from("needed")).await.unwrap().digest;
        uploads.store(Body::from(vec![0; 90])).await.unwrap();
        let hour = Duration::from_secs(3_600);
        assert_eq!(uploads.prune(BTreeSet::new(), hour).await.unwrap(), 0);
        clock.advance(2 * hour);
        assert_eq!(uploads.prune(BTreeSet::from([needed.clone()]), hour).await.unwrap(), 1);
        assert!(uploads.path(&needed).is_some());
        uploads.store(Body::from(vec![1; 90])).await.unwrap();
    }
}
