//! Builds the tree from saphyr's events.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::diagnostic::{Kind, Place, Problem, Sink};
use crate::load::Limits;
use crate::yaml::{Entry, Mapping, Node, Scalar, Tag, Value, merge_key};

/// Parses all documents of a file. `None` means that an error was reported.
///
/// Documents without content are left out; several documents are merged by the caller like several files.
pub(crate) fn parse(text: &str, source: u32, limits: &Limits, sink: &mut Sink) -> Option<Vec<Node>> {
    let start = Place { source, line: 0, column: 0 };
    if text.len() > limits.file_bytes_max {
        let message = format!("the file has {} bytes, more than {}", text.len(), limits.file_bytes_max);
        sink.error(start, Problem::new(Kind::Limit, message));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        source,
        limits,
        sink,
        open: Vec::new(),
        anchors: HashMap::new(),
        node_count: 0,
        anchored_count: 0,
        documents: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let result = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(builder.syntax_error(&error)),
        };
        if let Err((place, problem)) = result {
            builder.sink.error(place, problem);
            return None;
        }
    }
    let documents = builder.documents;
    (!sink.has_errors()).then_some(documents)
}

type Failure = (Place, Problem);

struct Builder<'a> {
    source: u32,
    limits: &'a Limits,
    sink: &'a mut Sink,
    /// Collections that are not closed yet, the innermost last.
    open: Vec<Open>,
    /// Finished nodes by anchor, with the number of nodes in them.
    anchors: HashMap<usize, (Node, usize)>,
    /// Nodes so far, with the copies that aliases made.
    node_count: usize,
    /// Nodes in `anchors`; nested anchors hold copies of each other's.
    anchored_count: usize,
    documents: Vec<Node>,
}

struct Open {
    anchor: usize,
    node_count_before: usize,
    node: Node,
    /// Of a mapping: the key whose value comes next.
    key: Option<(String, Place)>,
    /// Of a mapping: places of the keys so far.
    keys: HashMap<String, Place>,
    /// Of a mapping: what `<<` brings in.
    merged: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Failure> {
        let place = self.place(&span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, place)?;
                let (tag, is_string) = self.tag(tag.as_deref(), place)?;
                let scalar = match style {
                    ScalarStyle::Plain if !is_string => Scalar::from_plain(&text),
                    ScalarStyle::Plain
                    | ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Scalar::String(text.to_string()),
                };
                let is_merge_key = style == ScalarStyle::Plain && text == "<<";
                let node = Node { place, tag, value: Value::Scalar(scalar) };
                self.add(node, anchor, 1, is_merge_key)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(place, Value::Sequence(Vec::new()), anchor, tag.as_deref())
            }
            Event::MappingStart(anchor, tag) => {
                self.open(place, Value::Mapping(Mapping::default()), anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some((node, count)) = self.anchors.get(&anchor) else {
                    let problem = Problem::new(Kind::Syntax, "an alias inside of the node that it refers to");
                    return Err((place, problem));
                };
                let (node, count) = (node.clone(), *count);
                self.count(count, place)?;
                self.add(node, 0, count, false)
            }
        }
    }

    fn open(
        &mut self,
        place: Place,
        value: Value,
        anchor: usize,
        tag: Option<&saphyr_parser::Tag>,
    ) -> Result<(), Failure> {
        let node_count_before = self.node_count;
        self.count(1, place)?;
        if self.open.len() >= self.limits.depth_max {
            return Err((place, self.too_deep()));
        }
        let (tag, _) = self.tag(tag, place)?;
        let node = Node { place, tag, value };
        let keys = HashMap::new();
        self.open.push(Open { anchor, node_count_before, node, key: None, keys, merged: None });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some(mut open) = self.open.pop() else {
            return Ok(());
        };
        if let (Value::Mapping(mapping), Some(merged)) = (&mut open.node.value, open.merged.take()) {
            merge_key::apply(mapping, &merged)?;
        }
        let count = self.node_count - open.node_count_before;
        self.add(open.node, open.anchor, count, false)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, anchor: usize, count: usize, is_merge_key: bool) -> Result<(), Failure> {
        // Anchor ids start at 1.
        if anchor > 0 {
            self.anchored_count += count;
            self.check_count(self.anchored_count, node.place)?;
            self.anchors.insert(anchor, (node.clone(), count));
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        match &mut open.node.value {
            Value::Scalar(_) => Ok(()),
            Value::Sequence(items) => {
                items.push(node);
                Ok(())
            }
            Value::Mapping(mapping) => match open.key.take() {
                None => {
                    let key = key_text(&node)?;
                    if let Some(first) = open.keys.insert(key.clone(), node.place) {
                        let shown = self.sink.describe(first, node.place);
                        let message = format!("key `{key}` is defined twice, first in {shown}");
                        let problem = Problem::new(Kind::Syntax, message);
                        let problem =
                            if is_merge_key { problem.hint("write `<<: [*a, *b]`") } else { problem };
                        self.sink.error(node.place, problem);
                    }
                    // A quoted "<<" is a key like any other; the marker keeps the two apart.
                    open.key = Some((if is_merge_key { String::new() } else { key }, node.place));
                    Ok(())
                }
                Some((key, _)) if key.is_empty() => {
                    open.merged = Some(node);
                    Ok(())
                }
                Some((key, key_place)) => {
                    mapping.entries.push(Entry { key, key_place, value: node });
                    Ok(())
                }
            },
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Failure> {
        self.node_count += nodes;
        self.check_count(self.node_count, place)
    }

    fn check_count(&self, count: usize, place: Place) -> Result<(), Failure> {
        if count > self.limits.nodes_max {
            let message = format!("more than {} values after expanding aliases", self.limits.nodes_max);
            return Err((place, Problem::new(Kind::Limit, message)));
        }
        Ok(())
    }

    /// Compose's own tags, and whether `!!str` makes it a string. YAML's other tags change nothing for Compose.
    fn tag(&self, tag: Option<&saphyr_parser::Tag>, place: Place) -> Result<(Option<Tag>, bool), Failure> {
        let Some(tag) = tag else {
            return Ok((None, false));
        };
        if tag.is_yaml_core_schema() {
            return Ok((None, tag.suffix == "str"));
        }
        match (tag.handle.as_str(), tag.suffix.as_str()) {
            ("!", "reset") => Ok((Some(Tag::Reset), false)),
            ("!", "override") => Ok((Some(Tag::Override), false)),
            ("!", "") | ("", "!") => Ok((None, true)),
            (handle, suffix) => {
                let message = format!("unknown tag `{}`", crate::yaml::shorten(&format!("{handle}{suffix}")));
                let problem =
                    Problem::new(Kind::Syntax, message).hint("Compose knows `!reset` and `!override`");
                Err((place, problem))
            }
        }
    }

    fn place(&self, span: &Span) -> Place {
        Place {
            source: self.source,
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn too_deep(&self) -> Problem {
        Problem::new(Kind::Limit, format!("nested more than {} levels deep", self.limits.depth_max))
    }

    fn syntax_error(&self, error: &ScanError) -> Failure {
        let mark = *error.marker();
        let place = self.place(&Span::new(mark, mark));
        let info = error.info();
        // The scanner has a limit of its own, above ours, for brackets that it looks ahead over.
        if info.contains("recursion limit") {
            return (place, self.too_deep());
        }
        let problem = Problem::new(Kind::Syntax, format!("not valid YAML: {info}"));
        let problem = if info.contains("tab") {
            problem.hint("YAML is indented with spaces")
        } else if info.contains("simple key")
            || info.contains("expected key")
            || info.contains("mapping values are not allowed")
        {
            problem.hint("check the indentation, and put texts with `: ` in quotes")
        } else {
            problem
        };
        (place, problem)
    }
}

fn key_text(node: &Node) -> Result<String, Failure> {
    let key = match &node.value {
        Value::Scalar(Scalar::Integer(_, text) | Scalar::Float(_, text)) => Some(text.clone()),
        Value::Scalar(scalar) => scalar.to_text(),
        Value::Sequence(_) | Value::Mapping(_) => None,
    };
    match key {
        // The empty key marks a merge in `Open::key`, and no key of Compose is empty.
        Some(key) if !key.is_empty() => Ok(key),
        _ => {
            let message = format!("a key must be a string, this is {}", node.describe());
            Err((node.place, Problem::new(Kind::Syntax, message)))
        }
    }
}

/// Keys of a mapping as a set, for look-ups in long mappings.
pub(super) fn key_set(mapping: &Mapping) -> HashSet<String> {
    mapping.entries.iter().map(|entry| entry.key.clone()).collect()
}
