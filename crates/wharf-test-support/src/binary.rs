//! Where the built `wharf` is.

use std::env;
use std::path::PathBuf;

/// The `wharf` binary: the file that `WHARF_BIN` names, else the one beside this test in the target directory.
///
/// Panics if it has not been built. In the tests of crate `wharf` itself, `env!("CARGO_BIN_EXE_wharf")` is better:
/// cargo then builds it first.
pub fn wharf_binary() -> PathBuf {
    if let Some(path) = env::var_os("WHARF_BIN") {
        return PathBuf::from(path);
    }
    let test = env::current_exe().expect("a test has a path");
    // target/debug/deps/it-0123 → target/debug/wharf
    let found = test.ancestors().skip(1).take(3).map(|dir| dir.join("wharf")).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no wharf beside {}; hint: run `cargo build` first", test.display()))
}
