//! What a value alone can't tell: settings that don't work, or not together.
//!
//! Parts that check their own settings are asked; the rest is here, so that `wharf config check` finds what `wharf up`
//! would refuse or, worse, would begin to work with.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::Config;
use crate::cli::Part;

/// Times that must not be zero: nothing would ever be in time, or a loop would never rest.
const TIMES: [&str; 24] = [
    "access.session_idle",
    "access.session_max",
    "agents.ping_interval",
    "agents.ping_timeout",
    "agent.converge_interval",
    "agent.report_interval",
    "agent.retry_wait_max",
    "deploy.healthy_deadline",
    "deploy.pull_deadline",
    "deploy.switch_deadline",
    "deploy.stop_deadline",
    "deploy.move_check",
    "deploy.move_retry",
    "deploy.uploads_kept",
    "image.timeout",
    "cache.retry_first",
    "cache.connect_timeout",
    "cache.head_timeout",
    "cache.stall_timeout",
    "registry.upload_idle",
    "registry.upload_stall",
    "registry.unreferenced_keep",
    "backup.every",
    "state.lease",
];

/// Shorter and nothing but renewals would happen; longer and a stolen key is good for ever.
const CERTIFICATE_LIFETIMES: RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(3_650 * 86_400);

/// Bounds of which 0 would refuse everything.
const BOUNDS: [&str; 16] = [
    "access.sessions_max",
    "access.tokens_max",
    "access.failures_per_minute",
    "access.streams_max",
    "agents.connections_max",
    "agents.hosts_max",
    "agents.generations_kept",
    "agent.starts_max",
    "agent.stops_max",
    "deploy.commit_tries_max",
    "deploy.services_max",
    "deploy.replicas_max",
    "deploy.upload_bytes_max",
    "deploy.uploads_bytes_max",
    "deploy.output_lines_max",
    "image.concurrent_max",
];

/// Checks `config` for a process that runs the parts `only`, or all of them. `wrong` places a problem in the file.
pub(super) fn check(
    config: &Config,
    only: &[Part],
    wrong: impl Fn(&str, &str) -> anyhow::Error,
) -> anyhow::Result<()> {
    if config.api.listen.is_empty() {
        return Err(wrong("api.listen", "no address is given; hint: 127.0.0.1:7700 is the default"));
    }
    match config.balancer.check() {
        Err(wharf_balancer::Error::Config { key, problem }) => return Err(wrong(&key, &problem)),
        other => other?,
    }
    if config.cache.enabled {
        config.cache.check().map_err(|error| wrong("cache", &error.to_string()))?;
    }
    // A server always has a certificate for its registry: that of its own CA.
    config.registry.check(true).map_err(|error| wrong("registry", &error.to_string()))?;
    let json = serde_json::to_value(config)?;
    if let Some(key) = TIMES.into_iter().find(|key| is_zero_time(value(&json, key))) {
        return Err(wrong(key, "must be longer than 0s"));
    }
    if let Some(key) = BOUNDS.into_iter().find(|key| value(&json, key) == 0) {
        return Err(wrong(key, "must be at least 1"));
    }
    if !CERTIFICATE_LIFETIMES.contains(&config.server.certificate_lifetime) {
        return Err(wrong("server.certificate_lifetime", "must be from 5s to 3650d"));
    }
    if let Some(address) = &config.server.address {
        host(address).map_err(|problem| wrong("server.address", &problem))?;
    }
    if let Some(address) = &config.registry.address {
        host_and_port(address).map_err(|problem| wrong("registry.address", &problem))?;
    }
    if config.state.url.is_some() {
        shared(config, only, &wrong)?;
    }
    if config.docker.socket.as_os_str().is_empty() {
        return Err(wrong("docker.socket", "no path is given; hint: /var/run/docker.sock is the default"));
    }
    apart(&listeners(config, only), wrong)
}

/// What can't be with several servers on one state.
fn shared(config: &Config, only: &[Part], wrong: impl Fn(&str, &str) -> anyhow::Error) -> anyhow::Result<()> {
    // Renewed every third of it: a busy machine is late by more than a few hundred milliseconds.
    if config.state.lease < Duration::from_secs(1) {
        return Err(wrong("state.lease", "must be at least 1s"));
    }
    if config.docker.is_host && (only.is_empty() || only.contains(&Part::Control)) {
        return Err(wrong(
            "docker.is_host",
            "with state.url a server is no host itself; hint: set docker.is_host: false and run `wharf agent` on it",
        ));
    }
    if only == [Part::Registry] {
        return Err(wrong("state.url", "a registry alone takes no lease; hint: leave state.url out for it"));
    }
    Ok(())
}

fn value<'a>(json: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(json, |value, part| &value[part])
}

fn is_zero_time(value: &Value) -> bool {
    value.as_str().and_then(|text| wharf_base::duration::parse(text).ok()).is_some_and(|time| time.is_zero())
}

/// A name or IP address that others can dial.
fn host(text: &str) -> Result<(), String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let problem = || format!("{text} is every address of a machine, so nobody can dial it");
        return if ip.is_unspecified() { Err(problem()) } else { Ok(()) };
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not a name or IP address; hint: write it without scheme and port, such as 10.0.0.1"
    ))
}

fn host_and_port(text: &str) -> Result<(), String> {
    let problem = || format!("`{text}` is not HOST:PORT; hint: write it such as 10.0.0.1:5000");
    let (name, port) = text.rsplit_once(':').ok_or_else(problem)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_bare_ip6 = name.contains(':') && !name.starts_with('[');
    if !is_port || is_bare_ip6 {
        return Err(problem());
    }
    host(name).map_err(|_| problem())
}

/// Where the process listens, with the keys that say so.
fn listeners(config: &Config, only: &[Part]) -> Vec<(&'static str, SocketAddr)> {
    let runs = |part: Part| only.is_empty() || only.contains(&part);
    let mut all = Vec::new();
    let mut add = |key: &'static str, addresses: &[SocketAddr]| {
        all.extend(addresses.iter().map(|address| (key, *address)));
    };
    if runs(Part::Control) {
        add("api.listen", &config.api.listen);
        add("agents.listen", &config.agents.listen);
        if config.cache.enabled {
            add("cache.listen", &config.cache.listen);
        }
    }
    if runs(Part::Registry) {
        add("registry.listen", &config.registry.listen);
    }
    if runs(Part::Balancer) {
        add("balancer.http", &config.balancer.http);
    }
    all
}

/// No two listeners on one port of one address, or of every address.
fn apart(
    listeners: &[(&'static str, SocketAddr)],
    wrong: impl Fn(&str, &str) -> anyhow::Error,
) -> anyhow::Result<()> {
    for (index, (key, address)) in listeners.iter().enumerate() {
        let meets = |(_, other): &&(&str, SocketAddr)| {
            let is_same_family = address.is_ipv4() == other.is_ipv4();
            let is_every = address.ip().is_unspecified() || other.ip().is_unspecified();
            address.port() != 0
                && address.port() == other.port()
                && (address.ip() == other.ip() || is_same_family && is_every)
        };
        if let Some((first, other)) = listeners[..index].iter().find(meets) {
            let problem = format!("{address} is taken: {first} has {other}; hint: give it another port");
            return Err(wrong(key, &problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checked_key_is_a_key_with_such_a_value() {
        let json = serde_json::to_value(Config::default()).unwrap();
        for key in TIMES {
            let text = value(&json, key).as_str().unwrap_or_else(|| panic!("{key} is no time"));
            wharf_base::duration::parse(text).unwrap();
        }
        for key in BOUNDS {
            assert!(value(&json, key).is_u64(), "{key} is no number");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in ["10.0.0.1", "wharf", "wharf.example.com", "::1", "[fd00::1]", "a_b"] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in ["", "https://wharf", "wharf:7700", "a b", "a/b", "0.0.0.0", "::", "-a", "a..b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        for good in ["10.0.0.1:5000", "registry.test:443", "[fd00::1]:5000", "localhost:1"] {
            assert_eq!(host_and_port(good), Ok(()), "{good}");
        }
        for bad in ["", "10.0.0.1", "a:0", "a:70000", ":5000", "https://a:5000", "fd00::1:5000", "a:b/c"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
