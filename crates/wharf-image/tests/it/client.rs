//! Our archive against what Docker's own client sends: `COPY . /` from both, compared file by file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wharf_test_support::require;

use crate::peers::{Folder, list};

fn docker(words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(words).env("DOCKER_API_VERSION", "1.41").env("DOCKER_BUILDKIT", "0");
    command
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Files (not folders) of an image `FROM scratch` made by `docker build ARGS`.
fn files_built(args: &[&str], stdin: Option<&Path>, scratch: &Path) -> BTreeSet<String> {
    let mut build = docker(&["build", "--quiet", "--no-cache"]);
    build.args(args);
    if let Some(path) = stdin {
        build.stdin(Stdio::from(std::fs::File::open(path).unwrap()));
    }
    let image = String::from_utf8(succeed(build).stdout).unwrap();
    let image = image.trim();
    let container = String::from_utf8(succeed(docker(&["create", image, "/x"])).stdout).unwrap();
    let container = container.trim();
    succeed(docker(&["export", "--output", scratch.to_str().unwrap(), container]));
    succeed(docker(&["rm", container]));
    succeed(docker(&["rmi", image]));
    // The Engine adds these to every container.
    let is_ours = |name: &String| {
        !name.ends_with('/')
            && !["dev/", "etc/", "proc/", "sys/"].iter().any(|dir| name.starts_with(dir))
            && name != ".dockerenv"
    };
    list(scratch).into_iter().filter(is_ours).collect()
}

#[track_caller]
fn check(ignore: &str, files: &[&str]) {
    let folder = Folder::with(&[("Dockerfile", "FROM scratch\nCOPY . /\n"), (".dockerignore", ignore)]);
    for name in files {
        folder.write(name, "x");
    }
    folder.pack().unwrap();
    let scratch = folder.archive().with_extension("export");
    let theirs = files_built(&[folder.path().to_str().unwrap()], None, &scratch);
    let ours = files_built(&["-"], Some(&folder.archive()), &scratch);
    assert_eq!(ours, theirs, "{ignore:?}");
}

#[test]
fn sends_what_the_client_sends() {
    require!(Docker, Command("docker"));
    let files = [
        "a",
        "b",
        "foo",
        "x.tmp",
        "#foo",
        "a/b".trim_end_matches("/b"),
        "node/x",
        "node/keep/y",
        "docs/a.md",
        "docs/a.txt",
        "deep/er/foo",
        "deep/x.tmp",
        "c]d",
        "d*e",
        "dxe",
        "é1",
    ];
    for ignore in [
        "foo",
        "*.tmp",
        "**/foo\n**/*.tmp",
        "node\n!node/keep",
        "*\n!node/keep",
        "*\n!docs/*.md",
        "/foo\n./node//keep/",
        "\u{feff}foo\n#foo\n  x.tmp  ",
        " #foo",
        "c\\]d\nd\\*e",
        "[a-b]\n[^a-z]*",
        "d?e\n??",
        "deep/**",
        "**/er",
        "!foo\nfoo",
        "Dockerfile\n.dockerignore",
        "**\n!deep/er",
        "..\n.\n/",
    ] {
        check(ignore, &files);
    }
}

/// Random patterns over random trees. Exceptions are rooted and plain in their first name: below an ignored folder
/// the client of the classic builder does not look for `!**/x`, which BuildKit's does, and so do we.
#[test]
fn sends_what_the_client_sends_for_random_trees() {
    require!(Docker, Command("docker"));
    let name = || prop::sample::select(vec!["a", "b", "ab", "c.d"]);
    let piece = || prop::sample::select(vec!["a", "b", "*", "**", "?", "a*", "[ab]", "[^a]", "*.d"]);
    let pattern = prop::collection::vec(piece(), 1..4).prop_map(|pieces| pieces.join("/"));
    let exception = (name(), prop::collection::vec(name(), 0..2)).prop_map(|(first, rest)| {
        std::iter::once(first).chain(rest).fold("!".to_owned(), |text, name| match text.len() {
            1 => text + name,
            _ => text + "/" + name,
        })
    });
    let lines = prop::collection::vec(prop_oneof![2 => pattern, 1 => exception], 1..5);
    let paths = prop::collection::btree_set(prop::collection::vec(name(), 1..4), 3..8);
    let config = Config { cases: 8, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner
        .run(&(lines, paths), |(lines, paths)| {
            // A name is a file or a folder, not both: the last part has an ending of its own.
            let files: Vec<String> = paths.iter().map(|path| format!("{}.f", path.join("/"))).collect();
            let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
            files.push("always/there");
            check(&(lines.join("\n") + "\n!always"), &files);
            Ok(())
        })
        .unwrap();
}
