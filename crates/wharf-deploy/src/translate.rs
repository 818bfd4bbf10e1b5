//! Turns a resolved Compose project and the images of its services into what agents are to create.
//!
//! Pure: the same project, images and files give the same [`Model`], so a service is unchanged exactly when its
//! [`ServiceModel`] equals that of the containers that run. Names of networks and volumes are Compose's:
//! `<app>_<key>` unless the file gives a name.

mod configs;
mod container;
mod mount;
mod names;
mod secrets;
mod security;
mod service;
mod shares;
mod unmapped;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::Digest;
use wharf_compose::project::{DriftPolicy, HostSelector, Project, Reschedule};
use wharf_model::{
    Balance, ContainerSpec, FileBundle, HealthCheck, Name, NetworkSpec, Probe, SecretRef, Serve, VolumeSpec,
    WaitFor,
};

/// A tar archive that was uploaded for a relative bind mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadedFile {
    /// Digest of the archive, as `POST /uploads` returned it.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// The archive holds one file that is mounted itself, not its directory.
    pub is_file: bool,
}

/// The key in [`crate::api::DeployRequest::files`] of the content of a top-level config.
pub fn config_upload(key: &str) -> String {
    format!("config:{key}")
}

/// A whole application as agents are to create it, without hosts and numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    /// Services by name.
    pub services: BTreeMap<Name, ServiceModel>,
    /// Networks.
    pub networks: Vec<NetworkSpec>,
    /// Volumes.
    pub volumes: Vec<VolumeSpec>,
    /// Files that travel along.
    pub files: Vec<FileBundle>,
    /// Services whose containers are not put right when somebody changes them by hand.
    pub reported: BTreeSet<Name>,
    /// What people should know, in words.
    pub warnings: Vec<String>,
}

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceModel {
    /// Its containers.
    pub spec: ContainerSpec,
    /// Port for balancers.
    pub serve: Option<Serve>,
    /// Probe by the agent.
    pub probe: Option<Probe>,
    /// What must be up first on the same host.
    pub after: BTreeMap<Name, WaitFor>,
    /// Its route from outside.
    pub route: Option<RouteModel>,
    /// Containers, as the file says.
    pub replicas: u32,
    /// Hosts that may run it.
    pub selector: HostSelector,
    /// Services and volumes that tie it to others: see [`crate::placement`].
    pub links: BTreeSet<String>,
    /// The file asks for stop-then-start.
    pub wants_recreate: bool,
    /// The file asks for blue-green.
    pub wants_blue_green: bool,
    /// Milliseconds that requests in flight get on old containers; `None` is the configured default.
    pub drain_ms: Option<u64>,
    /// Milliseconds after the start in which it may be unhealthy.
    pub start_period_ms: u64,
    /// Another service waits for its successful end.
    pub is_job: bool,
    /// What the file says about its containers on a lost host.
    pub reschedule: Option<Reschedule>,
}

/// A route without its release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteModel {
    /// Host name; `None` matches every name.
    pub host: Option<String>,
    /// Path prefix.
    pub path: String,
    /// Policy.
    pub balance: Balance,
    /// Milliseconds for one request.
    pub timeout_ms: Option<u64>,
    /// The balancer's own checks, if the file says something about them.
    pub health: Option<HealthCheck>,
}

/// A project can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}\n  hint: {hint}")]
pub struct TranslateError {
    /// Place in the file: `services.web.volumes`.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl TranslateError {
    pub(crate) fn new(
        place: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> TranslateError {
        TranslateError { place: place.into(), message: message.into(), hint: hint.into() }
    }
}

/// Translates `project` for application `app`.
///
/// `images` has the reference of each service that was built; others use the project's `image`. `files` has the
/// uploaded archive of each relative bind mount by its source as in the project. `secrets` has the reference of each name of
/// a secret that the project uses.
///
/// Errors: a name that can't be used, a relative bind mount that is writable or was not uploaded, a service without
/// an image, two routes for the same host and path.
pub(crate) fn translate(
    app: &Name,
    project: &Project,
    images: &BTreeMap<String, String>,
    files: &BTreeMap<String, UploadedFile>,
    secrets: &BTreeMap<String, SecretRef>,
) -> Result<Model, TranslateError> {
    let mut model = Model::default();
    unmapped::name_project(project);
    for (key, service) in &project.services {
        unmapped::name_service(service);
        let input = service::Input { app, project, key, service, images, files, secrets };
        let (name, translated) = service::translate(&input, &mut model)?;
        if service.x_wharf.drift == Some(DriftPolicy::Report) {
            model.reported.insert(name.clone());
        }
        model.services.insert(name, translated);
    }
    shares::link(&mut model);
    mark_jobs(&mut model);
    refuse_equal_routes(&model)?;
    let used = Used::of(&model);
    model.networks = names::networks(app, project, &used.networks);
    model.volumes = names::volumes(app, project, &used.volumes);
    model.files.sort_by(|a, b| a.digest.cmp(&b.digest));
    model.files.dedup();
    Ok(model)
}

/// Real names that containers refer to.
struct Used {
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

impl Used {
    fn of(model: &Model) -> Used {
        let specs = || model.services.values().map(|service| &service.spec);
        let networks = specs().flat_map(|spec| &spec.networks).map(|part| part.network.clone()).collect();
        let volumes = specs()
            .flat_map(|spec| &spec.mounts)
            .filter_map(|mount| match &mount.source {
                wharf_model::MountSource::Volume(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        Used { networks, volumes }
    }
}

fn mark_jobs(model: &mut Model) {
    let jobs: BTreeSet<Name> = model
        .services
        .values()
        .flat_map(|service| &service.after)
        .filter(|(_, wait)| **wait == WaitFor::Completed)
        .map(|(name, _)| name.clone())
        .collect();
    for job in jobs {
        if let Some(service) = model.services.get_mut(&job) {
            service.is_job = true;
        }
    }
}

fn refuse_equal_routes(model: &Model) -> Result<(), TranslateError> {
    let mut seen: BTreeMap<(Option<&str>, &str), &Name> = BTreeMap::new();
    for (name, service) in &model.services {
        let Some(route) = &service.route else { continue };
        if let Some(other) = seen.insert((route.host.as_deref(), &route.path), name) {
            return Err(TranslateError::new(
                format!("services.{name}.x-wharf.route"),
                format!(
                    "`{other}` has the route {}{} already",
                    route.host.as_deref().unwrap_or("*"),
                    route.path
                ),
                "give each routed service a host or path of its own",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
