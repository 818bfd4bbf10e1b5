//! `extends` of a service: the name of another, perhaps in another file.

use crate::diagnostic::{Place, Problem};
use crate::read::context::Context;
use crate::read::include;
use crate::schema_keys as keys;
use crate::yaml::Node;

/// What a service goes on from.
#[derive(Debug)]
pub(crate) struct Extends {
    pub(crate) place: Place,
    pub(crate) service: String,
    /// Relative to the project's directory; `None` is the file itself.
    pub(crate) file: Option<String>,
}

/// Reads either form; `what` is the service in messages.
pub(super) fn read(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Extends> {
    let what = format!("`extends` of {what}");
    if node.as_mapping().is_none() {
        let service = cx.string(node, &what)?;
        return Some(Extends { place: node.place, service, file: None });
    }
    let mut extends = Extends { place: node.place, service: String::new(), file: None };
    for field in cx.fields(node, &keys::EXTENDS, &what) {
        let text = cx.string(&field.value, &what)?;
        match field.key.as_str() {
            "service" => extends.service = text,
            _ => extends.file = Some(include::file(cx, field.value.place, &text, &what)?),
        }
    }
    if extends.service.is_empty() {
        cx.error(node.place, Problem::value("`service` is missing").about(what));
        return None;
    }
    Some(extends)
}
