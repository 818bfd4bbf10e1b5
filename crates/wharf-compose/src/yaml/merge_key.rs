//! `<<`: takes the entries of other mappings over, where the mapping has none of its own.

use crate::diagnostic::{Kind, Place, Problem};
use crate::yaml::{Mapping, Node, Value, tree};

/// Adds what `merged`, the value of `<<`, brings in. Own keys win, then earlier mappings of a list.
pub(super) fn apply(mapping: &mut Mapping, merged: &Node) -> Result<(), (Place, Problem)> {
    let sources: Vec<&Node> = match &merged.value {
        Value::Sequence(items) => items.iter().collect(),
        Value::Mapping(_) | Value::Scalar(_) => vec![merged],
    };
    let mut present = tree::key_set(mapping);
    for source in sources {
        let Some(source_mapping) = source.as_mapping() else {
            let message =
                format!("`<<` takes a mapping or a list of mappings, this is {}", source.describe());
            return Err((source.place, Problem::new(Kind::Syntax, message)));
        };
        for entry in &source_mapping.entries {
            if present.insert(entry.key.clone()) {
                mapping.entries.push(entry.clone());
            }
        }
    }
    Ok(())
}
