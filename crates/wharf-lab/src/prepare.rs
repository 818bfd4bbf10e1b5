//! What a lab has before its first host: directories with their markers, the program of pid 1; and who may use them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::error::At as _;
use crate::layout::{Layout, marker, new_marker};
use crate::{Config, Error};

/// overlayfs' magic number (linux/magic.h, `OVERLAYFS_SUPER_MAGIC`).
const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// Refuses, without touching anything, what could not be brought up.
pub(crate) fn check(config: &Config, layout: &Layout) -> Result<(), Error> {
    check_ours(layout)?;
    let (running, asked) = (layout.network_text(), config.network.clone());
    // The default was not asked for by anyone: the name is enough to reach a lab.
    if running != asked && asked != Config::default().network {
        return Err(Error::OtherNetwork { name: layout.name.clone(), running, asked });
    }
    let has_driver = config.dockerd_args.iter().any(|arg| arg.starts_with("--storage-driver"));
    if config.bare || has_driver || !is_on_overlay(&layout.data)? {
        return Ok(());
    }
    Err(Error::DataOnOverlay { dir: layout.data.clone() })
}

/// A directory is a lab's if it has the marker, or nothing but the first half of one: a lab was killed just then.
pub(crate) fn check_ours(layout: &Layout) -> Result<(), Error> {
    for dir in [&layout.run, &layout.data] {
        if marker(dir).exists() {
            continue;
        }
        let mut entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.at("read", dir)?,
        };
        let half = new_marker(dir);
        if !entries.all(|entry| entry.is_ok_and(|entry| entry.path() == half)) {
            return Err(Error::NotOurs { dir: dir.clone() });
        }
    }
    Ok(())
}

/// Makes the lab's two directories, with markers that say how it was made.
pub(crate) fn dirs(config: &Config, layout: &Layout) -> Result<(), Error> {
    check_ours(layout)?;
    let made = Config { network: layout.network_text(), ..config.clone() };
    let text = serde_json::to_vec_pretty(&made).expect("a config is plain JSON");
    for dir in [&layout.run, &layout.data] {
        fs::create_dir_all(dir).at("create", dir)?;
        let (marker, new) = (marker(dir), new_marker(dir));
        fs::write(&new, &text).at("write", &new)?;
        fs::rename(&new, &marker).at("write", &marker)?;
    }
    Ok(())
}

/// The settings with which the lab whose directory this is was made, if there is one.
pub(crate) fn stored(run: &Path) -> Result<Option<Config>, Error> {
    let path = marker(run);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).at("read", &path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", &path),
    }
}

/// The program must be on a filesystem that hosts can have mounted, and a rebuild must not change it under them: a
/// hard link of its own, or a copy where it is on another filesystem.
pub(crate) fn program(config: &Config, layout: &Layout) -> Result<(), Error> {
    let running = || std::env::current_exe().at("find", "the running program");
    let source = config.program.clone().map_or_else(running, Ok)?;
    let (target, new) = (layout.program(), layout.program().with_extension("new"));
    fs::remove_file(&new).or_else(absent_is_fine).at("remove", &new)?;
    if fs::hard_link(&source, &new).is_err() {
        fs::copy(&source, &new).at("copy", &source)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).at("make executable", &new)?;
    }
    fs::rename(&new, &target).at("create", &target)?;
    // rename(2) of two links to one file does nothing.
    fs::remove_file(&new).or_else(absent_is_fine).at("remove", &new)
}

/// Writes the host keys of all hosts, by address and by name, for ssh.
pub(crate) fn known_hosts(layout: &Layout) -> Result<(), Error> {
    let mut text = String::new();
    for host in layout.hosts().into_iter().map(|index| layout.host(index)) {
        if let Ok(key) = fs::read_to_string(host.host_key().with_extension("pub")) {
            text.push_str(&format!("{},{} {key}", host.address, host.name));
        }
    }
    let (path, new) = (layout.known_hosts(), layout.known_hosts().with_extension("new"));
    fs::write(&new, text).at("write", &new)?;
    fs::rename(&new, &path).at("write", &path)
}

/// For removing what may not be there.
pub(crate) fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Looks at the nearest directory that is there already.
fn is_on_overlay(dir: &Path) -> Result<bool, Error> {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let found = rustix::fs::statfs(existing).at("look at", existing)?;
    Ok(found.f_type as u64 == OVERLAY_MAGIC)
}
