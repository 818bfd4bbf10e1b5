//! What containers need besides themselves and is made on the host: networks, volumes, directories.
//!
//! What exists is used if it has the settings that the user asked for. A network of ours with others is made anew, and those
//! that were in it join the new one; a volume holds data and is never touched: it is an error that says so.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use wharf_docker::bollard::models::{
    Ipam, IpamConfig, NetworkCreateRequest, NetworkDisconnectRequest, NetworkInspect, Volume,
    VolumeCreateRequest,
};
use wharf_docker::bollard::query_parameters::InspectNetworkOptions;
use wharf_docker::{Engine, Error as DockerError};
use wharf_model::{ContainerSpec, MountSource, Name, NetworkSpec, VolumeSpec};

use super::create::SUBPATH_API;
use super::work::{Job, missing, unless};
use crate::{Error, labels};

/// Makes the network unless it is there.
pub(super) async fn network(job: &Job, name: &str) -> Result<(), Error> {
    let (wanted, app) = job.wanted()?;
    let _gate = job.shop.gates.pass(&format!("network {name}")).await;
    let docker = job.engine.docker();
    let spec = app.networks.iter().find(|network| network.name == name).cloned().unwrap_or_default();
    let doing = format!("look at network {name}");
    match docker.inspect_network(name, None::<InspectNetworkOptions>).await {
        Ok(found) => {
            let is_ours = found
                .labels
                .as_ref()
                .and_then(|all| all.get(labels::OWNER))
                .is_some_and(|owner| *owner == job.shop.owner);
            let Some(setting) = network_difference(&spec, &found).filter(|_| is_ours) else { return Ok(()) };
            let doing = format!("make network {name} anew, because its `{setting}` has changed");
            tracing::info!(network = name, setting, "a network is made anew");
            // Those that stay are put back into the new one as they are after any change by hand.
            for container in found.containers.unwrap_or_default().into_keys() {
                let request = NetworkDisconnectRequest { container, force: Some(true) };
                if let Err(error) = docker.disconnect_network(name, request).await {
                    // 403: it is not connected.
                    unless(&[403, 404], &doing, error)?;
                }
            }
            let removed = docker.remove_network(name).await.map_err(|error| DockerError::api(&doing, error));
            match removed {
                Ok(()) => {}
                Err(error) if error.status() == Some(404) => {}
                Err(error) => {
                    return Err(Error::Invalid(format!(
                        "{error}\n  hint: is somebody in it? `docker network inspect {name}` lists them"
                    )));
                }
            }
        }
        Err(error) => missing(&doing, error)?,
    }
    if spec.external {
        let hint = format!("make it with `docker network create {name}`");
        return Err(Error::Invalid(format!("the external network `{name}` does not exist\n  hint: {hint}")));
    }
    let doing = format!("create network {name}");
    match docker.create_network(network_request(name, &spec, labels(job, &wanted.app, &spec.labels))).await {
        Ok(_) => Ok(()),
        // Somebody else was quicker.
        Err(error) => unless(&[409], &doing, error),
    }
}

fn network_request(name: &str, spec: &NetworkSpec, labels: HashMap<String, String>) -> NetworkCreateRequest {
    let pools = spec.ipam.config.iter().map(|pool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: map(&pool.aux_addresses),
    });
    let ipam = Ipam {
        driver: spec.ipam.driver.clone(),
        config: Some(pools.collect::<Vec<_>>()).filter(|pools| !pools.is_empty()),
        options: map(&spec.ipam.options),
    };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some(spec.driver.clone().unwrap_or_else(|| "bridge".to_owned())),
        internal: Some(spec.internal),
        attachable: spec.attachable.then_some(true),
        enable_ipv6: spec.enable_ipv6.then_some(true),
        enable_ipv4: spec.disable_ipv4.then_some(false),
        options: map(&spec.driver_opts),
        ipam: (spec.ipam != wharf_model::Ipam::default()).then_some(ipam),
        labels: Some(labels),
        ..Default::default()
    }
}

/// The first setting that the user made and that the network has not, by its name in Compose.
fn network_difference(spec: &NetworkSpec, found: &NetworkInspect) -> Option<&'static str> {
    let driver = spec.driver.as_deref().unwrap_or("bridge");
    let ipam = found.ipam.as_ref();
    let pools = ipam.and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    let has_pool = |pool: &wharf_model::IpamPool| {
        pools.iter().any(|has| {
            let is = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
            let addresses = map(&pool.aux_addresses);
            is(&pool.subnet, &has.subnet)
                && is(&pool.ip_range, &has.ip_range)
                && is(&pool.gateway, &has.gateway)
                && (addresses.is_none() || addresses == has.auxiliary_addresses)
        })
    };
    let options = ipam.and_then(|ipam| ipam.options.as_ref());
    let differs = [
        ("driver", found.driver.as_deref().is_some_and(|found| found != driver)),
        ("internal", found.internal.unwrap_or_default() != spec.internal),
        ("attachable", found.attachable.unwrap_or_default() != spec.attachable),
        ("enable_ipv6", found.enable_ipv6.unwrap_or_default() != spec.enable_ipv6),
        ("driver_opts", !has_all(&spec.driver_opts, found.options.as_ref())),
        (
            "ipam.driver",
            spec.ipam.driver.is_some() && ipam.and_then(|ipam| ipam.driver.clone()) != spec.ipam.driver,
        ),
        ("ipam.config", !spec.ipam.config.iter().all(has_pool)),
        ("ipam.options", !has_all(&spec.ipam.options, options)),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(setting, _)| setting)
}

/// Makes the volume unless it is there.
pub(super) async fn volume(job: &Job, name: &str) -> Result<(), Error> {
    let (wanted, app) = job.wanted()?;
    let _gate = job.shop.gates.pass(&format!("volume {name}")).await;
    let spec = app.volumes.iter().find(|volume| volume.name == name).cloned().unwrap_or_default();
    let doing = format!("look at volume {name}");
    match job.engine.docker().inspect_volume(name).await {
        Ok(_) if spec.external => return Ok(()),
        Ok(found) => {
            let Some(setting) = volume_difference(&spec, &found) else { return Ok(()) };
            return Err(Error::Invalid(format!(
                "the volume `{name}` exists with another `{setting}` than the file says\n  \
                 hint: data is never thrown away: give the volume a new `name`, or remove it with \
                 `docker volume rm {name}` if nobody needs what is in it"
            )));
        }
        Err(error) => missing(&doing, error)?,
    }
    if spec.external {
        let hint = format!("make it with `docker volume create {name}`");
        return Err(Error::Invalid(format!("the external volume `{name}` does not exist\n  hint: {hint}")));
    }
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: Some(spec.driver.unwrap_or_else(|| "local".to_owned())),
        driver_opts: Some(spec.driver_opts.into_iter().collect()),
        labels: Some(labels(job, &wanted.app, &spec.labels)),
        ..Default::default()
    };
    let created = job.engine.docker().create_volume(request).await;
    created.map(drop).map_err(|error| DockerError::api(format!("create volume {name}"), error).into())
}

fn volume_difference(spec: &VolumeSpec, found: &Volume) -> Option<&'static str> {
    if found.driver != spec.driver.as_deref().unwrap_or("local") {
        return Some("driver");
    }
    (!has_all(&spec.driver_opts, Some(&found.options))).then_some("driver_opts")
}

/// Makes directories for host paths that are missing, as Compose does: the Engine's mount API refuses them.
pub(super) async fn host_paths(spec: &ContainerSpec) -> Result<(), Error> {
    for mount in &spec.mounts {
        let MountSource::HostPath(path) = &mount.source else { continue };
        if mount.options.must_exist || tokio::fs::metadata(path).await.is_ok() {
            continue;
        }
        let made = tokio::fs::create_dir_all(path).await;
        made.map_err(|error| Error::file("create directory", path.as_ref(), error))?;
    }
    Ok(())
}

/// The directories of parts of volumes, for Engines that know no parts. A part that is missing is an error, as it is for
/// those that do, and so is one that leads out of its volume.
pub(super) async fn subpaths(
    engine: &Engine,
    spec: &ContainerSpec,
) -> Result<HashMap<(String, String), PathBuf>, Error> {
    let mut paths = HashMap::new();
    if engine.api_minor() >= SUBPATH_API {
        return Ok(paths);
    }
    for mount in &spec.mounts {
        let (MountSource::Volume(name), Some(part)) = (&mount.source, &mount.options.subpath) else {
            continue;
        };
        let doing = format!("look at volume {name}");
        let found =
            engine.docker().inspect_volume(name).await.map_err(|error| DockerError::api(&doing, error))?;
        let root = PathBuf::from(&found.mountpoint);
        let path = root.join(part);
        let real = |path: PathBuf| async move {
            tokio::fs::canonicalize(&path).await.map_err(|error| Error::file("find", &path, error))
        };
        let (root, path) = (real(root).await?, real(path).await?);
        if !path.starts_with(&root) {
            return Err(Error::Invalid(format!("`{part}` leads out of the volume `{name}`")));
        }
        paths.insert((name.clone(), part.clone()), path);
    }
    Ok(paths)
}

fn labels(job: &Job, app: &Name, users: &BTreeMap<String, String>) -> HashMap<String, String> {
    let ours = [(labels::OWNER, job.shop.owner.clone()), (labels::APP, app.to_string())];
    let ours = ours.map(|(key, value)| (key.to_owned(), value));
    users.clone().into_iter().chain(ours).collect()
}

fn map(all: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!all.is_empty()).then(|| all.clone().into_iter().collect())
}

fn has_all(wanted: &BTreeMap<String, String>, has: Option<&HashMap<String, String>>) -> bool {
    wanted.iter().all(|(key, value)| has.and_then(|has| has.get(key)) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_user_set_is_compared() {
        let found = NetworkInspect {
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam {
                driver: Some("default".to_owned()),
                config: Some(vec![IpamConfig {
                    subnet: Some("10.5.0.0/16".to_owned()),
                    gateway: Some("10.5.0.1".to_owned()),
                    ..Default::default()
                }]),
                options: None,
            }),
            options: Some(HashMap::from([("a".to_owned(), "1".to_owned())])),
            ..Default::default()
        };
        assert_eq!(network_difference(&NetworkSpec::default(), &found), None);
        let pool =
            |subnet: &str| wharf_model::IpamPool { subnet: Some(subnet.to_owned()), ..Default::default() };
        let ranged = |subnet: &str| NetworkSpec {
            ipam: wharf_model::Ipam { config: vec![pool(subnet)], ..Default::default() },
            ..Default::default()
        };
        assert_eq!(network_difference(&ranged("10.5.0.0/16"), &found), None);
        assert_eq!(network_difference(&ranged("10.6.0.0/16"), &found), Some("ipam.config"));
        let with = |value: &str| NetworkSpec {
            driver_opts: [("a".to_owned(), value.to_owned())].into(),
            ..Default::default()
        };
        assert_eq!(network_difference(&with("1"), &found), None);
        assert_eq!(network_difference(&with("2"), &found), Some("driver_opts"));
        assert_eq!(
            network_difference(&NetworkSpec { internal: true, ..Default::default() }, &found),
            Some("internal")
        );
    }
}
