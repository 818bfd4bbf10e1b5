//! Which instances have had their container: what is missing of those was removed by hand.
//!
//! Kept in `met.json` in the agent's directory, so that a restart of the agent does not make again what is only to be
//! reported. A file that can't be read or written counts as empty: the worst is that a container is made again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use wharf_disk::atomic;

use super::found::{Found, Run};
use super::plan::Wanted;

/// Instance to the hash of the specification that it had.
#[derive(Debug)]
pub(crate) struct Met {
    path: PathBuf,
    instances: BTreeMap<String, String>,
}

impl Met {
    pub(crate) fn load(path: PathBuf) -> Met {
        let read = atomic::read(&path).ok().flatten();
        let instances = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Met { path, instances }
    }

    pub(crate) fn instances(&self) -> &BTreeMap<String, String> {
        &self.instances
    }

    /// A unit is about to remove the container itself.
    pub(crate) fn forget(&mut self, instance: &str) {
        self.instances.remove(instance);
    }

    /// Takes in what is there, and stores what changed. On `busy` instances a unit works: theirs comes later.
    pub(crate) async fn follow(&mut self, wanted: &[Wanted], found: &[Found], busy: &BTreeSet<String>) {
        let hash = |one: &Wanted| {
            let id = one.instance.id.as_str();
            let is_there = !busy.contains(id)
                && found.iter().any(|container| {
                    container.instance == id && container.spec == one.hash && container.run != Run::Dead
                });
            let was_there = self.instances.get(id) == Some(&one.hash);
            (is_there || was_there).then(|| (id.to_owned(), one.hash.clone()))
        };
        let next: BTreeMap<String, String> = wanted.iter().filter_map(hash).collect();
        if next == self.instances {
            return;
        }
        self.instances = next;
        let (path, document) = (self.path.clone(), serde_json::to_vec(&self.instances));
        let document = document.expect("plain records are JSON");
        if let Err(error) = crate::blocking(move || atomic::write(&path, &document)).await {
            tracing::warn!(%error, "which containers were made can't be stored");
        }
    }
}
