//! Applications of several files: `include`, `extends`, overrides, profiles.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_compose::{Errors, Loaded, Options, ReadError, SourceFile, load};

/// Loads `compose.yaml`, and after it `compose.override.yaml` if there is one, of these files.
fn load_files(files: &[(&str, &str)], profiles: &[&str]) -> Result<Loaded, Errors> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let sources: Vec<SourceFile> = ["compose.yaml", "compose.override.yaml"]
        .iter()
        .filter_map(|name| {
            Some(SourceFile { path: (*name).to_owned(), text: (*files.get(name)?).to_owned() })
        })
        .collect();
    let options = Options {
        directory_name: Some("test".to_owned()),
        profiles: profiles.iter().map(|profile| (*profile).to_owned()).collect(),
        ..Options::default()
    };
    let environment = BTreeMap::from([("A", "a"), ("HOME", "/home/ada")]);
    load(
        &sources,
        &|name| environment.get(name).map(|value| (*value).to_owned()),
        &mut |path| files.get(path).map(|text| (*text).to_owned()).ok_or(ReadError::NotFound),
        &options,
    )
}

/// The values at `pointers` of the project as JSON.
fn check(files: &[(&str, &str)], profiles: &[&str], expected: &[(&str, Value)]) {
    let loaded = load_files(files, profiles).unwrap_or_else(|errors| panic!("{files:#?}\n{errors}"));
    let project = serde_json::to_value(&loaded.project).unwrap();
    for (pointer, value) in expected {
        let actual = project.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(actual, value, "{pointer} of {files:#?}");
    }
}

/// Everything that is said, one finding per line, hints after a bar.
fn check_said(files: &[(&str, &str)], profiles: &[&str], expected: &str) {
    let (errors, warnings) = match load_files(files, profiles) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(errors) => (errors.errors, errors.warnings),
    };
    let lines = errors.iter().map(ToString::to_string);
    let lines = lines.chain(warnings.iter().map(|warning| format!("warning: {warning}")));
    let actual = lines.collect::<Vec<_>>().join("\n").replace("\n  hint: ", " | ");
    assert_eq!(actual, expected, "{files:#?}");
}

#[test]
fn a_service_goes_on_from_another() {
    check(
        &[(
            "compose.yaml",
            "services:
  base: {image: a, environment: {X: '1', Y: '1'}, command: [a], labels: [l=1], cap_add: [A]}
  web:
    extends: base
    environment: [Y=2]
    command: [b]
    cap_add: [B]
    labels: !reset []
  deep: {extends: {service: web}, image: d}",
        )],
        &[],
        &[
            ("/services/web/image", json!("a")),
            ("/services/web/environment", json!({"X": "1", "Y": "2"})),
            ("/services/web/command", json!(["b"])),
            ("/services/web/cap_add", json!(["A", "B"])),
            ("/services/web/labels", json!({})),
            ("/services/base/labels", json!({"l": "1"})),
            ("/services/deep/image", json!("d")),
            ("/services/deep/environment", json!({"X": "1", "Y": "2"})),
        ],
    );
}

#[test]
fn what_another_file_brings_keeps_its_directory_and_gets_our_variables() {
    check(
        &[
            (
                "compose.yaml",
                "services:
  web: {extends: {file: parts/common.yaml, service: app}, volumes: ['./own:/own:ro']}",
            ),
            (
                "parts/common.yaml",
                "services:
  app:
    extends: {file: ../shared/base.yaml, service: base}
    build: .
    volumes: ['./conf:/conf:ro', '~/x:/home:ro', '/etc/hosts:/hosts:ro']
  unused: {privileged: nonsense}",
            ),
            (
                "shared/base.yaml",
                "services:
  base: {image: '${A}:1', env_file: base.env}",
            ),
            ("shared/base.env", "FROM=file"),
        ],
        &[],
        &[
            ("/services/web/image", json!("a:1")),
            ("/services/web/environment", json!({"FROM": "file"})),
            ("/services/web/build/context", json!("parts")),
            ("/services/web/volumes/0/source", json!("parts/conf")),
            ("/services/web/volumes/1/source", json!("/home/ada/x")),
            ("/services/web/volumes/2/source", json!("/etc/hosts")),
            ("/services/web/volumes/3/source", json!("own")),
            ("/services/unused", Value::Null),
        ],
    );
}

#[test]
fn an_override_extends_a_service_of_the_file_below_it() {
    check(
        &[
            ("compose.yaml", "services: {web: {image: a, user: '1'}}"),
            ("compose.override.yaml", "services: {debug: {extends: web, user: '2'}}"),
        ],
        &[],
        &[("/services/debug/image", json!("a")), ("/services/debug/user", json!("2"))],
    );
}

#[test]
fn mistakes_of_extends_are_told() {
    for (text, expected) in [
        (
            "services: {web: {extends: bsae}, base: {image: a}}",
            "compose.yaml:1:27: service `web` extends `bsae`, which is no service | did you mean `base`?",
        ),
        (
            "services: {a: {extends: b}, b: {extends: a}}",
            "compose.yaml:1:42: services extend each other in a circle: a → b → a\ncompose.yaml:1:25: services extend each other in a circle: b → a → b",
        ),
        (
            "services: {web: {extends: {file: no.yaml, service: a}}}",
            "compose.yaml:1:27: `extends` of service `web`: cannot read `no.yaml`: no such file | a path is relative to the file in which it stands",
        ),
        (
            "services: {web: {extends: {file: other.yaml, service: a}}}",
            "compose.yaml:1:27: service `web` extends `a`, which is no service in other.yaml",
        ),
        (
            "services: {web: {extends: {file: other.yaml}}}",
            "compose.yaml:1:27: `extends` of service `web`: `service` is missing",
        ),
        (
            "services: {web: {extends: {file: 'https://example.com/a.yaml', service: a}}}",
            "compose.yaml:1:34: `extends` of service `web`: the remote file `https://example.com/a.yaml` is not read | fetch it, and name the file here",
        ),
        (
            "services: {web: {extends: {file: wrong.yaml, service: a}}}",
            "wrong.yaml:1:6: not valid YAML: mapping values are not allowed in this context | check the indentation, and put texts with `: ` in quotes",
        ),
        (
            "services: {web: {extends: {file: loop.yaml, service: a}}}",
            "loop.yaml:1:25: services extend each other in a circle: web → a → b → a",
        ),
    ] {
        let files = [
            ("compose.yaml", text),
            ("other.yaml", "services: {bbb: {image: x}}"),
            ("wrong.yaml", "a: b: c"),
            ("loop.yaml", "services: {a: {extends: b}, b: {extends: a}}"),
        ];
        let (errors, expected) = (load_files(&files, &[]).unwrap_err(), sorted(expected));
        let actual = errors.errors.iter().map(|error| error.to_string().replace("\n  hint: ", " | "));
        let actual = sorted(&actual.collect::<Vec<_>>().join("\n"));
        // The column of the second of two errors depends on which service is looked at first.
        assert_eq!(actual.len(), expected.len(), "{actual:#?}");
        assert!(actual.iter().zip(&expected).all(|(a, b)| tail(a) == tail(b)), "{actual:#?} {expected:#?}");
    }
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn tail(line: &str) -> &str {
    line.splitn(4, ':').last().unwrap_or(line)
}

#[test]
fn included_files_are_applications_of_their_own() {
    check(
        &[
            (
                "compose.yaml",
                "include:
  - db/compose.yaml
  - {path: [queue/compose.yaml, queue/over.yaml], project_directory: elsewhere, env_file: [queue/q.env]}
services: {web: {image: w, depends_on: [db, queue]}}",
            ),
            (
                "db/compose.yaml",
                "name: other
services: {db: {image: 'db:${TAG}-${A}', volumes: ['data:/d', './init:/init:ro'], env_file: db.env}}
volumes: {data: {labels: [a=b]}}",
            ),
            ("db/.env", "TAG=16\nA=not used"),
            ("db/db.env", "X=1"),
            ("queue/compose.yaml", "services: {queue: {image: 'q:${TAG}', volumes: ['./c:/c:ro']}}"),
            ("queue/over.yaml", "services: {queue: {user: root}}"),
            ("queue/q.env", "TAG=3"),
            ("compose.override.yaml", "services: {db: {user: '5'}}"),
        ],
        &[],
        &[
            ("/name", json!("test")),
            ("/services/db/image", json!("db:16-a")),
            ("/services/db/user", json!("5")),
            ("/services/db/environment", json!({"X": "1"})),
            ("/services/db/volumes/1/source", json!("db/init")),
            ("/volumes/data/labels", json!({"a": "b"})),
            ("/services/queue/image", json!("q:3")),
            ("/services/queue/user", json!("root")),
            ("/services/queue/volumes/0/source", json!("elsewhere/c")),
        ],
    );
}

#[test]
fn a_file_may_be_included_twice_and_names_meet_only_if_they_say_the_same() {
    let files = [
        ("compose.yaml", "include: [a/compose.yaml, b/compose.yaml]\nservices: {web: {image: w}}"),
        ("a/compose.yaml", "include: ['../base.yaml']\nservices: {a: {image: a}}"),
        ("b/compose.yaml", "include: ['../base.yaml']\nservices: {b: {image: b}}"),
        ("base.yaml", "services: {base: {image: x, volumes: ['./f:/f:ro']}}"),
    ];
    check(&files, &[], &[("/services/base/volumes/0/source", json!("f"))]);
    check_said(
        &[
            ("compose.yaml", "include: [db.yaml]\nservices: {db: {image: mine}}"),
            ("db.yaml", "services: {db: {image: theirs}}"),
        ],
        &[],
        "compose.yaml:2:12: `services.db` is in an included file too (db.yaml:1) and says something else there | change what is included in a file that is given after this one, such as compose.override.yaml",
    );
}

#[test]
fn mistakes_of_include_are_told() {
    for (text, expected) in [
        (
            "include: no.yaml",
            "compose.yaml:1:10: `include`: a list is expected, this is the string `no.yaml`",
        ),
        (
            "include: [no.yaml]",
            "compose.yaml:1:11: `include`: cannot read `no.yaml`: no such file | a path is relative to the file in which it stands",
        ),
        ("include: [{project_directory: x}]", "compose.yaml:1:11: an entry of `include`: `path` is missing"),
        (
            "include: [{path: db.yaml, env_file: no.env}]",
            "compose.yaml:1:37: `env_file` of `include`: cannot read `no.env`: no such file",
        ),
        (
            "include: [{path: db.yaml, evn_file: no.env}]",
            "warning: compose.yaml:1:27: unknown key `evn_file` in an entry of `include` | did you mean `env_file`?",
        ),
        (
            "include: [loop.yaml]",
            "loop.yaml:1:11: files include each other in a circle: loop.yaml → loop.yaml",
        ),
        (
            "include: ['oci://example.com/app']",
            "compose.yaml:1:11: an entry of `include`: the remote file `oci://example.com/app` is not read | fetch it, and name the file here",
        ),
        ("include: [list.yaml]", "list.yaml:1:1: a Compose file is a mapping, this is a list"),
        ("include: [broken.yaml]", "broken.yaml:1:28: required variable `NO` is not set"),
    ] {
        check_said(
            &[
                ("compose.yaml", &format!("{text}\nservices: {{web: {{image: w}}}}")),
                ("db.yaml", "services: {db: {image: x}}"),
                ("loop.yaml", "include: [loop.yaml]\nservices: {l: {image: x}}"),
                ("list.yaml", "[]"),
                ("broken.yaml", "services: {broken: {image: '${NO?}'}}"),
            ],
            &[],
            expected,
        );
    }
}

#[test]
fn includes_and_copies_have_bounds() {
    let mut files: Vec<(String, String)> = Vec::new();
    // Each level includes the next twice.
    files.push(("compose.yaml".to_owned(), "include: [1.yaml]\nservices: {web: {image: w}}".to_owned()));
    for level in 1..20 {
        let (a, b) = (level + 1, format!("./{}.yaml", level + 1));
        files.push((
            format!("{level}.yaml"),
            format!("include: ['{a}.yaml', '{b}']\nservices: {{s{level}: {{image: w}}}}"),
        ));
    }
    files.push(("20.yaml".to_owned(), "services: {last: {image: w}}".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let errors = load_files(&files, &[]).unwrap_err();
    assert!(errors.to_string().contains("`include` and `extends` open more than 512 files"), "{errors}");

    // Each of many services copies a large one.
    let environment: String = (0..20_000).map(|index| format!("V{index}: a, ")).collect();
    let services: String = (0..200).map(|index| format!("  s{index}: {{extends: base}}\n")).collect();
    let text = format!("services:\n  base: {{image: a, environment: {{{environment}}}}}\n{services}");
    let errors = load_files(&[("compose.yaml", &text)], &[]).unwrap_err();
    assert!(errors.to_string().contains("make more than 500000 values"), "{}", errors.errors[0]);

    let chain: String = (0..50).map(|index| format!("  s{index}: {{extends: s{}}}\n", index + 1)).collect();
    let text = format!("services:\n{chain}  s50: {{image: a}}\n");
    let errors = load_files(&[("compose.yaml", &text)], &[]).unwrap_err();
    assert!(errors.to_string().contains("`extends` over more than 32 levels"), "{}", errors.errors[0]);
}

#[test]
fn profiles_choose_services() {
    let text = "services:
  web: {image: w, depends_on: {debug: {condition: service_started, required: false}}}
  debug: {image: d, profiles: [debug, all], privileged: nonsense}
  test: {image: t, profiles: ['test'], depends_on: [web]}";
    let names = |profiles: &[&str]| {
        let loaded = load_files(&[("compose.yaml", text)], profiles).map_err(|errors| errors.to_string())?;
        Ok::<_, String>((
            loaded.project.services.into_keys().collect::<Vec<_>>(),
            loaded.inactive.into_keys().collect::<Vec<_>>(),
        ))
    };
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&[]), Ok((list(&["web"]), list(&["debug", "test"]))));
    assert_eq!(names(&["test"]), Ok((list(&["test", "web"]), list(&["debug"]))));
    assert!(names(&["all"]).unwrap_err().contains("privileged"));
    assert!(names(&["*"]).unwrap_err().contains("privileged"));
}

#[test]
fn what_profiles_leave_out_is_told_where_it_is_needed() {
    for (text, profiles, expected) in [
        (
            "services: {web: {image: w, depends_on: [db]}, db: {image: d, profiles: [data, all]}}",
            &[][..],
            "compose.yaml:1:41: service `web` depends on `db`, which is no service | it is not active: add `--profile data` or `--profile all`",
        ),
        (
            "services: {web: {image: w, network_mode: 'service:vpn'}, vpn: {image: d, profiles: [vpn]}}",
            &[],
            "compose.yaml:1:42: `network_mode` of service `web`: `vpn` is no service | it is not active: add `--profile vpn`",
        ),
        (
            "services: {web: {image: w, profiles: [a]}}",
            &[],
            "compose.yaml:1:1: no service is active: each has profiles, and none is asked for | `--profile NAME`, with one of a",
        ),
        (
            "services: {web: {image: w}, db: {image: d, profiles: [debug]}}",
            &["debgu"],
            "warning: compose.yaml: no service has the profile `debgu` | did you mean `debug`?",
        ),
        (
            "services: {web: {image: w, profiles: debug}}",
            &["debug"],
            "compose.yaml:1:38: `profiles` of service `web`: a list is expected, this is the string `debug`\nwarning: compose.yaml: no service has the profile `debug`",
        ),
        (
            "services: {web: {image: w, profiles: ['-x']}}",
            &[],
            "compose.yaml:1:39: `profiles` of service `web`: `-x` is no name of a profile | letters, digits, `_`, `.` and `-`, beginning with a letter or digit",
        ),
    ] {
        check_said(&[("compose.yaml", text)], profiles, expected);
    }
}
