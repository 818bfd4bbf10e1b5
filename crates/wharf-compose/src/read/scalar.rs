//! Reads scalars. Numbers and booleans may come as strings, because interpolation gives strings.

use std::time::Duration;

use wharf_base::{ByteSize, duration, suggest};

use crate::diagnostic::Problem;
use crate::yaml::{Node, Scalar, Value};

pub(super) fn is_string(node: &Node) -> bool {
    matches!(node.value, Value::Scalar(Scalar::String(_)))
}

/// The text of a scalar that isn't null.
fn text(node: &Node, expected: &str) -> Result<String, Problem> {
    match &node.value {
        Value::Scalar(scalar) => scalar.to_text(),
        Value::Sequence(_) | Value::Mapping(_) => None,
    }
    .ok_or_else(|| wrong(node, expected))
}

pub(super) fn wrong(node: &Node, expected: &str) -> Problem {
    Problem::value(format!("{expected} is expected, this is {}", node.describe()))
}

/// `true` or `false`; compose-go also takes YAML 1.1's words in strings.
pub(super) fn boolean(node: &Node) -> Result<bool, Problem> {
    match &node.value {
        Value::Scalar(Scalar::Bool(value)) => Ok(*value),
        Value::Scalar(Scalar::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" => Ok(true),
            "false" | "n" | "no" | "off" => Ok(false),
            _ => Err(wrong(node, "true or false")),
        },
        Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => Err(wrong(node, "true or false")),
    }
}

/// A whole number in `minimum..=maximum`.
pub(super) fn integer(node: &Node, minimum: i64, maximum: i64) -> Result<i64, Problem> {
    let number = match &node.value {
        Value::Scalar(Scalar::Integer(value, _)) => i64::try_from(*value).ok(),
        Value::Scalar(Scalar::String(text)) => text.trim().parse().ok(),
        Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => None,
    };
    match number {
        Some(number) if (minimum..=maximum).contains(&number) => Ok(number),
        Some(number) => Err(Problem::value(format!("{number} is not between {minimum} and {maximum}"))),
        None => Err(wrong(node, "a whole number")),
    }
}

/// A count that fits a `u32`.
pub(super) fn count(node: &Node, minimum: u32, maximum: u32) -> Result<u32, Problem> {
    let number = integer(node, i64::from(minimum), i64::from(maximum))?;
    Ok(u32::try_from(number).expect("the bounds are u32"))
}

/// A port number from 1.
pub(super) fn port(node: &Node) -> Result<u16, Problem> {
    let number = integer(node, 1, i64::from(u16::MAX))?;
    Ok(u16::try_from(number).expect("the bounds are u16"))
}

/// A Go duration.
pub(super) fn duration(node: &Node) -> Result<Duration, Problem> {
    duration::parse(&text(node, "a duration")?).map_err(|error| Problem::value(error.to_string()))
}

/// A duration above zero.
pub(super) fn positive_duration(node: &Node) -> Result<Duration, Problem> {
    match duration(node)? {
        Duration::ZERO => Err(Problem::value("a duration above zero is expected")),
        duration => Ok(duration),
    }
}

/// A number of bytes, such as `256M`.
pub(super) fn bytes(node: &Node) -> Result<u64, Problem> {
    let size: ByteSize = text(node, "a byte size")?
        .parse()
        .map_err(|error: wharf_base::ByteSizeError| Problem::value(error.to_string()))?;
    Ok(size.0)
}

/// A number of CPUs, kept to a billionth as the Engine does.
pub(super) fn cpus(node: &Node) -> Result<f64, Problem> {
    let text = text(node, "a number of CPUs")?;
    // LIMIT: 4,096 is more than any host has; the Engine refuses what its own host lacks.
    match text.trim().parse::<f64>() {
        Ok(cpus) if cpus > 0.0 && cpus <= 4096.0 => Ok((cpus * 1e9).round() / 1e9),
        Ok(_) | Err(_) => {
            Err(Problem::value(format!("`{}` is not a number of CPUs", crate::yaml_text(&text)))
                .hint("write a number above zero, such as 0.5"))
        }
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(node: &Node, words: &[(&str, T)]) -> Result<T, Problem> {
    let text = text(node, "a word")?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let expected: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("`{}` is none of {}", crate::yaml_text(&text), expected.join(", "));
    let problem = Problem::value(message);
    Err(match suggest(&text, expected) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}
