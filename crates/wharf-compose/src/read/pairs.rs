//! `environment`, `labels`, `args`: a mapping, or a list of `key=value`.

use std::collections::BTreeMap;

use crate::diagnostic::{Kind, Place, Problem};
use crate::merge;
use crate::read::context::Context;
use crate::yaml::{Entry, Mapping, Node, Scalar, Value};

/// One pair; the value is `None` where none was written.
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) place: Place,
}

/// Reads either form, in order.
pub(super) fn read(cx: &mut Context<'_>, node: &Node, what: &str) -> Vec<Pair> {
    let from_list: Mapping;
    let entries: &[Entry] = match &node.value {
        Value::Sequence(items) => {
            for item in items {
                check_item(cx, item, what);
            }
            from_list = merge::pairs(items).unwrap_or_default();
            &from_list.entries
        }
        Value::Mapping(_) | Value::Scalar(_) => cx.entries(node, what),
    };
    entries.iter().filter_map(|entry| pair(cx, entry, what)).collect()
}

fn check_item(cx: &mut Context<'_>, item: &Node, what: &str) {
    if !matches!(item.value, Value::Scalar(Scalar::String(_))) {
        let problem = Problem::value(format!("`key=value` is expected, this is {}", item.describe()));
        let problem = match item.value {
            Value::Mapping(_) => problem.hint("write `- key=value`, or a mapping without dashes"),
            Value::Scalar(_) | Value::Sequence(_) => problem,
        };
        cx.error(item.place, problem.about(what));
    }
}

fn pair(cx: &mut Context<'_>, entry: &Entry, what: &str) -> Option<Pair> {
    let node = &entry.value;
    if entry.key.is_empty() {
        cx.error(entry.key_place, Problem::value("a key is missing before `=`").about(what));
        return None;
    }
    let Value::Scalar(scalar) = &node.value else {
        let message =
            format!("`{}` is {}, a string is expected", crate::yaml_text(&entry.key), node.describe());
        cx.error(node.place, Problem::value(message).about(what));
        return None;
    };
    if let (Some(written), Some(text)) = (scalar.rewritten(), scalar.to_text()) {
        let message =
            format!("`{}: {written}` is a number and becomes `{text}`", crate::yaml_text(&entry.key));
        cx.warn(
            node.place,
            Problem::new(Kind::Effect, message).about(what).hint("put it in quotes to keep the text"),
        );
    }
    Some(Pair { key: entry.key.clone(), value: scalar.to_text(), place: entry.key_place })
}

/// Options: a pair without a value has an empty one.
pub(super) fn map(cx: &mut Context<'_>, node: &Node, what: &str) -> BTreeMap<String, String> {
    read(cx, node, what).into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
}

/// Labels: a pair without a value is a label with an empty one.
pub(super) fn labels(cx: &mut Context<'_>, node: &Node, what: &str) -> BTreeMap<String, String> {
    let pairs = read(cx, node, what);
    for pair in &pairs {
        if pair.key.starts_with("wharf.") {
            let message = format!("label `{}`: `wharf.` is kept for Wharf's own labels", pair.key);
            cx.error(pair.place, Problem::value(message).about(what));
        }
    }
    pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
}
