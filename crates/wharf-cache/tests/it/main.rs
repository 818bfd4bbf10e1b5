//! The cache as its clients see it, in front of an upstream of our own.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod apt;
mod apt_get;
mod origin;
mod support;
