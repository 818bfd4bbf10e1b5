//! Each directory of `testdata/` is one project: `compose.yaml`, perhaps `compose.override.yaml`, `.env` (the
//! environment, with `COMPOSE_PROFILES`) and env files; `expected` is what comes out. `UPDATE_EXPECT=1` rewrites it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wharf_compose::project::Project;
use wharf_compose::{Diagnostic, Options, ReadError, SourceFile, dotenv, load};
use wharf_test_support::expect_file;

pub(crate) fn directories() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut directories: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    directories.sort();
    directories
}

pub(crate) fn compose_files(directory: &Path) -> Vec<SourceFile> {
    ["compose.yaml", "compose.override.yaml"]
        .iter()
        .filter_map(|name| {
            let text = fs::read_to_string(directory.join(name)).ok()?;
            Some(SourceFile { path: (*name).to_owned(), text })
        })
        .collect()
}

#[test]
fn every_project_in_testdata_comes_out_as_expected() {
    let directories = directories();
    assert!(directories.len() >= 12, "testdata is missing");
    for directory in directories {
        expect_file(directory.join("expected"), &outcome(&directory));
    }
}

/// What `.env` of the directory says.
pub(crate) fn variables(directory: &Path) -> BTreeMap<String, String> {
    match fs::read_to_string(directory.join(".env")) {
        Ok(text) => dotenv::parse(".env", &text, &|_| None).unwrap().variables,
        Err(_) => BTreeMap::new(),
    }
}

/// Warnings, then the project as JSON or the errors.
fn outcome(directory: &Path) -> String {
    let variables = variables(directory);
    let profiles = variables.get("COMPOSE_PROFILES").map_or("", String::as_str).split(',');
    let mut reader = |path: &str| fs::read_to_string(directory.join(path)).map_err(|_| ReadError::NotFound);
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap().to_owned();
    let profiles = profiles.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let options = Options { directory_name: Some(name), profiles, ..Options::default() };
    let result = load(&compose_files(directory), &|name| variables.get(name).cloned(), &mut reader, &options);
    let mut text = String::new();
    match result {
        Ok(loaded) => {
            write_all(&mut text, "warning: ", &loaded.warnings);
            let json = serde_json::to_string_pretty(&loaded.project).unwrap();
            assert_eq!(serde_json::from_str::<Project>(&json).unwrap(), loaded.project, "{directory:?}");
            text.push_str(&sparse(&loaded.project));
        }
        Err(errors) => {
            write_all(&mut text, "warning: ", &errors.warnings);
            write_all(&mut text, "error: ", &errors.errors);
            assert_eq!(errors.omitted, 0);
        }
    }
    text
}

fn write_all(text: &mut String, prefix: &str, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        writeln!(text, "{prefix}{diagnostic}").unwrap();
    }
}

/// The project as JSON without what is empty, which would be most of it. Keys of `networks` and `volumes` stay: an
/// entry without settings says something.
fn sparse(project: &Project) -> String {
    let mut value = serde_json::to_value(project).unwrap();
    prune(&mut value, false);
    serde_json::to_string_pretty(&value).unwrap() + "\n"
}

fn prune(value: &mut Value, keep_keys: bool) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => {
            for item in &mut *items {
                prune(item, false);
            }
            !items.is_empty()
        }
        Value::Object(map) => {
            map.retain(|key, value| {
                prune(value, matches!(key.as_str(), "networks" | "volumes")) || keep_keys
            });
            !map.is_empty()
        }
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
    }
}
