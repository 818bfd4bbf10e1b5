//! From the documents of the files to one tree: interpolate, `extends`, `include`, merge.
//!
//! As in compose-go each file is interpolated before anything else, so that an override can't hide a missing
//! variable. Then its services get what they extend, then what it includes joins it, then it is merged over the files
//! before it: so an override file may change what an earlier file included.
//!
//! A node keeps the place where it was written, and with it the directory that its paths are relative to; nothing here
//! rewrites paths.
//!
//! Limits: levels of `include` and `extends`, files that they open, and all values together ([`Limits`]).

use std::collections::HashMap;

use crate::diagnostic::{Kind, Place, Problem, Sink};
use crate::dotenv::{self, Format};
use crate::interpolate::{self, Lookup};
use crate::load::{Limits, ReadError, Reader};
use crate::merge;
use crate::read::{self, Extends, Include};
use crate::yaml::{self, Mapping, Node, Scalar, Value};

/// Elements that an included file brings in; the rest of it, such as its name, is its own.
const IMPORTED: [&str; 5] = ["services", "networks", "volumes", "secrets", "configs"];

/// LIMIT: levels of `include`, and of `extends`; the functions here recurse.
const LEVELS_MAX: usize = 32;

/// Puts files together.
pub(crate) struct Assembly<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) limits: &'a Limits,
    pub(crate) sink: &'a mut Sink,
    /// Files that are being included, the outermost first.
    including: Vec<String>,
    opened_count: usize,
    node_count: usize,
}

/// What services of one file may extend.
struct Scope<'s> {
    environment: Lookup<'s>,
    /// Files that `extends` opened, merged.
    files: HashMap<String, Option<Node>>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(reader: Reader<'a>, limits: &'a Limits, sink: &'a mut Sink) -> Assembly<'a> {
        Assembly { reader, limits, sink, including: Vec::new(), opened_count: 0, node_count: 0 }
    }

    /// One tree of `documents`, the later over the earlier. `None`: an error was reported.
    pub(crate) fn model(&mut self, mut documents: Vec<Node>, environment: Lookup<'_>) -> Option<Node> {
        for document in &mut documents {
            interpolate::tree(document, environment, self.sink);
        }
        if self.sink.has_errors() {
            return None;
        }
        let mut scope = Scope { environment, files: HashMap::new() };
        let mut merged: Option<Node> = None;
        for mut document in documents {
            self.extend_all(&mut document, merged.as_ref(), &mut scope);
            self.include_all(&mut document, environment);
            if self.sink.has_errors() {
                return None;
            }
            merged = Some(match merged {
                Some(base) => merge::merge(base, document, self.sink),
                None => document,
            });
        }
        merged
    }

    /// Gives every service of `document` what it extends.
    fn extend_all(&mut self, document: &mut Node, earlier: Option<&Node>, scope: &mut Scope<'_>) {
        let extending: Vec<String> = services(document)
            .into_iter()
            .flat_map(|services| &services.entries)
            .filter(|entry| entry.value.as_mapping().is_some_and(|service| service.get("extends").is_some()))
            .map(|entry| entry.key.clone())
            .collect();
        let mut extended = Vec::new();
        for name in extending {
            let Some(service) = services(document).and_then(|services| services.get(&name)).cloned() else {
                continue;
            };
            let mut chain = vec![(String::new(), name.clone())];
            if let Some(service) = self.extend(&name, service, document, earlier, &mut chain, scope) {
                extended.push((name, service));
            }
        }
        let Some(services) = services_mut(document) else { return };
        for (name, service) in extended {
            if let Some(entry) = services.entries.iter_mut().find(|entry| entry.key == name) {
                entry.value = service;
            }
        }
    }

    /// The service with what it extends below it. `chain` has file and name of all services on the way, the last is
    /// this one.
    fn extend(
        &mut self,
        name: &str,
        mut service: Node,
        document: &Node,
        earlier: Option<&Node>,
        chain: &mut Vec<(String, String)>,
        scope: &mut Scope<'_>,
    ) -> Option<Node> {
        let Value::Mapping(mapping) = &mut service.value else { return Some(service) };
        let Some(index) = mapping.entries.iter().position(|entry| entry.key == "extends") else {
            return Some(service);
        };
        let entry = mapping.entries.remove(index);
        if entry.value.is_null() || entry.value.tag == Some(yaml::Tag::Reset) {
            return Some(service);
        }
        let what = format!("service `{}`", crate::yaml_text(name));
        let extends =
            read::extends(document, &entry.value, &what, scope.environment, self.reader, self.sink)?;
        let own_file = chain.last().map(|(file, _)| file.clone()).unwrap_or_default();
        let file = extends.file.clone().unwrap_or(own_file);
        let step = (file.clone(), extends.service.clone());
        if chain.contains(&step) {
            let names: Vec<&str> = chain.iter().map(|(_, name)| name.as_str()).collect();
            let message = format!(
                "services extend each other in a circle: {} → {}",
                names.join(" → "),
                extends.service
            );
            self.sink.error(extends.place, Problem::new(Kind::Reference, message));
            return None;
        }
        if chain.len() >= LEVELS_MAX {
            let problem = Problem::new(Kind::Limit, format!("`extends` over more than {LEVELS_MAX} levels"));
            self.sink.error(extends.place, problem);
            return None;
        }
        let base = match &extends.file {
            Some(path) => {
                self.open_extended(path, extends.place, &what, scope)?;
                let opened = scope.files.get(path).and_then(Option::as_ref).cloned()?;
                let base = self.base(&extends, &what, Some(path), &[&opened])?;
                chain.push(step);
                self.extend(&extends.service, base, &opened, None, chain, scope)
            }
            None => {
                let found: Vec<&Node> = [Some(document), earlier].into_iter().flatten().collect();
                let base = self.base(&extends, &what, None, &found)?;
                chain.push(step);
                self.extend(&extends.service, base, document, earlier, chain, scope)
            }
        };
        chain.pop();
        self.spend(&base.as_ref().map_or(0, count), extends.place)?;
        Some(merge::service(name, base?, service, self.sink))
    }

    /// The service that `extends` names, from the first of `documents` that has it.
    fn base(
        &mut self,
        extends: &Extends,
        what: &str,
        file: Option<&str>,
        documents: &[&Node],
    ) -> Option<Node> {
        let find = |document: &&Node| services(document)?.get(&extends.service).cloned();
        if let Some(base) = documents.iter().find_map(find) {
            return Some(base);
        }
        let shown = crate::yaml_text(&extends.service);
        let place = file.map(|file| format!(" in {}", crate::yaml_text(file))).unwrap_or_default();
        let message = format!("{what} extends `{shown}`, which is no service{place}");
        let problem = Problem::new(Kind::Reference, message);
        let names = documents.iter().filter_map(|document| services(document));
        let names = names.flat_map(|services| &services.entries).map(|entry| entry.key.as_str());
        let problem = match wharf_base::suggest(&extends.service, names.take(1000)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        };
        self.sink.error(extends.place, problem);
        None
    }

    /// Makes sure that the file is in `scope.files`.
    fn open_extended(&mut self, path: &str, place: Place, what: &str, scope: &mut Scope<'_>) -> Option<()> {
        if scope.files.contains_key(path) {
            return Some(());
        }
        let documents = self.open(path, directory_of(path), place, &format!("`extends` of {what}"));
        let mut merged: Option<Node> = None;
        for mut document in documents.into_iter().flatten() {
            interpolate::tree(&mut document, scope.environment, self.sink);
            merged = Some(match merged {
                Some(base) => merge::merge(base, document, self.sink),
                None => document,
            });
        }
        scope.files.insert(path.to_owned(), merged);
        Some(())
    }

    /// Adds what `document` includes to it.
    fn include_all(&mut self, document: &mut Node, environment: Lookup<'_>) {
        let Value::Mapping(top) = &mut document.value else { return };
        let Some(index) = top.entries.iter().position(|entry| entry.key == "include") else { return };
        let entry = top.entries.remove(index);
        if self.including.len() >= LEVELS_MAX {
            let problem = Problem::new(Kind::Limit, format!("`include` over more than {LEVELS_MAX} levels"));
            self.sink.error(entry.key_place, problem);
            return;
        }
        let includes = read::includes(document, &entry.value, environment, self.reader, self.sink);
        for include in includes {
            if let Some(model) = self.included(&include, environment) {
                import(document, model, &include, self.sink);
            }
        }
    }

    /// The files of one entry as one tree.
    fn included(&mut self, include: &Include, environment: Lookup<'_>) -> Option<Node> {
        let first = include.paths.first()?;
        let directory = include.directory.as_deref().unwrap_or(directory_of(first));
        let variables = self.env_files(include, directory, environment)?;
        let environment = |name: &str| environment(name).or_else(|| variables.get(name).cloned());
        let before = self.including.len();
        let mut documents = Vec::new();
        for path in &include.paths {
            if self.including.contains(path) {
                let mut circle: Vec<&str> = self.including.iter().map(String::as_str).collect();
                circle.push(path);
                let message = format!("files include each other in a circle: {}", circle.join(" → "));
                self.sink.error(include.place, Problem::new(Kind::Reference, message));
                self.including.truncate(before);
                return None;
            }
            documents.extend(self.open(path, directory, include.place, "`include`").unwrap_or_default());
        }
        self.including.extend(include.paths.iter().cloned());
        let model = if self.sink.has_errors() { None } else { self.model(documents, &environment) };
        self.including.truncate(before);
        model
    }

    /// Variables for included files, from those that the entry names or from `.env` beside them.
    fn env_files(
        &mut self,
        include: &Include,
        directory: &str,
        environment: Lookup<'_>,
    ) -> Option<std::collections::BTreeMap<String, String>> {
        let is_given = include.env_files.is_some();
        let files = match &include.env_files {
            Some(files) => files.clone(),
            // That of the project's own directory is in the environment already.
            None if matches!(directory, "" | ".") => Vec::new(),
            None => vec![(include.place, format!("{directory}/.env"))],
        };
        let mut variables = std::collections::BTreeMap::new();
        for (place, file) in files {
            let text = match (self.reader)(&file) {
                Ok(text) => text,
                Err(ReadError::NotFound) if !is_given => continue,
                Err(error) => {
                    let message = format!("cannot read `{}`: {error}", crate::yaml_text(&file));
                    self.sink
                        .error(place, Problem::new(Kind::File, message).about("`env_file` of `include`"));
                    return None;
                }
            };
            let source = self.sink.add_file(&file);
            let earlier = variables.clone();
            let lookup = |name: &str| {
                environment(name).or_else(|| std::collections::BTreeMap::get(&earlier, name).cloned())
            };
            variables.extend(dotenv::read(&text, source, Format::Dotenv, &lookup, self.sink));
        }
        Some(variables)
    }

    /// Reads and parses a file that `include` or `extends` names.
    fn open(&mut self, path: &str, directory: &str, place: Place, what: &str) -> Option<Vec<Node>> {
        self.opened_count += 1;
        if self.opened_count > self.limits.opened_max {
            let message = format!("`include` and `extends` open more than {} files", self.limits.opened_max);
            self.sink.error(place, Problem::new(Kind::Limit, message));
            return None;
        }
        let text = match (self.reader)(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", crate::yaml_text(path));
                let problem = Problem::new(Kind::File, message);
                let problem = match error {
                    ReadError::NotFound => problem.hint("a path is relative to the file in which it stands"),
                    ReadError::Other(_) => problem,
                };
                self.sink.error(place, problem.about(what));
                return None;
            }
        };
        let source = self.sink.add_file_in(path, directory);
        let documents = yaml::parse(&text, source, self.limits, self.sink)?;
        if documents.is_empty() {
            self.sink.error(Place { source, line: 0, column: 0 }, Problem::value("the file is empty"));
            return None;
        }
        for document in &documents {
            if document.as_mapping().is_none() {
                let message = format!("a Compose file is a mapping, this is {}", document.describe());
                self.sink.error(document.place, Problem::value(message));
                return None;
            }
            self.spend(&count(document), place)?;
        }
        Some(documents)
    }

    /// Counts values that files and copies bring in.
    fn spend(&mut self, nodes: &usize, place: Place) -> Option<()> {
        self.node_count += nodes;
        if self.node_count > self.limits.nodes_together_max {
            let message =
                format!("`include` and `extends` make more than {} values", self.limits.nodes_together_max);
            self.sink.error(place, Problem::new(Kind::Limit, message));
            return None;
        }
        Some(())
    }
}

/// Adds the elements of an included model. One that is there already must say the same.
fn import(document: &mut Node, model: Node, include: &Include, sink: &mut Sink) {
    let Value::Mapping(top) = &mut document.value else { return };
    let Value::Mapping(model) = model.value else { return };
    for section in model.entries.into_iter().filter(|entry| IMPORTED.contains(&entry.key.as_str())) {
        let own = top.entries.iter().position(|entry| entry.key == section.key);
        let Some(index) = own.filter(|index| !top.entries[*index].value.is_null()) else {
            if let Some(index) = own {
                top.entries.remove(index);
            }
            top.entries.push(section);
            continue;
        };
        let Value::Mapping(new) = section.value.value else {
            // Its file says `services: []` or the like, which the reader of the key reports.
            top.entries[index].value = section.value;
            continue;
        };
        let Value::Mapping(own) = &mut top.entries[index].value.value else { continue };
        let known: HashMap<String, usize> =
            own.entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
        for entry in new.entries {
            match known.get(&entry.key).map(|index| &own.entries[*index]) {
                None => own.entries.push(entry),
                Some(own) if is_same(&own.value, &entry.value, sink) => {}
                Some(own) => {
                    let message = format!(
                        "`{}.{}` is in an included file too ({}) and says something else there",
                        section.key,
                        crate::yaml_text(&entry.key),
                        sink.describe(entry.key_place, include.place),
                    );
                    let hint = "change what is included in a file that is given after this one, such as compose.override.yaml";
                    sink.error(own.key_place, Problem::new(Kind::Reference, message).hint(hint));
                }
            }
        }
    }
}

/// Whether two values say the same, wherever they stand: paths mean the same only below the same directory.
fn is_same(a: &Node, b: &Node, sink: &Sink) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar(Scalar::Null), Value::Scalar(Scalar::Null)) => true,
        (Value::Scalar(one), Value::Scalar(other)) => {
            one == other && sink.base(a.place) == sink.base(b.place)
        }
        (Value::Sequence(one), Value::Sequence(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b, sink))
        }
        (Value::Mapping(one), Value::Mapping(other)) => {
            let others: HashMap<&str, &Node> =
                other.entries.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect();
            one.entries.len() == other.entries.len()
                && one.entries.iter().all(|entry| {
                    others.get(entry.key.as_str()).is_some_and(|other| is_same(&entry.value, other, sink))
                })
        }
        _ => false,
    }
}

fn services(document: &Node) -> Option<&Mapping> {
    document.as_mapping()?.get("services")?.as_mapping()
}

fn services_mut(document: &mut Node) -> Option<&mut Mapping> {
    let Value::Mapping(top) = &mut document.value else { return None };
    let entry = top.entries.iter_mut().find(|entry| entry.key == "services")?;
    match &mut entry.value.value {
        Value::Mapping(services) => Some(services),
        Value::Scalar(_) | Value::Sequence(_) => None,
    }
}

/// Values in a tree.
fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => items.iter().map(count).sum(),
        Value::Mapping(mapping) => mapping.entries.iter().map(|entry| count(&entry.value)).sum(),
    }
}

fn directory_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((directory, _)) => directory,
        None => ".",
    }
}
