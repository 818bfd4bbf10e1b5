//! Who is at the other end of a request.

use std::net::SocketAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The other end of the connection; an extension of every request that [`crate::serve`] hands on.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Address; `None` for a connection inside of the process.
    pub address: Option<SocketAddr>,
    /// The connection is encrypted.
    pub is_tls: bool,
    /// DER of the certificate that the client presented and that our CA has signed.
    pub certificate: Option<Arc<[u8]>>,
    /// For a connection inside of the process: the identity that its maker vouches for.
    pub inside: Option<String>,
}

impl Peer {
    /// Whether the peer is on this machine's loopback, or in this process.
    pub fn is_loopback(&self) -> bool {
        self.address.is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

/// The authenticated user of a request to the control API; an extension that `access` adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// What a token may do. Later roles include what earlier ones may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything but secrets; pulls images.
    Viewer,
    /// Deploys, scales, rolls back, pushes images.
    Deployer,
    /// Everything: hosts, tokens, settings.
    Admin,
}
