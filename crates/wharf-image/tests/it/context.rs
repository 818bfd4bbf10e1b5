//! What goes into an archive.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use wharf_base::{ByteSize, ErrorCode};
use wharf_image::ContextLimits;

use crate::peers::Folder;

#[test]
fn same_folder_gives_the_same_bytes_in_order() {
    let folder =
        Folder::with(&[("Dockerfile", "FROM scratch\n"), ("b/2", "two"), ("b/10", "ten"), ("a", "1")]);
    let packed = folder.pack().unwrap();
    assert_eq!(folder.names(), ["Dockerfile", "a", "b/", "b/10", "b/2"]);
    assert_eq!((packed.entries, packed.dockerfile.as_str()), (5, "Dockerfile"));
    let first = fs::read(folder.archive()).unwrap();
    assert_eq!(packed.bytes, first.len() as u64);
    folder.pack().unwrap();
    assert!(first == fs::read(folder.archive()).unwrap());
}

#[test]
fn ignored_files_stay_out_and_ignored_folders_come_back_for_what_is_taken_in() {
    let folder = Folder::with(&[
        ("Dockerfile", "FROM scratch\n"),
        (".dockerignore", "*\n!src/keep/**\n"),
        ("src/keep/x", ""),
        ("src/drop/y", ""),
        ("node_modules/z", ""),
    ]);
    let packed = folder.pack().unwrap();
    assert_eq!(folder.names(), [".dockerignore", "Dockerfile", "src/", "src/keep/", "src/keep/x"]);
    assert_eq!(packed.ignored, 4, "src, src/keep, src/drop, node_modules");
}

#[test]
fn ignored_dockerfile_in_an_ignored_folder_is_still_sent() {
    let folder = Folder::with(&[
        ("deploy/web.Dockerfile", "FROM scratch\n"),
        (".dockerignore", "deploy\n.dockerignore"),
        ("x", ""),
    ]);
    let packed = folder.pack_with(Some("./deploy/web.Dockerfile"), ContextLimits::default()).unwrap();
    assert_eq!(packed.dockerfile, "deploy/web.Dockerfile");
    assert_eq!(folder.names(), [".dockerignore", "deploy/", "deploy/web.Dockerfile", "x"]);
}

#[test]
fn own_ignore_file_of_a_dockerfile_wins() {
    let folder = Folder::with(&[
        ("a.Dockerfile", ""),
        ("a.Dockerfile.dockerignore", "x"),
        (".dockerignore", "y"),
        ("x", ""),
        ("y", ""),
    ]);
    folder.pack_with(Some("a.Dockerfile"), ContextLimits::default()).unwrap();
    assert_eq!(folder.names(), [".dockerignore", "a.Dockerfile", "a.Dockerfile.dockerignore", "y"]);
}

#[test]
fn dockerfile_outside_of_the_context_travels_along() {
    let folder = Folder::with(&[("x", "")]);
    fs::write(folder.path().with_file_name("Other"), "FROM scratch\n").unwrap();
    let packed = folder.pack_with(Some("../Other"), ContextLimits::default()).unwrap();
    assert_eq!(folder.names(), ["x", packed.dockerfile.as_str()]);
}

#[test]
fn links_modes_and_long_names_are_kept_and_owners_are_not() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let folder = Folder::with(&[("Dockerfile", ""), ("run.sh", "#!/bin/sh\n"), (&long, "x")]);
    fs::set_permissions(folder.path().join("run.sh"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("/nowhere/at/all", folder.path().join("link")).unwrap();
    folder.pack().unwrap();
    assert!(folder.names().contains(&long));

    let mut archive = tar::Archive::new(fs::File::open(folder.archive()).unwrap());
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        match entry.path().unwrap().to_str().unwrap() {
            "run.sh" => assert_eq!(header.mode().unwrap(), 0o4755),
            "link" => assert_eq!(entry.link_name().unwrap().unwrap().to_str(), Some("/nowhere/at/all")),
            _ => {}
        }
    }
}

#[test]
fn sockets_are_left_out_and_counted() {
    let folder = Folder::with(&[("Dockerfile", "")]);
    let _socket = UnixListener::bind(folder.path().join("s")).unwrap();
    assert_eq!(folder.pack().unwrap().special, 1);
    assert_eq!(folder.names(), ["Dockerfile"]);
}

#[test]
fn errors_name_the_path() {
    let folder = Folder::with(&[("x", "")]);
    let error = folder.pack().unwrap_err();
    let expected = format!(
        "cannot build: there is no Dockerfile at {}; hint: name another with `build.dockerfile`",
        folder.path().join("Dockerfile").display()
    );
    assert_eq!(error.to_string(), expected);

    folder.write("Dockerfile", "");
    folder.write(".dockerignore", "ok\n[x\n");
    let error = folder.pack().unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(
        error
            .to_string()
            .ends_with(".dockerignore: line 2: `[x` is not a valid pattern: the class has no end"),
        "{error}"
    );

    fs::remove_dir_all(folder.path()).unwrap();
    assert!(folder.pack().unwrap_err().to_string().contains("is not a folder"));
}

#[test]
fn limits_are_told() {
    let folder = Folder::with(&[("Dockerfile", ""), ("a", "1"), ("b", "2")]);
    let few = ContextLimits { entries: 2, ..ContextLimits::default() };
    let error = folder.pack_with(None, few).unwrap_err();
    assert!(error.to_string().contains("has more than 2 files; hint: "), "{error}");

    folder.write("big", &"x".repeat(100_000));
    let small = ContextLimits { bytes: ByteSize(64 << 10), ..ContextLimits::default() };
    let error = folder.pack_with(None, small).unwrap_err();
    assert!(error.to_string().contains("is larger than 64k"), "{error}");
    assert_eq!(error.code(), ErrorCode::TooLarge);
}
