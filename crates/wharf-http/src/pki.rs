//! Our certificate authority and the TLS configurations that use it.
//!
//! One ECDSA P-256 authority per installation in `<data>/ca/` (`ca.pem`, `ca.key` with mode 0600). It signs the
//! certificate that listeners off loopback show, and those of hosts, whose id is the subject's common name. A join token
//! pins the authority by the SHA-256 of its certificate, as Swarm's does: see [`Trust::Pinned`].

mod authority;
mod client;

pub use authority::{Authority, ClientAuth, fingerprint, new_request};
pub use client::{Identity, Trust, client_config};
