//! Reads blobs, whole or a range, one chunk ahead of who takes them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::Error;

/// Bytes per read. 256 KiB: larger chunks cost memory per slow reader and save few system calls.
const CHUNK: u64 = 256 << 10;

/// The file comes back with the chunk, for the next read.
type ReadOutcome = io::Result<(File, Vec<u8>)>;

/// A blob that is open for reading. It stays readable when it is deleted meanwhile.
#[derive(Debug)]
pub struct Blob {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Blob {
    pub(super) fn open(path: PathBuf) -> Result<Option<Blob>, Error> {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let size = file.metadata().map_err(Error::io("stat", &path))?.len();
        Ok(Some(Blob { file, path, size }))
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the bytes of `range`, which lies within the blob. Needs a tokio runtime.
    ///
    /// Panics if it doesn't.
    pub fn reader(self, range: Range<u64>) -> BlobReader {
        assert!(range.start <= range.end && range.end <= self.size, "{range:?} of {}", self.size);
        let mut reader = BlobReader { path: self.path, unread: range.end - range.start, left: 0, next: None };
        reader.left = reader.unread;
        let start = range.start;
        reader.read_ahead(self.file, Some(start));
        reader
    }
}

/// Gives the bytes of a blob in chunks.
#[derive(Debug)]
pub struct BlobReader {
    path: PathBuf,
    /// Bytes that no read was started for.
    unread: u64,
    /// Bytes that the caller has not got.
    left: u64,
    next: Option<JoinHandle<ReadOutcome>>,
}

impl BlobReader {
    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next chunk; `None` at the end. Errors: also when the file is shorter than it was.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`BlobReader::next`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(handle) = &mut self.next else { return Poll::Ready(None) };
        let outcome = ready!(Pin::new(handle).poll(context));
        self.next = None;
        match outcome {
            Ok(Ok((file, chunk))) => {
                self.left -= chunk.len() as u64;
                self.read_ahead(file, None);
                Poll::Ready(Some(Ok(Bytes::from(chunk))))
            }
            Ok(Err(source)) => Poll::Ready(Some(Err(Error::io("read", &self.path)(source)))),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn read_ahead(&mut self, mut file: File, seek: Option<u64>) {
        let count = self.unread.min(CHUNK);
        if count == 0 {
            return;
        }
        self.unread -= count;
        self.next = Some(tokio::task::spawn_blocking(move || {
            if let Some(position) = seek {
                file.seek(SeekFrom::Start(position))?;
            }
            let mut chunk = Vec::with_capacity(usize::try_from(count).expect("at most CHUNK"));
            // Into spare capacity: nothing is zeroed first.
            Read::by_ref(&mut file).take(count).read_to_end(&mut chunk)?;
            if chunk.len() as u64 != count {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((file, chunk))
        }));
    }
}
