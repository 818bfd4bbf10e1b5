//! The same YAML reader for other files of Wharf's (wharf.yaml): one document as JSON, with the places of its values.
//!
//! Whoever reads the JSON into typed records gets, for the path of a value that is wrong, the line where it stands.

use serde_json::{Map, Number, Value as Json};

use crate::diagnostic::{Diagnostic, Errors, Kind, Problem, Sink};
use crate::load::Limits;
use crate::yaml::{self, Node, Scalar, Value};

/// A parsed document.
#[derive(Debug)]
pub struct Document {
    file: String,
    root: Option<Node>,
}

/// One step of a path into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a mapping.
    Key(String),
    /// An index of a list, from 0.
    Index(usize),
}

impl Document {
    /// Parses `text`, which must hold at most one document. `file` is its name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Document, Errors> {
        let mut sink = Sink::default();
        let source = sink.add_file(file);
        let documents = yaml::parse(text, source, &Limits::default(), &mut sink).unwrap_or_default();
        if let Some(second) = documents.get(1) {
            sink.error(second.place, Problem::new(Kind::Syntax, "the file has more than one document"));
        }
        sink.finish()?;
        Ok(Document { file: file.to_owned(), root: documents.into_iter().next() })
    }

    /// The content; an empty file is an empty mapping.
    pub fn to_json(&self) -> Json {
        self.root.as_ref().map_or_else(|| Json::Object(Map::new()), to_json)
    }

    /// A message about the value at `path`, with its place; of the nearest value above it if there is none. When the
    /// last step is an unknown key, the place is the key's own.
    pub fn diagnostic(&self, path: &[Step], message: String, hint: Option<String>) -> Diagnostic {
        let place = self.root.as_ref().map(|root| {
            let mut place = root.place;
            let mut node = root;
            for step in path {
                let next = match (step, &node.value) {
                    (Step::Key(key), Value::Mapping(mapping)) => {
                        mapping.entry(key).map(|entry| (entry.key_place, &entry.value))
                    }
                    (Step::Index(index), Value::Sequence(items)) => {
                        items.get(*index).map(|item| (item.place, item))
                    }
                    _ => None,
                };
                let Some((its_place, its_node)) = next else { break };
                place = its_place;
                node = its_node;
            }
            place
        });
        let place = place.unwrap_or_default();
        let (line, column) = (place.line as usize, place.column as usize);
        Diagnostic { kind: Kind::Value, file: self.file.clone(), line, column, message, hint }
    }
}

fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(Scalar::Null) => Json::Null,
        Value::Scalar(Scalar::Bool(value)) => Json::Bool(*value),
        Value::Scalar(Scalar::Integer(value, text)) => match i64::try_from(*value) {
            Ok(value) => Json::Number(value.into()),
            Err(_) => Json::String(text.clone()),
        },
        Value::Scalar(Scalar::Float(value, text)) => {
            Number::from_f64(*value).map_or_else(|| Json::String(text.clone()), Json::Number)
        }
        Value::Scalar(Scalar::String(text)) => Json::String(text.clone()),
        Value::Sequence(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Mapping(mapping) => Json::Object(
            mapping.entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.value))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_its_place_and_an_unknown_path_the_nearest() {
        let document =
            Document::parse("wharf.yaml", "api:\n  listen:\n    - 127.0.0.1:1\n    - x\n").unwrap();
        assert_eq!(document.to_json()["api"]["listen"][1], "x");
        let key = |name: &str| Step::Key(name.to_owned());
        let place = |path: &[Step]| document.diagnostic(path, "m".to_owned(), None).to_string();
        assert_eq!(place(&[key("api"), key("listen"), Step::Index(1)]), "wharf.yaml:4:7: m");
        assert_eq!(place(&[key("api"), key("lisen")]), "wharf.yaml:1:1: m");
        assert_eq!(Document::parse("x", "").unwrap().to_json(), Json::Object(Map::new()));
        assert!(Document::parse("x", "a: 1\n---\nb: 2\n").is_err());
    }
}
