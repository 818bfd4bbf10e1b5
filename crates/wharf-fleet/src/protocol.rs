//! Records of the agent protocol (HTTP/2, JSON) and of joining. Unknown members are ignored on both sides, so that a
//! server works with agents of the version before; but an agent makes no container of which it does not know all
//! ([`crate::unknown`]). Which version is spoken is agreed with each request (`hello`).
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /agent/v1/watch` | | a line of [`Announcement`] at once and after every new generation, without end |
//! | `GET /agent/v1/desired` | | [`HostDesired`] |
//! | `POST /agent/v1/report` | [`wharf_model::HostReport`] | 204 |
//! | `GET /agent/v1/calls` | | a line of [`CallAnnouncement`] for each call, without end |
//! | `POST /agent/v1/calls/{id}` | frames of output ([`wharf_model::frame`]) | frames of input, at the same time |
//! | `GET /agent/v1/servers` | | [`Servers`] |
//! | `POST /agent/v1/certificate` | [`RenewRequest`] | [`RenewAnswer`] |
//! | `GET /agent/v1/files/{digest}` | | a tar archive |
//! | `GET /agent/v1/tables` | | a line of [`wharf_model::Table`] at once and after every change, without end |
//! | `POST /agent/v1/balancer` | [`wharf_model::BalancerView`] | 204 |

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::UnixMillis;
use wharf_model::{AppDesired, Instance, MountSource, Name, OrphanTarget};

use crate::unknown;

/// Version of the stored and sent forms below.
pub(crate) const VERSION: u32 = 1;

/// "The newest generation is this one, and your part of it hashes to that."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Number of the newest generation.
    pub generation: u64,
    /// Hash of the host's part: unchanged means nothing to fetch.
    pub hash: String,
}

/// "Do this": the agent takes it up with `POST /agent/v1/calls/{id}`, or the server forgets it after some seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallAnnouncement {
    /// Random; only the host that it was announced to may take it up, once.
    pub id: String,
    /// A [`wharf_model::Call`]. One that this agent's version does not know is answered with that.
    pub call: serde_json::Value,
}

/// Where agents connect to: of several servers that share their state one leads. Empty when there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// `https://10.77.0.1:7701`, each.
    pub agents: Vec<String>,
}

/// One host's part of a generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostDesired {
    /// Version of this form.
    pub version: u32,
    /// Generation from which it was taken.
    pub generation: u64,
    /// BLAKE3 of the JSON of `apps`, and of `prune` where there is some.
    pub hash: String,
    /// Applications that have an instance or an image here, with only what concerns this host; no routes.
    pub apps: BTreeMap<Name, AppDesired>,
    /// What is to be removed because people asked for it, each until the agent no longer reports it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub prune: BTreeSet<OrphanTarget>,
    /// Instances that ask for something that this version does not know, by id, with what that is. Found when the
    /// document is read ([`HostDesired::read`]), and no part of it.
    #[serde(skip)]
    pub(crate) unknown: BTreeMap<String, String>,
}

/// What a host sends to join.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The token's text.
    pub token: String,
    /// Name that the host is to have.
    pub name: Name,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Private address at which balancers reach its containers.
    #[serde(default)]
    pub address: Option<std::net::IpAddr>,
    /// Certificate signing request, PEM.
    pub csr: String,
}

/// What it gets.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct JoinAnswer {
    /// Its client certificate, PEM.
    pub certificate: String,
    /// When the certificate was made and when it ends; servers from before lifetimes don't tell, and theirs don't end.
    #[serde(default)]
    pub life: Option<Life>,
    /// The CA's certificate, PEM.
    pub ca: String,
    /// Its id, the common name of the certificate.
    pub host_id: String,
    /// Where agents connect to, `https://10.77.0.1:7701`.
    pub agents_url: String,
    /// The built-in registry, if there is one.
    pub registry: Option<RegistryAccount>,
}

/// From when and until when a certificate is good, by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CertificateLife")]
pub struct Life {
    /// When it was made.
    pub issued: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
}

/// What a host sends, over a connection with its present certificate, to get the next one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// Certificate signing request for a new key, PEM.
    pub csr: String,
}

/// What it gets. The present certificate is good until it ends or the new one has been renewed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// PEM.
    pub certificate: String,
    /// When it ends.
    pub life: Life,
}

/// How a host pulls from the built-in registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegistryAccount {
    /// `10.77.0.1:5000`, the part of image names before the first slash.
    pub address: String,
    /// Certificate of the CA that signed the registry's, PEM; `None` when it speaks plain HTTP on loopback.
    pub ca: Option<String>,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for RegistryAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryAccount({}@{})", self.username, self.address)
    }
}

impl HostDesired {
    /// Reads the document that a server, perhaps a newer one, has sent, or that was stored as it came.
    pub(crate) fn read(document: &serde_json::Value) -> Result<HostDesired, serde_json::Error> {
        let mut desired = HostDesired::deserialize(document)?;
        desired.unknown = unknown::instances(document, &desired.apps);
        Ok(desired)
    }

    /// Puts the part of `host` together from its instances, by application.
    ///
    /// Networks, volumes and files are kept only where an instance on this host uses them, so that a change elsewhere
    /// leaves the hash alone.
    pub(crate) fn of<'a>(
        generation: u64,
        host: &Name,
        apps: impl Iterator<Item = (&'a Name, &'a AppDesired, Vec<&'a Instance>)>,
    ) -> HostDesired {
        let mut part = BTreeMap::new();
        for (name, app, instances) in apps {
            let mut networks: BTreeSet<&str> = BTreeSet::new();
            let (mut volumes, mut files) = (networks.clone(), networks.clone());
            for spec in instances.iter().map(|one| &one.spec) {
                networks.extend(spec.networks.iter().map(|one| one.network.as_str()));
                for mount in &spec.mounts {
                    match &mount.source {
                        MountSource::Volume(name) => drop(volumes.insert(name)),
                        MountSource::Files(digest) => drop(files.insert(digest)),
                        MountSource::Anonymous | MountSource::HostPath(_) | MountSource::Tmpfs => {}
                    }
                }
            }
            let desired = AppDesired {
                release: app.release,
                networks: app.networks.iter().filter(|one| networks.contains(&*one.name)).cloned().collect(),
                volumes: app.volumes.iter().filter(|one| volumes.contains(&*one.name)).cloned().collect(),
                files: app.files.iter().filter(|one| files.contains(one.digest.as_str())).cloned().collect(),
                images: app.images.iter().filter(|one| one.host == *host).cloned().collect(),
                reported: app
                    .reported
                    .iter()
                    .filter(|one| instances.iter().any(|i| i.service == **one))
                    .cloned()
                    .collect(),
                instances: instances.into_iter().cloned().collect(),
                ..AppDesired::default()
            };
            part.insert(name.clone(), desired);
        }
        let bytes = serde_json::to_vec(&part).expect("plain records are JSON");
        let hash = blake3::hash(&bytes).to_hex().to_string();
        HostDesired { version: VERSION, generation, hash, apps: part, ..HostDesired::default() }
    }

    /// The same with orphans to remove: another hash, so that the agent fetches it.
    pub(crate) fn with_prune(mut self, prune: BTreeSet<OrphanTarget>) -> HostDesired {
        if !prune.is_empty() {
            let bytes = serde_json::to_vec(&(&self.hash, &prune)).expect("plain records are JSON");
            self.hash = blake3::hash(&bytes).to_hex().to_string();
            self.prune = prune;
        }
        self
    }

    /// How many instances it has.
    pub fn instance_count(&self) -> usize {
        self.apps.values().map(|app| app.instances.len()).sum()
    }
}
