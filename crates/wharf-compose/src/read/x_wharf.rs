//! `x-wharf` of a service: hosts, route, health, rollout, before_switch, drift, reschedule.

use std::time::Duration;

use crate::diagnostic::{Kind, Problem};
use crate::project::{
    Balance, BeforeSwitch, DriftPolicy, Health, HostSelector, MountKind, Reschedule, Rollout, Route, Service,
    Strategy, XWharf,
};
use crate::read::context::Context;
use crate::read::scalar;
use crate::schema_keys as keys;
use crate::yaml::{Entry, Node, Scalar, Value};

/// How long old containers get to finish their requests, unless the file says otherwise.
const DRAIN: Duration = Duration::from_secs(30);

/// How long a command before the switch may take, unless the file says otherwise: migrations of large tables take minutes.
const BEFORE_SWITCH_TIMEOUT: Duration = Duration::from_secs(600);
/// LIMIT: commands before the switch of one service.
const BEFORE_SWITCH_MAX: usize = 20;

const BALANCES: [(&str, Balance); 2] =
    [("round_robin", Balance::RoundRobin), ("least_conn", Balance::LeastConn)];

const STRATEGIES: [(&str, Strategy); 2] =
    [("blue-green", Strategy::BlueGreen), ("recreate", Strategy::Recreate)];

const DRIFT_POLICIES: [(&str, DriftPolicy); 2] =
    [("repair", DriftPolicy::Repair), ("report", DriftPolicy::Report)];
const RESCHEDULES: [(&str, Reschedule); 2] = [("always", Reschedule::Always), ("never", Reschedule::Never)];

/// Reads the extension; `service` is the rest of the service, read before.
pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &Service, what: &str) -> XWharf {
    let mut x_wharf = XWharf::default();
    let (mut health, mut rollout) = (None, None);
    for field in cx.fields(node, &keys::X_WHARF, &format!("`x-wharf` of {what}")) {
        let value = &field.value;
        match field.key.as_str() {
            "hosts" => {
                x_wharf.hosts = cx.scalar(value, format_args!("`x-wharf.hosts` of {what}"), host_selector);
            }
            "before_switch" => x_wharf.before_switch = read_before_switch(cx, value, what),
            "route" => x_wharf.route = read_route(cx, field, what),
            "health" => health = Some(field),
            "drift" => {
                let what = format_args!("`x-wharf.drift` of {what}");
                x_wharf.drift = cx.scalar(value, what, |node| scalar::word(node, &DRIFT_POLICIES));
            }
            "reschedule" => x_wharf.reschedule = read_reschedule(cx, value, service, what),
            _ => rollout = Some(value),
        }
    }
    x_wharf.health = health.and_then(|entry| read_health(cx, entry, x_wharf.route.as_ref(), what));
    x_wharf.rollout = rollout.and_then(|node| read_rollout(cx, node, service, x_wharf.route.is_some(), what));
    x_wharf
}

fn read_reschedule(cx: &mut Context<'_>, node: &Node, service: &Service, what: &str) -> Option<Reschedule> {
    let of = format!("`x-wharf.reschedule` of {what}");
    let word = cx.scalar(node, &of, |node| scalar::word(node, &RESCHEDULES))?;
    let has_volume =
        service.volumes.iter().any(|mount| mount.kind == MountKind::Volume && mount.source.is_some());
    if word == Reschedule::Always && has_volume {
        let message = format!("{of}: it has a volume, whose data is on its host and does not go along");
        let problem = Problem::new(Kind::Reference, message);
        cx.error(node.place, problem.hint("write `reschedule: never`, or leave it out"));
        return None;
    }
    Some(word)
}

fn read_route(cx: &mut Context<'_>, entry: &Entry, what: &str) -> Option<Route> {
    let what = format!("`x-wharf.route` of {what}");
    let mut route =
        Route { host: None, path: "/".to_owned(), port: 0, balance: Balance::default(), timeout: None };
    let mut has_port = false;
    for field in cx.fields(&entry.value, &keys::X_WHARF_ROUTE, &what) {
        let (value, of) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "host" => {
                let host = cx.string(value, &of)?;
                route.host = cx.take(value.place, of, host_pattern(&host));
            }
            "path" => {
                let path = cx.string(value, &of)?;
                route.path = cx.take(value.place, of, absolute_path(&path)).unwrap_or_default();
            }
            "port" => {
                has_port = true;
                route.port = cx.scalar(value, of, scalar::port).unwrap_or_default();
            }
            "balance" => {
                let read = |node: &Node| scalar::word(node, &BALANCES);
                route.balance = cx.scalar(value, of, read).unwrap_or_default();
            }
            _ => route.timeout = cx.scalar(value, of, scalar::positive_duration),
        }
    }
    if !has_port {
        let problem = Problem::value(format!("{what}: `port` is missing"));
        cx.error(entry.key_place, problem.hint("the port that the application listens on in its container"));
        return None;
    }
    Some(route)
}

fn read_health(cx: &mut Context<'_>, entry: &Entry, route: Option<&Route>, what: &str) -> Option<Health> {
    let what = format!("`x-wharf.health` of {what}");
    let mut health = Health {
        path: None,
        port: None,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        rise: 1,
        fall: 3,
        start_period: Duration::from_secs(30),
    };
    let mut has_port = false;
    for field in cx.fields(&entry.value, &keys::X_WHARF_HEALTH, &what) {
        let (value, of) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "path" => {
                let path = cx.string(value, &of)?;
                health.path = Some(cx.take(value.place, of, absolute_path(&path))?);
            }
            "port" => {
                has_port = true;
                health.port = cx.scalar(value, of, scalar::port);
            }
            "interval" => health.interval = cx.scalar(value, of, scalar::positive_duration)?,
            "timeout" => health.timeout = cx.scalar(value, of, scalar::positive_duration)?,
            "start_period" => health.start_period = cx.scalar(value, of, scalar::duration)?,
            "rise" => health.rise = cx.scalar(value, of, |node| scalar::count(node, 1, 1000))?,
            _ => health.fall = cx.scalar(value, of, |node| scalar::count(node, 1, 1000))?,
        }
    }
    if !has_port && route.is_none() {
        let problem =
            Problem::new(Kind::Reference, format!("{what}: `port` is missing, and no route gives one"));
        cx.error(entry.key_place, problem);
        return None;
    }
    Some(health)
}

/// What `deploy.update_config.order` asks for.
pub(super) fn rollout_of(strategy: Strategy) -> Rollout {
    Rollout { strategy, drain: DRAIN }
}

fn read_rollout(
    cx: &mut Context<'_>,
    node: &Node,
    service: &Service,
    is_routed: bool,
    what: &str,
) -> Option<Rollout> {
    let what = format!("`x-wharf.rollout` of {what}");
    let runs_once = service.runs_once_because();
    let usual = if is_routed && runs_once.is_none() { Strategy::BlueGreen } else { Strategy::Recreate };
    let mut rollout = Rollout { strategy: usual, drain: DRAIN };
    for field in cx.fields(node, &keys::X_WHARF_ROLLOUT, &what) {
        let (value, of) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "strategy" => {
                rollout.strategy = cx.scalar(value, of, |node| scalar::word(node, &STRATEGIES))?;
                if let (Strategy::BlueGreen, Some(reason)) = (rollout.strategy, runs_once) {
                    let message =
                        format!("{what}: blue-green runs the old and the new side by side, but {reason}");
                    let problem = Problem::new(Kind::Reference, message);
                    cx.error(
                        value.place,
                        problem.hint("write `strategy: recreate`, or remove what fixes it"),
                    );
                }
            }
            _ => rollout.drain = cx.scalar(value, of, scalar::duration)?,
        }
    }
    Some(rollout)
}

/// A command, one with its timeout, or a list of the latter.
fn read_before_switch(cx: &mut Context<'_>, node: &Node, what: &str) -> Vec<BeforeSwitch> {
    let what = format!("`x-wharf.before_switch` of {what}");
    let is_mapping = |node: &Node| matches!(node.value, Value::Mapping(_));
    let nodes: Vec<&Node> = match &node.value {
        Value::Sequence(items) if items.iter().any(is_mapping) => items.iter().collect(),
        _ => vec![node],
    };
    if nodes.len() > BEFORE_SWITCH_MAX {
        let message = format!("{what}: {} commands are more than {BEFORE_SWITCH_MAX}", nodes.len());
        cx.error(node.place, Problem::value(message).hint("put them into a script of the image"));
        return Vec::new();
    }
    nodes.into_iter().filter_map(|node| read_command(cx, node, &what)).collect()
}

fn read_command(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<BeforeSwitch> {
    let (mut command, mut timeout) = (None, BEFORE_SWITCH_TIMEOUT);
    if matches!(node.value, Value::Mapping(_)) {
        for field in cx.fields(node, &keys::X_WHARF_BEFORE_SWITCH, what) {
            let (value, of) = (&field.value, format!("`{}` in {what}", field.key));
            match field.key.as_str() {
                "command" => command = Some(super::service::command(cx, value, &of)?),
                _ => timeout = cx.scalar(value, of, scalar::positive_duration)?,
            }
        }
    } else {
        command = Some(super::service::command(cx, node, what)?);
    }
    let command = command.unwrap_or_default();
    if command.first().is_none_or(String::is_empty) {
        let hint = "write `before_switch: [program, argument]`, or `{ command: …, timeout: 10m }`";
        cx.error(node.place, Problem::value(format!("{what}: there is no command")).hint(hint));
        return None;
    }
    Some(BeforeSwitch { command, timeout })
}

/// `any`, `pool(web)`, `label(key=value)` or `host(name)`.
fn host_selector(node: &Node) -> Result<HostSelector, Problem> {
    let wrong = |shown: String| {
        Problem::value(format!("{shown} selects no hosts"))
            .hint("write any, pool(web), label(key=value) or host(name)")
    };
    let Value::Scalar(Scalar::String(text)) = &node.value else {
        return Err(wrong(node.describe()));
    };
    let unknown = || wrong(format!("`{}`", crate::yaml_text(text)));
    let text = text.trim();
    if text == "any" {
        return Ok(HostSelector::Any);
    }
    let (selector, argument) =
        text.strip_suffix(')').and_then(|text| text.split_once('(')).ok_or_else(unknown)?;
    let argument = argument.trim();
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
    };
    match (selector.trim(), argument.split_once('=')) {
        ("pool", None) if is_word(argument) => Ok(HostSelector::Pool(argument.to_owned())),
        ("host", None) if is_word(argument) => Ok(HostSelector::Host(argument.to_owned())),
        ("label", Some((key, value))) if is_word(key.trim()) && is_word(value.trim()) => {
            Ok(HostSelector::Label(key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(unknown()),
    }
}

/// A host name in lower case, or `*.` and one.
fn host_pattern(text: &str) -> Result<String, Problem> {
    let host = text.to_ascii_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(host);
    }
    let problem = Problem::value(format!("`{}` is no host name", crate::yaml_text(text)));
    Err(problem
        .hint("only the name, such as shop.example.com or *.example.com, without scheme, port or path"))
}

fn absolute_path(text: &str) -> Result<String, Problem> {
    let valid =
        text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains('#');
    if valid {
        return Ok(text.to_owned());
    }
    Err(Problem::value(format!("`{}` is no path of a URL", crate::yaml_text(text)))
        .hint("it begins with `/`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Place;

    #[test]
    fn selects_hosts() {
        let selector = |text: &str| host_selector(&Node::string(Place::default(), text));
        for (text, expected) in [
            ("any", HostSelector::Any),
            ("pool(web)", HostSelector::Pool("web".to_owned())),
            ("host( green1 )", HostSelector::Host("green1".to_owned())),
            ("label(zone=eu-1)", HostSelector::Label("zone".to_owned(), "eu-1".to_owned())),
        ] {
            assert_eq!(selector(text).unwrap(), expected, "{text}");
        }
        for text in
            ["", "web", "pool", "pool()", "pool(a=b)", "label(x)", "role(lb)", "pool(web", "label(=x)"]
        {
            assert!(selector(text).is_err(), "{text}");
        }
    }

    #[test]
    fn host_patterns_and_paths() {
        for good in ["shop.example.com", "*.example.com", "localhost", "Shop.Example.com"] {
            assert!(host_pattern(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "a..b", "http://a", "a:80", "a/b", "*.*.b", "a.*"] {
            assert!(host_pattern(bad).is_err(), "{bad}");
        }
        for bad in ["", "x", "/a b", "/a#b", "/é"] {
            assert!(absolute_path(bad).is_err(), "{bad}");
        }
    }
}
