//! `ulimits`: one number for both limits, or `soft` and `hard`.

use std::collections::BTreeMap;

use crate::diagnostic::Problem;
use crate::project::Ulimit;
use crate::read::context::Context;
use crate::read::scalar;
use crate::schema_keys as keys;
use crate::yaml::Node;

pub(super) fn read(cx: &mut Context<'_>, node: &Node, what: &str) -> BTreeMap<String, Ulimit> {
    let mut ulimits = BTreeMap::new();
    for entry in cx.entries(node, what) {
        let what = format!("`{}` in {what}", crate::yaml_text(&entry.key));
        let limit = |node: &Node| scalar::integer(node, -1, i64::MAX);
        if entry.value.as_mapping().is_none() {
            if let Some(both) = cx.scalar(&entry.value, &what, limit) {
                ulimits.insert(entry.key.clone(), Ulimit { soft: both, hard: both });
            }
            continue;
        }
        let (mut soft, mut hard) = (None, None);
        for field in cx.fields(&entry.value, &keys::ULIMIT, &what) {
            let slot = if field.key == "soft" { &mut soft } else { &mut hard };
            *slot = cx.scalar(&field.value, format_args!("`{}` in {what}", field.key), limit);
        }
        match (soft, hard) {
            (Some(soft), Some(hard)) => {
                ulimits.insert(entry.key.clone(), Ulimit { soft, hard });
            }
            _ => cx.error(entry.key_place, Problem::value("`soft` and `hard` are needed").about(&what)),
        }
    }
    ulimits
}
