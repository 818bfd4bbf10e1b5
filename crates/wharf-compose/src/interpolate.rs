//! `$V`, `${V}`, `${V:-default}` and their kin (compose-spec `12-interpolation.md`).
//!
//! A text is parsed completely first and evaluated then, so that a mistake shows even in a branch that is not
//! taken; only variables that are needed are looked up. Operands may hold further variables. As in compose-go, an
//! operand ends at the `}` that closes it, where only `${` opens a new level, and keys are never interpolated.
//!
//! Always: a text without `$` stays as it is; no input panics.

mod template;

use crate::diagnostic::{Kind, Place, Problem, Sink};
use crate::yaml::{Mapping, Node, Scalar, Value};

pub(crate) use template::Template;

/// LIMIT: a value longer than this is no setting; it keeps `${BIG}${BIG}…` from filling the memory.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Looks a variable up; `None` means that it is not set.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text with its variables replaced, and the names that were not set and had no default.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interpolated {
    pub(crate) text: String,
    pub(crate) unset: Vec<String>,
}

/// Replaces the variables of one text.
pub(crate) fn text(text: &str, lookup: Lookup<'_>) -> Result<Interpolated, Problem> {
    let mut result = Interpolated { text: String::new(), unset: Vec::new() };
    Template::parse(text)?.evaluate(lookup, &mut result)?;
    Ok(result)
}

/// Replaces the variables in every string of the tree; whatever held a variable is a string afterwards.
pub(crate) fn tree(node: &mut Node, lookup: Lookup<'_>, sink: &mut Sink) {
    match &mut node.value {
        Value::Scalar(Scalar::String(string)) if string.contains('$') => {
            if let Some(result) = string_in_tree(string, node.place, lookup, sink) {
                *string = result;
            }
        }
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            for item in items {
                tree(item, lookup, sink);
            }
        }
        Value::Mapping(Mapping { entries }) => {
            for entry in entries {
                if entry.key.contains("${") {
                    let problem = Problem::new(
                        Kind::Effect,
                        format!("`{}`: variables in keys are not replaced", crate::yaml_text(&entry.key)),
                    );
                    sink.warn(
                        entry.key_place,
                        problem.hint("write a list of `key=value` instead of a mapping"),
                    );
                }
                tree(&mut entry.value, lookup, sink);
            }
        }
    }
}

fn string_in_tree(string: &str, place: Place, lookup: Lookup<'_>, sink: &mut Sink) -> Option<String> {
    match text(string, lookup) {
        Ok(result) => {
            warn_unset(&result.unset, place, sink);
            Some(result.text)
        }
        Err(problem) => {
            sink.error(place, problem);
            None
        }
    }
}

/// Says which variables became empty strings.
pub(crate) fn warn_unset(unset: &[String], place: Place, sink: &mut Sink) {
    for name in unset {
        let problem = Problem::new(
            Kind::Interpolation,
            format!("variable `{name}` is not set, an empty string is used"),
        );
        sink.warn(place, problem.hint(format!("set it, or write `${{{name}:-default}}`")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "A" => Some("a".to_owned()),
            "B" => Some("b".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$A".to_owned()),
            _ => None,
        }
    }

    fn check(input: &str, expected: &str) {
        let actual = match text(input, &environment) {
            Ok(result) if result.unset.is_empty() => result.text,
            Ok(result) => format!("{} [unset: {}]", result.text, result.unset.join(" ")),
            Err(problem) => format!("error: {}", problem.message),
        };
        assert_eq!(actual, expected, "{input}");
    }

    #[test]
    fn replaces_every_form() {
        for (input, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$A", "a"),
            ("$A-$B", "a-b"),
            ("${A}x", "ax"),
            ("x${A}${B}", "xab"),
            ("$Ax", " [unset: Ax]"),
            ("${X}", " [unset: X]"),
            ("${X:-d}", "d"),
            ("${X-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${A:-d}", "a"),
            ("${A:+yes}", "yes"),
            ("${A+yes}", "yes"),
            ("${X:+yes}", ""),
            ("${EMPTY:+yes}", ""),
            ("${EMPTY+yes}", "yes"),
            ("${A:?e}", "a"),
            ("${EMPTY?e}", ""),
            ("${X:?set X}", "error: required variable `X` is not set: set X"),
            ("${X?}", "error: required variable `X` is not set"),
            ("${EMPTY:?say it}", "error: required variable `EMPTY` is empty: say it"),
            ("${X:?no $A}", "error: required variable `X` is not set: no a"),
            ("$$", "$"),
            ("$$A", "$A"),
            ("$$$A", "$a"),
            ("$${A}", "${A}"),
            ("${X:-$A}", "a"),
            ("${X:-${Y:-${B}}}", "b"),
            ("${X:-${Y:-deep}}/${A}", "deep/a"),
            ("${A:-${MISSING:?never needed}}", "a"),
            ("${X:-a:b-c?d}", "a:b-c?d"),
            ("${X:-{\"k\":1}}", "{\"k\":1}"),
            ("${X:-$$5}", "$5"),
            ("${DOLLAR}", "$A"),
            ("${X:-}", ""),
            ("é${A}é", "éaé"),
        ] {
            check(input, expected);
        }
    }

    #[test]
    fn refuses_what_compose_refuses() {
        for (input, expected) in [
            ("$", "error: a lone `$`"),
            ("costs $5", "error: a lone `$`"),
            ("${", "error: `${` without `}`"),
            ("${A", "error: `${` without `}`"),
            ("${}", "error: `${}` names no variable"),
            ("${1}", "error: `${1}` names no variable"),
            ("${A!}", "error: `${A!}`: after the name comes `}` or one of :- - :? ? :+ +"),
            ("${A:x}", "error: `${A:x}`: after the name comes `}` or one of :- - :? ? :+ +"),
            ("${X:-${Y}", "error: `${` without `}`"),
            ("${A:-$}", "error: a lone `$`"),
        ] {
            check(input, expected);
        }
        check(
            &format!("{}{}", "${A:-".repeat(40), "}".repeat(40)),
            "error: variables are nested more than 32 deep",
        );
    }

    #[test]
    fn a_value_has_a_bound() {
        let big = |_: &str| Some("x".repeat(VALUE_BYTES_MAX / 2 + 1));
        assert!(text("${V}", &big).is_ok());
        assert_eq!(text("${V}${V}", &big).unwrap_err().kind, Kind::Limit);
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_is_unchanged(input in "[^$]{0,200}") {
            let result = text(&input, &environment).unwrap();
            prop_assert_eq!(result, Interpolated { text: input, unset: Vec::new() });
        }

        #[test]
        fn escaped_text_is_unchanged(input in ".{0,200}") {
            let result = text(&input.replace('$', "$$"), &environment).unwrap();
            prop_assert_eq!(result.text, input);
        }

        #[test]
        fn no_input_panics(input in r"([$]|[$]\{|\}|[-:?+]|[AX1é \\]){0,60}") {
            let _ = text(&input, &environment);
        }

        #[test]
        fn a_set_variable_wins_over_any_default(value in "[^$}]{1,40}", default in "[^$}]{0,40}") {
            let lookup = |_: &str| Some(value.clone());
            let result = text(&format!("${{V:-{default}}}"), &lookup).unwrap();
            prop_assert_eq!(&result.text, &value);
        }
    }
}
