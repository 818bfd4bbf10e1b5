//! Top-level `volumes`, and `external`, which networks have as well.

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::Volume;
use crate::read::context::Context;
use crate::read::{pairs, scalar};
use crate::schema_keys as keys;
use crate::yaml::{Entry, Node};

/// Reads an entry of the top-level `volumes`.
pub(super) fn read(cx: &mut Context<'_>, entry: &Entry) -> Volume {
    let what = format!("volume `{}`", crate::yaml_text(&entry.key));
    let mut volume = Volume::default();
    let mut name_of_external = None;
    for field in cx.fields(&entry.value, &keys::VOLUME, &what) {
        let (value, what) = (&field.value, format!("`{}` of {what}", field.key));
        match field.key.as_str() {
            "driver" => volume.driver = cx.string(value, what),
            "driver_opts" => volume.driver_opts = pairs::map(cx, value, &what),
            "external" => (volume.external, name_of_external) = external(cx, value, &what),
            "labels" => volume.labels = pairs::labels(cx, value, &what),
            _ => volume.name = cx.string(value, what),
        }
    }
    volume.name = volume.name.or(name_of_external);
    if volume.external
        && (volume.driver.is_some() || !volume.driver_opts.is_empty() || !volume.labels.is_empty())
    {
        external_is_not_ours(cx, entry.key_place, &what);
    }
    volume
}

/// `external: true`, or the old `external: { name: … }`.
pub(super) fn external(cx: &mut Context<'_>, node: &Node, what: &str) -> (bool, Option<String>) {
    if node.as_mapping().is_none() {
        return (cx.scalar(node, what, scalar::boolean).unwrap_or_default(), None);
    }
    let problem = Problem::new(Kind::Effect, "the form with a name is old");
    cx.warn(node.place, problem.hint("write `external: true` and `name:` beside it").about(what));
    let fields = cx.fields(node, &keys::EXTERNAL, what);
    (true, fields.first().and_then(|field| cx.string(&field.value, what)))
}

pub(super) fn external_is_not_ours(cx: &mut Context<'_>, place: Place, what: &str) {
    let problem = Problem::new(Kind::Reference, format!("{what} is external, so it is used as it is"));
    cx.error(place, problem.hint("leave only `external` and `name`"));
}
