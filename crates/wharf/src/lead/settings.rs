//! Section `state` of wharf.yaml.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_http::pki::{Trust, client_config};
use wharf_state::postgres::Options;

/// Section `state` of wharf.yaml: where the control state is. Without it: in the file state.db of the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// PostgreSQL that several servers share, of which one leads: `postgres://wharf@10.0.0.9/wharf?sslmode=verify-full`.
    pub(crate) url: Option<String>,
    /// File that holds the password, instead of one in the URL.
    pub(crate) password_file: Option<PathBuf>,
    /// File with the key that opens secrets and the CA of a shared state; the same on every server. Default:
    /// `secrets/identity` in the data directory.
    pub(crate) key_file: Option<PathBuf>,
    /// Certificate (PEM) of the CA that signed PostgreSQL's, for `sslmode=verify-full`.
    pub(crate) ca: Option<PathBuf>,
    /// Without TLS over a network: password and state travel readable.
    pub(crate) insecure: bool,
    /// Another server takes over when the leader has not been heard of for so long.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub(crate) lease: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            url: None,
            password_file: None,
            key_file: None,
            ca: None,
            insecure: false,
            lease: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// As the state's own options.
    pub(super) fn options(&self) -> anyhow::Result<Options> {
        let url = self.url.clone().context("state.url is not set")?;
        let password = self.password_file.as_deref().map(super::secret).transpose()?;
        let tls = match &self.ca {
            None => None,
            Some(path) => {
                let read = std::fs::read_to_string(path);
                let pem = read.with_context(|| format!("cannot read state.ca {}", path.display()))?;
                Some(client_config(&Trust::Authority(pem), None)?)
            }
        };
        Ok(Options { url, password, tls, insecure: self.insecure, lease: self.lease })
    }
}
