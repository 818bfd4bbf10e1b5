//! Many files as one file, that tells whether it is whole: the format of backups.
//!
//! A tar archive (ustar, so `tar -tf` lists it) of three parts, in this order:
//!
//! | entry | what |
//! |---|---|
//! | `wharf-backup.json` | the [`Manifest`]: version of the format, who wrote it and when, each file's path, size and SHA-256 |
//! | `data/<path>` | each file, in the manifest's order |
//! | `wharf-backup.sha256` | SHA-256 of the manifest in hexadecimal: one that was cut off has none |
//!
//! What must always hold: an archive is under its name whole or not at all (written aside, fsynced, renamed), readable by
//! its owner alone; [`unpack`] gives back nothing that the manifest does not vouch for, and writes below its directory
//! only. Limits: 100,000 files, 16 MiB of manifest.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wharf_base::{Digest, UnixMillis};

use crate::{Error, atomic};

/// Version of the format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
const MANIFEST: &str = "wharf-backup.json";
const SEAL: &str = "wharf-backup.sha256";
const PREFIX: &str = "data/";
/// LIMIT: bytes of a manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// LIMIT: files of an archive.
const FILES_MAX: usize = 100_000;

/// What an archive says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// The program that wrote it, with its version.
    pub writer: String,
    /// When.
    pub created: UnixMillis,
    /// Its files.
    pub files: Vec<Entry>,
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the directory that the archive is of, with `/`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub digest: Digest,
}

/// A file to be put into an archive.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it will be, relative, with `/`.
    pub path: String,
    /// Where it is now. It must not change meanwhile; if it does, nothing is written.
    pub file: PathBuf,
}

/// Writes `sources` as `to` (mode 0600), which is durable once this returns. Blocks.
///
/// Errors: `Io`; `Archive` when a file changed while it was read.
pub fn write(to: &Path, writer: &str, created: UnixMillis, sources: &[Source]) -> Result<Manifest, Error> {
    let mut files = Vec::with_capacity(sources.len());
    for source in sources {
        let mut file = File::open(&source.file).map_err(Error::io("open", &source.file))?;
        let (bytes, digest) =
            copy(&mut file, &mut io::sink(), u64::MAX).map_err(Error::io("read", &source.file))?;
        files.push(Entry { path: source.path.clone(), bytes, digest });
    }
    let manifest = Manifest { format: FORMAT, writer: writer.to_owned(), created, files };
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let aside = to.with_file_name(format!(".{name}.{}.wharf-tmp", uuid::Uuid::new_v4().simple()));
    let written = write_aside(&aside, &manifest, sources).and_then(|()| {
        std::fs::rename(&aside, to).map_err(Error::io("replace", to))?;
        atomic::sync_directory(parent(to))
    });
    if written.is_err() {
        // It has failed already and says why.
        let _ = std::fs::remove_file(&aside);
    }
    written.map(|()| manifest)
}

fn write_aside(aside: &Path, manifest: &Manifest, sources: &[Source]) -> Result<(), Error> {
    let fail = |source| Error::io("write", aside)(source);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside);
    let mut archive = tar::Builder::new(file.map_err(Error::io("create", aside))?);
    let text = serde_json::to_vec_pretty(manifest).expect("plain records are JSON");
    append(&mut archive, MANIFEST, text.len() as u64, manifest.created, &text[..]).map_err(fail)?;
    for (source, entry) in sources.iter().zip(&manifest.files) {
        let file = File::open(&source.file).map_err(Error::io("open", &source.file))?;
        let mut hashed = Hashed { inner: file.take(entry.bytes), hash: Sha256::new() };
        let path = format!("{PREFIX}{}", entry.path);
        append(&mut archive, &path, entry.bytes, manifest.created, &mut hashed).map_err(fail)?;
        if Digest::from_sha256(hashed.hash.finalize().into()) != entry.digest {
            return Err(bad(&source.file, "it changed while it was read".to_owned()));
        }
    }
    let seal = Digest::from_sha256(Sha256::digest(&text).into()).hex().to_owned();
    append(&mut archive, SEAL, seal.len() as u64, manifest.created, seal.as_bytes()).map_err(fail)?;
    let file = archive.into_inner().map_err(fail)?;
    file.sync_all().map_err(Error::io("fsync", aside))
}

fn append(
    archive: &mut tar::Builder<File>,
    path: &str,
    bytes: u64,
    at: UnixMillis,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(at.0.unsigned_abs() / 1_000);
    archive.append_data(&mut header, path, content)
}

/// Reads the archive to its end and compares every digest. Writes nothing. Blocks.
///
/// Errors: `Archive` says what is wrong with it; `Io`.
pub fn verify(from: &Path) -> Result<Manifest, Error> {
    let file = File::open(from).map_err(Error::io("open", from))?;
    read(file, |_| Ok(Box::new(io::sink()))).map_err(|problem| problem.of(from))
}

/// As [`verify`], of bytes from anywhere; the message says what is wrong.
pub fn verify_bytes(bytes: impl Read) -> Result<Manifest, String> {
    read(bytes, |_| Ok(Box::new(io::sink()))).map_err(|problem| match problem {
        Problem::Form(reason) => reason,
        Problem::Error(error) => error.to_string(),
    })
}

/// Writes the archive's files below `directory` (mode 0600, directories 0700), each durably. Nothing may be there under
/// their names. Blocks. To change nothing when it is damaged, [`verify`] it first.
///
/// Errors: `Archive` says what is wrong with it; `Io`.
pub fn unpack(from: &Path, directory: &Path) -> Result<Manifest, Error> {
    let file = File::open(from).map_err(Error::io("open", from))?;
    let manifest = read(file, |path| {
        let path = directory.join(path);
        private_directory(parent(&path))?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        Ok(Box::new(Durable { file: file.map_err(Error::io("create", &path))? }))
    })
    .map_err(|problem| problem.of(from))?;
    for entry in &manifest.files {
        let path = directory.join(&entry.path);
        File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io("fsync", &path))?;
        atomic::sync_directory(parent(&path))?;
    }
    Ok(manifest)
}

/// What was wrong while an archive was read.
enum Problem {
    Form(String),
    Error(Error),
}

impl Problem {
    fn of(self, archive: &Path) -> Error {
        match self {
            Problem::Form(reason) => bad(archive, reason),
            Problem::Error(error) => error,
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        Problem::Form(format!("it ends too early or is no backup ({error})"))
    }
}

/// Where the bytes of a file go.
type Sink = Box<dyn Write>;

fn read(bytes: impl Read, mut sink: impl FnMut(&str) -> Result<Sink, Error>) -> Result<Manifest, Problem> {
    let mut archive = tar::Archive::new(bytes);
    let mut entries = archive.entries()?;
    let mut next = |name: &str| -> Result<tar::Entry<'_, _>, Problem> {
        let entry = entries.next().ok_or_else(|| Problem::Form(format!("`{name}` is missing")))??;
        // A sparse entry of a few bytes could stand for terabytes of zeros.
        let is_plain = entry.header().entry_type().is_file();
        match is_plain && entry.path_bytes() == name.as_bytes() {
            true => Ok(entry),
            false => Err(Problem::Form(format!("`{name}` is not where it should be"))),
        }
    };
    let mut text = Vec::new();
    next(MANIFEST)?.take(MANIFEST_BYTES_MAX).read_to_end(&mut text)?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Problem::Form(format!("its manifest can't be read: {error}")))?;
    check(&manifest).map_err(Problem::Form)?;
    for file in &manifest.files {
        let mut entry = next(&format!("{PREFIX}{}", file.path))?;
        let mut to = sink(&file.path).map_err(Problem::Error)?;
        let (bytes, digest) = copy(&mut entry, &mut *to, file.bytes.saturating_add(1))?;
        if (bytes, &digest) != (file.bytes, &file.digest) {
            return Err(Problem::Form(format!("`{}` is damaged: its digest is {digest}", file.path)));
        }
    }
    let mut seal = String::new();
    next(SEAL)?.take(64).read_to_string(&mut seal)?;
    if seal != Digest::from_sha256(Sha256::digest(&text).into()).hex() {
        return Err(Problem::Form("its manifest is damaged".to_owned()));
    }
    Ok(manifest)
}

fn check(manifest: &Manifest) -> Result<(), String> {
    if manifest.format == 0 || manifest.format > FORMAT {
        return Err(format!(
            "it has format {}, this wharf reads up to {FORMAT}; hint: use the wharf that wrote it, or a newer one",
            manifest.format
        ));
    }
    if manifest.files.len() > FILES_MAX {
        return Err(format!("it has more than {FILES_MAX} files"));
    }
    let is_good = |path: &str| {
        let mut parts = Path::new(path).components();
        !path.is_empty()
            && !path.ends_with('/')
            && !path.contains('\0')
            && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    let mut seen = std::collections::BTreeSet::new();
    match manifest.files.iter().find(|file| !is_good(&file.path) || !seen.insert(&file.path)) {
        Some(file) => Err(format!("`{}` is no path of a file in it, or is there twice", file.path)),
        None => Ok(()),
    }
}

fn bad(archive: &Path, reason: String) -> Error {
    Error::Archive { path: archive.to_owned(), reason }
}

/// The bytes of `from`, at most `most`, to `to`; how many, and their digest.
fn copy(from: &mut impl Read, to: &mut dyn Write, most: u64) -> io::Result<(u64, Digest)> {
    let mut hashed = Hashed { inner: from.take(most), hash: Sha256::new() };
    let bytes = io::copy(&mut hashed, to)?;
    Ok((bytes, Digest::from_sha256(hashed.hash.finalize().into())))
}

struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

struct Durable {
    file: File,
}

impl Write for Durable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn private_directory(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io("create directory", path))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn made(directory: &Path) -> PathBuf {
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(directory.join(name), bytes).unwrap();
            Source { path: format!("sub/{name}"), file: directory.join(name) }
        };
        let sources = [write("one", b"first"), write("two", &vec![7; 100_000]), write("none", b"")];
        let to = directory.join("backup.tar");
        super::write(&to, "wharf test", UnixMillis(5_000), &sources).unwrap();
        to
    }

    #[test]
    fn what_was_packed_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let archive = made(directory.path());
        let out = directory.path().join("out");
        let manifest = unpack(&archive, &out).unwrap();
        assert_eq!(manifest, verify(&archive).unwrap());
        assert_eq!(std::fs::read(out.join("sub/one")).unwrap(), b"first");
        assert_eq!(std::fs::read(out.join("sub/two")).unwrap(), vec![7; 100_000]);
        assert_eq!(std::fs::read(out.join("sub/none")).unwrap(), b"");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&archive), mode(&out.join("sub/one")), mode(&out.join("sub"))),
            (0o600, 0o600, 0o700)
        );
        assert!(unpack(&archive, &out).is_err(), "nothing is written over");
        let names: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().ends_with("wharf-tmp")), "{names:?}");
    }

    #[test]
    fn every_cut_and_every_changed_byte_of_a_file_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(made(directory.path())).unwrap();
        verify_bytes(&bytes[..]).unwrap();
        // The last two blocks of a tar archive are empty, and so is what follows the seal's 64 digits in its block.
        let end = bytes.len() - 1_024;
        for cut in (0..end - 512 + 64).step_by(509) {
            verify_bytes(&bytes[..cut]).unwrap_err();
        }
        let first = bytes.windows(5).rposition(|window| window == b"first").unwrap();
        for place in [first, first + 4, end - 512] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            verify_bytes(&changed[..]).unwrap_err();
        }
    }

    #[test]
    fn no_path_leads_out_of_the_directory() {
        let digest = Digest::from_sha256([0; 32]);
        let with = |path: &str, format| Manifest {
            format,
            writer: String::new(),
            created: UnixMillis(0),
            files: vec![Entry { path: path.to_owned(), bytes: 0, digest: digest.clone() }],
        };
        for good in ["a", "a/b", "a.b"] {
            assert_eq!(check(&with(good, 1)), Ok(()), "{good}");
        }
        for bad in ["", "/a", "../a", "a/../b", "a/", "./a", "a\0"] {
            assert!(check(&with(bad, 1)).is_err(), "{bad}");
        }
        assert!(check(&with("a", 2)).unwrap_err().contains("format 2"));
        let mut twice = with("a", 1);
        twice.files.push(twice.files[0].clone());
        assert!(check(&twice).is_err());
    }
}
