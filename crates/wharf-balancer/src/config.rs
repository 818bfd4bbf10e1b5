//! Settings of `balancer` in wharf.yaml.
//!
//! [`Config::check`] explains mistakes before anything is opened; it needs no network and no files.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::ByteSize;

use crate::Error;
use crate::network::Network;
use crate::static_routes;

/// The HTTP load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses that take plain HTTP for the applications.
    #[serde(with = "wharf_base::addresses")]
    #[schemars(with = "Vec<String>")]
    pub http: Vec<SocketAddr>,
    /// Allow plain HTTP on addresses that other machines reach.
    pub insecure: bool,
    /// Threads that serve; 0 is one per core.
    pub workers: usize,
    /// File for the access log, relative to the balancer's directory under --data; `-` is standard output, `off` none.
    pub access_log: String,
    /// Format of the access log.
    pub access_log_format: LogFormat,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Bounds.
    pub limits: Limits,
    /// Networks whose X-Forwarded-* headers are believed: `10.0.0.0/8`, `192.0.2.7`.
    pub trusted_proxies: Vec<String>,
    /// Active checks of targets whose route says nothing about it.
    pub health: Health,
    /// Routes without an application.
    pub routes: Vec<StaticRoute>,
}

/// Format of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// nginx's `combined`, then request time, upstream time and `key=value` pairs.
    #[default]
    Combined,
    /// One JSON object per line, times in microseconds.
    Json,
}

/// How long to wait for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For the whole head of a request, from its first byte.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub header: Duration,
    /// For the next request on an idle client connection.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub keep_alive: Duration,
    /// For a connection to a target.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub connect: Duration,
    /// For the head of the response, tries included, from the last byte that the client sent.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub response: Duration,
    /// Between two parts of a response's body.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub idle: Duration,
    /// Without a byte in either direction on an upgraded connection (WebSocket).
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub tunnel: Duration,
    /// For an idle connection to a target, before it is closed.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub pool: Duration,
    /// For requests in flight when the balancer stops.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub stop: Duration,
}

/// Bounds. What is refused is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Client connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// Bytes of a request's head.
    #[schemars(with = "String")]
    pub header_bytes: ByteSize,
    /// Header lines of a request.
    pub header_count: usize,
    /// Bytes of a request's body; none is no limit (bodies are streamed, not kept).
    #[schemars(with = "Option<String>")]
    pub body_bytes: Option<ByteSize>,
    /// Idle connections that each thread keeps to one target.
    pub pool_connections: usize,
    /// Targets that one request is sent to at most. Targets that could not be connected to don't count.
    pub attempts: u32,
    /// Requests that may be repeated, in percent of all; the rest fails rather than doubling the load.
    pub retry_percent: u32,
    /// Bytes of log lines that wait for the disk; more are dropped and counted.
    #[schemars(with = "String")]
    pub log_bytes: ByteSize,
    /// Targets in one table.
    pub targets: usize,
}

/// Active check of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Path to GET (2xx or 3xx passes); none only connects.
    pub path: Option<String>,
    /// Between two checks.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// For one check.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Successes in a row to come back.
    pub rise: u32,
    /// Failures in a row to go out.
    pub fall: u32,
}

/// A route from wharf.yaml.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StaticRoute {
    /// Name in logs and metrics; none makes one of host and path.
    pub name: Option<String>,
    /// Host name to match, `*.example.com` for one level; none matches every name.
    pub host: Option<String>,
    /// Path prefix to match, on segment borders; none is `/`.
    pub path: Option<String>,
    /// Backends: `http://127.0.0.1:9000`.
    pub targets: Vec<String>,
    /// How to pick one.
    pub balance: Policy,
    /// For the head of a response; none is `timeouts.response`.
    #[serde(with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// Active check; none is `balancer.health`.
    pub health: Option<Health>,
}

/// How to pick a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Fewest requests in flight; in turn among equals.
    LeastConn,
    /// In turn.
    #[default]
    RoundRobin,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            http: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            insecure: false,
            workers: 0,
            access_log: "access.log".to_owned(),
            access_log_format: LogFormat::Combined,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            health: Health::default(),
            routes: Vec::new(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            header: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            // One lost SYN costs 1 s; in a data centre a connect takes under 1 ms, so 300 ms is a dead host.
            connect: Duration::from_millis(300),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
            // Below the 60 s to 75 s after which common servers close: we should be the first.
            pool: Duration::from_secs(50),
            stop: Duration::from_secs(8),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 8192,
            header_bytes: ByteSize(32 << 10),
            header_count: 100,
            body_bytes: None,
            pool_connections: 256,
            attempts: 3,
            retry_percent: 20,
            log_bytes: ByteSize(16 << 20),
            targets: 4096,
        }
    }
}

impl Default for Health {
    fn default() -> Health {
        let half = Duration::from_millis(500);
        Health { path: None, interval: half, timeout: half, rise: 2, fall: 2 }
    }
}

impl Config {
    /// Finds mistakes: each error names the key and says what to write.
    pub fn check(&self) -> Result<(), Error> {
        let wrong =
            |key: &str, problem: String| Err(Error::Config { key: format!("balancer.{key}"), problem });
        if self.http.is_empty() {
            return wrong("http", "no address is given; hint: write [127.0.0.1:8080]".to_owned());
        }
        if let Some(open) = self.http.iter().find(|address| !address.ip().is_loopback())
            && !self.insecure
        {
            let problem = format!(
                "{open} would serve plain HTTP to other machines; hint: set balancer.insecure: true if that is meant"
            );
            return wrong("http", problem);
        }
        if self.workers > 1024 {
            return wrong("workers", format!("{} threads are more than 1024", self.workers));
        }
        for (key, value) in [
            ("timeouts.header", self.timeouts.header),
            ("timeouts.keep_alive", self.timeouts.keep_alive),
            ("timeouts.connect", self.timeouts.connect),
            ("timeouts.response", self.timeouts.response),
            ("timeouts.idle", self.timeouts.idle),
            ("timeouts.tunnel", self.timeouts.tunnel),
        ] {
            if value < Duration::from_millis(1) {
                return wrong(key, "must be at least 1ms".to_owned());
            }
        }
        // Below 8 KiB hyper's buffer would not hold common cookies; above 1 MiB a head is an attack.
        if !(8 << 10..=1 << 20).contains(&self.limits.header_bytes.0) {
            return wrong("limits.header_bytes", "must be from 8k to 1M".to_owned());
        }
        for (key, value, range) in [
            ("limits.connections", self.limits.connections, 1..=1_000_000),
            ("limits.header_count", self.limits.header_count, 8..=1_000),
            ("limits.attempts", self.limits.attempts as usize, 1..=8),
            ("limits.retry_percent", self.limits.retry_percent as usize, 0..=100),
            ("limits.targets", self.limits.targets, 1..=100_000),
        ] {
            if !range.contains(&value) {
                return wrong(key, format!("{value} is not from {} to {}", range.start(), range.end()));
            }
        }
        for text in &self.trusted_proxies {
            if let Err(problem) = text.parse::<Network>() {
                return wrong("trusted_proxies", problem);
            }
        }
        self.health.check("balancer.health")?;
        static_routes::check(&self.routes)
    }
}

impl Health {
    /// Finds mistakes; `key` is where this stands in wharf.yaml.
    pub(crate) fn check(&self, key: &str) -> Result<(), Error> {
        let wrong = |problem: &str| Err(Error::Config { key: key.to_owned(), problem: problem.to_owned() });
        if self.interval < Duration::from_millis(10) || self.timeout < Duration::from_millis(10) {
            return wrong("interval and timeout must be at least 10ms");
        }
        if self.rise == 0 || self.fall == 0 {
            return wrong("rise and fall must be at least 1");
        }
        if self.path.as_deref().is_some_and(|path| !path.starts_with('/')) {
            return wrong("path must begin with /");
        }
        Ok(())
    }
}

/// `Option<Duration>` as the text of [`wharf_base::duration`].
mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use wharf_base::duration;

    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(duration::format).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| duration::parse(&text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_right_and_survive_json() {
        let config = Config::default();
        config.check().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), config);
    }

    #[test]
    fn mistakes_name_their_key() {
        for (json, key) in [
            (r#"{"http":[]}"#, "balancer.http"),
            (r#"{"http":["0.0.0.0:80"]}"#, "balancer.http"),
            (r#"{"timeouts":{"connect":"0s"}}"#, "balancer.timeouts.connect"),
            (r#"{"limits":{"header_bytes":"1k"}}"#, "balancer.limits.header_bytes"),
            (r#"{"limits":{"attempts":0}}"#, "balancer.limits.attempts"),
            (r#"{"trusted_proxies":["10.0.0.0/40"]}"#, "balancer.trusted_proxies"),
            (r#"{"health":{"fall":0}}"#, "balancer.health"),
            (r#"{"routes":[{}]}"#, "balancer.routes[0].targets"),
            (r#"{"routes":[{"path":"api","targets":["http://127.0.0.1:1"]}]}"#, "balancer.routes[0].path"),
            (r#"{"routes":[{"targets":["https://127.0.0.1:1"]}]}"#, "balancer.routes[0].targets[0]"),
            (r#"{"routes":[{"targets":["http://127.0.0.1:1/x"]}]}"#, "balancer.routes[0].targets[0]"),
            (r#"{"routes":[{"host":"a b","targets":["http://h:1"]}]}"#, "balancer.routes[0].host"),
        ] {
            let config: Config = serde_json::from_str(json).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{json}: {error}");
        }
        assert!(serde_json::from_str::<Config>(r#"{"https":[]}"#).is_err());
    }
}
