//! Removes what no instance uses any more: networks that we made, bundles of files. Never volumes.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use wharf_docker::Engine;
use wharf_docker::bollard::query_parameters::ListNetworksOptions;
use wharf_model::MountSource;

use super::files;
use super::plan::Wanted;
use crate::labels;

/// Removes our networks that no wanted instance is in. One that still has a container (of somebody else's) stays.
pub(crate) async fn remove_networks(engine: &Engine, owner: &str, wanted: &[Wanted]) {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{}={owner}", labels::OWNER)])]);
    let options = ListNetworksOptions { filters: Some(filters) };
    let Ok(networks) = engine.docker().list_networks(Some(options)).await else { return };
    let used: BTreeSet<&str> =
        wanted.iter().flat_map(|one| &one.instance.spec.networks).map(|one| one.network.as_str()).collect();
    for name in networks.into_iter().filter_map(|network| network.name) {
        if used.contains(name.as_str()) {
            continue;
        }
        match engine.docker().remove_network(&name).await {
            Ok(()) => tracing::info!(network = name, "network removed"),
            Err(error) => tracing::debug!(network = name, %error, "network not removed"),
        }
    }
}

/// Removes bundles that no wanted instance mounts.
pub(crate) async fn remove_files(directory: &Path, wanted: &[Wanted]) {
    let mounts = wanted.iter().flat_map(|one| &one.instance.spec.mounts);
    let used: BTreeSet<String> = mounts
        .filter_map(|mount| match &mount.source {
            MountSource::Files(digest) => {
                let name = |key: &str| Some(key.split_once(':')?.1.to_owned());
                let owned = mount.options.owner.and_then(|owner| name(&files::key(digest, Some(owner))));
                Some(name(digest).into_iter().chain(owned))
            }
            MountSource::Volume(_)
            | MountSource::Anonymous
            | MountSource::HostPath(_)
            | MountSource::Tmpfs => None,
        })
        .flatten()
        .collect();
    let directory = directory.to_owned();
    crate::blocking(move || files::remove_unwanted(&directory, &used)).await;
}
