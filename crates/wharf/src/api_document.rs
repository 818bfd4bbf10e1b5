//! The control API as this program has it: every operation of every part, and the OpenAPI document of them.
//!
//! `docs/api/openapi.json` and the table in `docs/guide/api.md` are made from this; tests compare them, and
//! `UPDATE_EXPECT=1 cargo nextest run -p wharf api_document` writes them anew.

use wharf_http::api::{self, Operation};

/// The whole API, in the order in which [`crate::assemble`] merges its parts.
pub(crate) fn operations() -> Vec<Operation> {
    let parts = [
        wharf_access::operations(),
        wharf_fleet::operations(),
        wharf_deploy::operations(),
        wharf_image::operations(),
        wharf_registry::operations(),
        wharf_cache::operations(),
        wharf_balancer::operations(),
        own_operations(),
    ];
    parts.into_iter().flatten().collect()
}

/// What no part has.
pub(crate) fn own_operations() -> Vec<Operation> {
    let document =
        Operation::get("/openapi.json", "openapi", "Answers this document, of what the server really has")
            .answers::<serde_json::Map<String, serde_json::Value>>();
    Operation::tagged("about", [document])
}

/// Version in the document.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The document of the whole API.
pub(crate) fn document() -> serde_json::Value {
    api::document(VERSION, &operations())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use wharf_http::api::Trace;

    use super::*;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// Compares a file of the repository, or writes it.
    fn check(path: &str, expected: &str) {
        let file = repository().join(path);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, expected).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        let differs = found.lines().zip(expected.lines()).position(|(a, b)| a != b);
        assert!(
            found == expected,
            "{path} is not what the code says, from line {:?} on\n  hint: UPDATE_EXPECT=1 cargo nextest run -p wharf api_document",
            differs.map(|line| line + 1)
        );
    }

    #[test]
    fn the_committed_document_is_that_of_the_code() {
        let text = serde_json::to_string_pretty(&document()).unwrap();
        check("docs/api/openapi.json", &format!("{text}\n"));
    }

    #[test]
    fn the_table_of_roles_in_the_guide_is_that_of_the_code() {
        let path = "docs/guide/api.md";
        let (begin, end) = ("<!-- roles: begin -->\n", "<!-- roles: end -->");
        let guide = std::fs::read_to_string(repository().join(path)).unwrap();
        let (before, rest) = guide.split_once(begin).expect("the guide has a place for the table");
        let (_, after) = rest.split_once(end).expect("the guide says where the table ends");
        check(path, &format!("{before}{begin}{}{end}{after}", table()));
    }

    /// Operation by role, and what it leaves in the audit log.
    fn table() -> String {
        let mut text = String::from("\n| | who | event |\n|---|---|---|\n");
        for operation in operations() {
            let (method, path) = operation.place();
            let event = match operation.trace() {
                Trace::Event(kind) => format!("`{kind}`"),
                Trace::Reads | Trace::None(_) => String::new(),
            };
            text += &format!(
                "| `{method} {path}`<br>{} | {} | {event} |\n",
                operation.summary(),
                operation.access().word()
            );
        }
        text + "\n"
    }

    #[test]
    fn every_operation_is_described_in_full() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id), "two operations are called {id}");
                assert_ne!(operation["tags"][0], "", "{id} has no tag");
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let is_described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
                    assert!(is_described, "{method} {path}: nothing is said about {}", parameter["name"]);
                }
            }
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(
                !name.ends_with(|c: char| c.is_ascii_digit()),
                "two types are called like {name}: rename one"
            );
        }
    }

    #[test]
    fn every_change_leaves_an_event_or_says_why_not() {
        let document = document().to_string();
        for operation in operations() {
            let (method, path) = operation.place();
            match operation.trace() {
                Trace::Reads => assert_eq!(method, "GET", "{path}"),
                Trace::None(why) => {
                    assert_ne!(why, "", "{method} {path} leaves no event and does not say why")
                }
                Trace::Event(kind) => {
                    assert!(
                        document.contains(&format!("\"const\":\"{kind}\"")),
                        "there is no event `{kind}`"
                    );
                }
            }
        }
    }
}
