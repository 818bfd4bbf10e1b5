//! The settings of a lab.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::ByteSize;

use crate::Error;

/// The most hosts of one lab. LIMIT: host I is address 10 + I of a /24, and 172.30.I.0/24 is its Docker bridge.
pub const HOSTS_MAX: u32 = 200;

/// The settings of a lab. Two labs live side by side if both `name` and `network` differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The first three numbers of the network, `10.77.0`. This machine is `.1` in it, host I is `.10+I`.
    pub network: String,
    /// What the names of hosts begin with: `wh` gives `wh1`, `wh2`. Up to 8 lower-case letters and digits, first
    /// and last a letter.
    pub name: String,
    /// Where sockets, logs and keys are; the lab has a directory with its name there.
    pub run_dir: PathBuf,
    /// Where the hosts' `/var/lib/docker` are; the lab has a directory with its name there. Not on an overlay.
    pub data_dir: PathBuf,
    /// Hosts without dockerd: sshd only.
    pub bare: bool,
    /// More arguments for each dockerd, for example `--insecure-registry=10.77.0.0/24`.
    pub dockerd_args: Vec<String>,
    /// How much a host may write outside of `/var/lib/docker`; it is kept in memory.
    #[schemars(with = "String")]
    pub root_size: ByteSize,
    /// How long a host may take until its dockerd and sshd answer.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub ready_deadline: Duration,
    /// The program that is pid 1 of each host and `/usr/local/bin/wharf` in it: it must pass what follows
    /// `lab-init` to [`init_main`](crate::init_main). Default: the running program.
    pub program: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            network: "10.77.0".to_owned(),
            name: "wh".to_owned(),
            run_dir: PathBuf::from("/run/wharf-lab"),
            data_dir: PathBuf::from("/var/lib/wharf-lab"),
            bare: false,
            dockerd_args: Vec::new(),
            root_size: ByteSize(2 << 30),
            ready_deadline: Duration::from_secs(30),
            program: None,
        }
    }
}

impl Config {
    /// Refuses settings from which no safe names or paths could be made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_lowercase);
        let name = self.name.as_bytes();
        // A name that ended in a digit could be read as a host of another lab. LIMIT: interface names have at most
        // 15 bytes, and `v200` follows.
        let is_name = name.len() <= 8
            && letter(name.first())
            && letter(name.last())
            && name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !is_name {
            return Err(Error::Config {
                key: "name",
                value: self.name.clone(),
                expected: "up to 8 lower-case letters and digits, first and last a letter",
            });
        }
        self.octets()?;
        for (key, dir) in [("run_dir", &self.run_dir), ("data_dir", &self.data_dir)] {
            if !is_plain(dir) {
                let expected = "an absolute path of at most 60 letters, digits, `.`, `_`, `-`, and no `..`";
                return Err(Error::Config { key, value: dir.display().to_string(), expected });
            }
        }
        Ok(())
    }

    /// The three numbers of `network`.
    pub(crate) fn octets(&self) -> Result<[u8; 3], Error> {
        let numbers: Option<Vec<u8>> = self.network.split('.').map(|part| part.parse().ok()).collect();
        numbers.and_then(|numbers| <[u8; 3]>::try_from(numbers).ok()).ok_or_else(|| Error::Config {
            key: "network",
            value: self.network.clone(),
            expected: "the first three numbers of an IPv4 network, such as 10.77.0",
        })
    }
}

/// Paths become mount options, where `,` and `:` have a meaning. LIMIT: a socket's path has at most 107 bytes.
fn is_plain(path: &Path) -> bool {
    let Some(text) = path.to_str() else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    path.is_absolute() && text.len() <= 60 && text.chars().all(plain) && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_accepted_and_unsafe_names_and_paths_are_not() {
        assert!(Config::default().check().is_ok());
        for name in ["", "Wh", "wh1", "1wh", "w/h", "..", "wh-x", "ninechars"] {
            assert!(Config { name: name.to_owned(), ..Config::default() }.check().is_err(), "{name}");
        }
        for network in ["10.77", "10.77.0.0", "10.77.256", "a.b.c", ""] {
            assert!(
                Config { network: network.to_owned(), ..Config::default() }.check().is_err(),
                "{network}"
            );
        }
        for dir in ["run", "/run/a,b", "/run/../etc", "/run/a:b"] {
            assert!(Config { run_dir: dir.into(), ..Config::default() }.check().is_err(), "{dir}");
        }
    }

    #[test]
    fn json_round_trips_and_refuses_unknown_keys() {
        let config = Config { bare: true, ..Config::default() };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        assert!(serde_json::from_str::<Config>(r#"{"nmae":"x"}"#).is_err());
    }
}
