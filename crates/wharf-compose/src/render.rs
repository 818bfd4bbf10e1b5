//! A project as a Compose file again: everything resolved, in the long form, with names of Compose.
//!
//! Loading the result gives the same project. So what the short forms, several files, `extends`, `include`, env files
//! and variables came to can be read, compared and kept. A `$` is written as `$$`, because loading interpolates.
//!
//! Values of the environment are in it as they are.

mod service;

use serde_json::{Map, Value, json};

use crate::project::{FileSource, Ipam, IpamPool, Network, Project, Volume};
use crate::yaml;

/// The file as a document, for JSON, which YAML readers take too.
pub fn document(project: &Project) -> Value {
    let mut top = Fields::new();
    top.text("name", Some(&project.name));
    let services = project.services.iter().map(|(name, service)| (name.clone(), service::render(service)));
    top.put("services", Value::Object(services.collect()));
    top.map("networks", &project.networks, network);
    top.map("volumes", &project.volumes, volume);
    top.map("configs", &project.configs, source);
    top.map("secrets", &project.secrets, source);
    let mut document = top.done();
    // The name can hold no `$`, and neither can keys, which loading does not interpolate.
    escape(&mut document);
    document
}

/// The file as YAML.
pub fn yaml(project: &Project) -> String {
    yaml::write(&document(project))
}

/// Doubles every `$` in a value.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(map) => map.values_mut().for_each(escape),
    }
}

fn network(network: &Network) -> Value {
    let Network { external, name, driver, driver_opts, internal, attachable, enable_ipv6, ipam, labels } =
        network;
    let mut fields = Fields::new();
    fields.text("name", name.as_ref());
    fields.flag("external", *external);
    fields.text("driver", driver.as_ref());
    fields.texts_by_name("driver_opts", driver_opts);
    fields.flag("internal", *internal);
    fields.flag("attachable", *attachable);
    fields.flag("enable_ipv6", *enable_ipv6);
    let Ipam { driver, config, options } = ipam;
    let mut ipam = Fields::new();
    ipam.text("driver", driver.as_ref());
    ipam.list("config", config, pool);
    ipam.texts_by_name("options", options);
    fields.nested("ipam", ipam);
    fields.texts_by_name("labels", labels);
    fields.done()
}

fn pool(pool: &IpamPool) -> Value {
    let IpamPool { subnet, ip_range, gateway, aux_addresses } = pool;
    let mut fields = Fields::new();
    fields.text("subnet", subnet.as_ref());
    fields.text("ip_range", ip_range.as_ref());
    fields.text("gateway", gateway.as_ref());
    fields.texts_by_name("aux_addresses", aux_addresses);
    fields.done()
}

fn volume(volume: &Volume) -> Value {
    let Volume { external, name, driver, driver_opts, labels } = volume;
    let mut fields = Fields::new();
    fields.text("name", name.as_ref());
    fields.flag("external", *external);
    fields.text("driver", driver.as_ref());
    fields.texts_by_name("driver_opts", driver_opts);
    fields.texts_by_name("labels", labels);
    fields.done()
}

fn source(source: &FileSource) -> Value {
    let FileSource { file, environment, content, external, name, labels } = source;
    let mut fields = Fields::new();
    fields.text("name", name.as_ref());
    fields.flag("external", *external);
    fields.path("file", file.as_deref());
    fields.text("environment", environment.as_ref());
    fields.text("content", content.as_ref());
    fields.texts_by_name("labels", labels);
    fields.done()
}

/// Collects the keys of one element that are set.
struct Fields(Map<String, Value>);

impl Fields {
    fn new() -> Fields {
        Fields(Map::new())
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }

    fn put(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    fn text(&mut self, key: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.put(key, json!(value));
        }
    }

    /// A path of this machine: one that is relative begins with `.`, so that it is not taken for anything else.
    fn path(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(key, json!(path(value)));
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, json!(true));
        }
    }

    fn number<T: Into<Value>>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(key, value.into());
        }
    }

    /// Sizes and CPUs, which Compose's schema takes as strings everywhere.
    fn number_as_text<T: ToString>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(key, json!(value.to_string()));
        }
    }

    fn duration(&mut self, key: &str, value: Option<std::time::Duration>) {
        if let Some(value) = value {
            self.put(key, json!(wharf_base::duration::format(value)));
        }
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.put(key, json!(values));
        }
    }

    fn texts_by_name(&mut self, key: &str, values: &std::collections::BTreeMap<String, String>) {
        if !values.is_empty() {
            self.put(key, json!(values));
        }
    }

    fn list<T>(&mut self, key: &str, values: &[T], render: impl Fn(&T) -> Value) {
        if !values.is_empty() {
            self.put(key, values.iter().map(render).collect());
        }
    }

    fn map<T>(
        &mut self,
        key: &str,
        values: &std::collections::BTreeMap<String, T>,
        render: impl Fn(&T) -> Value,
    ) {
        if !values.is_empty() {
            let entries = values.iter().map(|(name, value)| (name.clone(), render(value)));
            self.put(key, Value::Object(entries.collect()));
        }
    }

    /// The element if it has any key.
    fn nested(&mut self, key: &str, fields: Fields) {
        if !fields.0.is_empty() {
            self.put(key, fields.done());
        }
    }
}

fn path(path: &str) -> String {
    if path.starts_with('/') || path == "." || path.starts_with("../") || path == ".." {
        path.to_owned()
    } else {
        format!("./{path}")
    }
}
