//! Settings of the registry: `registry:` in wharf.yaml.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::ByteSize;

use crate::Error;

/// The image registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses to listen on. Loopback is plain HTTP and needs no login; others use TLS and need one.
    #[serde(with = "wharf_base::addresses")]
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddr>,
    /// Name that images carry, `HOST:PORT`; the first listen address if not set.
    pub address: Option<String>,
    /// Serve plain HTTP on addresses that are not loopback. They need a login all the same.
    pub insecure: bool,
    /// Largest manifest that is taken; the OCI specification asks for 4 MiB at least.
    #[schemars(with = "String")]
    pub manifest_size_max: ByteSize,
    /// Upload sessions that may be open at once; further ones get 429.
    pub uploads_max: usize,
    /// How long an upload may rest before it is removed.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub upload_idle: Duration,
    /// How long a client may send nothing in the middle of a body before the request is ended.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub upload_stall: Duration,
    /// Bytes that stay free on the disk; pushes that would go below get 507.
    #[schemars(with = "String")]
    pub disk_free_min: ByteSize,
    /// Memory for manifests, tags and links.
    #[schemars(with = "String")]
    pub cache_size: ByteSize,
    /// How long a blob that nothing refers to is kept.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub unreferenced_keep: Duration,
    /// Connections per address at a time; further ones wait.
    pub connections_max: usize,
}

/// The specification's floor for manifests; a lower limit would refuse images that others take.
const MANIFEST_SIZE_FLOOR: u64 = 4 << 20;

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5000))],
            address: None,
            insecure: false,
            // A large manifest of the conformance suite has 3.9 MB; room above it costs nothing.
            manifest_size_max: ByteSize(8 << 20),
            uploads_max: 1_000,
            upload_idle: Duration::from_secs(6 * 3600),
            upload_stall: Duration::from_secs(120),
            disk_free_min: ByteSize(512 << 20),
            cache_size: ByteSize(64 << 20),
            unreferenced_keep: Duration::from_secs(3600),
            connections_max: 4_096,
        }
    }
}

impl Config {
    /// Finds values that can't work together. `has_tls`: a certificate is at hand for addresses off loopback.
    pub fn check(&self, has_tls: bool) -> Result<(), Error> {
        let invalid = |message: String| Err(Error::Config { message });
        if self.listen.is_empty() {
            return invalid(
                "registry.listen names no address\n  hint: 127.0.0.1:5000 is the default".to_owned(),
            );
        }
        if self.manifest_size_max.0 < MANIFEST_SIZE_FLOOR {
            return invalid(format!(
                "registry.manifest_size_max is {}, the OCI specification asks for 4M at least",
                self.manifest_size_max
            ));
        }
        if self.uploads_max == 0 || self.connections_max == 0 {
            return invalid(
                "registry.uploads_max and registry.connections_max must be at least 1".to_owned(),
            );
        }
        if self.address.is_none() && self.listen[0].ip().is_unspecified() {
            let message = format!(
                "images can't carry the name {}, which is every address\n  hint: set registry.address",
                self.listen[0]
            );
            return invalid(message);
        }
        for address in &self.listen {
            if !address.ip().is_loopback() && !has_tls && !self.insecure {
                return invalid(format!(
                    "registry.listen {address} is not loopback and there is no certificate\n  hint: set registry.insecure: true to serve plain HTTP there"
                ));
            }
        }
        Ok(())
    }

    /// The name that images carry: `127.0.0.1:5000` of `127.0.0.1:5000/shop/web:r1`.
    pub fn image_address(&self) -> String {
        let first = || self.listen.first().map(SocketAddr::to_string).unwrap_or_default();
        self.address.clone().unwrap_or_else(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_printed_as_they_are_written() {
        let config = Config::default();
        config.check(false).unwrap();
        assert_eq!(config.image_address(), "127.0.0.1:5000");
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["upload_idle"], "6h");
        assert_eq!(json["manifest_size_max"], "8M");
        assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        assert!(serde_json::from_str::<Config>("{\"lissen\": []}").is_err());
    }

    #[test]
    fn an_open_address_needs_tls_or_an_explicit_word() {
        let listen = vec!["0.0.0.0:5000".parse().unwrap()];
        let config = Config { listen, ..Config::default() };
        assert!(config.check(true).unwrap_err().to_string().contains("registry.address"));
        let config = Config { address: Some("10.0.0.1:5000".to_owned()), ..config };
        assert!(config.check(false).unwrap_err().to_string().contains("registry.insecure"));
        config.check(true).unwrap();
        Config { insecure: true, ..config }.check(false).unwrap();
        Config { manifest_size_max: ByteSize(1), ..Config::default() }.check(false).unwrap_err();
        Config { listen: vec![], ..Config::default() }.check(false).unwrap_err();
    }
}
