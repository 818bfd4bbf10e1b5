//! The whole way from texts to a [`Project`]: parse, assemble (interpolate, extend, include, merge), select, read.
//!
//! Everything that is wrong is collected; a later step runs only when its input is whole.

use std::collections::BTreeMap;

use crate::assemble::Assembly;
use crate::diagnostic::{Diagnostic, Errors, Kind, Place, Problem, Sink};
use crate::interpolate::{self, Lookup};
use crate::merge;
use crate::name::normalize_project_name;
use crate::places::Places;
use crate::profiles::{self, Inactive};
use crate::project::Project;
use crate::read;
use crate::yaml::{self, Node, Value};

/// One Compose file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// How messages name it, usually the path as the user gave it.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// What can be set about loading.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name that the user asked for; wins over `COMPOSE_PROJECT_NAME` and `name:`.
    pub project_name: Option<String>,
    /// Name of the directory of the first file; the name when nothing else gives one.
    pub directory_name: Option<String>,
    /// Profiles whose services are active besides those without profiles; `*` is all.
    pub profiles: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds on what is read.
#[derive(Clone, Debug)]
pub struct Limits {
    /// LIMIT: bytes of one file. 1 MiB; the largest of 366 public templates has 60 KB.
    pub file_bytes_max: usize,
    /// LIMIT: levels of nesting. 64; Compose needs 8.
    pub depth_max: usize,
    /// LIMIT: values in one file, with the copies that aliases make. 100,000.
    pub nodes_max: usize,
    /// LIMIT: Compose files in one load. 64.
    pub files_max: usize,
    /// LIMIT: files that `include` and `extends` open, each as often as it is opened. 512.
    pub opened_max: usize,
    /// LIMIT: values in those files and in the copies that `extends` makes. 500,000.
    pub nodes_together_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            file_bytes_max: 1 << 20,
            depth_max: 64,
            nodes_max: 100_000,
            files_max: 64,
            opened_max: 512,
            nodes_together_max: 500_000,
        }
    }
}

/// Why a file that the Compose files name could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// Anything else, in words for the user.
    #[error("{0}")]
    Other(String),
}

/// A project and what deserves a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The resolved project.
    pub project: Project,
    /// Where its keys stand.
    pub places: Places,
    /// Services that were left out because none of their profiles is active, with their profiles.
    pub inactive: BTreeMap<String, Vec<String>>,
    /// In the order of files and lines.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a file that the Compose files name (`include`, `extends`, `env_file`, …), by its path, which is absolute or
/// relative to the directory of the first Compose file.
pub type Reader<'a> = &'a mut dyn FnMut(&str) -> Result<String, ReadError>;

/// Loads Compose files, the later over the earlier.
///
/// `environment` answers for variables: the caller lets the process's environment win over `.env`
/// ([`crate::dotenv::parse`]). Nothing else is consulted: no clock, no files, no process state.
///
/// Errors: everything that is wrong, with file, line and column ([`Errors`]).
pub fn load(
    files: &[SourceFile],
    environment: Lookup<'_>,
    reader: Reader<'_>,
    options: &Options,
) -> Result<Loaded, Errors> {
    let mut sink = Sink::default();
    let project = load_into(files, environment, reader, options, &mut sink);
    let warnings = sink.finish()?;
    match project {
        Some((project, places, inactive)) => Ok(Loaded { project, places, inactive, warnings }),
        // Without a project there is an error, so `finish` has returned already.
        None => Err(Errors { errors: Vec::new(), omitted: 0, warnings }),
    }
}

fn load_into(
    files: &[SourceFile],
    environment: Lookup<'_>,
    reader: Reader<'_>,
    options: &Options,
    sink: &mut Sink,
) -> Option<(Project, Places, Inactive)> {
    let documents = parse_all(files, options, sink)?;
    let name = project_name(&documents, environment, options, sink)?;
    let environment = |variable: &str| match variable {
        "COMPOSE_PROJECT_NAME" => Some(name.clone()),
        _ => environment(variable),
    };
    let mut merged = Assembly::new(reader, &options.limits, sink).model(documents, &environment)?;
    merge::strip_resets(&mut merged);
    let inactive = profiles::select(&mut merged, &options.profiles, sink);
    if sink.has_errors() {
        return None;
    }
    let project = read::project(&merged, name.clone(), &inactive, &environment, reader, sink)?;
    Some((project, Places::of(&merged, sink), inactive))
}

fn parse_all(files: &[SourceFile], options: &Options, sink: &mut Sink) -> Option<Vec<Node>> {
    if files.is_empty() || files.len() > options.limits.files_max {
        sink.add_file("compose");
        let message =
            format!("{} Compose files given, 1 to {} expected", files.len(), options.limits.files_max);
        sink.error(Place::default(), Problem::new(Kind::Limit, message));
        return None;
    }
    let mut documents = Vec::new();
    let mut is_whole = true;
    for file in files {
        let source = sink.add_file(&file.path);
        match yaml::parse(&file.text, source, &options.limits, sink) {
            Some(parsed) if parsed.is_empty() => {
                let place = Place { source, line: 0, column: 0 };
                sink.error(place, Problem::value("the file is empty"));
                is_whole = false;
            }
            Some(parsed) => documents.extend(parsed),
            None => is_whole = false,
        }
    }
    for document in &documents {
        if document.as_mapping().is_none() {
            let message = format!("a Compose file is a mapping, this is {}", document.describe());
            sink.error(document.place, Problem::value(message));
            is_whole = false;
        }
    }
    is_whole.then_some(documents)
}

/// The name by Compose's precedence. `name:` of the last file that has one counts.
fn project_name(
    documents: &[Node],
    environment: Lookup<'_>,
    options: &Options,
    sink: &mut Sink,
) -> Option<String> {
    let whole = Place { line: 0, column: 0, ..documents.first()?.place };
    let asked = options.project_name.clone().or_else(|| environment("COMPOSE_PROJECT_NAME"));
    if let Some(asked) = asked.filter(|name| !name.is_empty()) {
        if normalize_project_name(&asked) != asked {
            let message = format!("`{}` is not a project name", crate::yaml_text(&asked));
            sink.error(whole, Problem::value(message).hint("use a-z, 0-9, `_` and `-`"));
            return None;
        }
        return Some(asked);
    }
    let node = documents.iter().rev().filter_map(|document| document.as_mapping()?.get("name")).next();
    // What is no scalar is reported when the merged file is read.
    let template = node.and_then(|node| match &node.value {
        Value::Scalar(scalar) => Some((node.place, scalar.to_text()?)),
        Value::Sequence(_) | Value::Mapping(_) => None,
    });
    if let Some((place, template)) = template {
        let written = match interpolate::text(&template, environment) {
            Ok(result) => result.text,
            Err(problem) => {
                sink.error(place, problem);
                return None;
            }
        };
        let name = normalize_project_name(&written);
        if name.is_empty() {
            let message =
                format!("`name`: nothing of `{}` can be in a project name", crate::yaml_text(&written));
            sink.error(place, Problem::value(message).hint("use a-z, 0-9, `_` and `-`"));
            return None;
        }
        if name != written {
            let message = format!("`name`: `{}` becomes `{name}`", crate::yaml_text(&written));
            sink.warn(place, Problem::new(Kind::Effect, message));
        }
        return Some(name);
    }
    let name = options.directory_name.as_deref().map(normalize_project_name).filter(|name| !name.is_empty());
    if name.is_none() {
        let problem = Problem::value("the project has no name, and the directory's gives none");
        sink.error(whole, problem.hint("add `name: shop`"));
    }
    name
}
