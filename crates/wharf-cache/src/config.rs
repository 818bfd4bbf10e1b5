//! Settings of the package cache: `cache:` in wharf.yaml.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::ByteSize;

use crate::Error;

/// The package cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the cache runs.
    pub enabled: bool,
    /// Addresses to listen on, plain HTTP. Off loopback only with `insecure`: package clients log in nowhere.
    #[serde(with = "wharf_base::addresses")]
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddr>,
    /// Serve everybody who reaches an address that is not loopback.
    pub insecure: bool,
    /// Bytes on disk, hard: what was used least recently goes.
    #[schemars(with = "String")]
    pub size_max: ByteSize,
    /// Bytes that stay free on the disk; what would go below is not fetched.
    #[schemars(with = "String")]
    pub disk_free_min: ByteSize,
    /// Transfers from upstreams at a time; 16 times as many may wait, further ones get 503.
    pub fills_max: usize,
    /// How long an index counts as fresh whatever its upstream says, so that many clients ask it once.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub fresh_min: Duration,
    /// First wait before a broken transfer goes on; later ones double, up to 5 s.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub retry_first: Duration,
    /// Longest wait for a connection to an upstream, TLS included.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// Longest wait for an upstream's answer to begin.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub head_timeout: Duration,
    /// Longest wait for more of an upstream's answer.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub stall_timeout: Duration,
    /// Connections of clients per address at a time; further ones wait.
    pub connections_max: usize,
    /// Debian packages.
    pub apt: AptConfig,
}

/// Debian packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AptConfig {
    /// Archives that may be asked, `http://HOST` or `https://HOST` each; those of this machine's own apt if not set.
    pub upstreams: Option<Vec<String>>,
}

/// Time limits of the phases of a request to an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// TCP and TLS.
    pub(crate) connect: Duration,
    /// From the request to the answer's head.
    pub(crate) head: Duration,
    /// Each wait for more of the body.
    pub(crate) stall: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            enabled: false,
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 3142))],
            insecure: false,
            size_max: ByteSize(10 << 30),
            disk_free_min: ByteSize(1 << 30),
            fills_max: 32,
            fresh_min: Duration::from_secs(30),
            retry_first: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            connections_max: 1_024,
            apt: AptConfig::default(),
        }
    }
}

impl Config {
    /// Finds values that can't work.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |message: String| Err(Error::Config { message });
        if self.listen.is_empty() {
            return invalid(
                "cache.listen names no address\n  hint: 127.0.0.1:3142 is the default".to_owned(),
            );
        }
        if self.fills_max == 0 || self.connections_max == 0 {
            return invalid("cache.fills_max and cache.connections_max must be at least 1".to_owned());
        }
        for address in &self.listen {
            if !address.ip().is_loopback() && !self.insecure {
                return invalid(format!(
                    "cache.listen {address} is not loopback: whoever reaches it could use the cache\n  hint: set cache.insecure: true if only your containers and hosts reach that address"
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, head: self.head_timeout, stall: self.stall_timeout }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_an_open_address_needs_a_word() {
        let config = Config::default();
        config.check().unwrap();
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["size_max"], "10G");
        assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        let open = Config { listen: vec!["0.0.0.0:3142".parse().unwrap()], ..config };
        assert!(open.check().unwrap_err().to_string().contains("cache.insecure"));
        Config { insecure: true, ..open }.check().unwrap();
        Config { listen: vec![], ..Config::default() }.check().unwrap_err();
        Config { fills_max: 0, ..Config::default() }.check().unwrap_err();
    }
}
