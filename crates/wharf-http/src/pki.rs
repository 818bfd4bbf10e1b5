//! Our certificate authority and the TLS configurations that use it.
//!
//! One ECDSA P-256 authority per installation in `<data>/ca/` (`ca.pem`, `ca.key` with mode 0600). It signs the
//! certificate that listeners off loopback show, and those of hosts, whose id is the subject's common name. A join token
//! pins the authority by the SHA-256 of its certificate, as Swarm's does: see [`Trust::Pinned`].
//! What it signs is valid for [`LIFETIME`] or what the configuration says, and renewed after two thirds of that
//! (docs/decisions/0024); the authority itself stays.

mod authority;
mod client;
mod renewing;
mod time;

pub use authority::{Authority, ClientAuth, LIFETIME, Signed, fingerprint, new_request};
pub use client::{Identity, Trust, client_config, client_config_at};
