//! The program in the images of the tests: built once for all tests of a machine, named after its source.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::checked;

const SOURCE: &str = include_str!("program.rs.txt");

/// Path of the built program.
pub(crate) fn built() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let finished = directory.join(format!("wharf-story-{:016x}", hasher.finish()));
    if finished.exists() {
        return finished;
    }
    // Tests run as processes side by side: each builds aside and renames.
    let aside = directory.join(format!("wharf-story-{}", std::process::id()));
    let source = aside.with_extension("rs");
    std::fs::write(&source, SOURCE).unwrap();
    checked(
        Command::new("rustc")
            .args(["--edition=2024", "--crate-name=story", "-O", "-Ctarget-feature=+crt-static"])
            .args(["-Cstrip=symbols", "-o"])
            .args([&aside, &source]),
    );
    std::fs::remove_file(&source).unwrap();
    std::fs::rename(&aside, &finished).unwrap();
    finished
}
