//! What serde says of a wrong value, said for the person who wrote it: file, line, key, suggestion.

use std::fmt;

use serde_path_to_error::{Error, Segment};
use wharf_base::suggest;
use wharf_compose::Diagnostic;
use wharf_compose::document::{Document, Step};

/// Where the wrong value came from, and what is wrong.
pub(super) enum Explained {
    File(Diagnostic),
    Set { set: String, message: String, hint: Option<String> },
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Explained::File(diagnostic) => diagnostic.fmt(f),
            Explained::Set { set, message, hint } => {
                write!(f, "--set {set}: {message}")?;
                hint.iter().try_for_each(|hint| write!(f, "\n  hint: {hint}"))
            }
        }
    }
}

/// Explains `error`; `sets` are the paths that `--set` has written, with their texts.
pub(super) fn explain(
    document: &Document,
    error: &Error<serde_json::Error>,
    sets: &[(Vec<Step>, &str)],
) -> Explained {
    let mut path: Vec<Step> = Vec::new();
    for segment in error.path() {
        match segment {
            Segment::Map { key } => path.push(Step::Key(key.clone())),
            Segment::Seq { index } => path.push(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let said = error.inner().to_string();
    let (message, hint) = match unknown_field(&said) {
        Some((field, known)) => {
            // serde names the field in the message and, depending on its kind, also in the path.
            if path.last() != Some(&Step::Key(field.to_owned())) {
                path.push(Step::Key(field.to_owned()));
            }
            let hint = match suggest(field, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys are {}", known.join(", ")),
            };
            (format!("unknown key `{}`", shown(&path)), Some(hint))
        }
        None if path.is_empty() => (said, None),
        None => (format!("`{}`: {said}", shown(&path)), None),
    };
    source(document, &path, message, hint, sets)
}

/// Explains what a part says of the setting `key`, such as `balancer.routes[0].targets`.
pub(super) fn place(document: &Document, key: &str, said: &str, sets: &[(Vec<Step>, &str)]) -> Explained {
    let (problem, hint) = match said.split_once("\n  hint: ").or_else(|| said.split_once("; hint: ")) {
        Some((problem, hint)) => (problem, Some(hint.to_owned())),
        None => (said, None),
    };
    let names_its_key = problem.starts_with(key);
    let message = if names_its_key { problem.to_owned() } else { format!("`{key}`: {problem}") };
    source(document, &steps(key), message, hint, sets)
}

/// The file or the `--set` that the value at `path` is from.
fn source(
    document: &Document,
    path: &[Step],
    message: String,
    hint: Option<String>,
    sets: &[(Vec<Step>, &str)],
) -> Explained {
    match sets.iter().find(|(set_path, _)| path.starts_with(set_path) || set_path.starts_with(path)) {
        Some((_, set)) => Explained::Set { set: (*set).to_owned(), message, hint },
        None => Explained::File(document.diagnostic(path, message, hint)),
    }
}

/// Takes `a.b[0].c` apart.
fn steps(key: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in key.split('.') {
        let mut pieces = part.split('[');
        steps.extend(pieces.next().map(|name| Step::Key(name.to_owned())));
        let indices = pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok());
        steps.extend(indices.map(Step::Index));
    }
    steps
}

/// Takes serde's "unknown field `x`, expected one of `a`, `b`" apart.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (field, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).collect();
    Some((field, known))
}

fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
