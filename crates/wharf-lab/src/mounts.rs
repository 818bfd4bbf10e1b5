//! What is mounted where, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use crate::Error;
use crate::error::At as _;

/// One mount of this process's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) target: PathBuf,
    pub(crate) fs_type: String,
    /// Options of the filesystem itself; for cgroup v1 the controllers are among them.
    pub(crate) super_options: String,
}

/// All mounts, in the order in which they were made.
pub(crate) fn all() -> Result<Vec<Mount>, Error> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(path).at("read", path)?;
    Ok(text.lines().filter_map(parse).collect())
}

/// Whether something is mounted exactly at `target`.
pub(crate) fn is_mounted(target: &Path) -> Result<bool, Error> {
    Ok(all()?.iter().any(|mount| mount.target == target))
}

/// Unmounts everything at or below `dir`, the newest first. Detaches, as processes may still be ending there.
pub(crate) fn unmount_below(dir: &Path) -> Result<(), Error> {
    for mount in all()?.iter().rev().filter(|mount| mount.target.starts_with(dir)) {
        unmount(&mount.target, UnmountFlags::DETACH).at("unmount", &mount.target)?;
    }
    Ok(())
}

/// `36 35 98:0 /root /mnt rw,noatime shared:1 - ext3 /dev/root rw`; the optional fields end with the dash.
fn parse(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let target = unescape(mount.split(' ').nth(4)?);
    let mut fields = filesystem.split(' ');
    let fs_type = fields.next()?.to_owned();
    let super_options = fields.nth(1)?.to_owned();
    Some(Mount { target, fs_type, super_options })
}

/// Spaces, tabs, newlines and backslashes are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) if byte == b'\\' => {
                bytes.push(value);
                rest = &after[3..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_optional_fields_and_escapes() {
        let line =
            r"36 35 98:0 / /mnt/a\040b rw,noatime shared:1 master:2 - ext4 /dev/root rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!(mount.target, Path::new("/mnt/a b"));
        assert_eq!((mount.fs_type.as_str(), mount.super_options.as_str()), ("ext4", "rw,errors=continue"));
        assert_eq!(parse("nonsense"), None);
    }
}
