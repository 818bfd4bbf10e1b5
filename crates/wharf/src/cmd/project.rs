//! Reads the application of a directory: its Compose files with the user's environment, its .env.
//!
//! Which files, profiles and name is decided as in Compose: options, then `COMPOSE_FILE`, `COMPOSE_PROFILES` and
//! `COMPOSE_PROJECT_NAME` of the shell or of `.env`, then what lies in the directory.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wharf_compose::project::Project;
use wharf_compose::{Diagnostic, Errors, Loaded, Options, Places, ReadError, SourceFile, dotenv};

use crate::failure::usage;

/// Names that Compose looks for, in its order, and those of overrides.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Where to look.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) directory: &'a Path,
    pub(super) files: &'a [PathBuf],
    pub(super) env_file: Option<&'a Path>,
    pub(super) profiles: &'a [String],
    pub(super) app: Option<String>,
}

impl Source<'_> {
    /// Where the command was given.
    pub(super) fn here() -> Source<'static> {
        Source { directory: Path::new("."), files: &[], env_file: None, profiles: &[], app: None }
    }
}

/// The project and the directory that its paths are relative to.
pub(super) struct Application {
    pub(super) project: Project,
    pub(super) places: Places,
    pub(super) directory: PathBuf,
    /// Variables of its .env.
    pub(super) dotenv: BTreeMap<String, String>,
}

impl Application {
    /// A variable as `${…}` sees it: as in Compose, the shell wins over .env.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().or_else(|| self.dotenv.get(name).cloned())
    }
}

/// What was found in the files.
pub(super) struct Found {
    pub(super) directory: PathBuf,
    /// Variables of .env.
    pub(super) dotenv: BTreeMap<String, String>,
    pub(super) result: Result<Loaded, Errors>,
    /// Warnings about .env.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Loads the application; warnings go to standard error.
pub(super) fn load(source: &Source<'_>) -> anyhow::Result<Application> {
    let Found { directory, dotenv, result, warnings } = find(source)?;
    let loaded = result.map_err(|errors| usage(errors.to_string()))?;
    for warning in warnings.iter().chain(&loaded.warnings) {
        eprintln!("warning: {warning}");
    }
    Ok(Application { project: loaded.project, places: loaded.places, directory, dotenv })
}

/// Reads the files and loads them. Errors: they can't be read; what is wrong *in* them is in the result.
pub(super) fn find(source: &Source<'_>) -> anyhow::Result<Found> {
    let searched = match source.directory {
        file if file.is_file() => parent(file),
        input if is_input(input) => Path::new("."),
        directory => directory,
    };
    // `.env` may say which the files are, and is looked for again beside the first of them.
    let beside = read_dotenv(source.env_file, searched)?;
    let variable = |name: &str| std::env::var(name).ok().or_else(|| beside.variables.get(name).cloned());
    let files = find_files(source, &variable)?;
    let first = files.first().expect("find_files returns at least one");
    let directory = if is_input(first) { searched } else { parent(first) };
    let directory =
        std::fs::canonicalize(directory).with_context(|| format!("cannot open {}", directory.display()))?;
    let sources: Vec<SourceFile> =
        files.iter().map(|path| read_source(path)).collect::<anyhow::Result<_>>()?;
    let is_beside = std::fs::canonicalize(searched).is_ok_and(|searched| searched == directory);
    let dotenv = if is_beside { beside } else { read_dotenv(source.env_file, &directory)? };
    // As in Compose, the shell wins over .env.
    let environment = |name: &str| std::env::var(name).ok().or_else(|| dotenv.variables.get(name).cloned());
    let mut reader = |path: &str| {
        std::fs::read_to_string(directory.join(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadError::NotFound,
            _ => ReadError::Other(error.to_string()),
        })
    };
    let options = Options {
        project_name: source.app.clone(),
        directory_name: directory.file_name().map(|name| name.to_string_lossy().into_owned()),
        profiles: profiles(source.profiles, &environment),
        ..Options::default()
    };
    let result = wharf_compose::load(&sources, &environment, &mut reader, &options);
    Ok(Found { directory, dotenv: dotenv.variables, result, warnings: dotenv.warnings })
}

/// The name of the application that a command means: given, or that of ./compose.yaml.
pub(super) fn app_name(given: Option<String>) -> anyhow::Result<String> {
    match given {
        Some(name) => Ok(name),
        None => {
            let application = load(&Source::here()).map_err(|error| {
                let text = error.to_string();
                let why = text.split_once("\n  hint: ").map_or(text.as_str(), |(why, _)| why);
                usage(format!("no application named, and none here: {why}\n  hint: give the application's name; `wharf apps` lists them"))
            })?;
            Ok(application.project.name)
        }
    }
}

/// Profiles that the options name, else those of `COMPOSE_PROFILES`.
fn profiles(given: &[String], environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let variable = if given.is_empty() { environment("COMPOSE_PROFILES") } else { None };
    let all = given.iter().map(String::as_str).chain(variable.as_deref());
    all.flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn read_source(path: &Path) -> anyhow::Result<SourceFile> {
    if is_input(path) {
        let mut text = String::new();
        // One byte more than a file may have: the loader refuses what is too long.
        let limit = wharf_compose::Limits::default().file_bytes_max as u64 + 1;
        std::io::stdin().take(limit).read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(SourceFile { path: "standard input".to_owned(), text });
    }
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => usage(format!(
            "cannot read {}: no such file\n  hint: paths are relative to where you are",
            path.display()
        )),
        _ => anyhow::Error::from(error).context(format!("cannot read {}", path.display())),
    })?;
    Ok(SourceFile { path: path.display().to_string(), text })
}

fn find_files(
    source: &Source<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Vec<PathBuf>> {
    if !source.files.is_empty() {
        return Ok(source.files.to_vec());
    }
    let directory = source.directory;
    if directory.is_file() || is_input(directory) {
        return Ok(vec![directory.to_owned()]);
    }
    let listed = variable("COMPOSE_FILE").unwrap_or_default();
    let separator = variable("COMPOSE_PATH_SEPARATOR").filter(|separator| !separator.is_empty());
    let listed = listed.split(separator.as_deref().unwrap_or(":")).filter(|path| !path.is_empty());
    let listed: Vec<PathBuf> = listed.map(|path| directory.join(path)).collect();
    if !listed.is_empty() {
        return Ok(listed);
    }
    let find = |names: &[&str]| names.iter().map(|name| directory.join(name)).find(|path| path.is_file());
    let Some(main) = find(&FILES) else {
        return Err(usage(format!(
            "there is no compose.yaml in {}\n  hint: name the application's directory, or the file with --file",
            directory.display()
        )));
    };
    Ok([Some(main), find(&OVERRIDES)].into_iter().flatten().collect())
}

fn read_dotenv(given: Option<&Path>, directory: &Path) -> anyhow::Result<dotenv::EnvFile> {
    let default = directory.join(".env");
    let path = given.unwrap_or(&default);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && given.is_none() => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let shell = |name: &str| std::env::var(name).ok();
    dotenv::parse(&path.display().to_string(), &text, &shell).map_err(|errors| usage(errors.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Files that are chosen in a fresh directory with these files, by name, as COMPOSE_FILE has it.
    fn chosen(present: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
        let directory = wharf_test_support::temp_dir();
        for name in present {
            std::fs::write(directory.path().join(name), "")?;
        }
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let source =
            Source { directory: directory.path(), files: &[], env_file: None, profiles: &[], app: None };
        let files = find_files(&source, &|name| variables.get(name).map(|value| (*value).to_owned()))?;
        Ok(files
            .iter()
            .map(|path| path.strip_prefix(directory.path()).unwrap().display().to_string())
            .collect())
    }

    #[test]
    fn files_are_chosen_as_in_compose() {
        for (present, variables, expected) in [
            (&["compose.yaml", "docker-compose.yml"][..], &[][..], &["compose.yaml"][..]),
            (
                &["docker-compose.yml", "compose.override.yaml"],
                &[],
                &["docker-compose.yml", "compose.override.yaml"],
            ),
            (&["compose.yaml"], &[("COMPOSE_FILE", "a.yaml:b/c.yaml")], &["a.yaml", "b/c.yaml"]),
            (
                &["compose.yaml"],
                &[("COMPOSE_FILE", "a.yaml,b.yaml"), ("COMPOSE_PATH_SEPARATOR", ",")],
                &["a.yaml", "b.yaml"],
            ),
            (&["compose.yml"], &[("COMPOSE_FILE", "")], &["compose.yml"]),
        ] {
            assert_eq!(chosen(present, variables).unwrap(), expected, "{present:?} {variables:?}");
        }
        assert!(chosen(&[], &[]).unwrap_err().to_string().contains("there is no compose.yaml"));
    }

    #[test]
    fn profiles_of_options_win_over_the_variable() {
        let variable = |name: &str| (name == "COMPOSE_PROFILES").then(|| "a, b,".to_owned());
        assert_eq!(profiles(&[], &variable), ["a", "b"]);
        assert_eq!(profiles(&["c".to_owned(), "d,e".to_owned()], &variable), ["c", "d", "e"]);
    }
}
