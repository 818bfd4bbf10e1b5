//! The kinds of packages that are cached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of packages, with its own protocol and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// Debian packages.
    Apt,
}

impl Ecosystem {
    /// How many there are.
    pub(crate) const COUNT: usize = Ecosystem::ALL.len();
    /// All of them.
    pub const ALL: [Ecosystem; 1] = [Ecosystem::Apt];

    /// Its name in addresses, rows and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Ecosystem::Apt => "apt",
        }
    }
}
