//! The control state on real disks (full, read-only, torn) and on both of its engines; its lease; TLS.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed step of a test ends it, and its tasks with it"
)]

mod disk;
mod engines;
mod faults;
mod leases;
mod place;
mod tls;
