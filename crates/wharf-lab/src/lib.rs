//! Throw-away Docker hosts on this machine, from namespaces.
//!
//! A lab is a row of hosts. Each has its own network, mount, pid, uts and ipc namespace, an overlay of this
//! machine's `/` as its root, its own dockerd and sshd, and an address on a bridge. The bridge is in a namespace of
//! its own, the switch, so that this machine's firewall is neither touched nor met.
//!
//! ```text
//!  root namespace          switch namespace             host namespaces
//!  wh-up 10.77.0.1 ─────── uplink ┐
//!                          br0 ───┼─ whv1 ───────────── eth0 10.77.0.11  (wh1: pid 1 = lab-init, sshd, dockerd)
//!                                 └─ whv2 ───────────── eth0 10.77.0.12  (wh2)
//! ```
//!
//! How an `up` flows: [`Lab::up`] takes the lock → `network` makes the switch → for each host at once, `boot` makes
//! its directories, its cgroups and its link, and starts pid 1 → [`init_main`] mounts the root and starts sshd and
//! dockerd → `boot` waits until both answer.
//!
//! What must always hold: everything of a lab can be found by its name alone (directories, mounts, cgroups, the
//! link `wh-up`, command lines), because [`Lab::down`] may run after any crash and remembers nothing. A host is one
//! pid namespace, so it dies as a whole.

mod boot;
mod cgroup;
mod check;
mod command;
mod config;
mod down;
mod engine;
mod error;
mod init;
mod lab;
mod layout;
mod lock;
mod mounts;
mod network;
mod prepare;
mod process;
mod spec;
mod status;

pub use check::check_possible;
pub use config::{Config, HOSTS_MAX};
pub use error::Error;
pub use init::init_main;
pub use lab::Lab;
pub use status::HostStatus;
