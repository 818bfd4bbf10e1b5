//! Settings of `access` in wharf.yaml.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a console session lasts after it was last used.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub session_idle: Duration,
    /// How long a console session lasts at most, used or not.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub session_max: Duration,
    /// Sessions at a time; the one that was idle longest makes room for a new one.
    pub sessions_max: usize,
    /// API tokens at a time; a further one is refused.
    pub tokens_max: usize,
    /// Wrong tokens from one address per minute; further ones are answered 429 until the minute is over. A right
    /// token is always let in.
    pub failures_per_minute: u32,
    /// Event streams (console pages, `wharf` commands that watch) at a time; a further one is answered 429.
    pub streams_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            session_idle: Duration::from_secs(12 * 3600),
            session_max: Duration::from_secs(7 * 24 * 3600),
            sessions_max: 1_000,
            tokens_max: 1_000,
            failures_per_minute: 20,
            streams_max: 256,
        }
    }
}
