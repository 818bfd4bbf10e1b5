//! Where the keys of a project stand, for whoever finds something wrong with it after loading.
//!
//! A path is what messages name: `services.web.cap_add`, `networks.front.ipam`. [`Places`] travels beside the project,
//! not in it: two files that say the same in other lines are the same project.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Sink;
use crate::yaml::{Node, Value};

/// LIMIT: keys whose places are kept; a message about a further one names its nearest parent's place.
const PLACES_MAX: usize = 10_000;

/// LIMIT: steps of a path. `services.web.deploy.resources.limits.cpus` has six.
const STEPS_MAX: usize = 6;

/// Places by path, in the form `compose.yaml:9:5`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Places(BTreeMap<String, String>);

impl Places {
    /// The places of the keys of a merged file. Top-level keys, then what is nested in them, level by level.
    pub(crate) fn of(tree: &Node, sink: &Sink) -> Places {
        let mut places = BTreeMap::new();
        let mut level: Vec<(String, &Node)> = vec![(String::new(), tree)];
        for _ in 0..STEPS_MAX {
            let mut next = Vec::new();
            for (path, node) in level {
                let Value::Mapping(mapping) = &node.value else { continue };
                for entry in &mapping.entries {
                    if places.len() >= PLACES_MAX {
                        return Places(places);
                    }
                    let separator = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{separator}{}", entry.key);
                    places.insert(path.clone(), sink.locate(entry.key_place));
                    next.push((path, &entry.value));
                }
            }
            level = next;
        }
        Places(places)
    }

    /// The place of `path`, or of the nearest key above it that has one: `compose.yaml:9:5`.
    pub fn find(&self, path: &str) -> Option<&str> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(place);
            }
            // Besides the dot between keys there is the space before what is no key, such as the target of a mount.
            path = &path[..path.rfind(['.', ' '])?];
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Options, ReadError, SourceFile, load};

    #[test]
    fn a_path_has_the_place_of_its_key_or_of_the_nearest_above() {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("compose.yaml", "services:\n  my.web:\n    image: a\n    volumes: [/data]\n"),
            file("over.yaml", "services:\n  my.web:\n    deploy: {resources: {limits: {cpus: 1}}}\n"),
        ];
        let options = Options { directory_name: Some("test".to_owned()), ..Options::default() };
        let loaded = load(&files, &|_| None, &mut |_| Err(ReadError::NotFound), &options).unwrap();
        for (path, expected) in [
            ("services.my.web.image", Some("compose.yaml:3:5")),
            ("services.my.web.volumes /data.bind.selinux", Some("compose.yaml:4:5")),
            ("services.my.web.deploy.resources.limits.cpus", Some("over.yaml:3:35")),
            ("services.my.web.cap_add", Some("over.yaml:2:3")),
            ("services.other", Some("over.yaml:1:1")),
            ("networks.front.ipam", None),
            ("", None),
        ] {
            assert_eq!(loaded.places.find(path), expected, "{path}");
        }
    }
}
