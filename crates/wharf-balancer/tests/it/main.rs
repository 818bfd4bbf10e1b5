//! The balancer as a whole: real sockets on both sides, real backends, bytes in and bytes out.

#![expect(clippy::unwrap_used, reason = "helpers panic as the tests that call them do")]

mod abuse;
mod backend;
mod basics;
mod client;
mod drain;
mod faults;
mod log;
mod setup;
mod stop;
mod upgrade;
