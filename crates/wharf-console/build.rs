//! Makes cargo look at `console/dist`: a new console is embedded by the next build.
//!
//! The directory is made, empty, where it is missing: cargo would otherwise build this crate anew every time. Nothing
//! else happens here; without node the directory stays empty and the crate serves its page on how to fill it.

use std::path::Path;

fn main() {
    let dist = Path::new("../../console/dist");
    if !dist.exists() {
        // A source tree that can't be written only costs needless builds.
        let _ = std::fs::create_dir_all(dist);
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", dist.display());
}
