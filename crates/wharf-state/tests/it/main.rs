//! The control state on real disks: full, read-only, torn.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod disk;
mod faults;
