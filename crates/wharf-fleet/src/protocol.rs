//! Records of the agent protocol (HTTP/2, JSON) and of joining. Unknown members are ignored on both sides, so that a
//! server works with agents of the version before.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /agent/v1/watch` | | a line of [`Announcement`] at once and after every new generation, without end |
//! | `GET /agent/v1/desired` | | [`HostDesired`] |
//! | `POST /agent/v1/report` | [`wharf_model::HostReport`] | 204 |
//! | `GET /agent/v1/files/{digest}` | | a tar archive |
//! | `GET /agent/v1/tables` | | a line of [`wharf_model::Table`] at once and after every change, without end |
//! | `POST /agent/v1/balancer` | [`wharf_model::BalancerView`] | 204 |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wharf_model::{AppDesired, Name};

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

/// One host's part of a generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostDesired {
    /// Version of this form.
    pub version: u32,
    /// Generation from which it was taken.
    pub generation: u64,
    /// Hash of `apps`; see [`HostDesired::of`].
    pub hash: String,
    /// Applications that have an instance here, with only what concerns this host; no routes.
    pub apps: BTreeMap<Name, AppDesired>,
}

/// What a host sends to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// Its client certificate, PEM.
    pub certificate: String,
    /// The CA's certificate, PEM.
    pub ca: String,
    /// Its id, the common name of the certificate.
    pub host_id: String,
    /// Where agents connect to, `https://10.77.0.1:7701`.
    pub agents_url: String,
    /// The built-in registry, if there is one.
    pub registry: Option<RegistryAccount>,
}

/// How a host pulls from the built-in registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Takes `host`'s part out of a generation's applications.
    ///
    /// Networks, volumes and files are kept only where an instance on this host uses them, so that a change elsewhere
    /// leaves the hash alone.
    pub fn of(host: &Name, generation: u64, apps: &BTreeMap<Name, AppDesired>) -> HostDesired {
        let mut part = BTreeMap::new();
        for (app_name, app) in apps {
            let instances: Vec<_> =
                app.instances.iter().filter(|instance| instance.host == *host).cloned().collect();
            if instances.is_empty() {
                continue;
            }
            let uses_network = |name: &str| {
                instances.iter().any(|one| one.spec.networks.iter().any(|network| network.network == name))
            };
            let uses_mount = |wanted: &wharf_model::MountSource| {
                instances.iter().any(|one| one.spec.mounts.iter().any(|mount| mount.source == *wanted))
            };
            let volume = |name: &str| wharf_model::MountSource::Volume(name.to_owned());
            let files = |digest: &str| wharf_model::MountSource::Files(digest.to_owned());
            part.insert(
                app_name.clone(),
                AppDesired {
                    release: app.release,
                    networks: app.networks.iter().filter(|one| uses_network(&one.name)).cloned().collect(),
                    volumes: app
                        .volumes
                        .iter()
                        .filter(|one| uses_mount(&volume(&one.name)))
                        .cloned()
                        .collect(),
                    files: app
                        .files
                        .iter()
                        .filter(|one| uses_mount(&files(one.digest.as_str())))
                        .cloned()
                        .collect(),
                    instances,
                    ..AppDesired::default()
                },
            );
        }
        let bytes = serde_json::to_vec(&part).expect("plain records are JSON");
        let hash = blake3::hash(&bytes).to_hex().to_string();
        HostDesired { version: VERSION, generation, hash, apps: part }
    }

    /// How many instances it has.
    pub fn instance_count(&self) -> usize {
        self.apps.values().map(|app| app.instances.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instance, name};
    use wharf_model::{NetworkAttachment, NetworkSpec};

    #[test]
    fn a_part_holds_what_concerns_the_host_and_nothing_else() {
        let mut here = instance("shop", "web", 1, 1);
        here.spec.networks = vec![NetworkAttachment { network: "shop_default".to_owned(), aliases: vec![] }];
        let mut elsewhere = instance("shop", "web", 1, 2);
        elsewhere.host = name("h2");
        let network = |name: &str| NetworkSpec { name: name.to_owned(), ..Default::default() };
        let app = AppDesired {
            instances: vec![here.clone(), elsewhere],
            networks: vec![network("shop_default"), network("unused")],
            ..Default::default()
        };
        let mut apps = BTreeMap::from([(name("shop"), app)]);
        let part = HostDesired::of(&name("h1"), 1, &apps);
        let shop = &part.apps["shop"];
        assert_eq!((shop.instances.len(), shop.networks.len(), part.instance_count()), (1, 1, 1));
        assert_eq!(shop.instances[0], here);
        assert!(HostDesired::of(&name("h3"), 1, &apps).apps.is_empty());

        apps.get_mut("shop").unwrap().instances.pop();
        assert_eq!(
            HostDesired::of(&name("h1"), 2, &apps).hash,
            part.hash,
            "a change on another host is none here"
        );
        apps.get_mut("shop").unwrap().instances[0].spec.image = "other".to_owned();
        assert_ne!(HostDesired::of(&name("h1"), 3, &apps).hash, part.hash);
    }
}
