//! Mounts of a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::default::is_default;

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What.
    pub source: MountSource,
    /// Path in the container.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
    /// What only some sources have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options: MountOptions,
}

/// What a mount shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A named volume, by its real name on the host.
    Volume(String),
    /// An anonymous volume.
    #[default]
    Anonymous,
    /// An absolute path of the host.
    HostPath(String),
    /// Memory.
    Tmpfs,
    /// A read-only copy of a file or directory that travelled with the application: `<bundle digest>` of a
    /// [`crate::FileBundle`].
    Files(String),
}

/// Options of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountOptions {
    /// Of a host path: how mounts below it are passed on, `rprivate`, `rshared`, …
    #[serde(skip_serializing_if = "is_default")]
    pub propagation: Option<String>,
    /// Of a host path: `z` (shared) or `Z` (private) label for SELinux.
    #[serde(skip_serializing_if = "is_default")]
    pub selinux: Option<char>,
    /// Of a host path: an error if it is not there; a directory is made otherwise.
    #[serde(skip_serializing_if = "is_default")]
    pub must_exist: bool,
    /// Of a host path: mounts below it are left out.
    #[serde(skip_serializing_if = "is_default")]
    pub non_recursive: bool,
    /// Of a volume: what the image has at the target is not copied into a new volume.
    #[serde(skip_serializing_if = "is_default")]
    pub no_copy: bool,
    /// Of a volume: the part of it that is mounted.
    #[serde(skip_serializing_if = "is_default")]
    pub subpath: Option<String>,
    /// Of a volume that is made for this mount: its labels.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Of memory: size in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub size_bytes: Option<u64>,
    /// Of memory: permission bits.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: Option<u32>,
    /// Of files that travelled along: whose they are in the container; `None` leaves them as they came.
    #[serde(skip_serializing_if = "is_default")]
    pub owner: Option<FileOwner>,
}

/// Owner and permission bits of a file in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOwner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, 0o444 and the like.
    pub mode: u32,
}
