//! What every service of a project will get, in words.
//!
//! First what people look for: image, how many containers, routes, health, what it waits for. Then every other key
//! that is set, so that nothing of the file is missing. Values of the environment are not shown, only their names.

use serde_json::{Value, json};
use wharf_compose::project::{Condition, HostSelector, Project, Service, Strategy};
use wharf_compose::{Loaded, render};

/// Keys of a service that have a line of their own in words.
const IN_WORDS: [&str; 7] =
    ["image", "build", "environment", "depends_on", "healthcheck", "x-wharf", "deploy"];

/// LIMIT: characters of a value that are shown; `wharf compose render` has all of it.
const SHOWN_MAX: usize = 160;

/// One service.
pub(super) struct Explained {
    name: String,
    lines: Vec<(String, String)>,
}

impl Explained {
    pub(super) fn to_text(&self) -> String {
        let width = self.lines.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
        let lines = self.lines.iter().map(|(label, text)| format!("\n  {label:width$}  {text}"));
        format!("{}{}", self.name, lines.collect::<String>())
    }

    pub(super) fn to_json(&self) -> (String, Value) {
        let lines = self.lines.iter().map(|(label, text)| (label.clone(), json!(text)));
        (self.name.clone(), Value::Object(lines.collect()))
    }
}

/// Explains all services, in the order of their names.
pub(super) fn services(project: &Project) -> Vec<Explained> {
    let document = render::document(project);
    let explain = |(name, service): (&String, &Service)| {
        let mut lines = words(service);
        let rendered = document["services"][name.as_str()].as_object();
        for (key, value) in rendered.into_iter().flatten() {
            if !IN_WORDS.contains(&key.as_str()) {
                lines.push((key.clone(), shown(key, value)));
            }
        }
        Explained { name: name.clone(), lines }
    };
    project.services.iter().map(explain).collect()
}

/// "shop: 3 services, 1 network, 2 volumes; 1 warning".
pub(super) fn summary(loaded: &Loaded, warnings: usize) -> String {
    let project = &loaded.project;
    let count = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![count(project.services.len(), "service")];
    for (number, one) in [
        (project.networks.len(), "network"),
        (project.volumes.len(), "volume"),
        (project.secrets.len(), "secret"),
        (project.configs.len(), "config"),
        (warnings, "warning"),
    ] {
        if number > 0 {
            parts.push(count(number, one));
        }
    }
    let mut text = format!("{}: {}", project.name, parts.join(", "));
    for (name, profiles) in &loaded.inactive {
        text.push_str(&format!("\nnot active: {name} (profiles: {})", profiles.join(", ")));
    }
    text
}

fn words(service: &Service) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| lines.push((label.to_owned(), text));
    match (&service.build, &service.image) {
        (Some(build), image) => {
            let file = match (&build.dockerfile, &build.dockerfile_inline) {
                (_, Some(_)) => "a Dockerfile in the Compose file".to_owned(),
                (Some(file), None) => file.clone(),
                (None, None) => "Dockerfile".to_owned(),
            };
            let target = build.target.as_ref().map(|target| format!(", stage {target}")).unwrap_or_default();
            let name = image.as_ref().map(|image| format!(", named {image}")).unwrap_or_default();
            line("image", format!("built from {} ({file}{target}){name}", build.context));
        }
        (None, Some(image)) => line("image", image.clone()),
        (None, None) => {}
    }
    line("runs", runs(service));
    line("updates", updates(service));
    if let Some(route) = &service.x_wharf.route {
        let host = route.host.as_deref().unwrap_or("every host name");
        let balance = match route.balance {
            wharf_compose::project::Balance::RoundRobin => "in turn",
            wharf_compose::project::Balance::LeastConn => "to the least busy",
        };
        line("route", format!("{host}, path {} → port {} ({balance})", route.path, route.port));
    }
    line("is healthy", health(service));
    if !service.depends_on.is_empty() {
        let waits = service.depends_on.iter().map(|(name, dependency)| {
            let until = match dependency.condition {
                Condition::ServiceStarted => "has started",
                Condition::ServiceHealthy => "is healthy",
                Condition::ServiceCompletedSuccessfully => "has ended well",
            };
            format!("{name} {until}")
        });
        line("waits until", waits.collect::<Vec<_>>().join(", "));
    }
    let limits = limits(service);
    if !limits.is_empty() {
        line("limits", limits.join(", "));
    }
    if !service.environment.is_empty() {
        let names: Vec<&str> = service.environment.keys().map(String::as_str).collect();
        line("environment", cut(&names.join(", ")));
    }
    lines
}

fn runs(service: &Service) -> String {
    let where_ = match &service.x_wharf.hosts {
        None | Some(HostSelector::Any) => "any host".to_owned(),
        Some(HostSelector::Pool(pool)) => format!("hosts of the pool {pool}"),
        Some(HostSelector::Label(key, value)) => format!("hosts with {key}={value}"),
        Some(HostSelector::Host(host)) => format!("the host {host}"),
    };
    match service.deploy.replicas.unwrap_or(1) {
        1 => format!("1 container on {where_}"),
        count => format!("{count} containers on {where_}"),
    }
}

fn updates(service: &Service) -> String {
    let rollout = service.x_wharf.rollout.as_ref();
    let asked = rollout.map(|rollout| rollout.strategy);
    let drain = rollout.map(|rollout| {
        format!(", with {} for requests in flight", wharf_base::duration::format(rollout.drain))
    });
    let drain = drain.unwrap_or_default();
    match (asked, service.runs_once_because()) {
        (Some(Strategy::BlueGreen), _) => format!("new containers start beside the old ones{drain}"),
        (Some(Strategy::Recreate), _) => format!("old containers stop, then new ones start{drain}"),
        (None, Some(reason)) => format!("old containers stop, then new ones start, because {reason}"),
        (None, None) if service.x_wharf.route.is_some() => {
            "new containers start beside the old ones".to_owned()
        }
        (None, None) => "old containers stop, then new ones start, because it has no route".to_owned(),
    }
}

fn health(service: &Service) -> String {
    let check = service.healthcheck.as_ref();
    if let Some(health) = &service.x_wharf.health {
        let port = health.port.or(service.x_wharf.route.as_ref().map(|route| route.port));
        let port = port.map(|port| format!("port {port}")).unwrap_or_default();
        return match &health.path {
            Some(path) => format!("when {port} answers GET {path} with success"),
            None => format!("when {port} takes connections"),
        };
    }
    let is_off = check.is_some_and(|check| {
        check.disable
            || check.test.as_ref().is_some_and(|test| test.first().is_some_and(|word| word == "NONE"))
    });
    match check.and_then(|check| check.test.as_ref()) {
        _ if is_off => "when it runs; its check is switched off".to_owned(),
        Some(test) => format!("when `{}` succeeds", cut(&test[1..].join(" "))),
        None => "by the image's own check, if it has one".to_owned(),
    }
}

fn limits(service: &Service) -> Vec<String> {
    let mut limits = Vec::new();
    let deploy = &service.deploy;
    for (resources, word) in [(&deploy.limits, ""), (&deploy.reservations, " reserved")] {
        if let Some(cpus) = resources.cpus {
            limits.push(format!("{cpus} CPUs{word}"));
        }
        if let Some(bytes) = resources.memory_bytes {
            limits.push(format!("{} of memory{word}", crate::output::bytes(bytes)));
        }
        if let Some(pids) = resources.pids {
            limits.push(format!("{pids} processes{word}"));
        }
    }
    for request in &service.device_requests {
        let count = match request.count {
            -1 => "all".to_owned(),
            0 => request.device_ids.join(" and "),
            count => count.to_string(),
        };
        limits.push(format!("devices {}: {count}", request.capabilities.join(" ")));
    }
    let labels = deploy.labels.iter().map(|(key, value)| format!("label {key}={value}"));
    limits.extend(labels);
    limits
}

/// A value of the rendered file on one line.
fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        Value::Array(items) => {
            let items = items.iter().map(|item| match key {
                "ports" => port(item),
                "volumes" => mount(item),
                "secrets" | "configs" | "devices" => from_to(item),
                _ if item.is_object() => format!("({})", shown("", item)),
                _ => shown("", item),
            });
            cut(&items.collect::<Vec<_>>().join(", "))
        }
        Value::Object(map)
            if map.values().all(|value| value.as_object().is_some_and(|map| map.is_empty())) =>
        {
            cut(&map.keys().cloned().collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| match value {
                Value::Object(_) | Value::Array(_) => format!("{key} ({})", shown(key, value)),
                value => format!("{key}={}", shown(key, value)),
            });
            cut(&pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn port(port: &Value) -> String {
    let text = |key: &str| port[key].as_str().unwrap_or_default().to_owned();
    let address = match text("host_ip") {
        address if address.is_empty() => address,
        address => format!("{address}:"),
    };
    let published = match text("published") {
        published if published.is_empty() => "a free port".to_owned(),
        published => published,
    };
    format!("{address}{published} → {}/{}", port["target"], text("protocol"))
}

fn mount(mount: &Value) -> String {
    let text = |key: &str| mount[key].as_str().unwrap_or_default();
    let source = match (text("type"), text("source")) {
        ("tmpfs", _) => "memory",
        (_, "") => "a volume without a name",
        (_, source) => source,
    };
    let mode = if mount["read_only"] == json!(true) { " (read-only)" } else { "" };
    format!("{source} → {}{mode}", text("target"))
}

/// A file or device and where it is in the container, with what else is said about it.
fn from_to(item: &Value) -> String {
    let text = |key: &str| item[key].as_str().unwrap_or_default();
    let rest = item
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !matches!(key.as_str(), "source" | "target"));
    let rest: Vec<String> = rest.map(|(key, value)| format!("{key} {}", shown(key, value))).collect();
    let rest = if rest.is_empty() { String::new() } else { format!(" ({})", rest.join(", ")) };
    format!("{} → {}{rest}", text("source"), text("target"))
}

fn cut(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
