//! `build`: a context, or a mapping.

use crate::diagnostic::{Kind, Problem};
use crate::project::Build;
use crate::read::context::Context;
use crate::read::{hosts, pairs, path, scalar, ulimits};
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
            "cache_from" => build.cache_from = cx.set(value, what),
            "dockerfile" => build.dockerfile = cx.string(value, what),
            "dockerfile_inline" => build.dockerfile_inline = cx.string(value, what),
            "extra_hosts" => build.extra_hosts = hosts::read(cx, value, &what),
            "network" => build.network = network(cx, value, &what),
            "no_cache" => build.no_cache = cx.boolean(value, what),
            "platforms" => build.platforms = platforms(cx, value, &what),
            "pull" => build.pull = cx.boolean(value, what),
            "shm_size" => build.shm_size_bytes = cx.scalar(value, what, scalar::bytes),
            "tags" => build.tags = cx.set(value, what),
            "ulimits" => build.ulimits = ulimits::read(cx, value, &what),
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
        let context = path::clean(cx, node.place, ".");
        build.context = cx.take(node.place, &what, context).unwrap_or_default();
    }
    if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
        let problem =
            Problem::new(Kind::Reference, "`dockerfile` and `dockerfile_inline` exclude each other");
        cx.error(node.place, problem.about(&what));
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
        path::clean(cx, node.place, &text)
    };
    cx.take(node.place, what, result)
}

fn network(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let words = [("default", "default"), ("none", "none"), ("host", "host")];
    cx.scalar(node, what, |node| scalar::word(node, &words)).map(str::to_owned)
}

/// Images are deployed by the digest of one build.
fn platforms(cx: &mut Context<'_>, node: &Node, what: &str) -> Vec<String> {
    let platforms = cx.set(node, what);
    if platforms.len() > 1 {
        let problem = Problem::unsupported("an image is built for one platform")
            .hint("leave the one that the hosts have, or build elsewhere and name the image");
        cx.error(node.place, problem.about(what));
    }
    platforms
}
