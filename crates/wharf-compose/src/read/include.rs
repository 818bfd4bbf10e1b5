//! `include` of a file: a path, or a mapping with one or more of them.

use crate::diagnostic::{Place, Problem};
use crate::read::context::Context;
use crate::read::path;
use crate::schema_keys as keys;
use crate::yaml::Node;

/// One entry: files that make one model, the later over the earlier.
#[derive(Debug)]
pub(crate) struct Include {
    pub(crate) place: Place,
    /// Never empty; relative to the project's directory, as all paths here.
    pub(crate) paths: Vec<String>,
    /// What paths in the files are relative to; `None` is the directory of the first.
    pub(crate) directory: Option<String>,
    /// Env files for variables in the files; `None` is `.env` in that directory, if there is one.
    pub(crate) env_files: Option<Vec<(Place, String)>>,
}

/// Reads the list.
pub(super) fn read(cx: &mut Context<'_>, node: &Node) -> Vec<Include> {
    let items = cx.items(node, "`include`");
    items.iter().filter_map(|item| one(cx, item)).collect()
}

fn one(cx: &mut Context<'_>, item: &Node) -> Option<Include> {
    let what = "an entry of `include`";
    let mut include = Include { place: item.place, paths: Vec::new(), directory: None, env_files: None };
    if item.as_mapping().is_none() {
        let text = cx.string(item, what)?;
        include.paths.push(file(cx, item.place, &text, what)?);
        return Some(include);
    }
    for field in cx.fields(item, &keys::INCLUDE, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "path" => {
                for (place, text) in cx.one_or_more(value, &what) {
                    include.paths.extend(file(cx, place, &text, &what));
                }
            }
            "project_directory" => {
                let text = cx.string(value, &what)?;
                include.directory = file(cx, value.place, &text, &what);
            }
            _ => {
                let mut files = Vec::new();
                for (place, text) in cx.one_or_more(value, &what) {
                    files.extend(file(cx, place, &text, &what).map(|file| (place, file)));
                }
                include.env_files = Some(files);
            }
        }
    }
    if include.paths.is_empty() {
        if !cx.sink.has_errors() {
            cx.error(item.place, Problem::value("`path` is missing").about(what));
        }
        return None;
    }
    Some(include)
}

/// A path on this machine, as text.
pub(super) fn file(cx: &mut Context<'_>, place: Place, text: &str, what: &str) -> Option<String> {
    let is_remote = text.contains("://") || text.starts_with("git@");
    let result = if is_remote {
        let message = format!("the remote file `{}` is not read", crate::yaml_text(text));
        Err(Problem::unsupported(message).hint("fetch it, and name the file here"))
    } else if text.is_empty() {
        Err(Problem::value("the path is empty"))
    } else {
        path::clean(cx, place, text)
    };
    cx.take(place, what, result)
}
