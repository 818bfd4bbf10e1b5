//! One transfer from an upstream that any number of clients read while it runs.
//!
//! The task writes what arrives to a draft and says how much of it may be read ([`Progress`]); readers follow with
//! pread(2) from any offset, at their own speed. The last [`HELD_BACK`] bytes are shown only when the digest of the
//! whole is right and the content is stored: bytes that turn out to be wrong end as a body that is too short, or, when
//! they fit into what is held back, as an error status, and are never stored.
//!
//! What must always hold: `published` only grows, and bytes below it never change.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::watch;

use crate::Error;
use crate::store::blocking;

/// Bytes that wait for the digest. 64 KiB: what is smaller is never seen before it is known to be right, and a client of
/// something larger does not notice.
pub(crate) const HELD_BACK: u64 = 64 << 10;
/// Bytes per read. 256 KiB: larger chunks cost memory per slow reader and save few system calls.
const CHUNK: u64 = 256 << 10;

/// How far a fill is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Bytes that may be read.
    pub(crate) published: u64,
    /// Bytes of the whole, once known.
    pub(crate) size: Option<u64>,
    /// How it ended.
    pub(crate) end: Option<Result<(), Error>>,
}

/// A transfer. Readers and the task share it.
pub(crate) struct Fill {
    file: OnceLock<Arc<File>>,
    progress: watch::Sender<Progress>,
}

impl Fill {
    pub(crate) fn new(size: Option<u64>) -> Fill {
        Fill { file: OnceLock::new(), progress: watch::Sender::new(Progress { size, ..Progress::default() }) }
    }

    /// Names the file, before anything is published.
    pub(super) fn set_file(&self, file: Arc<File>) {
        self.file.get_or_init(|| file);
    }

    pub(super) fn publish(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }

    pub(super) fn published(&self) -> u64 {
        self.progress.borrow().published
    }

    /// Waits until there is something to read or it has ended. The size, if it is known by then.
    ///
    /// Errors: that of the fill, when it ended before there was anything to read.
    pub(crate) async fn started(&self) -> Result<Option<u64>, Error> {
        let mut progress = self.progress.subscribe();
        let seen = progress.wait_for(|progress| progress.published > 0 || progress.end.is_some()).await;
        let seen = seen.map_err(|_| Error::Stopped)?;
        match &seen.end {
            Some(Err(error)) if seen.published == 0 => Err(error.clone()),
            _ => Ok(seen.size),
        }
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) -> Result<(), Error> {
        let mut progress = self.progress.subscribe();
        let seen = progress.wait_for(|progress| progress.end.is_some()).await.map_err(|_| Error::Stopped)?;
        seen.end.clone().unwrap_or(Err(Error::Stopped))
    }
}

/// Gives bytes in chunks, of a fill or of a stored file.
pub(crate) struct Reader {
    source: Source,
    offset: u64,
    /// Where to stop; `None`: at the end, wherever that is.
    end: Option<u64>,
}

enum Source {
    Stored(Arc<File>),
    Fill(Arc<Fill>, watch::Receiver<Progress>),
}

impl Reader {
    /// Bytes `start..end` of a stored file, which has them.
    pub(crate) fn of_file(file: Arc<File>, start: u64, end: u64) -> Reader {
        Reader { source: Source::Stored(file), offset: start, end: Some(end) }
    }

    /// Bytes from `start` on, up to `end` or to the end.
    pub(crate) fn of_fill(fill: Arc<Fill>, start: u64, end: Option<u64>) -> Reader {
        let progress = fill.progress.subscribe();
        Reader { source: Source::Fill(fill, progress), offset: start, end }
    }

    /// The next chunk; `None` at the end. Errors: also when a fill ended with one, or the file is shorter than it was.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let (file, until) = match &mut self.source {
            Source::Stored(file) => (Arc::clone(file), self.end?),
            Source::Fill(fill, progress) => {
                let offset = self.offset;
                let ready = |seen: &Progress| seen.published > offset || seen.end.is_some();
                let seen = match progress.wait_for(ready).await {
                    Ok(seen) => seen.clone(),
                    Err(_) => return Some(Err(Error::Stopped)),
                };
                let until = seen.published.min(self.end.unwrap_or(u64::MAX));
                if offset >= until {
                    let is_whole = self.end.is_none_or(|end| offset >= end);
                    return match seen.end {
                        Some(Err(error)) if self.end.is_none_or(|end| offset < end) => Some(Err(error)),
                        _ if is_whole => None,
                        _ => Some(Err(Error::Stopped)),
                    };
                }
                (Arc::clone(fill.file.get().expect("set before anything is published")), until)
            }
        };
        let count = until.saturating_sub(self.offset).min(CHUNK);
        if count == 0 {
            return None;
        }
        let offset = self.offset;
        self.offset += count;
        Some(blocking(move || read(&file, offset, count)).await)
    }
}

fn read(file: &File, offset: u64, count: u64) -> Result<Bytes, Error> {
    let mut chunk = vec![0; usize::try_from(count).expect("at most CHUNK")];
    file.read_exact_at(&mut chunk, offset).map_err(|source: io::Error| {
        crate::store::disk("read", std::path::Path::new("a cached file"), source)
    })?;
    Ok(Bytes::from(chunk))
}
