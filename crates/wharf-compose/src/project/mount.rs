//! Mounts, and the top-level elements that they show: volumes, secrets, configs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One entry of `volumes`, long or short form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Volume key or host path (absolute, or relative to the project directory); `None` is an anonymous volume
    /// or a tmpfs.
    pub source: Option<String>,
    /// Path in the container.
    pub target: String,
    /// `ro`.
    pub read_only: bool,
    /// What only some kinds have.
    #[serde(default, skip_serializing_if = "MountOptions::is_empty")]
    pub options: MountOptions,
}

/// Kinds of mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// Named or anonymous volume.
    Volume,
    /// Host path.
    Bind,
    /// Memory.
    Tmpfs,
}

/// Options of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MountOptions {
    /// Of a bind mount: how mounts below it are passed on.
    pub propagation: Option<Propagation>,
    /// Of a bind mount: label for SELinux.
    pub selinux: Option<Selinux>,
    /// Of a bind mount: `false` refuses a host path that is not there; the Engine makes it otherwise.
    pub create_host_path: Option<bool>,
    /// Of a volume: what the image has at the target is not copied into a new volume.
    pub no_copy: bool,
    /// Of a tmpfs: size in bytes.
    pub size_bytes: Option<u64>,
    /// Of a tmpfs: permission bits.
    pub mode: Option<u32>,
}

impl MountOptions {
    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        *self == MountOptions::default()
    }
}

/// `bind.propagation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// `private`.
    Private,
    /// `rprivate`.
    Rprivate,
    /// `shared`.
    Shared,
    /// `rshared`.
    Rshared,
    /// `slave`.
    Slave,
    /// `rslave`.
    Rslave,
}

/// `bind.selinux`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selinux {
    /// `z`: several containers share the content.
    Shared,
    /// `Z`: for this container alone.
    Private,
}

/// Top-level `volumes` entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Volume {
    /// Exists already and is not ours.
    pub external: bool,
    /// Real name instead of `<project>_<key>`.
    pub name: Option<String>,
    /// `driver`.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Top-level `secrets` or `configs` entry: where the content of a file comes from. Exactly one of the sources is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSource {
    /// A file of the machine where the project was loaded: absolute, or relative to the project directory.
    pub file: Option<String>,
    /// A variable of the environment in which the project was loaded; the value is not here.
    pub environment: Option<String>,
    /// The content itself (configs only).
    pub content: Option<String>,
    /// Something outside of the application, by its `name` or else its key.
    pub external: bool,
    /// Real name instead of the key.
    pub name: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}
