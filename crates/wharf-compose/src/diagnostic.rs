//! What the loader has to say about a file: errors and warnings, each with its place and a hint.
//!
//! Inside the crate a place is a [`Place`], three small numbers that every node of the tree carries. [`Sink`]
//! collects what was found, so that one run reports everything, and turns places into file names at the end.
//! A finding is kept once even if an alias or a merge leads to the same place again.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use wharf_base::ErrorCode;

/// LIMIT: more findings than anybody reads; the rest is counted.
const KEPT_MAX: usize = 100;

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Diagnostic {
    /// What sort of thing is wrong.
    pub kind: Kind,
    /// File as the caller named it.
    pub file: String,
    /// Line, from 1; 0 when the finding is about the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 when the finding is about the file as a whole.
    pub column: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The sorts of findings, so that tools can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The text is no YAML, or no env file.
    Syntax,
    /// A stated limit is exceeded.
    Limit,
    /// A variable is missing or a `${…}` is malformed.
    Interpolation,
    /// A key is in no version of the Compose schema.
    UnknownKey,
    /// A key or value is valid in Compose, but Wharf can't carry it out yet.
    Unsupported,
    /// A value has the wrong type or form.
    Value,
    /// Values are fine alone but contradict each other, or name what is not there.
    Reference,
    /// A file that is named can't be read.
    File,
    /// The value has no effect, or another one than it seems to have.
    Effect,
}

impl Kind {
    /// The code under which a request fails that has this error.
    pub fn code(self) -> ErrorCode {
        match self {
            Kind::Limit => ErrorCode::TooLarge,
            Kind::Unsupported => ErrorCode::Unsupported,
            Kind::File => ErrorCode::NotFound,
            Kind::Syntax
            | Kind::Interpolation
            | Kind::UnknownKey
            | Kind::Value
            | Kind::Reference
            | Kind::Effect => ErrorCode::InvalidArgument,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with the files, in the order of files and lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// The errors, at most 100.
    pub errors: Vec<Diagnostic>,
    /// How many more there were.
    pub omitted: usize,
    /// The warnings that were found up to there.
    pub warnings: Vec<Diagnostic>,
}

impl Errors {
    /// The code of the first error: it is the one that the caller acts on first.
    pub fn code(&self) -> ErrorCode {
        self.errors.first().map_or(ErrorCode::Internal, |error| error.kind.code())
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(f, "{separator}{error}")?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "\n… and {omitted} more"),
        }
    }
}

impl std::error::Error for Errors {}

/// Where a node stands: index of the source, line and column from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) source: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// What is wrong with a value, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Problem {
        Problem { kind, message: message.into(), hint: None }
    }

    pub(crate) fn value(message: impl Into<String>) -> Problem {
        Problem::new(Kind::Value, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Problem {
        Problem::new(Kind::Unsupported, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Says which value it is about: "`interval` of service `web`: …".
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Problem {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

/// Collects findings.
#[derive(Default)]
pub(crate) struct Sink {
    files: Vec<String>,
    /// Directory of each file, relative to the project's; empty is that itself.
    bases: Vec<String>,
    errors: Findings,
    warnings: Findings,
}

#[derive(Default)]
struct Findings {
    kept: Vec<(Place, Problem)>,
    seen: HashSet<(Place, String)>,
    omitted: usize,
}

impl Findings {
    fn add(&mut self, place: Place, problem: Problem) {
        if self.kept.len() >= KEPT_MAX {
            self.omitted += 1;
        } else if self.seen.insert((place, problem.message.clone())) {
            self.kept.push((place, problem));
        }
    }

    fn into_diagnostics(mut self, files: &[String]) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|(place, _)| *place);
        self.kept
            .into_iter()
            .map(|(place, problem)| Diagnostic {
                kind: problem.kind,
                file: files.get(place.source as usize).cloned().unwrap_or_default(),
                line: place.line as usize,
                column: place.column as usize,
                message: problem.message,
                hint: problem.hint,
            })
            .collect()
    }
}

impl Sink {
    /// Registers a file and returns the number that places in it carry.
    pub(crate) fn add_file(&mut self, name: &str) -> u32 {
        self.add_file_in(name, "")
    }

    /// The same for a file whose paths are relative to `base`, itself absolute or relative to the project's directory.
    pub(crate) fn add_file_in(&mut self, name: &str, base: &str) -> u32 {
        self.files.push(name.to_owned());
        self.bases.push(base.to_owned());
        (self.files.len() - 1) as u32
    }

    /// What relative paths at `place` are relative to; `.` is the project's directory.
    pub(crate) fn base(&self, place: Place) -> &str {
        match self.bases.get(place.source as usize).map(String::as_str) {
            None | Some("") => ".",
            Some(base) => base,
        }
    }

    pub(crate) fn error(&mut self, place: Place, problem: Problem) {
        self.errors.add(place, problem);
    }

    pub(crate) fn warn(&mut self, place: Place, problem: Problem) {
        self.warnings.add(place, problem);
    }

    /// Hands the value through or reports why there is none.
    pub(crate) fn take<T>(
        &mut self,
        place: Place,
        what: impl fmt::Display,
        result: Result<T, Problem>,
    ) -> Option<T> {
        result.map_err(|problem| self.error(place, problem.about(what))).ok()
    }

    /// Whether further errors are only counted, so that effort for a good message is wasted.
    pub(crate) fn errors_are_full(&self) -> bool {
        self.errors.kept.len() >= KEPT_MAX
    }

    /// The same for warnings.
    pub(crate) fn warnings_are_full(&self) -> bool {
        self.warnings.kept.len() >= KEPT_MAX
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.kept.is_empty()
    }

    /// "compose.yaml:3:5", or only the line where it is the same file as `from`.
    pub(crate) fn describe(&self, place: Place, from: Place) -> String {
        if place.source == from.source {
            return format!("line {}", place.line);
        }
        let file = self.files.get(place.source as usize).map_or("", String::as_str);
        format!("{file}:{}", place.line)
    }

    /// "compose.yaml:3:5".
    pub(crate) fn locate(&self, place: Place) -> String {
        let file = self.files.get(place.source as usize).map_or("", String::as_str);
        format!("{file}:{}:{}", place.line, place.column)
    }

    /// The warnings, or everything if there is an error.
    pub(crate) fn finish(self) -> Result<Vec<Diagnostic>, Errors> {
        let omitted = self.warnings.omitted;
        let mut warnings = self.warnings.into_diagnostics(&self.files);
        if omitted > 0 {
            warnings.push(Diagnostic {
                kind: Kind::Limit,
                file: self.files.first().cloned().unwrap_or_default(),
                line: 0,
                column: 0,
                message: format!("{omitted} more warnings are not shown"),
                hint: None,
            });
        }
        if self.errors.kept.is_empty() {
            return Ok(warnings);
        }
        let omitted = self.errors.omitted;
        Err(Errors { errors: self.errors.into_diagnostics(&self.files), omitted, warnings })
    }
}
