//! What lies on the Engine and no generation names: networks and volumes of ours that nothing uses, what an agent with
//! another data directory has left, and containers of an application's Compose project that Wharf did not make.
//!
//! They are reported and stay until people ask for their removal. What carries no label of ours is never removed, and
//! no volume that a wanted container mounts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wharf_docker::bollard::errors::Error as BollardError;
use wharf_docker::bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptions,
    ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions, StopContainerOptions,
};
use wharf_docker::{Engine, Error as DockerError};
use wharf_model::{MountSource, Orphan, OrphanKind, OrphanOwner, OrphanTarget};

use super::plan::Wanted;
use crate::labels;
use crate::protocol::HostDesired;

/// LIMIT: orphans in a report.
const ORPHANS_MAX: usize = 1_000;
/// Label of containers that Docker Compose made.
const COMPOSE_PROJECT: &str = "com.docker.compose.project";

type Labels = HashMap<String, String>;

/// Looks for them: three list calls. `None` when the Engine does not answer.
pub(crate) async fn find(
    engine: &Engine,
    owner: &str,
    desired: &HostDesired,
    problems: &BTreeMap<OrphanTarget, String>,
) -> Option<Vec<Orphan>> {
    let docker = engine.docker();
    let of = |key: &str| HashMap::from([("label".to_owned(), vec![key.to_owned()])]);
    let list = |key: &str| ListContainersOptionsBuilder::default().all(true).filters(&of(key)).build();
    let ours = docker.list_containers(Some(list(labels::OWNER))).await.ok()?;
    let compose = docker.list_containers(Some(list(COMPOSE_PROJECT))).await.ok()?;
    let networks = ListNetworksOptions { filters: Some(of(labels::OWNER)) };
    let networks = docker.list_networks(Some(networks)).await.ok()?;
    let volumes = ListVolumesOptions { filters: Some(of(labels::OWNER)) };
    let volumes = docker.list_volumes(Some(volumes)).await.ok()?.volumes.unwrap_or_default();

    let mut all = Vec::new();
    for one in ours.into_iter().chain(compose) {
        let labels = one.labels.unwrap_or_default();
        let whose = whose(&labels, owner);
        let project = labels.get(COMPOSE_PROJECT);
        let is_known_project = project.is_some_and(|name| desired.apps.contains_key(name.as_str()));
        // Our own containers that are not wanted are on their way out by themselves.
        let is_orphan = match whose {
            OrphanOwner::ThisAgent => false,
            OrphanOwner::OtherAgent => true,
            OrphanOwner::Foreign => is_known_project,
        };
        if !is_orphan {
            continue;
        }
        let name = one.names.unwrap_or_default().into_iter().next().unwrap_or_default();
        let app = labels.get(labels::APP).or(project).cloned().unwrap_or_default();
        all.push(Orphan {
            kind: OrphanKind::Container,
            name: name.trim_start_matches('/').to_owned(),
            id: one.id.unwrap_or_default(),
            app,
            owner: whose,
            detail: one.status.unwrap_or_default(),
            problem: None,
        });
    }
    let used: BTreeSet<&str> = desired
        .apps
        .values()
        .flat_map(|app| &app.instances)
        .flat_map(|one| &one.spec.networks)
        .map(|one| one.network.as_str())
        .collect();
    for one in networks {
        let (name, labels) = (one.name.unwrap_or_default(), one.labels.unwrap_or_default());
        if !used.contains(name.as_str()) {
            all.push(Orphan {
                kind: OrphanKind::Network,
                id: one.id.unwrap_or_default(),
                name,
                app: labels.get(labels::APP).cloned().unwrap_or_default(),
                owner: whose(&labels, owner),
                detail: one.driver.unwrap_or_default(),
                problem: None,
            });
        }
    }
    let used: BTreeSet<&str> = desired
        .apps
        .values()
        .flat_map(|app| &app.instances)
        .flat_map(|one| &one.spec.mounts)
        .filter_map(|mount| named(&mount.source))
        .collect();
    for one in volumes.into_iter().filter(|one| !used.contains(one.name.as_str())) {
        all.push(Orphan {
            kind: OrphanKind::Volume,
            id: one.name.clone(),
            name: one.name,
            app: one.labels.get(labels::APP).cloned().unwrap_or_default(),
            owner: whose(&one.labels, owner),
            detail: one.driver,
            problem: None,
        });
    }
    for one in &mut all {
        one.problem = problems.get(&OrphanTarget { kind: one.kind, id: one.id.clone() }).cloned();
    }
    all.sort();
    all.dedup();
    all.truncate(ORPHANS_MAX);
    Some(all)
}

/// Removes one. Fine if it is gone already.
///
/// Errors, in words: it carries no label of ours, something uses it, or the Engine refuses.
pub(crate) async fn remove(
    engine: &Engine,
    target: &OrphanTarget,
    wanted_volumes: &[String],
) -> Result<(), String> {
    let (docker, id) = (engine.docker(), &target.id);
    let doing = format!("remove {} {id}", target.kind.word());
    let refused = |error: BollardError| DockerError::api(&doing, error);
    let labels = match target.kind {
        OrphanKind::Container => {
            let found = docker.inspect_container(id, None::<InspectContainerOptions>).await;
            found.map(|one| one.config.and_then(|config| config.labels))
        }
        OrphanKind::Network => {
            docker.inspect_network(id, None::<InspectNetworkOptions>).await.map(|one| one.labels)
        }
        OrphanKind::Volume => docker.inspect_volume(id).await.map(|one| Some(one.labels)),
    };
    let labels = match labels.map_err(refused) {
        Ok(labels) => labels.unwrap_or_default(),
        Err(error) if error.status() == Some(404) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if !labels.contains_key(labels::OWNER) {
        return Err("it was not made by Wharf".to_owned());
    }
    let removed = match target.kind {
        OrphanKind::Container => {
            // One that does not run, or that is gone, is told so; what counts is the removal.
            let _ = docker.stop_container(id, None::<StopContainerOptions>).await;
            let options = RemoveContainerOptions { v: false, force: false, link: false };
            docker.remove_container(id, Some(options)).await
        }
        OrphanKind::Network => docker.remove_network(id).await,
        OrphanKind::Volume if wanted_volumes.contains(id) => {
            return Err("a container that is wanted mounts it".to_owned());
        }
        OrphanKind::Volume => docker.remove_volume(id, None::<RemoveVolumeOptions>).await,
    };
    match removed.map_err(refused) {
        Ok(()) => Ok(()),
        Err(error) if error.status() == Some(404) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Names of the volumes that wanted containers mount.
pub(crate) fn volumes_of(wanted: &[Wanted]) -> impl Iterator<Item = &str> {
    wanted.iter().flat_map(|one| &one.instance.spec.mounts).filter_map(|mount| named(&mount.source))
}

fn named(source: &MountSource) -> Option<&str> {
    match source {
        MountSource::Volume(name) => Some(name),
        _ => None,
    }
}

fn whose(labels: &Labels, owner: &str) -> OrphanOwner {
    match labels.get(labels::OWNER) {
        Some(found) if found == owner => OrphanOwner::ThisAgent,
        Some(_) => OrphanOwner::OtherAgent,
        None => OrphanOwner::Foreign,
    }
}
