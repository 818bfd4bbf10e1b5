//! The registry over HTTP: conformance cases of our own, real clients, kill -9.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod auth;
mod blobs;
mod clients;
mod crash;
mod data_sets;
mod limits;
mod lists;
mod manifests;
mod support;
mod uploads;
