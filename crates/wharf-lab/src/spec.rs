//! What pid 1 of a host is told: one JSON file beside the host's logs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wharf_base::ByteSize;

use crate::Error;
use crate::error::At as _;

/// The version of the file. The program that reads it may be older than the one that wrote it.
const VERSION: u32 = 1;

/// One host, as its pid 1 makes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostSpec {
    pub(crate) version: u32,
    pub(crate) index: u32,
    pub(crate) hostname: String,
    /// Lines for `/etc/hosts`.
    pub(crate) etc_hosts: Vec<String>,
    /// The shared directory, on this machine.
    pub(crate) run: PathBuf,
    /// Where the writes to the root go.
    pub(crate) disk: PathBuf,
    pub(crate) docker: PathBuf,
    pub(crate) program: PathBuf,
    /// Directories of the cgroups that the host is to be in.
    pub(crate) cgroups: Vec<PathBuf>,
    /// The same, as dockerd's `--cgroup-parent`.
    pub(crate) cgroup_parent: String,
    pub(crate) bare: bool,
    pub(crate) dockerd_args: Vec<String>,
    /// The most that `/run` and `/tmp` hold.
    pub(crate) tmp_size: ByteSize,
}

impl HostSpec {
    pub(crate) const VERSION: u32 = VERSION;

    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).expect("a spec is plain JSON");
        std::fs::write(path, text).at("write", path)
    }

    pub(crate) fn read(path: &Path) -> Result<HostSpec, Error> {
        let text = std::fs::read(path).at("read", path)?;
        let spec: HostSpec = serde_json::from_slice(&text).at("read", path)?;
        if spec.version != VERSION {
            return Err(Error::NotInit { reason: "was given a spec of another version" });
        }
        Ok(spec)
    }
}
