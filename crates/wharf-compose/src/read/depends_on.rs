//! `depends_on`: a list of services, or a mapping with conditions.

use std::collections::BTreeMap;

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::{Condition, Dependency};
use crate::read::context::{Context, Declared};
use crate::read::scalar;
use crate::schema_keys as keys;
use crate::yaml::{Node, Value};

const CONDITIONS: [(&str, Condition); 3] = [
    ("service_started", Condition::ServiceStarted),
    ("service_healthy", Condition::ServiceHealthy),
    ("service_completed_successfully", Condition::ServiceCompletedSuccessfully),
];

pub(super) fn read(
    cx: &mut Context<'_>,
    node: &Node,
    service_name: &str,
    service: &str,
) -> BTreeMap<String, Dependency> {
    let what = format!("`depends_on` of {service}");
    let mut dependencies = BTreeMap::new();
    if matches!(node.value, Value::Sequence(_)) {
        for item in cx.items(node, &what) {
            if let Some(name) = cx.string(item, &what) {
                let dependency = Dependency { condition: Condition::ServiceStarted, required: true };
                add(cx, item.place, service_name, name, dependency, &mut dependencies);
            }
        }
        return dependencies;
    }
    for entry in cx.entries(node, &what) {
        let what = format!("`depends_on.{}` of {service}", crate::yaml_text(&entry.key));
        let mut condition = None;
        let mut required = true;
        let mut has_condition = false;
        for field in cx.fields(&entry.value, &keys::DEPENDENCY, &what) {
            match field.key.as_str() {
                "condition" => {
                    has_condition = true;
                    condition = cx.scalar(&field.value, &what, |node| scalar::word(node, &CONDITIONS));
                }
                _ => {
                    required = cx.scalar(&field.value, &what, scalar::boolean).unwrap_or(true);
                }
            }
        }
        // Merging a list into a mapping leaves names without a body; those are plain names.
        if !has_condition && !entry.value.is_null() {
            let problem =
                Problem::value("`condition` is missing").hint("for example `condition: service_started`");
            cx.error(entry.key_place, problem.about(&what));
        }
        let condition = condition.unwrap_or(Condition::ServiceStarted);
        let dependency = Dependency { condition, required };
        add(cx, entry.key_place, service_name, entry.key.clone(), dependency, &mut dependencies);
    }
    dependencies
}

fn add(
    cx: &mut Context<'_>,
    place: Place,
    service_name: &str,
    name: String,
    dependency: Dependency,
    dependencies: &mut BTreeMap<String, Dependency>,
) {
    if name == service_name {
        let message = format!("service `{name}` depends on itself");
        cx.error(place, Problem::new(Kind::Reference, message));
    } else if cx.services.contains(&name) {
        dependencies.insert(name, dependency);
    } else {
        let message =
            format!("service `{service_name}` depends on `{}`, which is no service", crate::yaml_text(&name));
        if dependency.required {
            cx.undeclared(place, message, Declared::Service, &name, "");
        } else {
            let problem = Problem::new(Kind::Reference, message);
            cx.warn(place, problem.hint("it is not required, so it is left out"));
        }
    }
}
