//! `--set a.b=value`: one key of the configuration from the command line.

use serde_json::{Map, Value};
use wharf_compose::document::{Document, Step};

use crate::failure::usage;

/// Puts the value at the path into `json`. The value is read as YAML, so `true`, `3` and `[a, b]` are what they look like.
pub(super) fn apply(json: &mut Value, set: &str) -> anyhow::Result<Vec<Step>> {
    let Some((key, text)) = set.split_once('=') else {
        return Err(usage(format!(
            "--set {set}: it has no `=`\n  hint: write --set KEY=VALUE, such as --set api.listen=127.0.0.1:7701"
        )));
    };
    let document =
        Document::parse("value", text).map_err(|errors| usage(format!("--set {set}: {errors}")))?;
    let value = if text.trim().is_empty() { Value::String(String::new()) } else { document.to_json() };
    let mut place = json;
    for part in key.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = place.as_object_mut().expect("made one just now").entry(part).or_insert(Value::Null);
    }
    *place = value;
    Ok(key.split('.').map(|part| Step::Key(part.to_owned())).collect())
}
