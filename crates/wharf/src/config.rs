//! `wharf.yaml`: one document whose parts are the subsystems' own settings.
//!
//! [`load`] reads the file, applies `--set key=value`, and gives a [`Config`] or errors that name the line and the
//! nearest known key. A file that isn't there is an empty one unless it was named.

mod check;
mod errors;
mod set;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_compose::document::Document;

use crate::cli::Part;
use crate::failure::usage;

/// The file's name where none is given.
const DEFAULT_FILE: &str = "wharf.yaml";

/// Settings of wharf.yaml. Every key has a default; an empty file is a good one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "wharf.yaml")]
pub(crate) struct Config {
    /// Version of the file's format: 1.
    pub(crate) version: Version,
    /// This server as others reach it.
    pub(crate) server: Server,
    /// Control API and console.
    pub(crate) api: Api,
    /// Tokens and sessions.
    pub(crate) access: wharf_access::Config,
    /// Hosts and their agents.
    pub(crate) agents: wharf_fleet::Config,
    /// The agent of this machine's Docker Engine.
    pub(crate) agent: wharf_fleet::AgentConfig,
    /// Applications and rollouts.
    pub(crate) deploy: wharf_deploy::Config,
    /// Images: how they are built.
    pub(crate) image: wharf_image::Config,
    /// Registry.
    pub(crate) registry: wharf_registry::Config,
    /// Package cache.
    pub(crate) cache: wharf_cache::Config,
    /// Balancer.
    pub(crate) balancer: wharf_balancer::Config,
    /// The Docker Engine of this machine.
    pub(crate) docker: Docker,
    /// Where the control state is.
    pub(crate) state: crate::lead::Settings,
    /// Periodic backups.
    pub(crate) backup: crate::backup::Settings,
}

/// Version of the file's format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(with = "u32", extend("const" = 1))]
pub(crate) struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(number: u32) -> Result<Version, String> {
        if number == 1 {
            Ok(Version)
        } else {
            Err(format!("version {number} is not known to this wharf, which reads 1"))
        }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> u32 {
        1
    }
}

/// This server as others reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Name or IP address that hosts dial. Without it only this machine can be a host.
    pub(crate) address: Option<String>,
    /// How long the certificates of hosts and of listeners are valid that this server's CA signs. They are renewed by
    /// themselves after two thirds of that; a host that is off for longer than the rest must join again.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub(crate) certificate_lifetime: Duration,
}

impl Default for Server {
    fn default() -> Server {
        Server { address: None, certificate_lifetime: wharf_http::pki::LIFETIME }
    }
}

/// Control API and console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Api {
    /// Where the API and the console listen. Addresses off loopback speak TLS unless `insecure`.
    #[serde(with = "wharf_base::addresses")]
    #[schemars(with = "Vec<String>")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Plain HTTP on addresses off loopback: tokens travel readable.
    pub(crate) insecure: bool,
}

impl Default for Api {
    fn default() -> Api {
        Api { listen: vec![SocketAddr::from(([127, 0, 0, 1], 7700))], insecure: false }
    }
}

/// The Docker Engine of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Docker {
    /// Its socket.
    pub(crate) socket: PathBuf,
    /// Whether this machine is a host of the installation as well: it runs containers beside the server.
    pub(crate) is_host: bool,
    /// Name under which it is one.
    #[schemars(with = "String")]
    pub(crate) name: wharf_model::Name,
    /// Labels of this host.
    pub(crate) labels: std::collections::BTreeMap<String, String>,
}

impl Default for Docker {
    fn default() -> Docker {
        Docker {
            socket: PathBuf::from("/var/run/docker.sock"),
            is_host: true,
            name: "local".parse().expect("a valid name"),
            labels: std::collections::BTreeMap::new(),
        }
    }
}

/// The file that [`load`] reads: the given one, or `./wharf.yaml` where there is one.
pub(crate) fn file_read(given: Option<&Path>) -> Option<&Path> {
    given.or_else(|| Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists()))
}

/// Reads the configuration of a process that runs the parts `only`, or all: `file`, or `./wharf.yaml` where there is
/// one, then `sets` over it.
pub(crate) fn load(file: Option<&Path>, sets: &[String], only: &[Part]) -> anyhow::Result<Config> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    parse(&path.display().to_string(), &text, sets, only)
}

fn parse(name: &str, text: &str, sets: &[String], only: &[Part]) -> anyhow::Result<Config> {
    let document = Document::parse(name, text).map_err(|errors| usage(errors.to_string()))?;
    let mut json = document.to_json();
    let mut set_paths = Vec::new();
    for set in sets {
        set_paths.push((set::apply(&mut json, set)?, set.as_str()));
    }
    let config: Config = serde_path_to_error::deserialize(json)
        .map_err(|error| usage(errors::explain(&document, &error, &set_paths).to_string()))?;
    check::check(&config, only, |key, said| {
        usage(errors::place(&document, key, said, &set_paths).to_string())
    })?;
    Ok(config)
}

/// The JSON Schema of wharf.yaml (draft 2020-12).
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_all_defaults_and_defaults_survive_a_round_trip() {
        let config = parse("wharf.yaml", "", &[], &[]).unwrap();
        assert_eq!(config, Config::default());
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(parse("wharf.yaml", &text, &[], &[]).unwrap(), config);
    }

    #[test]
    fn sets_win_over_the_file() {
        let sets = ["api.listen=127.0.0.1:1".to_owned(), "api.insecure=true".to_owned()];
        let config = parse("wharf.yaml", "api:\n  listen: [127.0.0.1:2]\n", &sets, &[]).unwrap();
        assert_eq!(config.api, Api { listen: vec!["127.0.0.1:1".parse().unwrap()], insecure: true });
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_a_suggestion() {
        for (text, sets, expected) in [
            (
                "api:\n  lisen: x\n",
                vec![],
                "wharf.yaml:2:3: unknown key `api.lisen`\n  hint: did you mean `listen`?",
            ),
            (
                "registri: {}\n",
                vec![],
                "wharf.yaml:1:1: unknown key `registri`\n  hint: did you mean `registry`?",
            ),
            (
                "api:\n  insecure: 3\n",
                vec![],
                "wharf.yaml:2:3: `api.insecure`: invalid type: integer `3`, expected a boolean",
            ),
            (
                "api:\n  listen: [localhost:1]\n",
                vec![],
                "wharf.yaml:2:3: `api.listen`: `localhost:1` is not an address to listen on; write IP:PORT, such as 127.0.0.1:7700",
            ),
            (
                "balancer:\n  routes:\n    - path: /\n      targets: [one two]\n",
                vec![],
                "wharf.yaml:4:17: `balancer.routes[0].targets[0]`: `one two` is not an address\n  hint: write http://127.0.0.1:9000",
            ),
            (
                "",
                vec!["balancer.http=0.0.0.0:80".to_owned()],
                "--set balancer.http=0.0.0.0:80: `balancer.http`: 0.0.0.0:80 would serve plain HTTP to other machines\n  hint: set balancer.insecure: true if that is meant",
            ),
            (
                "agents:\n  ping_interval: 0s\n",
                vec![],
                "wharf.yaml:2:3: `agents.ping_interval`: must be longer than 0s",
            ),
            ("access:\n  tokens_max: 0\n", vec![], "wharf.yaml:2:3: `access.tokens_max`: must be at least 1"),
            (
                "server: { address: 'https://wharf' }\n",
                vec![],
                "wharf.yaml:1:11: `server.address`: `https://wharf` is not a name or IP address\n  hint: write it without scheme and port, such as 10.0.0.1",
            ),
            (
                "",
                vec!["registry.address=10.0.0.1".to_owned()],
                "--set registry.address=10.0.0.1: `registry.address`: `10.0.0.1` is not HOST:PORT\n  hint: write it such as 10.0.0.1:5000",
            ),
            (
                "balancer:\n  http: [127.0.0.1:7700]\n",
                vec![],
                "wharf.yaml:2:3: `balancer.http`: 127.0.0.1:7700 is taken: api.listen has 127.0.0.1:7700\n  hint: give it another port",
            ),
            (
                "",
                vec!["docker.socket=".to_owned()],
                "--set docker.socket=: `docker.socket`: no path is given\n  hint: /var/run/docker.sock is the default",
            ),
            (
                "version: 2\n",
                vec![],
                "wharf.yaml:1:1: `version`: version 2 is not known to this wharf, which reads 1",
            ),
            (
                "",
                vec!["api.lisen=1".to_owned()],
                "--set api.lisen=1: unknown key `api.lisen`\n  hint: did you mean `listen`?",
            ),
            (
                "",
                vec!["api".to_owned()],
                "--set api: it has no `=`\n  hint: write --set KEY=VALUE, such as --set api.listen=127.0.0.1:7701",
            ),
        ] {
            assert_eq!(parse("wharf.yaml", text, &sets, &[]).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn listeners_of_parts_that_do_not_run_are_not_in_the_way() {
        let sets = ["balancer.http=127.0.0.1:7700".to_owned()];
        parse("wharf.yaml", "", &sets, &[]).unwrap_err();
        parse("wharf.yaml", "", &sets, &[Part::Balancer]).unwrap();
    }

    #[test]
    fn the_schema_knows_every_part() {
        let schema = schema();
        for part in [
            "server", "api", "access", "agents", "deploy", "image", "registry", "balancer", "docker",
            "backup", "state",
        ] {
            assert!(schema["properties"][part].is_object(), "{part}");
        }
    }
}
