//! The agent's data directory.
//!
//! | file | what |
//! |---|---|
//! | `lock` | one agent per directory |
//! | `owner` | random id that our containers carry in `wharf.owner` |
//! | `identity.json` (0600) | who we are to the server, and the account at its registry; written last when joining |
//! | `certs/<host id>/` | `host.key` (0600), `host.pem`, `ca.pem`; of a renewed certificate `certs/<host id>-<time>/` |
//! | `servers.json` | where else the server may be found: see [`super::servers`] |
//! | `desired.json` (0600) | the last good desired state: environment values may be secret |
//! | `met.json` | which containers were made: see [`super::met`] |
//! | `pulled.json` | which images were pulled: see [`super::pulled`] |
//! | `secrets/` (0700) | own key, values sealed to it: [`wharf_secrets::Vault`] |
//! | `files/<digest>/` | bundles of files that containers mount |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wharf_base::Clock;
use wharf_disk::{DirLock, atomic};
use wharf_http::pki;
use wharf_model::Name;

use crate::Error;
use crate::protocol::{HostDesired, Life, RegistryAccount, VERSION};
use crate::token::random_hex;

/// Who this host is to its server; written by joining.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    version: u32,
    /// Id, the common name of the certificate.
    pub host_id: String,
    /// Name.
    pub name: Name,
    /// Where to connect to.
    pub agents_url: String,
    /// Private address on which served ports are published.
    pub address: Option<std::net::IpAddr>,
    /// Account at the built-in registry.
    pub registry: Option<RegistryAccount>,
    /// Its certificate; `None` for one from before lifetimes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<Stored>,
}

/// A certificate, as `identity.json` names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Its directory in `certs`.
    directory: String,
    #[serde(flatten)]
    pub(crate) life: Life,
}

/// The certificate, key and CA of a host, all PEM.
pub(crate) struct Certificates {
    pub(crate) key: String,
    pub(crate) certificate: String,
    pub(crate) ca: String,
}

/// The directory, locked.
pub(crate) struct Data {
    path: PathBuf,
    _lock: DirLock,
}

impl Identity {
    pub(crate) fn new(
        host_id: String,
        name: Name,
        agents_url: String,
        address: Option<std::net::IpAddr>,
        registry: Option<RegistryAccount>,
    ) -> Identity {
        Identity { version: VERSION, host_id, name, agents_url, address, registry, certificate: None }
    }

    /// The same host, as it has just joined with a certificate of this life.
    pub(crate) fn joined(self, life: Option<Life>) -> Identity {
        let directory = self.host_id.clone();
        Identity { certificate: life.map(|life| Stored { directory, life }), ..self }
    }

    /// The same host with its next certificate.
    pub(crate) fn renewed(&self, life: Life) -> Identity {
        let directory = format!("{}-{}", self.host_id, life.issued.0);
        Identity { certificate: Some(Stored { directory, life }), ..self.clone() }
    }

    /// Where in `certs` its certificate lies.
    fn directory(&self) -> &str {
        self.certificate.as_ref().map_or(&self.host_id, |stored| &stored.directory)
    }

    /// Reads the identity in `data`.
    ///
    /// Errors: `NotJoined` if there is none.
    pub fn load(data: &Path) -> Result<Identity, Error> {
        let path = data.join("identity.json");
        let bytes = atomic::read(&path)?.ok_or_else(|| Error::NotJoined(data.display().to_string()))?;
        parse(&path, &bytes, |identity: &Identity| identity.version)
    }

    /// Key, certificate and CA for connecting.
    pub(crate) fn certificates(&self, data: &Path) -> Result<Certificates, Error> {
        let read = |name: &str| {
            let path = data.join("certs").join(self.directory()).join(name);
            let bytes = atomic::read(&path)?.ok_or_else(|| Error::NotJoined(path.display().to_string()))?;
            Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Certificates { key: read("host.key")?, certificate: read("host.pem")?, ca: read("ca.pem")? })
    }

    /// Stores both; once `identity.json` is there, all that it names is. Earlier certificates are removed.
    pub(crate) fn store(&self, data: &Path, certificates: &Certificates) -> Result<(), Error> {
        let all = data.join("certs");
        let directory = all.join(self.directory());
        atomic::create_directory(&directory)?;
        atomic::write_private(&directory.join("host.key"), certificates.key.as_bytes())?;
        atomic::write(&directory.join("host.pem"), certificates.certificate.as_bytes())?;
        atomic::write(&directory.join("ca.pem"), certificates.ca.as_bytes())?;
        let document = serde_json::to_vec_pretty(self).expect("plain records are JSON");
        atomic::write_private(&data.join("identity.json"), &document)?;
        for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
            if entry.file_name() != self.directory() {
                // Worthless now; one that stays is no harm.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}

impl Certificates {
    /// For the client's side of mutual TLS.
    pub(crate) fn client(&self, clock: Arc<dyn Clock>) -> Result<Arc<rustls::ClientConfig>, Error> {
        let identity = pki::Identity { certificate_pem: self.certificate.clone(), key_pem: self.key.clone() };
        let trust = pki::Trust::Authority(self.ca.clone());
        Ok(pki::client_config_at(&trust, Some(&identity), clock)?)
    }
}

impl Data {
    /// Locks the directory and makes what is missing.
    pub(crate) fn open(path: &Path) -> Result<Data, Error> {
        let lock = DirLock::acquire(path)?;
        atomic::remove_temporary(path)?;
        // Bundles are mounted by containers: the Engine needs an absolute path.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        atomic::create_directory(&path.join("files"))?;
        Ok(Data { path, _lock: lock })
    }

    /// Our owner id; made at the first call.
    pub(crate) fn owner(&self) -> Result<String, Error> {
        let path = self.path.join("owner");
        if let Some(bytes) = atomic::read(&path)? {
            return Ok(String::from_utf8_lossy(&bytes).trim().to_owned());
        }
        let owner = random_hex(16);
        atomic::write(&path, format!("{owner}\n").as_bytes())?;
        Ok(owner)
    }

    /// The last good desired state. One that can't be read counts as none, and without any the agent touches nothing until
    /// the server has spoken.
    pub(crate) fn desired(&self) -> Result<Option<HostDesired>, Error> {
        let path = self.desired_path();
        let Some(bytes) = atomic::read(&path)? else { return Ok(None) };
        let version = |document: &serde_json::Value| {
            document
                .get("version")
                .and_then(|version| u32::try_from(version.as_u64()?).ok())
                .unwrap_or_default()
        };
        let read = parse(&path, &bytes, version).and_then(|document| {
            let form = |reason: String| Error::Form { what: path.display().to_string(), reason };
            HostDesired::read(&document).map_err(|error| form(error.to_string()))
        });
        match read {
            Ok(desired) => Ok(Some(desired)),
            Err(error) => {
                tracing::error!(%error, "the stored desired state is not used");
                Ok(None)
            }
        }
    }

    pub(crate) fn desired_path(&self) -> PathBuf {
        self.path.join("desired.json")
    }

    pub(crate) fn met_path(&self) -> PathBuf {
        self.path.join("met.json")
    }

    pub(crate) fn pulled_path(&self) -> PathBuf {
        self.path.join("pulled.json")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.path.join("secrets")
    }
}

fn parse<T: serde::de::DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    version: impl Fn(&T) -> u32,
) -> Result<T, Error> {
    let form = |reason: String| Error::Form { what: path.display().to_string(), reason };
    let value: T = serde_json::from_slice(bytes).map_err(|error| form(error.to_string()))?;
    match version(&value) {
        found if found <= VERSION => Ok(value),
        found => Err(form(format!("it has version {found}, this wharf knows {VERSION}"))),
    }
}

#[cfg(test)]
mod tests {
    use wharf_base::UnixMillis;

    use super::*;

    #[test]
    fn the_owner_stays_and_an_unreadable_desired_state_counts_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let data = Data::open(directory.path()).unwrap();
        let owner = data.owner().unwrap();
        assert_eq!((owner.len(), data.owner().unwrap()), (32, owner));
        assert!(Data::open(directory.path()).is_err(), "one agent per directory");
        assert_eq!(data.desired().unwrap(), None);
        let stored = HostDesired { version: VERSION, generation: 3, ..Default::default() };
        let mut document = serde_json::to_value(&stored).unwrap();
        std::fs::write(data.desired_path(), document.to_string()).unwrap();
        assert_eq!(data.desired().unwrap(), Some(stored));
        document["apps"]["shop"] =
            serde_json::json!({ "instances": [crate::testing::instance("shop", "web", 1, 1)] });
        document["apps"]["shop"]["instances"][0]["spec"]["novel"] = true.into();
        std::fs::write(data.desired_path(), document.to_string()).unwrap();
        let unknown = data.desired().unwrap().unwrap().unknown;
        assert_eq!(unknown.into_values().collect::<Vec<_>>(), ["spec.novel"], "it is stored as it came");
        document["version"] = 99.into();
        for bad in [document.to_string(), "{".to_owned(), String::new()] {
            std::fs::write(data.desired_path(), bad).unwrap();
            assert_eq!(data.desired().unwrap(), None);
        }
    }

    #[test]
    fn a_renewal_that_is_killed_leaves_the_certificate_before() {
        let directory = tempfile::tempdir().unwrap();
        let life = |issued| Life { issued: UnixMillis(issued), expires: UnixMillis(issued + 9) };
        let certificates = |word: &str| Certificates {
            key: format!("key {word}"),
            certificate: format!("certificate {word}"),
            ca: "ca".to_owned(),
        };
        let pair = || {
            let identity = Identity::load(directory.path()).unwrap();
            let all = identity.certificates(directory.path()).unwrap();
            (identity.certificate.map(|stored| stored.life), all.key, all.certificate)
        };
        let joined =
            Identity::new("aa".to_owned(), "h1".parse().unwrap(), "https://h:1".to_owned(), None, None);
        // From before lifetimes, as joined now, and renewed twice.
        joined.store(directory.path(), &certificates("0")).unwrap();
        assert_eq!(pair(), (None, "key 0".to_owned(), "certificate 0".to_owned()));
        let mut identity = joined.joined(Some(life(1)));
        identity.store(directory.path(), &certificates("1")).unwrap();
        for issued in [2, 3] {
            let next = identity.renewed(life(issued));
            // Killed before `identity.json` was written: what counts is the pair before.
            let half = directory.path().join("certs").join(next.directory());
            atomic::create_directory(&half).unwrap();
            std::fs::write(half.join("host.key"), "half").unwrap();
            let before = (issued - 1).to_string();
            let expected = (Some(life(issued - 1)), format!("key {before}"), format!("certificate {before}"));
            assert_eq!(pair(), expected);
            next.store(directory.path(), &certificates(&issued.to_string())).unwrap();
            assert_eq!(
                pair(),
                (Some(life(issued)), format!("key {issued}"), format!("certificate {issued}"))
            );
            identity = next;
        }
        assert_eq!(std::fs::read_dir(directory.path().join("certs")).unwrap().count(), 1);
    }

    #[test]
    fn an_identity_is_stored_whole_and_replaces_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(Identity::load(directory.path()), Err(Error::NotJoined(_))));
        for id in ["aa", "bb"] {
            let name = "h1".parse().unwrap();
            let identity = Identity::new(id.to_owned(), name, "https://h:1".to_owned(), None, None);
            let text = |kind: &str| format!("{kind} {id}");
            let certificates =
                Certificates { key: text("key"), certificate: text("certificate"), ca: text("ca") };
            identity.store(directory.path(), &certificates).unwrap();
            let loaded = Identity::load(directory.path()).unwrap();
            assert_eq!(loaded.host_id, id);
            assert_eq!(loaded.certificates(directory.path()).unwrap().key, text("key"));
        }
        assert_eq!(std::fs::read_dir(directory.path().join("certs")).unwrap().count(), 1);
        use std::os::unix::fs::PermissionsExt as _;
        for private in ["identity.json", "certs/bb/host.key"] {
            let mode = std::fs::metadata(directory.path().join(private)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{private}");
        }
    }
}
