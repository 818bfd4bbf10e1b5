//! Merges the trees of several files, the later over the earlier (compose-spec `13-merge.md`).
//!
//! Mappings are merged key by key, lists are appended, scalars are replaced. The exceptions are in [`Rule::of`],
//! by path. `!override` replaces, `!reset` removes. What must be unique in a list (mounts by target, ports) is
//! settled when the list is read, so it holds within one file as well.
//!
//! Source: compose-go `override/merge.go`. One difference: `x-wharf` is merged like any mapping, where other `x-`
//! keys are replaced as a whole.

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Kind, Problem, Sink};
use crate::yaml::{Entry, Mapping, Node, Scalar, Tag, Value};

/// Merges `over` into `base`.
pub(crate) fn merge(base: Node, over: Node, sink: &mut Sink) -> Node {
    merge_at(&mut Vec::new(), base, over, sink)
}

/// Merges a service over the one that it extends.
pub(crate) fn service(name: &str, base: Node, over: Node, sink: &mut Sink) -> Node {
    merge_at(&mut vec!["services".to_owned(), name.to_owned()], base, over, sink)
}

/// Removes what `!reset` marked.
pub(crate) fn strip_resets(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            items.retain(|item| item.tag != Some(Tag::Reset));
            items.iter_mut().for_each(strip_resets);
        }
        Value::Mapping(mapping) => {
            mapping.entries.retain(|entry| entry.value.tag != Some(Tag::Reset));
            mapping.entries.iter_mut().for_each(|entry| strip_resets(&mut entry.value));
        }
    }
}

/// How two values of the same key become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Mappings by key, lists appended, scalars replaced.
    Usual,
    /// The later value counts alone.
    Replace,
    /// A mapping or a list of `key=value`.
    Pairs,
    /// A mapping or a list of names.
    Names,
    /// A list or one entry; appended.
    List,
    /// `build`: a string is its context.
    Build,
    /// `extra_hosts`: a list of `name=address`, or a mapping; appended, because a name may have several addresses.
    Hosts,
    /// `logging`: options belong to their driver, so those of another driver go.
    Logging,
    /// A limit: both mappings are merged, else the later counts.
    Limit,
    /// `ipam.config`: ranges are merged by subnet.
    Subnets,
}

impl Rule {
    fn of(path: &[String]) -> Rule {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => {
                Rule::Replace
            }
            ["services", _, "environment" | "labels" | "annotations" | "sysctls" | "storage_opt"]
            | ["services", _, "build", "args" | "labels" | "additional_contexts"]
            | ["services", _, "deploy", "labels"]
            | ["networks" | "volumes" | "secrets" | "configs", _, "labels"] => Rule::Pairs,
            ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => Rule::Hosts,
            ["services", _, "logging"] => Rule::Logging,
            ["services", _, "ulimits", _] | ["services", _, "build", "ulimits", _] => Rule::Limit,
            ["networks", _, "ipam", "config"] => Rule::Subnets,
            ["services", _, "depends_on" | "networks"] => Rule::Names,
            ["services", _, "env_file" | "label_file" | "dns" | "dns_opt" | "dns_search" | "tmpfs"] => {
                Rule::List
            }
            ["services", _, "build"] => Rule::Build,
            [key] | ["services", _, .., key] if key.starts_with("x-") && *key != "x-wharf" => Rule::Replace,
            _ => Rule::Usual,
        }
    }
}

fn merge_at(path: &mut Vec<String>, base: Node, over: Node, sink: &mut Sink) -> Node {
    if over.tag.is_some() || base.tag == Some(Tag::Reset) {
        return over;
    }
    let rule = Rule::of(path);
    match rule {
        Rule::Replace => over,
        Rule::Usual => merge_usual(path, base, over, sink),
        // A value of the wrong form is kept as it is; the reader of the key reports it.
        Rule::Pairs | Rule::Names | Rule::List | Rule::Build | Rule::Hosts => {
            match (convert(rule, base), convert(rule, over)) {
                (Ok(base), Ok(over)) => merge_usual(path, base, over, sink),
                (Err(wrong), _) | (_, Err(wrong)) => wrong,
            }
        }
        Rule::Logging => match (driver(&base), driver(&over)) {
            (Some(old), Some(new)) if old != new => over,
            _ => merge_usual(path, base, over, sink),
        },
        Rule::Limit => match (&base.value, &over.value) {
            (Value::Mapping(_), Value::Mapping(_)) => merge_usual(path, base, over, sink),
            _ => over,
        },
        Rule::Subnets => merge_subnets(path, base, over, sink),
    }
}

fn driver(logging: &Node) -> Option<String> {
    match &logging.as_mapping()?.get("driver")?.value {
        Value::Scalar(scalar) => scalar.to_text(),
        Value::Sequence(_) | Value::Mapping(_) => None,
    }
}

/// Entries of the same subnet become one; the others are appended.
fn merge_subnets(path: &mut Vec<String>, base: Node, over: Node, sink: &mut Sink) -> Node {
    let subnet = |node: &Node| match node.as_mapping()?.get("subnet").map(|node| &node.value) {
        Some(Value::Scalar(scalar)) => scalar.to_text(),
        Some(Value::Sequence(_) | Value::Mapping(_)) | None => None,
    };
    match (base.value, over.value) {
        (Value::Sequence(mut items), Value::Sequence(more)) => {
            let mut known: HashMap<String, usize> =
                items.iter().enumerate().filter_map(|(index, item)| Some((subnet(item)?, index))).collect();
            for item in more {
                let index = subnet(&item).and_then(|subnet| known.get(&subnet).copied());
                match index {
                    Some(index) => {
                        let old = std::mem::replace(&mut items[index], Node::null(item.place));
                        items[index] = merge_usual(path, old, item, sink);
                    }
                    None => {
                        if let Some(subnet) = subnet(&item) {
                            known.insert(subnet, items.len());
                        }
                        items.push(item);
                    }
                }
            }
            Node { value: Value::Sequence(items), place: base.place, tag: base.tag }
        }
        (base_value, over_value) => {
            let (base, over) = (Node { value: base_value, ..base }, Node { value: over_value, ..over });
            merge_usual(path, base, over, sink)
        }
    }
}

fn merge_usual(path: &mut Vec<String>, base: Node, over: Node, sink: &mut Sink) -> Node {
    match (base.value, over.value) {
        (Value::Mapping(base_mapping), Value::Mapping(over_mapping)) => {
            let merged = merge_mappings(path, base_mapping, over_mapping, sink);
            Node { value: Value::Mapping(merged), place: base.place, tag: base.tag }
        }
        (Value::Sequence(mut items), Value::Sequence(more)) => {
            items.extend(more);
            Node { value: Value::Sequence(items), place: base.place, tag: base.tag }
        }
        (value @ (Value::Mapping(_) | Value::Sequence(_)), Value::Scalar(Scalar::Null)) => {
            Node { value, ..base }
        }
        (Value::Scalar(_), value) => Node { value, ..over },
        (base_value, over_value) => {
            let base = Node { value: base_value, ..base };
            let over = Node { value: over_value, ..over };
            let message = format!(
                "cannot merge {} into {} (`{}`, {})",
                over.describe(),
                base.describe(),
                path.join("."),
                sink.describe(base.place, over.place),
            );
            let problem = Problem::new(Kind::Value, message);
            sink.error(over.place, problem.hint("use the same form in both files, or `!override`"));
            over
        }
    }
}

fn merge_mappings(path: &mut Vec<String>, base: Mapping, over: Mapping, sink: &mut Sink) -> Mapping {
    let index: HashMap<String, usize> =
        base.entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
    let mut entries: Vec<Entry> = base.entries;
    for entry in over.entries {
        match index.get(&entry.key) {
            None => entries.push(entry),
            Some(&index) => {
                let old = std::mem::replace(&mut entries[index].value, Node::null(entry.key_place));
                path.push(entry.key);
                let merged = merge_at(path, old, entry.value, sink);
                path.pop();
                entries[index].key_place = entry.key_place;
                entries[index].value = merged;
            }
        }
    }
    Mapping { entries }
}

/// Brings a value into the form in which the rule merges it; gives it back if it has none of the forms.
fn convert(rule: Rule, node: Node) -> Result<Node, Node> {
    match (rule, &node.value) {
        (_, Value::Scalar(Scalar::Null)) | (Rule::Pairs | Rule::Names | Rule::Build, Value::Mapping(_)) => {
            Ok(node)
        }
        (Rule::Pairs, Value::Sequence(items)) => match pairs(items) {
            Some(mapping) => Ok(Node { value: Value::Mapping(mapping), ..node }),
            None => Err(node),
        },
        (Rule::Names, Value::Sequence(items)) => match names(items) {
            Some(mapping) => Ok(Node { value: Value::Mapping(mapping), ..node }),
            None => Err(node),
        },
        (Rule::List | Rule::Hosts, Value::Sequence(_)) => Ok(node),
        (Rule::Hosts, Value::Mapping(mapping)) => match hosts(mapping) {
            Some(items) => Ok(Node { value: Value::Sequence(items), ..node }),
            None => Err(node),
        },
        (Rule::List, Value::Scalar(Scalar::String(_)) | Value::Mapping(_)) => {
            let place = node.place;
            Ok(Node::new(place, Value::Sequence(vec![node])))
        }
        (Rule::Build, Value::Scalar(Scalar::String(_))) => {
            let place = node.place;
            let entry = Entry { key: "context".to_owned(), key_place: place, value: node };
            Ok(Node::new(place, Value::Mapping(Mapping { entries: vec![entry] })))
        }
        _ => Err(node),
    }
}

/// `[A=1, B]` as `{A: "1", B: null}`; the last definition of a key counts.
pub(crate) fn pairs(items: &[Node]) -> Option<Mapping> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for item in items {
        let Value::Scalar(Scalar::String(text)) = &item.value else {
            return None;
        };
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Node::string(item.place, value)),
            None => (text.as_str(), Node::null(item.place)),
        };
        let value = Node { tag: item.tag, ..value };
        match index.get(key) {
            Some(&index) => entries[index].value = value,
            None => {
                index.insert(key.to_owned(), entries.len());
                entries.push(Entry { key: key.to_owned(), key_place: item.place, value });
            }
        }
    }
    Some(Mapping { entries })
}

/// `{name: address}` as `[name=address]`.
fn hosts(mapping: &Mapping) -> Option<Vec<Node>> {
    let mut items = Vec::new();
    for entry in &mapping.entries {
        let addresses = match &entry.value.value {
            Value::Sequence(items) => items.as_slice(),
            Value::Scalar(_) | Value::Mapping(_) => std::slice::from_ref(&entry.value),
        };
        for address in addresses {
            let Value::Scalar(Scalar::String(text)) = &address.value else { return None };
            let node = Node::string(address.place, format!("{}={text}", entry.key));
            items.push(Node { tag: address.tag, ..node });
        }
    }
    Some(items)
}

/// `[a, b]` as `{a: null, b: null}`.
fn names(items: &[Node]) -> Option<Mapping> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    for item in items {
        let Value::Scalar(scalar) = &item.value else {
            return None;
        };
        let key = scalar.to_text()?;
        let value = Node { tag: item.tag, ..Node::null(item.place) };
        if seen.insert(key.clone()) {
            entries.push(Entry { key, key_place: item.place, value });
        }
    }
    Some(Mapping { entries })
}
