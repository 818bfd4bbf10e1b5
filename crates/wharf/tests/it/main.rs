//! Whole-system stories: the built `wharf`, used as its users use it, against the real Docker Engine and lab hosts.
//!
//! Each test has its own data directory, ports, application names and, where it needs them, lab hosts, and removes
//! what it made. Nothing here knows the inside of the program: commands, HTTP and `docker` are all it uses.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod agent_crash;
mod apart;
mod api;
mod app;
mod architecture;
mod audit;
mod backup;
mod before_switch;
mod command_line;
mod compose;
mod compose_files;
mod config_file;
mod crash;
mod crash_points;
mod deploy;
mod docker;
mod drain_crash;
mod engine_faults;
mod failover;
mod help;
mod hosts;
mod keys;
mod load;
mod lost_host;
mod messages;
mod operate;
mod output;
mod plans;
mod previous;
mod program;
mod refusals;
mod registry;
mod remote;
mod restart;
mod retention;
mod routes;
mod secrets;
mod server;
mod stop;
mod support;
mod two_deploys;
mod volumes;
mod web;
