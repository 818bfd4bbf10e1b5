//! Settings of `image` in wharf.yaml.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_docker::build::Builder;

/// How images are built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which builder of the Engine is used.
    pub builder: BuilderChoice,
    /// Longest time for one build with its push.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Builds at a time; further ones wait.
    pub concurrent_max: usize,
    /// Builds that wait; a further one is refused.
    pub waiting_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            builder: BuilderChoice::Auto,
            timeout: Duration::from_secs(3600),
            concurrent_max: 2,
            waiting_max: 16,
        }
    }
}

/// Which builder of the Engine is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuilderChoice {
    /// BuildKit where the Engine has it.
    #[default]
    Auto,
    /// BuildKit.
    Buildkit,
    /// The classic builder.
    Classic,
}

impl From<BuilderChoice> for Builder {
    fn from(choice: BuilderChoice) -> Builder {
        match choice {
            BuilderChoice::Auto => Builder::Auto,
            BuilderChoice::Buildkit => Builder::Buildkit,
            BuilderChoice::Classic => Builder::Classic,
        }
    }
}
