//! What every reader needs: the sink, the environment, what is declared, and the look at a mapping's keys.

use std::collections::BTreeSet;
use std::fmt;

use wharf_base::suggest;

use crate::diagnostic::{Kind, Place, Problem, Sink};
use crate::interpolate::Lookup;
use crate::load::Reader;
use crate::profiles::Inactive;
use crate::read::{path, scalar};
use crate::schema_keys::Keys;
use crate::yaml::{Entry, Node, Scalar, Value};

/// Things that services refer to by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    Service,
    Network,
    Volume,
    Secret,
    Config,
}

pub(super) struct Context<'a> {
    pub(super) sink: &'a mut Sink,
    pub(super) environment: Lookup<'a>,
    pub(super) reader: Reader<'a>,
    /// Keys that the file declares.
    pub(super) services: BTreeSet<String>,
    pub(super) networks: BTreeSet<String>,
    pub(super) volumes: BTreeSet<String>,
    secrets: BTreeSet<String>,
    configs: BTreeSet<String>,
    /// Services that the files have and that are not active.
    pub(super) inactive: Option<&'a Inactive>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        tree: &Node,
        environment: Lookup<'a>,
        reader: Reader<'a>,
        sink: &'a mut Sink,
    ) -> Context<'a> {
        let declared = |key: &str| -> BTreeSet<String> {
            let mapping = tree.as_mapping().and_then(|top| top.get(key)).and_then(Node::as_mapping);
            mapping.into_iter().flat_map(|mapping| &mapping.entries).map(|entry| entry.key.clone()).collect()
        };
        Context {
            services: declared("services"),
            networks: declared("networks"),
            volumes: declared("volumes"),
            secrets: declared("secrets"),
            configs: declared("configs"),
            inactive: None,
            sink,
            environment,
            reader,
        }
    }

    pub(super) fn error(&mut self, place: Place, problem: Problem) {
        self.sink.error(place, problem);
    }

    pub(super) fn warn(&mut self, place: Place, problem: Problem) {
        self.sink.warn(place, problem);
    }

    pub(super) fn take<T>(
        &mut self,
        place: Place,
        what: impl fmt::Display,
        result: Result<T, Problem>,
    ) -> Option<T> {
        self.sink.take(place, what, result)
    }

    /// Reads a scalar with one of the functions of [`scalar`].
    pub(super) fn scalar<T>(
        &mut self,
        node: &Node,
        what: impl fmt::Display,
        read: impl FnOnce(&Node) -> Result<T, Problem>,
    ) -> Option<T> {
        self.take(node.place, what, read(node))
    }

    /// Reads a string. Compose wants it in quotes where it looks like a number or boolean; here that is a warning.
    pub(super) fn string(&mut self, node: &Node, what: impl fmt::Display) -> Option<String> {
        let Value::Scalar(scalar) = &node.value else {
            let problem = Problem::value(format!("a string is expected, this is {}", node.describe()));
            self.error(node.place, problem.about(what));
            return None;
        };
        let Some(text) = scalar.to_text() else {
            self.error(node.place, Problem::value("a string is expected, this is nothing").about(what));
            return None;
        };
        if scalar::is_string(node) {
            return Some(text);
        }
        let message = format!("Compose wants a string, this is {}", node.describe());
        self.warn(node.place, Problem::new(Kind::Effect, message).hint("put it in quotes").about(what));
        Some(text)
    }

    /// Reads a string that may as well be a number, such as a group's.
    pub(super) fn word(&mut self, node: &Node, what: impl fmt::Display) -> Option<String> {
        match &node.value {
            Value::Scalar(scalar @ Scalar::Integer(..)) => scalar.to_text(),
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => self.string(node, what),
        }
    }

    /// A list of such words.
    pub(super) fn words(&mut self, node: &Node, what: impl fmt::Display) -> Vec<String> {
        let items = self.items(node, &what);
        items.iter().filter_map(|item| self.word(item, &what)).collect()
    }

    /// Reads true or false; false where it is neither.
    pub(super) fn boolean(&mut self, node: &Node, what: impl fmt::Display) -> bool {
        self.scalar(node, what, scalar::boolean).unwrap_or_default()
    }

    /// A string or a list of strings, with their places; without repetitions.
    pub(super) fn one_or_more(&mut self, node: &Node, what: impl fmt::Display) -> Vec<(Place, String)> {
        let nodes = match &node.value {
            Value::Scalar(_) if !node.is_null() => std::slice::from_ref(node),
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => self.items(node, &what),
        };
        let mut seen = BTreeSet::new();
        let strings = nodes.iter().filter_map(|node| Some((node.place, self.string(node, &what)?)));
        strings.filter(|(_, text)| seen.insert(text.clone())).collect()
    }

    /// A list of strings without repetitions.
    pub(super) fn set(&mut self, node: &Node, what: impl fmt::Display) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut words = self.words(node, what);
        words.retain(|word| seen.insert(word.clone()));
        words
    }

    /// The content of a file that is named at `place`; its path is relative to the directory of the Compose file.
    pub(super) fn read_file(&mut self, place: Place, file: &str, what: &str) -> Option<String> {
        let cleaned = path::clean(self, place, file);
        let path = self.take(place, what, cleaned)?;
        let problem = match (self.reader)(&path) {
            Ok(text) => return Some(text),
            Err(error) => {
                Problem::new(Kind::File, format!("cannot read `{}`: {error}", crate::yaml_text(&path)))
            }
        };
        self.error(place, problem.about(what));
        None
    }

    /// The entries of a mapping; anything else is an error. Nothing at all is an empty mapping.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: impl fmt::Display) -> &'n [Entry] {
        if node.is_null() {
            return &[];
        }
        match node.as_mapping() {
            Some(mapping) => &mapping.entries,
            None => {
                let message = format!("a mapping is expected, this is {}", node.describe());
                self.error(node.place, Problem::value(message).about(what));
                &[]
            }
        }
    }

    /// The items of a list; anything else is an error. Nothing at all is an empty list.
    pub(super) fn items<'n>(&mut self, node: &'n Node, what: impl fmt::Display) -> &'n [Node] {
        match &node.value {
            Value::Sequence(items) => items,
            _ if node.is_null() => &[],
            Value::Scalar(_) | Value::Mapping(_) => {
                let message = format!("a list is expected, this is {}", node.describe());
                self.error(node.place, Problem::value(message).about(what));
                &[]
            }
        }
    }

    /// A list of strings.
    pub(super) fn strings(&mut self, node: &Node, what: impl fmt::Display) -> Vec<String> {
        let items = self.items(node, &what);
        items.iter().filter_map(|item| self.string(item, &what)).collect()
    }

    /// The supported entries of a mapping that have a value. All others are reported.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, keys: &Keys, what: &str) -> Vec<&'n Entry> {
        let mut fields = Vec::new();
        for entry in self.entries(node, what) {
            let key = entry.key.as_str();
            if keys.supported.contains(&key) {
                if !entry.value.is_null() {
                    fields.push(entry);
                }
            } else if let Some((_, hint)) = keys.unsupported.iter().find(|(name, _)| *name == key) {
                let problem = Problem::unsupported(format!("`{key}` in {what} is not supported yet"));
                let problem = if hint.is_empty() { problem } else { problem.hint(*hint) };
                self.error(entry.key_place, problem);
            } else if let Some((_, reason)) = keys.no_effect.iter().find(|(name, _)| *name == key) {
                let message = format!("`{key}` in {what} has no effect: {reason}");
                self.warn(entry.key_place, Problem::new(Kind::Effect, message));
            } else {
                self.unknown_key(entry, keys, what);
            }
        }
        fields
    }

    fn unknown_key(&mut self, entry: &Entry, keys: &Keys, what: &str) {
        let is_full = if keys.closed { self.sink.errors_are_full() } else { self.sink.warnings_are_full() };
        let suggest = |candidates: &mut dyn Iterator<Item = &'static str>| {
            if is_full { None } else { suggest(&entry.key, candidates) }
        };
        let shown = crate::yaml_text(&entry.key);
        let is_extension = entry.key.starts_with("x-") && !keys.closed;
        if is_extension {
            // Extensions are free, but one that looks like ours would be missed.
            if suggest(&mut ["x-wharf"].into_iter()).is_some() {
                let message = format!("`{shown}` in {what} is ignored");
                let hint = if entry.key == "x-wharf" {
                    "`x-wharf` belongs to a service"
                } else {
                    "did you mean `x-wharf`?"
                };
                self.warn(entry.key_place, Problem::new(Kind::UnknownKey, message).hint(hint));
            }
            return;
        }
        let problem = Problem::new(Kind::UnknownKey, format!("unknown key `{shown}` in {what}"));
        let problem = match suggest(&mut keys.all()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if keys.closed => problem.hint(format!("it takes {}", keys.supported.join(", "))),
            None => problem.hint("it is ignored; extensions begin with `x-`"),
        };
        if keys.closed {
            self.error(entry.key_place, problem);
        } else {
            self.warn(entry.key_place, problem);
        }
    }

    fn declared(&self, kind: Declared) -> &BTreeSet<String> {
        match kind {
            Declared::Service => &self.services,
            Declared::Network => &self.networks,
            Declared::Volume => &self.volumes,
            Declared::Secret => &self.secrets,
            Declared::Config => &self.configs,
        }
    }

    pub(super) fn is_declared(&self, kind: Declared, name: &str) -> bool {
        self.declared(kind).contains(name)
    }

    /// Reports a name that is not declared: with the nearest that is, or else with `hint`.
    pub(super) fn undeclared(
        &mut self,
        place: Place,
        message: String,
        kind: Declared,
        name: &str,
        hint: &str,
    ) {
        let problem = Problem::new(Kind::Reference, message);
        if let (Declared::Service, Some(profiles)) =
            (kind, self.inactive.and_then(|inactive| inactive.get(name)))
        {
            // LIMIT: profiles that are shown.
            let shown = profiles.iter().take(10).map(|profile| format!("`--profile {profile}`"));
            let shown: Vec<String> = shown.collect();
            let hint = format!("it is not active: add {}", shown.join(" or "));
            self.error(place, problem.hint(hint));
            return;
        }
        let declared = self.declared(kind);
        // LIMIT: names that are searched for a near one; more are no list that anybody types from.
        let is_worth_it = !self.sink.errors_are_full() && declared.len() <= 1000;
        let near = if is_worth_it { suggest(name, declared.iter().map(String::as_str)) } else { None };
        let problem = match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if hint.is_empty() => problem,
            None => problem.hint(hint),
        };
        self.error(place, problem);
    }
}
