//! How an image is built.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::project::{ExtraHost, Ulimit};

/// `build` (compose-spec `build.md`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// Context directory, absolute or relative to the project directory, as resolved by the loader.
    pub context: String,
    /// Dockerfile, relative to the context; `None` is `Dockerfile`.
    pub dockerfile: Option<String>,
    /// The Dockerfile itself, instead of a file.
    pub dockerfile_inline: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Stage to build.
    pub target: Option<String>,
    /// Labels for the image.
    pub labels: BTreeMap<String, String>,
    /// Images whose layers may be used.
    pub cache_from: Vec<String>,
    /// Lines of `/etc/hosts` for RUN.
    pub extra_hosts: Vec<ExtraHost>,
    /// Network for RUN: `default`, `none` or `host`.
    pub network: Option<String>,
    /// Uses no cache.
    pub no_cache: bool,
    /// Asks registries for newer base images.
    pub pull: bool,
    /// `os/arch[/variant]` to build for; at most one.
    pub platforms: Vec<String>,
    /// Bytes of `/dev/shm` for RUN.
    pub shm_size_bytes: Option<u64>,
    /// Further names for the image.
    pub tags: Vec<String>,
    /// Limits for RUN by name.
    pub ulimits: BTreeMap<String, Ulimit>,
}
