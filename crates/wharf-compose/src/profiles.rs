//! `profiles`: services that are there only when asked for.
//!
//! A service without profiles is always active. Others are active when one of theirs is asked for, or `*`, which
//! stands for all. What is not active leaves the tree before it is read; its name stays known, so that whoever refers
//! to it is told.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Kind, Place, Problem, Sink};
use crate::yaml::{Mapping, Node, Scalar, Value};

/// Services that are not active, with their profiles.
pub(crate) type Inactive = BTreeMap<String, Vec<String>>;

/// Takes the services out of the merged file whose profiles are none of `active`.
pub(crate) fn select(tree: &mut Node, active: &[String], sink: &mut Sink) -> Inactive {
    let mut inactive = Inactive::new();
    let whole = tree.place;
    let services = match &mut tree.value {
        Value::Mapping(top) => top.entries.iter_mut().find(|entry| entry.key == "services"),
        Value::Scalar(_) | Value::Sequence(_) => None,
    };
    let Some(Value::Mapping(services)) = services.map(|entry| &mut entry.value.value) else {
        return inactive;
    };
    let is_asked = |profile: &String| active.iter().any(|asked| asked == "*" || asked == profile);
    let mut known = BTreeSet::new();
    let before = services.entries.len();
    services.entries.retain(|entry| {
        let profiles = of_service(&entry.key, entry.value.as_mapping(), sink);
        known.extend(profiles.iter().cloned());
        if profiles.is_empty() || profiles.iter().any(is_asked) {
            return true;
        }
        inactive.insert(entry.key.clone(), profiles);
        false
    });
    for asked in active.iter().filter(|asked| *asked != "*" && !known.contains(*asked)) {
        let message = format!("no service has the profile `{}`", crate::yaml_text(asked));
        let problem = Problem::new(Kind::Reference, message);
        let near = wharf_base::suggest(asked, known.iter().map(String::as_str));
        let problem = match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        };
        sink.warn(Place { line: 0, column: 0, ..whole }, problem);
    }
    if before > 0 && services.entries.is_empty() && !sink.has_errors() {
        // LIMIT: profiles that are shown.
        let shown: Vec<&str> = known.iter().map(String::as_str).take(10).collect();
        let problem =
            Problem::new(Kind::Reference, "no service is active: each has profiles, and none is asked for");
        sink.error(whole, problem.hint(format!("`--profile NAME`, with one of {}", shown.join(", "))));
    }
    inactive
}

/// The profiles of a service; what is wrong with them is reported.
fn of_service(name: &str, service: Option<&Mapping>, sink: &mut Sink) -> Vec<String> {
    let Some(node) = service.and_then(|service| service.get("profiles")) else {
        return Vec::new();
    };
    let what = format!("`profiles` of service `{}`", crate::yaml_text(name));
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ if node.is_null() => &[],
        Value::Scalar(_) | Value::Mapping(_) => {
            let problem = Problem::value(format!("a list is expected, this is {}", node.describe()));
            sink.error(node.place, problem.about(what));
            return Vec::new();
        }
    };
    let mut profiles: Vec<String> = Vec::new();
    for item in items {
        let text = match &item.value {
            Value::Scalar(Scalar::String(text)) => text.clone(),
            _ => {
                let problem = Problem::value(format!("a string is expected, this is {}", item.describe()));
                sink.error(item.place, problem.about(&what));
                continue;
            }
        };
        let is_name = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !is_name {
            let problem = Problem::value(format!("`{}` is no name of a profile", crate::yaml_text(&text)));
            let hint = "letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
            sink.error(item.place, problem.hint(hint).about(&what));
        } else if !profiles.contains(&text) {
            profiles.push(text);
        }
    }
    profiles
}
