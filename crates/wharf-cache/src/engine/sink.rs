//! Where a transfer's bytes go: to the draft and through the hash, in batches on the blocking threads.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256, Sha512};
use wharf_base::{Digest, hex};

use super::fill::{Fill, HELD_BACK};
use crate::Error;
use crate::store::{Draft, blocking, disk};

/// Bytes of a batch. 256 KiB: one hop to a blocking thread per 4 reads of a socket.
const BATCH: usize = 256 << 10;

/// A hash in progress.
#[derive(Clone)]
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn of(digest: &Digest) -> Hasher {
        if digest.algorithm() == "sha512" {
            Hasher::Sha512(Sha512::new())
        } else {
            Hasher::Sha256(Sha256::new())
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn digest(&self) -> String {
        match self {
            Hasher::Sha256(hasher) => format!("sha256:{}", hex(&hasher.clone().finalize())),
            Hasher::Sha512(hasher) => format!("sha512:{}", hex(&hasher.clone().finalize())),
        }
    }
}

/// The bytes of one fill so far.
pub(super) struct Sink {
    pub(super) draft: Draft,
    fill: Arc<Fill>,
    expected: Digest,
    /// Bytes of the whole, by the index or by the upstream.
    pub(super) size: Option<u64>,
    /// Bytes written since the last start from 0.
    pub(super) written: u64,
    hasher: Option<Hasher>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
}

impl Sink {
    pub(super) fn new(draft: Draft, fill: Arc<Fill>, expected: Digest, size: Option<u64>) -> Sink {
        fill.set_file(Arc::clone(draft.file()));
        let hasher = Some(Hasher::of(&expected));
        Sink { draft, fill, expected, size, written: 0, hasher, batch: Vec::new(), batch_bytes: 0 }
    }

    /// Begins anew from byte 0. What was published stays and is compared with what comes.
    pub(super) fn rewind(&mut self) {
        self.written = 0;
        self.hasher = Some(Hasher::of(&self.expected));
        self.discard();
    }

    /// Forgets what has not been written yet.
    pub(super) fn discard(&mut self) {
        self.batch.clear();
        self.batch_bytes = 0;
    }

    /// Bytes that have arrived since the last start from 0.
    pub(super) fn arrived(&self) -> u64 {
        self.written + self.batch_bytes as u64
    }

    /// Takes bytes. Whether it is time for [`Sink::flush`].
    pub(super) fn push(&mut self, bytes: Bytes) -> bool {
        self.batch_bytes += bytes.len();
        self.batch.push(bytes);
        self.batch_bytes >= BATCH
    }

    /// Writes and hashes what was pushed, and shows it to readers but for what is held back.
    ///
    /// Errors: those of the store; `None` when bytes that clients have got turn out to be other ones.
    pub(super) async fn flush(&mut self) -> Result<Option<()>, Error> {
        if self.batch_bytes == 0 {
            return Ok(Some(()));
        }
        let batch = std::mem::take(&mut self.batch);
        let count = std::mem::take(&mut self.batch_bytes) as u64;
        let until = self.written + count;
        self.draft.reserve(self.size.unwrap_or(until).max(until))?;
        let (file, offset, published) = (Arc::clone(self.draft.file()), self.written, self.fill.published());
        let mut hasher = self.hasher.take().expect("put back by every batch");
        let written = blocking(move || -> Result<Option<Hasher>, Error> {
            let mut at = offset;
            for bytes in &batch {
                if !is_same(&file, at, bytes, published)? {
                    return Ok(None);
                }
                file.write_all_at(bytes, at).map_err(|source| disk("write", Path::new("a fill"), source))?;
                hasher.update(bytes);
                at += bytes.len() as u64;
            }
            Ok(Some(hasher))
        })
        .await?;
        match written {
            // Bytes that clients have already got are other ones now.
            None => {
                self.hasher = Some(Hasher::of(&self.expected));
                Ok(None)
            }
            Some(hasher) => {
                self.hasher = Some(hasher);
                self.written = until;
                let shown = self.size.map_or(until, |size| until.min(size)).min(match self.size {
                    Some(size) => size.saturating_sub(HELD_BACK),
                    None => until.saturating_sub(HELD_BACK),
                });
                let size = self.size;
                self.fill.publish(|progress| {
                    progress.published = progress.published.max(shown);
                    progress.size = progress.size.or(size);
                });
                Ok(Some(()))
            }
        }
    }

    /// The digest of what was written.
    pub(super) fn digest(&self) -> String {
        self.hasher.as_ref().map(Hasher::digest).unwrap_or_default()
    }
}

/// Whether the part of `bytes` at `at` that readers may have seen is what is in the file.
fn is_same(file: &File, at: u64, bytes: &[u8], published: u64) -> Result<bool, Error> {
    let count = usize::try_from(published.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
    if count == 0 {
        return Ok(true);
    }
    let mut seen = vec![0; count];
    file.read_exact_at(&mut seen, at).map_err(|source| disk("read", Path::new("a fill"), source))?;
    Ok(seen == bytes[..count])
}
