//! No input makes the loader panic, and what it accepts is consistent. Seeds are the files in `testdata/`.

use std::sync::LazyLock;

use proptest::prelude::*;
use wharf_compose::project::Project;
use wharf_compose::{Limits, Loaded, Options, SourceFile, load, load_bytes, render};

use crate::golden;

static SEEDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let files = golden::directories().into_iter().flat_map(|directory| golden::compose_files(&directory));
    files.map(|file| file.text).collect()
});

/// What must hold for any input.
fn check(data: &[u8]) {
    match load_bytes(data) {
        Ok(Loaded { project, .. }) => {
            let json = serde_json::to_string(&project).unwrap();
            assert_eq!(serde_json::from_str::<Project>(&json).unwrap(), project);
            assert!(!project.name.is_empty());
            check_render(&project);
            for service in project.services.values() {
                assert!(service.image.is_some() || service.build.is_some());
                assert!(service.depends_on.keys().all(|name| project.services.contains_key(name)));
                assert!(service.networks.keys().all(|name| project.networks.contains_key(name)));
            }
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            assert!(errors.errors.iter().all(|error| !error.file.is_empty() && !error.message.is_empty()));
            assert!(!errors.to_string().is_empty());
        }
    }
}

/// A project that is written as a file and loaded again is the same.
fn check_render(project: &Project) {
    for text in [render::yaml(project), render::document(project).to_string()] {
        match load_one(text.clone(), Limits::default()) {
            Ok(again) => assert_eq!(again.project, *project, "{text}"),
            Err(errors) => panic!("{errors}\n{text}"),
        }
    }
}

/// Changes to a file. Those by line mostly leave it YAML, so that the later steps get their share.
#[derive(Clone, Debug)]
enum Mutation {
    DropLine(usize),
    /// The line gets the content of a line of another file, at its own indentation.
    ReplaceLine(usize, usize),
    /// The key in the line gets the value of a line of another file.
    ReplaceValue(usize, usize),
    Cut(usize, usize),
    Insert(usize, String),
    Repeat(usize, usize),
    Splice(usize, usize, usize),
}

/// All lines of all seeds.
static LINES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| SEEDS.iter().flat_map(|seed| seed.lines()).collect());

fn change_line(text: &str, at: usize, change: impl FnOnce(&str) -> Option<String>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if !lines.is_empty() {
        let index = at % lines.len();
        match change(&lines[index]) {
            Some(line) => lines[index] = line,
            None => drop(lines.remove(index)),
        }
    }
    lines.join("\n") + "\n"
}

fn apply(mut text: String, mutation: &Mutation) -> String {
    let border = |text: &str, at: usize| {
        let mut index = at % (text.len() + 1);
        while !text.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    match mutation {
        Mutation::DropLine(at) => text = change_line(&text, *at, |_| None),
        Mutation::ReplaceLine(at, other) => {
            let other = LINES[other % LINES.len()].trim_start();
            text = change_line(&text, *at, |line| {
                let indentation = line.len() - line.trim_start().len();
                Some(format!("{}{other}", &line[..indentation]))
            });
        }
        Mutation::ReplaceValue(at, other) => {
            let other = LINES[other % LINES.len()];
            let value = other.split_once(": ").map_or(other.trim(), |(_, value)| value);
            text = change_line(&text, *at, |line| {
                let key = line.split_once(':').map_or(line, |(key, _)| key);
                Some(format!("{key}: {value}"))
            });
        }
        Mutation::Cut(at, length) => {
            let start = border(&text, *at);
            let end = border(&text, (start + length).min(text.len())).max(start);
            text.replace_range(start..end, "");
        }
        Mutation::Insert(at, what) => text.insert_str(border(&text, *at), what),
        Mutation::Repeat(at, length) => {
            let start = border(&text, *at);
            let end = border(&text, (start + length).min(text.len())).max(start);
            let part = text[start..end].to_owned();
            text.insert_str(end, &part);
        }
        Mutation::Splice(seed, from, at) => {
            let other = &SEEDS[seed % SEEDS.len()];
            let start = border(other, *from);
            let part = &other[start..border(other, (start + 80).min(other.len())).max(start)];
            text.insert_str(border(&text, *at), part);
        }
    }
    text
}

fn mutations() -> impl Strategy<Value = Mutation> {
    let token = prop::sample::select(vec![
        "\n",
        " ",
        "  ",
        ":",
        ": ",
        "- ",
        "\t",
        "&a ",
        "*a",
        "<<: *a\n",
        "!reset ",
        "!override ",
        "!!str ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "|",
        ">",
        "#",
        "---\n",
        "...\n",
        "${",
        "}",
        "$",
        "$$",
        "${A:-",
        "null",
        "~",
        "0",
        "-1",
        "99999999999999999999",
        "1.5",
        "\u{feff}",
        "\0",
        "é",
        "%YAML 1.1\n",
        "? ",
        "\n=====\n",
        "x-",
        "x-wharf:",
        "../",
        "\r\n",
        "\u{2028}",
    ]);
    prop_oneof![
        4 => any::<usize>().prop_map(Mutation::DropLine),
        8 => (any::<usize>(), any::<usize>()).prop_map(|(at, other)| Mutation::ReplaceLine(at, other)),
        8 => (any::<usize>(), any::<usize>()).prop_map(|(at, other)| Mutation::ReplaceValue(at, other)),
        1 => (any::<usize>(), 1usize..60).prop_map(|(at, length)| Mutation::Cut(at, length)),
        1 => (any::<usize>(), token).prop_map(|(at, token)| Mutation::Insert(at, token.to_owned())),
        1 => (any::<usize>(), 1usize..200).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        1 => (any::<usize>(), any::<usize>(), any::<usize>())
            .prop_map(|(seed, from, at)| Mutation::Splice(seed, from, at)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_answered(text in ".{0,300}") {
        check(text.as_bytes());
    }

    #[test]
    fn arbitrary_bytes_are_answered(data in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&data);
    }

    #[test]
    fn arbitrary_yaml_like_text_is_answered(text in r#"([a-z]{1,3}|: |\n *|- |[{}\[\]&*!|>'"?,#$~<0-9]|services:|image: |\t){0,80}"#) {
        check(text.as_bytes());
    }

    #[test]
    fn mutated_real_files_are_answered(
        seed in any::<usize>(),
        mutations in prop::collection::vec(mutations(), 1..5),
    ) {
        let text = SEEDS[seed % SEEDS.len()].clone();
        check(mutations.iter().fold(text, apply).as_bytes());
    }

    #[test]
    fn two_real_files_over_each_other_are_answered(first in any::<usize>(), second in any::<usize>()) {
        let text = format!("{}\n=====\n{}\n=====\nA=1", SEEDS[first % SEEDS.len()], SEEDS[second % SEEDS.len()]);
        check(text.as_bytes());
    }

    #[test]
    fn any_value_at_any_key_is_answered(
        key in prop::sample::select(vec![
            "image", "build", "command", "entrypoint", "environment", "env_file", "ports", "expose", "volumes",
            "networks", "healthcheck", "restart", "depends_on", "deploy", "stop_grace_period", "stop_signal",
            "container_name", "labels", "user", "working_dir", "hostname", "init", "x-wharf",
        ]),
        value in prop::sample::select(vec![
            "", "~", "true", "1", "-1", "1.5", ".nan", "''", "'a b'", "[]", "[~]", "[1, a]", "[[a]]", "[{a: b}]",
            "{}", "{a: ~}", "{a: b}", "{a: [b]}", "{a: {b: c}}", "a=b", "[a=b, =c]", "'/'", "':'", "'a:b:c:d'",
            "{test: 1}", "{replicas: x}", "{route: 1}", "{route: {port: a}}", "{resources: {limits: {cpus: -1}}}",
            "99999999999999999999999", "'${A'", "'${A}'",
        ]),
    ) {
        check(format!("services:\n  web:\n    image: a\n    {key}: {value}\n").as_bytes());
        check(format!("services:\n  web:\n    {key}: {value}\n").as_bytes());
    }

    #[test]
    fn a_file_over_itself_is_the_file(
        seed in any::<usize>(),
        mutations in prop::collection::vec(mutations(), 0..3),
    ) {
        let text = mutations.iter().fold(SEEDS[seed % SEEDS.len()].clone(), apply);
        // Requests of devices are counted, so two files ask for twice as many.
        let is_counted = text.contains("=====") || text.contains("devices:") || text.contains("gpus:");
        if let (false, Ok(once)) = (is_counted, load_bytes(text.as_bytes())) {
            let files = format!("{text}\n=====\n{text}\n=====\n");
            let twice = load_bytes(files.as_bytes()).map_err(|errors| errors.to_string());
            prop_assert_eq!(twice.map(|loaded| loaded.project), Ok(once.project));
        }
    }
}

fn load_one(text: String, limits: Limits) -> Result<Loaded, wharf_compose::Errors> {
    let files = [SourceFile { path: "compose.yaml".to_owned(), text }];
    let options = Options { directory_name: Some("test".to_owned()), limits, ..Options::default() };
    load(&files, &|_| None, &mut |_| Err(wharf_compose::ReadError::NotFound), &options)
}

fn check_limit(text: String, expected: &str) {
    let errors = load_one(text, Limits::default()).unwrap_err();
    assert_eq!(errors.code(), wharf_base::ErrorCode::TooLarge, "{errors}");
    assert!(errors.to_string().contains(expected), "{errors}");
}

#[test]
fn limits_hold() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = level - 1;
        let aliases = vec![format!("*a{previous}"); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    check_limit(laughs, "more than 100000 values after expanding aliases");
    check_limit(format!("a: {}", "[".repeat(100_000)), "nested more than 64 levels deep");
    check_limit(format!("a: {}", "{b: ".repeat(1000)), "nested more than 64 levels deep");
    check_limit(format!("a: {}", "x".repeat(1 << 20)), "more than 1048576");
    check_limit(format!("a: [{}]", "x,".repeat(100_001)), "more than 100000 values");
    let mut nested = String::new();
    for level in 0..60 {
        nested.push_str(&format!("[&a{level} "));
    }
    let items = "x, ".repeat(5000);
    check_limit(format!("a: {nested}[{items}]{}", "]".repeat(60)), "more than 100000 values");
}

#[test]
fn a_large_file_is_read() {
    let mut text = String::from("services:\n");
    for index in 0..2000 {
        let previous = if index > 0 { format!("s{}", index - 1) } else { String::new() };
        text.push_str(&format!(
            "  s{index}:\n    image: a\n    environment: {{ A: '1' }}\n    depends_on: [{previous}]\n"
        ));
    }
    let project = load_one(text, Limits::default()).unwrap().project;
    assert_eq!(project.services.len(), 2000);
}

/// Work grows with the size of the file, not with its square: each of these is near the limits, and a step that
/// compares everything with everything would take minutes.
#[test]
fn large_broken_files_are_answered() {
    let many = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let services =
        many(12_000, &|index| format!("  service{index}: {{image: a, depends_on: [service{index}x]}}\n"));
    let keys = many(30_000, &|index| format!("    environmen{index}: a\n"));
    let pairs = many(40_000, &|index| format!("      - KEY_{index}=v\n"));
    let mounts = many(30_000, &|index| format!("      - /mount/{index}\n"));
    let networks = many(25_000, &|index| format!("  network{index}:\n"));
    let ports = many(5_000, &|index| format!("      - {}-{}\n", index + 1, index + 1000));
    let expose = many(50_000, &|index| format!("      - {}\n", index + 1));
    let cycle =
        many(12_000, &|index| format!("  s{index}: {{image: a, depends_on: [s{}]}}\n", (index + 1) % 12_000));
    let variables = many(20_000, &|index| format!("      - V{index}=${{V{index}}}\n"));
    let body = |key: &str, list: &str| format!("services:\n  web:\n    image: a\n    {key}:\n{list}");
    for text in [
        format!("services:\n{services}"),
        format!("services:\n  web:\n    image: a\n{keys}"),
        body("environment", &pairs),
        body("environment", &variables),
        body("volumes", &mounts),
        body("ports", &ports),
        body("expose", &expose),
        format!("services: {{web: {{image: a}}}}\nnetworks:\n{networks}"),
        format!("services:\n{cycle}"),
        format!("services:\n  web: {{image: \"{}\"}}", "$A${A:-".repeat(100_000)),
    ] {
        // Either answer is right; that there is one, of readable length and in time, is the point.
        if let Err(errors) = load_one(text, Limits::default()) {
            assert!(errors.to_string().len() < 40_000, "{}", &errors.to_string()[..200]);
        }
    }
}
