//! The image of the tests: one static program, imported into the Engine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SOURCE: &str = include_str!("program.rs.txt");

/// Makes sure that the Engine has the image, and returns its name. The name follows from the program, so tests that run
/// at the same time share it, and a changed program is another image.
pub(crate) fn ensure() -> String {
    let name = format!("wharf-fleet-test:{}", &blake3::hash(SOURCE.as_bytes()).to_hex()[..12]);
    let known = Command::new("docker").args(["image", "inspect", &name]).output().unwrap();
    if known.status.success() {
        return name;
    }
    let program = build();
    let mut import = Command::new("docker")
        .args(["import", "--change", "ENTRYPOINT [\"/program\"]", "-", &name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut archive = tar::Builder::new(import.stdin.take().unwrap());
    archive.append_path_with_name(&program, "program").unwrap();
    archive.into_inner().unwrap().flush().unwrap();
    assert!(import.wait().unwrap().success());
    name
}

fn build() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Tests run as processes side by side: each builds under a name of its own.
    let base = directory.join(format!("fleet-program-{}", std::process::id()));
    let source = base.with_extension("rs");
    std::fs::write(&source, SOURCE).unwrap();
    let status = Command::new("rustc")
        .args([
            "--edition=2021",
            "--crate-name=program",
            "-Ctarget-feature=+crt-static",
            "-Cstrip=symbols",
            "-o",
        ])
        .arg(&base)
        .arg(&source)
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::remove_file(&source).unwrap();
    base
}
