//! Reads the application of a directory: its Compose files with the user's environment, its .env.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wharf_compose::project::Project;
use wharf_compose::{Loaded, Options, Places, ReadError, SourceFile, dotenv};

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
    pub(super) app: Option<String>,
}

/// The project and the directory that its paths are relative to.
pub(super) struct Application {
    pub(super) project: Project,
    pub(super) places: Places,
    pub(super) directory: PathBuf,
}

/// Loads the application; warnings go to standard error.
pub(super) fn load(source: &Source<'_>) -> anyhow::Result<Application> {
    let files = find_files(source)?;
    let first = files.first().expect("find_files returns at least one");
    let directory = first.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory =
        std::fs::canonicalize(directory).with_context(|| format!("cannot open {}", directory.display()))?;
    let sources: Vec<SourceFile> = files
        .iter()
        .map(|path| {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(SourceFile { path: path.display().to_string(), text })
        })
        .collect::<anyhow::Result<_>>()?;
    let dotenv = read_dotenv(source.env_file, &directory)?;
    // As in Compose, the shell wins over .env.
    let environment = |name: &str| std::env::var(name).ok().or_else(|| dotenv.get(name).cloned());
    let mut reader = |path: &str| {
        std::fs::read_to_string(directory.join(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadError::NotFound,
            _ => ReadError::Other(error.to_string()),
        })
    };
    let options = Options {
        project_name: source.app.clone(),
        directory_name: directory.file_name().map(|name| name.to_string_lossy().into_owned()),
        ..Options::default()
    };
    let Loaded { project, places, warnings } =
        wharf_compose::load(&sources, &environment, &mut reader, &options)
            .map_err(|errors| usage(errors.to_string()))?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    Ok(Application { project, places, directory })
}

/// The name of the application that a command means: given, or that of ./compose.yaml.
pub(super) fn app_name(given: Option<String>) -> anyhow::Result<String> {
    match given {
        Some(name) => Ok(name),
        None => {
            let source = Source { directory: Path::new("."), files: &[], env_file: None, app: None };
            let application = load(&source).map_err(|error| {
                let text = error.to_string();
                let why = text.split_once("\n  hint: ").map_or(text.as_str(), |(why, _)| why);
                usage(format!("no application named, and none here: {why}\n  hint: give the application's name; `wharf apps` lists them"))
            })?;
            Ok(application.project.name)
        }
    }
}

fn find_files(source: &Source<'_>) -> anyhow::Result<Vec<PathBuf>> {
    if !source.files.is_empty() {
        return Ok(source.files.to_vec());
    }
    let directory = source.directory;
    if directory.is_file() {
        return Ok(vec![directory.to_owned()]);
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

fn read_dotenv(
    given: Option<&Path>,
    directory: &Path,
) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let default = directory.join(".env");
    let path = given.unwrap_or(&default);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && given.is_none() => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let shell = |name: &str| std::env::var(name).ok();
    let file = dotenv::parse(&path.display().to_string(), &text, &shell)
        .map_err(|errors| usage(errors.to_string()))?;
    Ok(file.variables)
}
