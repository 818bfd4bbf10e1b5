//! Bundles of files that containers mount: fetched from the server, checked, unpacked, kept while somebody wants them.
//!
//! A bundle lies at `files/<hex>/`; it is unpacked beside that and renamed, so that it is there whole or not at all.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedMutexGuard;
use wharf_base::Digest;
use wharf_disk::atomic;
use wharf_model::{FileBundle, FileOwner};

use super::link::Server;
use crate::Error;

/// Makes sure that the bundle is there and returns what is to be mounted: its directory, or its one file.
///
/// `gate` keeps other instances from the same bundle meanwhile: two that unpack into one directory leave half of it.
pub(crate) async fn ensure(
    directory: &Path,
    bundle: &FileBundle,
    server: Option<&Server>,
    gate: OwnedMutexGuard<()>,
) -> Result<PathBuf, Error> {
    let target = directory.join(bundle.digest.hex());
    if !target.exists() {
        let server = server.ok_or(Error::Offline)?;
        let archive = directory.join(format!("{}.tar", bundle.digest.hex()));
        if let Err(error) = fetch(server, bundle, &archive).await {
            let _ = tokio::fs::remove_file(&archive).await;
            return Err(error);
        }
        let to = target.clone();
        let unpacked = crate::blocking(move || {
            // This goes on when the unit is cancelled; until it has ended nobody else may begin.
            let _gate = gate;
            let result = unpack(&archive, &to);
            // The archive has served, or is broken.
            let _ = std::fs::remove_file(&archive);
            result
        });
        unpacked.await?;
    }
    if bundle.is_file { only_file(&target) } else { Ok(target) }
}

/// Name of a bundle, or of the copy of one that belongs to somebody: `sha256:…`, `sha256:….1000.1000.400`.
pub(crate) fn key(digest: &str, owner: Option<FileOwner>) -> String {
    match owner {
        Some(FileOwner { uid, gid, mode }) => format!("{digest}.{uid}.{gid}.{mode:o}"),
        None => digest.to_owned(),
    }
}

/// Makes sure that there is a copy of a bundle's one file that belongs to `owner`, and returns it.
pub(crate) fn ensure_owned(
    directory: &Path,
    file: &Path,
    key: &str,
    owner: FileOwner,
) -> Result<PathBuf, Error> {
    let name = file.file_name().unwrap_or(file.as_os_str());
    let target = directory.join(key.split_once(':').map_or(key, |(_, name)| name));
    if target.exists() {
        return Ok(target.join(name));
    }
    let aside = target.with_file_name(format!("{}.new", key.replace(':', ".")));
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(|error| Error::file("remove", &aside, error))?;
    }
    std::fs::create_dir(&aside).map_err(|error| Error::file("create directory", &aside, error))?;
    let copy = aside.join(name);
    std::fs::copy(file, &copy).map_err(|error| Error::file("copy", file, error))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(owner.mode & 0o7777);
    // The owner first: changing it clears the set-user-id bits.
    std::os::unix::fs::chown(&copy, Some(owner.uid), Some(owner.gid))
        .and_then(|()| std::fs::set_permissions(&copy, mode))
        .and_then(|()| sync_tree(&aside))
        .map_err(|error| Error::file("give away", &copy, error))?;
    std::fs::rename(&aside, &target).map_err(|error| Error::file("rename", &aside, error))?;
    atomic::sync_directory(directory)?;
    Ok(target.join(name))
}

async fn fetch(server: &Server, bundle: &FileBundle, archive: &Path) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::file("write", archive, error);
    let wrong = |reason: String| Error::Form { what: format!("file bundle {}", bundle.digest), reason };
    let mut body = server.body(&format!("/agent/v1/files/{}", bundle.digest)).await?;
    let mut file = std::fs::File::create(archive).map_err(io)?;
    let (mut hasher, mut size) = (Sha256::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| wrong(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len() as u64;
        if size > bundle.size {
            return Err(wrong(format!("it is larger than the {} bytes that were announced", bundle.size)));
        }
        hasher.update(&data);
        file.write_all(&data).map_err(io)?;
    }
    let digest = Digest::from_sha256(hasher.finalize().into());
    if digest != bundle.digest {
        return Err(wrong(format!("what was sent has the digest {digest}")));
    }
    Ok(())
}

fn unpack(archive: &Path, target: &Path) -> Result<(), Error> {
    let aside = target.with_extension("new");
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(|error| Error::file("remove", &aside, error))?;
    }
    std::fs::create_dir(&aside).map_err(|error| Error::file("create directory", &aside, error))?;
    let file = std::fs::File::open(archive).map_err(|error| Error::file("open", archive, error))?;
    let mut archive_reader = tar::Archive::new(file);
    archive_reader.set_preserve_permissions(true);
    archive_reader.set_preserve_mtime(true);
    // `unpack` refuses entries that lead out of the directory.
    archive_reader.unpack(&aside).map_err(|error| Error::file("unpack", archive, error))?;
    sync_tree(&aside).map_err(|error| Error::file("fsync", &aside, error))?;
    std::fs::rename(&aside, target).map_err(|error| Error::file("rename", &aside, error))?;
    Ok(atomic::sync_directory(target.parent().unwrap_or(target))?)
}

/// Without this a power loss could leave a bundle of empty files under its final name.
fn sync_tree(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        let kind = entry?;
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            std::fs::File::open(&path)?.sync_all()?;
        }
    }
    std::fs::File::open(directory)?.sync_all()
}

fn only_file(directory: &Path) -> Result<PathBuf, Error> {
    let mut entries =
        std::fs::read_dir(directory).map_err(|error| Error::file("read", directory, error))?.flatten();
    match (entries.next(), entries.next()) {
        (Some(only), None) => Ok(only.path()),
        _ => Err(Error::Form {
            what: directory.display().to_string(),
            reason: "a bundle of one file holds another number of entries".to_owned(),
        }),
    }
}

/// Removes bundles, and copies of them, that are not in `wanted` (the part of [`key`] after the colon).
pub(crate) fn remove_unwanted(directory: &Path, wanted: &BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !wanted.contains(&name) {
            let path = entry.path();
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "cannot remove a file bundle");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_unpacked_whole_and_removed_when_unwanted() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("a.tar");
        let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o640);
        builder.append_data(&mut header, "nginx.conf", &b"hi"[..]).unwrap();
        builder.into_inner().unwrap();
        let target = directory.path().join("0a");
        unpack(&archive, &target).unwrap();
        let file = only_file(&target).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"hi");
        std::fs::write(target.join("second"), "x").unwrap();
        assert!(only_file(&target).is_err());
        remove_unwanted(directory.path(), &BTreeSet::from(["0a".to_owned()]));
        assert!(target.exists() && !archive.exists());
        remove_unwanted(directory.path(), &BTreeSet::new());
        assert!(!target.exists());
    }

    #[test]
    fn a_copy_belongs_to_its_owner_and_is_made_once() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app.conf");
        std::fs::write(&file, "x").unwrap();
        // Giving a file away takes root; to oneself it never does.
        let me = std::fs::metadata(&file).unwrap();
        let owner = FileOwner { uid: me.uid(), gid: me.gid(), mode: 0o440 };
        let key = key("sha256:0a", Some(owner));
        let copy = ensure_owned(directory.path(), &file, &key, owner).unwrap();
        let metadata = std::fs::metadata(&copy).unwrap();
        assert_eq!((metadata.mode() & 0o7777, std::fs::read(&copy).unwrap()), (0o440, b"x".to_vec()));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(ensure_owned(directory.path(), &file, &key, owner).unwrap(), copy);
        let wanted = key.split_once(':').unwrap().1.to_owned();
        remove_unwanted(directory.path(), &BTreeSet::from([wanted]));
        assert!(copy.exists());
    }

    #[test]
    fn an_archive_cannot_write_outside() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("a.tar");
        let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        let name = b"../evil";
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        builder.append(&header, &b"x"[..]).unwrap();
        builder.into_inner().unwrap();
        let _ = unpack(&archive, &directory.path().join("inner"));
        assert!(!directory.path().join("evil").exists());
    }
}
