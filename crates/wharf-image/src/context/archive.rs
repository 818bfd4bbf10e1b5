//! Writes the tar archive: limits, normalised headers, folders that wait until they are needed.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::ContextLimits;
use crate::Error;

/// 256 KiB: a write(2) costs little against it, and small files share one.
const BUFFER_SIZE: usize = 256 * 1024;

pub(super) struct Archive {
    builder: Builder<Counted<BufWriter<File>>>,
    dir: PathBuf,
    limits: ContextLimits,
    entries: u64,
    /// Ignored folders on the way to where the walk is, outermost first.
    held: Vec<(PathBuf, Metadata)>,
}

impl Archive {
    pub(super) fn create(to: &Path, dir: &Path, limits: ContextLimits) -> Result<Archive, Error> {
        let file = File::create(to).map_err(Error::Write)?;
        let builder = Builder::new(Counted { inner: BufWriter::with_capacity(BUFFER_SIZE, file), bytes: 0 });
        Ok(Archive { builder, dir: dir.to_path_buf(), limits, entries: 0, held: Vec::new() })
    }

    /// Notes a folder that is added when something below it is.
    pub(super) fn hold_folder(&mut self, relative: &Path, metadata: Metadata) {
        self.held.retain(|(folder, _)| relative.starts_with(folder));
        self.held.push((relative.to_path_buf(), metadata));
    }

    pub(super) fn add_folder(&mut self, relative: &Path, metadata: &Metadata) -> Result<(), Error> {
        let header = self.header(relative, metadata, EntryType::Directory, 0)?;
        // With a slash behind, as every tar writes folders.
        self.append(header, &relative.join(""), io::empty())
    }

    pub(super) fn add_link(
        &mut self,
        relative: &Path,
        target: &Path,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        let mut header = self.header(relative, metadata, EntryType::Symlink, 0)?;
        self.builder.append_link(&mut header, relative, target).map_err(Error::Write)?;
        self.check_size()
    }

    /// Adds the content of `path`, following a link.
    pub(super) fn add_file(&mut self, path: &Path, relative: impl AsRef<Path>) -> Result<(), Error> {
        let relative = relative.as_ref();
        let failed = |source| Error::Read { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let size = metadata.len();
        if self.builder.get_ref().bytes.saturating_add(size) > self.limits.bytes.0 {
            return Err(self.too_large());
        }
        let header = self.header(relative, &metadata, EntryType::Regular, size)?;
        // A file that grows meanwhile is cut at the size of the header; one that shrinks would break the archive.
        let mut content = Content { file, left: size, failure: None };
        let result = self.append(header, relative, &mut content);
        match content.failure {
            Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::Changed(path.to_path_buf()))
            }
            Some(error) => Err(failed(error)),
            None => result,
        }
    }

    /// Entries and bytes.
    pub(super) fn finish(self) -> Result<(u64, u64), Error> {
        let mut counted = self.builder.into_inner().map_err(Error::Write)?;
        counted.flush().map_err(Error::Write)?;
        Ok((self.entries, counted.bytes))
    }

    /// Starts an entry: adds folders that waited for it, counts it.
    fn header(
        &mut self,
        relative: &Path,
        metadata: &Metadata,
        kind: EntryType,
        size: u64,
    ) -> Result<Header, Error> {
        for (folder, metadata) in std::mem::take(&mut self.held) {
            if relative.starts_with(&folder) {
                self.add_folder(&folder, &metadata)?;
            }
        }
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::TooManyFiles { dir: self.dir.clone(), limit: self.limits.entries });
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(metadata.mode() & 0o7777);
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        Ok(header)
    }

    fn append(&mut self, mut header: Header, relative: &Path, content: impl Read) -> Result<(), Error> {
        self.builder.append_data(&mut header, relative, content).map_err(Error::Write)?;
        self.check_size()
    }

    fn check_size(&self) -> Result<(), Error> {
        match self.builder.get_ref().bytes > self.limits.bytes.0 {
            true => Err(self.too_large()),
            false => Ok(()),
        }
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { dir: self.dir.clone(), limit: self.limits.bytes }
    }
}

/// Exactly as many bytes of a file as its header says.
struct Content {
    file: File,
    left: u64,
    /// Why reading failed, told apart from why writing did.
    failure: Option<io::Error>,
}

impl Read for &mut Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let error = match self.file.read(&mut buffer[..room]) {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(count) => {
                self.left -= count as u64;
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => error,
        };
        let kind = error.kind();
        self.failure = Some(error);
        Err(kind.into())
    }
}

struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
