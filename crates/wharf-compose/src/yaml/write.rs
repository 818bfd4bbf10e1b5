//! Writes JSON values as YAML that every YAML reader takes for the same, also those of YAML 1.1.
//!
//! Texts without quotes are few: words that nothing could read as something else. Long texts of several lines become
//! literal blocks; all others are in double quotes with JSON's escapes, which YAML has too.

use std::fmt::Write;

use serde_json::Value;

use crate::yaml::Scalar;

/// The text of a document; `value` is an object or list.
pub(crate) fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => entries(&mut text, value, 0),
        Value::Array(items) if !items.is_empty() => entries(&mut text, value, 0),
        _ => {
            inline(&mut text, value, 0);
            text.push('\n');
        }
    }
    text
}

/// The lines of a collection that is not empty.
fn entries(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                margin(text, indent);
                string(text, key);
                text.push(':');
                after_key(text, value, indent);
            }
        }
        Value::Array(items) => {
            for item in items {
                margin(text, indent);
                text.push('-');
                match item {
                    // The first entry stands in the line of the dash.
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        entries(&mut inner, item, indent + 2);
                        text.push(' ');
                        text.push_str(inner.trim_start_matches(' '));
                    }
                    _ => after_key(text, item, indent),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn margin(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn after_key(text: &mut String, value: &Value, indent: usize) {
    let is_long = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if is_long {
        text.push('\n');
        entries(text, value, indent + 2);
    } else {
        text.push(' ');
        inline(text, value, indent + 2);
        text.push('\n');
    }
}

fn inline(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        // Writing to a string doesn't fail.
        Value::Number(number) => drop(write!(text, "{number}")),
        Value::String(value) if is_block(value) => block(text, value, indent),
        Value::String(value) => string(text, value),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
}

/// Whether a text of several lines can be a literal block: nothing in it needs an escape, and its first line begins
/// with no space, which would count as indentation.
fn is_block(value: &str) -> bool {
    let body = value.strip_suffix('\n').unwrap_or(value);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n'])
        && body.chars().all(|c| c == '\n' || is_printed(c))
        && body.lines().all(|line| line.is_empty() || !line.trim_start_matches(' ').is_empty())
}

fn block(text: &mut String, value: &str, indent: usize) {
    text.push_str(if value.ends_with('\n') { "|" } else { "|-" });
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        text.push('\n');
        if !line.is_empty() {
            margin(text, indent);
            text.push_str(line);
        }
    }
}

/// Characters that YAML takes as they are, without those that some reader takes for an end of a line.
fn is_printed(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn string(text: &mut String, value: &str) {
    if is_word(value) {
        text.push_str(value);
        return;
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if is_printed(c) => text.push(c),
            // JSON has no escape with eight digits, and needs none: what is not printed lies below U+10000.
            c => drop(write!(text, "\\u{:04x}", u32::from(c))),
        }
    }
    text.push('"');
}

/// Whether the text may stand without quotes.
fn is_word(value: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.' | '_');
    let is_next = |c: char| c.is_ascii_alphanumeric() || "/._-+=@,%:".contains(c);
    // YAML 1.1 reads these as booleans.
    let is_boolean = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        .contains(&value.to_ascii_lowercase().as_str());
    // Without spaces a colon means nothing, except at the end.
    value.starts_with(is_first)
        && !value.ends_with(':')
        && value.chars().all(is_next)
        && !is_boolean
        && matches!(Scalar::from_plain(value), Scalar::String(_))
        && !value.starts_with("..")
        && value != "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    use crate::document::Document;

    #[test]
    fn writes_what_people_would_write() {
        let value = json!({
            "name": "shop",
            "services": {"web": {
                "image": "nginx", "command": ["sh", "-c", "a\nb\n"], "init": true, "empty": {}, "none": [], "null": null,
                "ports": [{"target": 80, "published": "80"}], "lines": "one\n\n  two", "quoted": ["no", "1.10", "a: b", ""],
            }},
        });
        insta::assert_snapshot!(write(&value), @r#"
        name: shop
        services:
          web:
            image: nginx
            command:
              - sh
              - "-c"
              - |
                a
                b
            init: true
            empty: {}
            none: []
            "null": null
            ports:
              - target: 80
                published: "80"
            lines: |-
              one

                two
            quoted:
              - "no"
              - "1.10"
              - "a: b"
              - ""
        "#);
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            ".{0,12}",
            "[a-z0-9:#&*!|>'\"%@`,{}\\[\\]?~<=. \n\t\r-]{0,12}",
            "[ab \n]{0,8}",
            Just("\u{85}\u{2028}\u{feff}\u{7f}\0".to_owned()),
            Just("<<".to_owned()),
            Just("---".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let key = prop_oneof!["[a-z.x-]{1,6}", ".{1,6}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map(key, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_again(value in value()) {
            let value = json!({ "key": value });
            let text = write(&value);
            let read = Document::parse("x", &text).map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
            prop_assert_eq!(read.to_json(), value, "{}", text);
        }
    }
}
