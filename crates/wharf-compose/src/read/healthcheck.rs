//! `healthcheck`.

use crate::diagnostic::{Kind, Problem};
use crate::project::Healthcheck;
use crate::read::context::Context;
use crate::read::scalar;
use crate::schema_keys as keys;
use crate::yaml::{Node, Value};

pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &str) -> Healthcheck {
    let mut healthcheck = Healthcheck::default();
    for field in cx.fields(node, &keys::HEALTHCHECK, &format!("`healthcheck` of {service}")) {
        let (value, what) = (&field.value, format!("`healthcheck.{}` of {service}", field.key));
        match field.key.as_str() {
            "test" => healthcheck.test = test(cx, value, &what),
            "interval" => healthcheck.interval = cx.scalar(value, what, scalar::duration),
            "timeout" => healthcheck.timeout = cx.scalar(value, what, scalar::duration),
            "start_period" => healthcheck.start_period = cx.scalar(value, what, scalar::duration),
            "start_interval" => {
                healthcheck.start_interval = cx.scalar(value, &what, scalar::duration);
                let problem = Problem::new(Kind::Effect, "it needs Docker Engine 25, older ones ignore it");
                cx.warn(field.key_place, problem.about(what));
            }
            "retries" => healthcheck.retries = cx.scalar(value, what, |node| scalar::count(node, 0, 1000)),
            _ => healthcheck.disable = cx.scalar(value, what, scalar::boolean).unwrap_or_default(),
        }
    }
    healthcheck
}

fn test(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Vec<String>> {
    if !matches!(node.value, Value::Sequence(_)) {
        let command = cx.string(node, what)?;
        return Some(vec!["CMD-SHELL".to_owned(), command]);
    }
    let words = cx.strings(node, what);
    let problem = match words.first().map(String::as_str) {
        Some("NONE") if words.len() == 1 => return Some(words),
        Some("CMD-SHELL") if words.len() == 2 => return Some(words),
        Some("CMD") if words.len() > 1 => return Some(words),
        Some("NONE") => Problem::value("`NONE` stands alone"),
        Some("CMD-SHELL") => Problem::value("`CMD-SHELL` takes one string, the command line"),
        Some("CMD") => Problem::value("`CMD` needs a command"),
        Some(other) => Problem::value(format!("the list begins with `{}`", crate::yaml_text(other)))
            .hint("begin with CMD, CMD-SHELL or NONE, or write one string for a shell"),
        None => Problem::value("the list is empty").hint("`disable: true` switches the image's check off"),
    };
    cx.error(node.place, problem.about(what));
    None
}
