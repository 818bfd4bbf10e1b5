//! `ports` and `expose`.
//!
//! The short form is `[[IP:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL]`. Ranges are expanded, so the project
//! holds single ports. Source: compose-spec `05-services.md`, `ports`; go-connections `nat.ParsePortSpec`.

use core::net::IpAddr;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use crate::diagnostic::{Kind, Problem};
use crate::project::{ExposedPort, Port, Protocol};
use crate::read::context::Context;
use crate::read::scalar;
use crate::schema_keys as keys;
use crate::yaml::{Node, Scalar, Value};

/// LIMIT: ports of one entry; each one costs the Engine a proxy process or a firewall rule.
const RANGE_MAX: usize = 1024;

/// LIMIT: ports of one service; a project stays a few hundred kilobytes.
const PORTS_MAX: usize = 4096;

const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];

/// Reads `ports`. An exact repetition is dropped, as in Compose.
pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &str) -> Vec<Port> {
    let what = format!("`ports` of {service}");
    let mut ports: Vec<Port> = Vec::new();
    // Targets by what is published, and all targets that get a free port.
    let mut published: HashMap<(Option<String>, u16, Protocol), u16> = HashMap::new();
    let mut unpublished: HashSet<(Option<String>, u16, Protocol)> = HashSet::new();
    for item in cx.items(node, &what) {
        let new = match &item.value {
            Value::Mapping(_) => long(cx, item, &what),
            Value::Scalar(Scalar::String(text)) => {
                let parsed = parse(text);
                cx.take(item.place, &what, parsed)
            }
            Value::Scalar(Scalar::Integer(number, _)) => {
                let parsed = parse(&number.to_string());
                cx.take(item.place, &what, parsed)
            }
            Value::Scalar(_) | Value::Sequence(_) => {
                let message = format!("a port is expected, this is {}", item.describe());
                cx.error(
                    item.place,
                    Problem::value(message).hint("put it in quotes: \"8080:80\"").about(&what),
                );
                None
            }
        };
        if ports.len() >= PORTS_MAX {
            let message = format!("more than {PORTS_MAX} ports");
            cx.error(item.place, Problem::new(Kind::Limit, message).about(&what));
            break;
        }
        for port in new.unwrap_or_default() {
            let is_new = match port.published {
                None => unpublished.insert((port.host_ip.clone(), port.target, port.protocol)),
                Some(number) => match published
                    .insert((port.host_ip.clone(), number, port.protocol), port.target)
                {
                    Some(other) if other != port.target => {
                        let message = format!("port {number} is published for {other} and {}", port.target);
                        cx.error(item.place, Problem::new(Kind::Reference, message).about(&what));
                        false
                    }
                    earlier => earlier.is_none(),
                },
            };
            if is_new {
                ports.push(port);
            }
        }
    }
    ports
}

/// Reads `expose`.
pub(super) fn expose(cx: &mut Context<'_>, node: &Node, service: &str) -> Vec<ExposedPort> {
    let what = format!("`expose` of {service}");
    let mut exposed: Vec<ExposedPort> = Vec::new();
    let mut seen: HashSet<(u16, Protocol)> = HashSet::new();
    for item in cx.items(node, &what) {
        let text = match &item.value {
            Value::Scalar(scalar) => scalar.to_text().unwrap_or_default(),
            Value::Sequence(_) | Value::Mapping(_) => String::new(),
        };
        let parsed = split_protocol(&text).and_then(|(range, protocol)| Ok((parse_range(range)?, protocol)));
        let Some((range, protocol)) = cx.take(item.place, &what, parsed) else { continue };
        if exposed.len() >= PORTS_MAX {
            let message = format!("more than {PORTS_MAX} ports");
            cx.error(item.place, Problem::new(Kind::Limit, message).about(&what));
            break;
        }
        for port in range {
            if seen.insert((port, protocol)) {
                exposed.push(ExposedPort { port, protocol });
            }
        }
    }
    exposed
}

fn long(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Vec<Port>> {
    let (mut target, mut published, mut host_ip) = (None, None, None);
    let mut protocol = Protocol::Tcp;
    let entry = format!("an entry of {what}");
    for field in cx.fields(node, &keys::PORT, &entry) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "target" => target = Some(cx.scalar(value, what, scalar::port)?),
            "published" => {
                let text = match &value.value {
                    Value::Scalar(Scalar::Integer(number, _)) => number.to_string(),
                    _ => cx.string(value, &what)?,
                };
                if text != "0" && !text.is_empty() {
                    published = Some(cx.take(value.place, what, parse_range(&text))?);
                }
            }
            "host_ip" => {
                let text = cx.string(value, &what)?;
                host_ip = cx.take(value.place, what, parse_ip(&text))?;
            }
            "protocol" => protocol = cx.scalar(value, what, |node| scalar::word(node, &PROTOCOLS))?,
            _ => {
                // Both words mean the same on an Engine without Swarm.
                cx.scalar(value, what, |node| scalar::word(node, &[("host", ()), ("ingress", ())]));
            }
        }
    }
    let Some(target) = target else {
        cx.error(node.place, Problem::value("`target` is missing").about(entry));
        return None;
    };
    let expanded = expand(host_ip, published, target..=target, protocol);
    cx.take(node.place, entry, expanded)
}

fn parse(text: &str) -> Result<Vec<Port>, Problem> {
    let wrong = || {
        let problem = Problem::value(format!("`{}` is no port", crate::yaml_text(text)));
        problem.hint("write \"HOST:CONTAINER\", for example \"8080:80\" or \"127.0.0.1:8080:80/udp\"")
    };
    let (rest, protocol) = split_protocol(text)?;
    let (rest, target) = match rest.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, rest),
    };
    let target = parse_range(target)?;
    let Some(rest) = rest else {
        return expand(None, None, target, protocol);
    };
    let (ip, published) = match rest.rsplit_once(':') {
        Some((ip, published)) => (Some(ip), published),
        None => (None, rest),
    };
    let host_ip = match ip {
        Some("") => return Err(wrong()),
        Some(ip) => parse_ip(ip)?,
        None => None,
    };
    let published = match published {
        "" if ip.is_none() => return Err(wrong()),
        "" | "0" => None,
        published => Some(parse_range(published)?),
    };
    expand(host_ip, published, target, protocol)
}

fn expand(
    host_ip: Option<String>,
    published: Option<RangeInclusive<u16>>,
    target: RangeInclusive<u16>,
    protocol: Protocol,
) -> Result<Vec<Port>, Problem> {
    let port = |published, target| Port { host_ip: host_ip.clone(), published, target, protocol };
    let Some(published) = published else {
        return Ok(target.map(|target| port(None, target)).collect());
    };
    if published.len() != target.len() {
        let message = format!("{} host ports for {} of the container", published.len(), target.len());
        let problem = Problem::value(message);
        return Err(match target.len() {
            1 => problem.hint(
                "a free port of a range is not supported; publish one port, or leave the host port out",
            ),
            _ => problem.hint("both ranges must have the same length"),
        });
    }
    Ok(published.zip(target).map(|(published, target)| port(Some(published), target)).collect())
}

fn split_protocol(text: &str) -> Result<(&str, Protocol), Problem> {
    let Some((rest, protocol)) = text.rsplit_once('/') else {
        return Ok((text, Protocol::Tcp));
    };
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Ok((rest, Protocol::Tcp)),
        "udp" => Ok((rest, Protocol::Udp)),
        "sctp" => Err(Problem::unsupported("`sctp` is not supported")),
        _ => {
            Err(Problem::value(format!("`{}` is no protocol", crate::yaml_text(protocol)))
                .hint("use tcp or udp"))
        }
    }
}

fn parse_range(text: &str) -> Result<RangeInclusive<u16>, Problem> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => {
            Err(Problem::value(format!("`{}` is no port number", crate::yaml_text(text))).hint("1 to 65535"))
        }
    };
    let range = match text.split_once('-') {
        Some((start, end)) => number(start)?..=number(end)?,
        None => {
            let port = number(text)?;
            port..=port
        }
    };
    if range.is_empty() || range.len() > RANGE_MAX {
        let message = format!("`{text}` is not a range of 1 to {RANGE_MAX} ports");
        return Err(Problem::value(message));
    }
    Ok(range)
}

/// `None` for the address that means all.
fn parse_ip(text: &str) -> Result<Option<String>, Problem> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ok(None),
        Ok(address) => Ok(Some(address.to_string())),
        Err(_) => Err(Problem::value(format!("`{}` is no IP address", crate::yaml_text(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let actual = match parse(text) {
            Ok(ports) => ports
                .iter()
                .map(|port| {
                    let ip = port.host_ip.as_deref().unwrap_or("*");
                    let published = port.published.map_or("any".to_owned(), |port| port.to_string());
                    let suffix = if port.protocol == Protocol::Udp { "/udp" } else { "" };
                    format!("{ip} {published}>{}{suffix}", port.target)
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(problem) => format!("error: {}", problem.message),
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn reads_the_short_form() {
        for (text, expected) in [
            ("80", "* any>80"),
            ("8080:80", "* 8080>80"),
            ("8080:80/udp", "* 8080>80/udp"),
            ("53/UDP", "* any>53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080>80"),
            ("127.0.0.1::80", "127.0.0.1 any>80"),
            ("0.0.0.0:80:80", "* 80>80"),
            ("[::1]:8080:80", "::1 8080>80"),
            ("::1:8080:80", "::1 8080>80"),
            ("3000-3002", "* any>3000, * any>3001, * any>3002"),
            ("8000-8001:9000-9001", "* 8000>9000, * 8001>9001"),
            ("127.0.0.1:5000-5001:5000-5001/udp", "127.0.0.1 5000>5000/udp, 127.0.0.1 5001>5001/udp"),
            ("0:80", "* any>80"),
            ("8000-8001:80", "error: 2 host ports for 1 of the container"),
            ("8000:80-81", "error: 1 host ports for 2 of the container"),
            ("", "error: `` is no port number"),
            (":80", "error: `:80` is no port"),
            ("80:", "error: `` is no port number"),
            ("a:80", "error: `a` is no port number"),
            ("0", "error: `0` is no port number"),
            ("65536", "error: `65536` is no port number"),
            ("+80", "error: `+80` is no port number"),
            ("90-80", "error: `90-80` is not a range of 1 to 1024 ports"),
            ("1-65535", "error: `1-65535` is not a range of 1 to 1024 ports"),
            ("80/icmp", "error: `icmp` is no protocol"),
            ("host:80:80", "error: `host` is no IP address"),
            ("::80", "error: `::80` is no port"),
        ] {
            check(text, expected);
        }
    }
}
