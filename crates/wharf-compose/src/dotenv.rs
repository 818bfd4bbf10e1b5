//! Env files: `.env` beside a Compose file and what `env_file` names.
//!
//! One `NAME=value` per line, optionally after `export`; `NAME: value` and a bare `NAME` (taken from the
//! environment) are accepted as well. A value may be in double quotes (escapes and variables are replaced), in
//! single quotes (literal) or bare (variables are replaced, ` #` begins a comment); quoted values may go over
//! several lines. Variables refer to the environment first, then to earlier lines.
//!
//! Source: compose-spec `05-services.md`, `env_file`, and compose-go `dotenv`.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Errors, Kind, Place, Problem, Sink};
use crate::interpolate::{self, Lookup};
use crate::load::Limits;

/// A parsed env file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// The variables; the last definition of a name counts.
    pub variables: BTreeMap<String, String>,
    /// What deserves a look, for example variables that are not set.
    pub warnings: Vec<Diagnostic>,
}

/// How values are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// With quotes, comments and variables.
    #[default]
    Dotenv,
    /// `format: raw`: everything after `=` is the value.
    Raw,
}

/// Parses the env file `file`, which is only named in messages; `environment` answers for variables in values.
///
/// Errors carry the line and column of the definition that is wrong.
pub fn parse(file: &str, text: &str, environment: Lookup<'_>) -> Result<EnvFile, Errors> {
    let mut sink = Sink::default();
    let source = sink.add_file(file);
    let variables = read(text, source, Format::Dotenv, environment, &mut sink);
    Ok(EnvFile { variables, warnings: sink.finish()? })
}

/// Parses `text` as the file `source`; errors go to the sink.
pub(crate) fn read(
    text: &str,
    source: u32,
    format: Format,
    environment: Lookup<'_>,
    sink: &mut Sink,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    if text.len() > Limits::default().file_bytes_max {
        let message = format!("the file has more than {} bytes", Limits::default().file_bytes_max);
        sink.error(Place { source, line: 0, column: 0 }, Problem::new(Kind::Limit, message));
        return variables;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut cursor = Cursor { rest: text, line: 1, column: 1 };
    while cursor.skip_to_definition() {
        let place = Place { source, line: cursor.line, column: cursor.column };
        match definition(&mut cursor, format, environment, &variables) {
            Ok(Definition { name, value, unset }) => {
                interpolate::warn_unset(&unset, place, sink);
                if let Some(value) = value {
                    variables.insert(name, value);
                }
            }
            Err(problem) => {
                sink.error(place, problem);
                cursor.take_line();
            }
        }
    }
    variables
}

struct Definition {
    name: String,
    /// `None`: a bare name that the environment doesn't set.
    value: Option<String>,
    unset: Vec<String>,
}

fn definition(
    cursor: &mut Cursor<'_>,
    format: Format,
    environment: Lookup<'_>,
    earlier: &BTreeMap<String, String>,
) -> Result<Definition, Problem> {
    if let Some(rest) = cursor.rest.strip_prefix("export")
        && rest.starts_with([' ', '\t'])
    {
        cursor.advance("export".len());
        cursor.skip_blanks();
    }
    let end = cursor.rest.find(|c: char| !is_name(c)).unwrap_or(cursor.rest.len());
    let name = cursor.rest[..end].to_owned();
    if name.is_empty() {
        let line = cursor.rest.lines().next().unwrap_or_default();
        let message = format!("`{}` is no definition of a variable", crate::yaml_text(line));
        return Err(Problem::new(Kind::Syntax, message).hint("write NAME=value, and `#` before a comment"));
    }
    cursor.advance(end);
    cursor.skip_blanks();
    match cursor.rest.chars().next() {
        None | Some('\n' | '#') => {
            cursor.take_line();
            let value = environment(&name);
            return Ok(Definition { name, value, unset: Vec::new() });
        }
        Some('=' | ':') => cursor.advance(1),
        Some(other) => {
            let message =
                format!("unexpected `{}` after the name `{name}`", crate::yaml_text(&other.to_string()));
            return Err(Problem::new(Kind::Syntax, message).hint("write NAME=value"));
        }
    }
    if format == Format::Raw {
        let line = cursor.take_line();
        let value = line.strip_suffix('\r').unwrap_or(line).to_owned();
        return Ok(Definition { name, value: Some(value), unset: Vec::new() });
    }
    cursor.skip_blanks();
    let template = match cursor.rest.chars().next() {
        Some('\'') => {
            let value = single_quoted(cursor)?;
            return Ok(Definition { name, value: Some(value), unset: Vec::new() });
        }
        Some('"') => double_quoted(cursor)?,
        _ => bare(cursor.take_line()),
    };
    let lookup = |variable: &str| environment(variable).or_else(|| earlier.get(variable).cloned());
    let result = interpolate::text(&template, &lookup).map_err(|problem| {
        let hint = problem.hint.clone().unwrap_or_default();
        let problem = problem.about(format_args!("value of `{name}`"));
        if hint.is_empty() { problem } else { problem.hint("write `$$`, or put the value in single quotes") }
    })?;
    Ok(Definition { name, value: Some(result.text), unset: result.unset })
}

/// A value without quotes: up to a comment, without the spaces around it.
fn bare(line: &str) -> String {
    let end = line
        .char_indices()
        .find(|&(index, c)| c == '#' && (index == 0 || line[..index].ends_with([' ', '\t'])))
        .map_or(line.len(), |(index, _)| index);
    line[..end].trim().to_owned()
}

fn single_quoted(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    let mut value = String::new();
    let mut characters = cursor.rest.char_indices().skip(1);
    while let Some((index, c)) = characters.next() {
        match c {
            '\'' => {
                cursor.advance(index + 1);
                return cursor.end_of_quoted().map(|()| value);
            }
            '\\' if cursor.rest[index + 1..].starts_with('\'') => {
                value.push('\'');
                characters.next();
            }
            _ => value.push(c),
        }
    }
    Err(Problem::new(Kind::Syntax, "a `'` is not closed"))
}

/// The template in double quotes, with its escapes replaced.
fn double_quoted(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    let mut value = String::new();
    let mut characters = cursor.rest.char_indices().skip(1);
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => {
                cursor.advance(index + 1);
                return cursor.end_of_quoted().map(|()| value);
            }
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some('$') => value.push_str("$$"),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
                None => break,
            },
            _ => value.push(c),
        }
    }
    Err(Problem::new(Kind::Syntax, "a `\"` is not closed"))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

struct Cursor<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
}

impl<'a> Cursor<'a> {
    fn advance(&mut self, bytes: usize) {
        for c in self.rest[..bytes].chars() {
            if c == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.rest = &self.rest[bytes..];
    }

    fn skip_blanks(&mut self) {
        let end = self.rest.find(|c| !matches!(c, ' ' | '\t' | '\r')).unwrap_or(self.rest.len());
        self.advance(end);
    }

    /// Goes over blank lines and comments; false at the end.
    fn skip_to_definition(&mut self) -> bool {
        loop {
            let end = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
            self.advance(end);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.take_line();
        }
    }

    /// The rest of the line without its end; the cursor stands behind it.
    fn take_line(&mut self) -> &'a str {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.advance((end + 1).min(self.rest.len()));
        line
    }

    /// After a closing quote only a comment may follow.
    fn end_of_quoted(&mut self) -> Result<(), Problem> {
        let line = self.rest.lines().next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            self.take_line();
            return Ok(());
        }
        let message = format!("`{}` follows the closing quote", crate::yaml_text(line));
        Err(Problem::new(Kind::Syntax, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment(name: &str) -> Option<String> {
        (name == "SHELL_SET").then(|| "from shell".to_owned())
    }

    fn check(text: &str, expected: &[(&str, &str)]) {
        let parsed = parse(".env", text, &environment).unwrap();
        let actual: Vec<(&str, &str)> =
            parsed.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(actual, expected, "{text}");
    }

    fn check_error(text: &str, expected: &str) {
        let errors = parse(".env", text, &environment).unwrap_err();
        assert_eq!(errors.to_string(), expected, "{text}");
    }

    #[test]
    fn reads_every_form() {
        check("", &[]);
        check("# only a comment", &[]);
        check("A=1\nB = 2 \nexport C=3", &[("A", "1"), ("B", "2"), ("C", "3")]);
        check("A: yaml\nB=", &[("A", "yaml"), ("B", "")]);
        check("A=x # comment\nB=x#y\nC=#none", &[("A", "x"), ("B", "x#y"), ("C", "")]);
        check("A='a $B # c'\nB='it\\'s'", &[("A", "a $B # c"), ("B", "it's")]);
        check("A=\"a\\nb\\t\\\"\\$B\" # comment", &[("A", "a\nb\t\"$B")]);
        check("KEY=\"-----\nline\n-----\"\nB=1", &[("B", "1"), ("KEY", "-----\nline\n-----")]);
        check("A=1\nB=${A}2\nC=\"${A}-${X:-d}\"", &[("A", "1"), ("B", "12"), ("C", "1-d")]);
        check("SHELL_SET=mine\nB=$SHELL_SET", &[("B", "from shell"), ("SHELL_SET", "mine")]);
        check("SHELL_SET\nNOT_SET", &[("SHELL_SET", "from shell")]);
        check("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]);
        check("A=1\nA=2", &[("A", "2")]);
        check("\u{feff}A=1", &[("A", "1")]);
        check("A=postgres://u:p@db/x?y=1", &[("A", "postgres://u:p@db/x?y=1")]);
    }

    #[test]
    fn raw_values_are_taken_as_they_are() {
        let mut sink = Sink::default();
        let source = sink.add_file("raw.env");
        let variables = read("A=\"x\" $5 # y\nB='\n", source, Format::Raw, &environment, &mut sink);
        assert!(sink.finish().unwrap().is_empty());
        assert_eq!(variables["A"], "\"x\" $5 # y");
        assert_eq!(variables["B"], "'");
    }

    #[test]
    fn errors_name_the_place() {
        check_error(
            "A=1\n=2",
            ".env:2:1: `=2` is no definition of a variable\n  hint: write NAME=value, and `#` before a comment",
        );
        check_error("A B=1", ".env:1:1: unexpected `B` after the name `A`\n  hint: write NAME=value");
        check_error("A=1\n  B='x", ".env:2:3: a `'` is not closed");
        check_error("A=\"x\" y", ".env:1:1: `y` follows the closing quote");
        check_error(
            "PASSWORD=pa$5",
            ".env:1:1: value of `PASSWORD`: a lone `$`\n  hint: write `$$`, or put the value in single quotes",
        );
    }

    #[test]
    fn unset_variables_are_warned_about() {
        let parsed = parse(".env", "A=${NO}", &environment).unwrap();
        assert_eq!(parsed.variables["A"], "");
        assert_eq!(parsed.warnings.len(), 1);
    }

    proptest! {
        #[test]
        fn no_input_panics(text in r#"([A-Z=:#'"$\\{}\n\r\t é]|export ){0,80}"#) {
            let _ = parse(".env", &text, &environment);
        }

        #[test]
        fn single_quoted_values_come_back(value in r"[^'\\\r]{0,60}") {
            let parsed = parse(".env", &format!("A='{value}'"), &environment).unwrap();
            prop_assert_eq!(&parsed.variables["A"], &value);
        }
    }
}
