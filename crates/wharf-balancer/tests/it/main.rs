//! The balancer as a whole: real sockets on both sides, real backends, bytes in and bytes out.

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
