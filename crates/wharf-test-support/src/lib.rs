//! What tests need: real peers or a named skip, free ports, children that end.
//!
//! ```ignore
//! #[test]
//! fn pushes_to_the_registry() {
//!     wharf_test_support::require!(Command("skopeo"));
//!     let port = wharf_test_support::free_port();
//!     let server = Child::spawn(Command::new(wharf_binary()).arg("up"));
//!     server.wait_for_line("ready", DEADLINE);
//! }
//! ```
//!
//! A test that lacks something says `SKIPPED: …` and passes; with `WHARF_REQUIRE=all`, as in `script/test` and CI,
//! it fails instead. Everything here panics on failure: it is for tests only.

mod binary;
mod child;
mod golden;
mod need;
mod port;
mod postgres;

pub use binary::wharf_binary;
pub use child::{Child, DEADLINE};
pub use golden::expect_file;
pub use need::{Need, Skipped, chromium, find_command, missing, present};
pub use port::{free_addr, free_port};
pub use postgres::{Postgres, postgres_programs};
/// A directory that is removed when dropped.
pub use tempfile::TempDir;

/// A new, empty directory, removed when the value is dropped.
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new().prefix("wharf-test-").tempdir().expect("the temporary directory is writable")
}
