//! `build`: a context, or a mapping.

use crate::diagnostic::Problem;
use crate::project::Build;
use crate::read::context::Context;
use crate::read::{pairs, path};
use crate::schema_keys as keys;
use crate::yaml::Node;

pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &str) -> Option<Build> {
    let what = format!("`build` of {service}");
    let mut build = Build::default();
    if node.as_mapping().is_none() {
        build.context = context(cx, node, &what)?;
        return Some(build);
    }
    let mut has_context = false;
    for field in cx.fields(node, &keys::BUILD, &what) {
        let (value, what) = (&field.value, format!("`build.{}` of {service}", field.key));
        match field.key.as_str() {
            "context" => {
                has_context = true;
                build.context = context(cx, value, &what).unwrap_or_default();
            }
            "dockerfile" => build.dockerfile = cx.string(value, what),
            "target" => build.target = cx.string(value, what),
            "labels" => build.labels = pairs::labels(cx, value, &what),
            _ => {
                for pair in pairs::read(cx, value, &what) {
                    // Without a value the environment decides; if it doesn't set it, the Dockerfile does.
                    if let Some(value) = pair.value.or_else(|| (cx.environment)(&pair.key)) {
                        build.args.insert(pair.key, value);
                    }
                }
            }
        }
    }
    if !has_context {
        build.context = ".".to_owned();
    }
    Some(build)
}

fn context(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let text = cx.string(node, what)?;
    let is_remote = text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/");
    let result = if is_remote {
        let message = format!("a remote build context (`{}`) is not supported yet", crate::yaml_text(&text));
        Err(Problem::unsupported(message).hint("check it out and name the directory"))
    } else if text.is_empty() {
        Err(Problem::value("the build context is empty").hint("`.` is the directory of the file"))
    } else {
        path::clean(cx, &text)
    };
    cx.take(node.place, what, result)
}
