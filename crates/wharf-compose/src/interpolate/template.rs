//! A text taken apart into literal parts and variables.

use crate::diagnostic::{Kind, Problem};
use crate::interpolate::{Interpolated, Lookup, VALUE_BYTES_MAX};

/// LIMIT: levels of `${A:-${B:-…}}`; nobody reads more, and the parser recurses.
const DEPTH_MAX: usize = 32;

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Variable { name: String, form: Form, operand: Template },
}

/// What follows the name. The flag says whether an empty value counts as not set (the form with `:`).
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Default { empty_counts: bool },
    Required { empty_counts: bool },
    Alternative { empty_counts: bool },
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template, Problem> {
        parse(text, 0)
    }

    /// Appends the result to `result`.
    pub(crate) fn evaluate(&self, lookup: Lookup<'_>, result: &mut Interpolated) -> Result<(), Problem> {
        for part in &self.0 {
            match part {
                Part::Text(text) => push(result, text)?,
                Part::Variable { name, form, operand } => {
                    evaluate_variable(name, *form, operand, lookup, result)?;
                }
            }
        }
        Ok(())
    }
}

fn evaluate_variable(
    name: &str,
    form: Form,
    operand: &Template,
    lookup: Lookup<'_>,
    result: &mut Interpolated,
) -> Result<(), Problem> {
    let value = lookup(name);
    let is_set = |empty_counts: bool| value.as_ref().is_some_and(|value| !(empty_counts && value.is_empty()));
    match form {
        Form::Plain => match value {
            Some(value) => push(result, &value),
            None => {
                if !result.unset.iter().any(|unset| unset == name) {
                    result.unset.push(name.to_owned());
                }
                Ok(())
            }
        },
        Form::Default { empty_counts } if !is_set(empty_counts) => operand.evaluate(lookup, result),
        Form::Required { empty_counts } if !is_set(empty_counts) => {
            let mut reason = Interpolated { text: String::new(), unset: Vec::new() };
            operand.evaluate(lookup, &mut reason)?;
            let state = if value.is_some() { "empty" } else { "not set" };
            let colon = if reason.text.is_empty() { "" } else { ": " };
            let message = format!("required variable `{name}` is {state}{colon}{}", reason.text);
            Err(Problem::new(Kind::Interpolation, message))
        }
        Form::Default { .. } | Form::Required { .. } => push(result, &value.unwrap_or_default()),
        Form::Alternative { empty_counts } if is_set(empty_counts) => operand.evaluate(lookup, result),
        Form::Alternative { .. } => Ok(()),
    }
}

fn push(result: &mut Interpolated, text: &str) -> Result<(), Problem> {
    if result.text.len() + text.len() > VALUE_BYTES_MAX {
        let message = format!("the value has more than {VALUE_BYTES_MAX} bytes after replacing variables");
        return Err(Problem::new(Kind::Limit, message));
    }
    result.text.push_str(text);
    Ok(())
}

fn parse(text: &str, depth: usize) -> Result<Template, Problem> {
    if depth > DEPTH_MAX {
        return Err(Problem::new(Kind::Limit, format!("variables are nested more than {DEPTH_MAX} deep")));
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        literal.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            literal.push('$');
            rest = after;
            continue;
        }
        let (part, after) = match rest.strip_prefix('{') {
            Some(inside) => braced(inside, depth)?,
            None => bare(rest)?,
        };
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(part);
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(Template(parts))
}

/// The variable of `$NAME…` and what follows it.
fn bare(text: &str) -> Result<(Part, &str), Problem> {
    let (name, after) = split_name(text);
    if name.is_empty() {
        return Err(Problem::new(Kind::Interpolation, "a lone `$`").hint("write `$$` for the character"));
    }
    Ok((Part::Variable { name: name.to_owned(), form: Form::Plain, operand: Template(Vec::new()) }, after))
}

/// The variable of `${…}` and what follows it.
fn braced(text: &str, depth: usize) -> Result<(Part, &str), Problem> {
    let Some(end) = closing_brace(text) else {
        let problem = Problem::new(Kind::Interpolation, "`${` without `}`");
        return Err(problem.hint("write `$$` for the character `$`"));
    };
    let (inside, after) = (&text[..end], &text[end + 1..]);
    let shown = || crate::yaml_text(&format!("${{{inside}}}"));
    let (name, operator) = split_name(inside);
    if name.is_empty() {
        return Err(Problem::new(Kind::Interpolation, format!("`{}` names no variable", shown())));
    }
    let (empty_counts, operator) = match operator.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, operator),
    };
    let mut characters = operator.chars();
    let form = match characters.next() {
        None if !empty_counts => Form::Plain,
        Some('-') => Form::Default { empty_counts },
        Some('?') => Form::Required { empty_counts },
        Some('+') => Form::Alternative { empty_counts },
        None | Some(_) => {
            let message = format!("`{}`: after the name comes `}}` or one of :- - :? ? :+ +", shown());
            return Err(Problem::new(Kind::Interpolation, message));
        }
    };
    let operand = parse(characters.as_str(), depth + 1)?;
    Ok((Part::Variable { name: name.to_owned(), form, operand }, after))
}

/// Index of the `}` that closes what was opened before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut level = 0usize;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'}' if level == 0 => return Some(index),
            b'}' => level -= 1,
            b'{' if index > 0 && bytes[index - 1] == b'$' => level += 1,
            _ => {}
        }
    }
    None
}

/// `[_a-zA-Z][_a-zA-Z0-9]*` and the rest.
fn split_name(text: &str) -> (&str, &str) {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return ("", text);
    }
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    text.split_at(end)
}
