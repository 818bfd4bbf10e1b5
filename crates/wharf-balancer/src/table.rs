//! The compiled form of [`wharf_model::Table`]: immutable, made once per change, read once per request.
//!
//! Which route: an exact host beats a wildcard of one level, which beats a route for every host; among those the
//! longest path prefix that ends at a segment border wins. A route whose path does not match does not hide others.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wharf_model::{Balance, HealthCheck};

use crate::backend::Backend;
use crate::release::Release;

/// One table in use.
pub(crate) struct Compiled {
    /// Our own number of this table; grows by one with each that is applied.
    pub(crate) serial: u64,
    pub(crate) version: u64,
    pub(crate) generation: u64,
    pub(crate) routes: Vec<Arc<Route>>,
    /// By exact host, by the part after `*.`, and for every host; each list longest path first.
    exact: HashMap<String, Vec<Arc<Route>>>,
    wildcard: HashMap<String, Vec<Arc<Route>>>,
    any: Vec<Arc<Route>>,
}

/// One route with its targets.
pub(crate) struct Route {
    pub(crate) host: Option<String>,
    /// Without a slash at the end; empty for `/`.
    pub(crate) path: String,
    pub(crate) release: Arc<Release>,
    pub(crate) balance: Balance,
    /// `None`: the balancer's default.
    pub(crate) timeout: Option<Duration>,
    pub(crate) health: HealthCheck,
    pub(crate) targets: Box<[Arc<Backend>]>,
    /// Whose turn it is, per worker.
    turns: Box<[Turn]>,
}

#[repr(align(64))]
struct Turn(AtomicU32);

impl Compiled {
    pub(crate) fn new(serial: u64, version: u64, generation: u64, routes: Vec<Arc<Route>>) -> Compiled {
        let mut compiled = Compiled {
            serial,
            version,
            generation,
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: Vec::new(),
            routes,
        };
        for route in &compiled.routes {
            let list = match route.host.as_deref() {
                None => &mut compiled.any,
                Some(host) => match host.strip_prefix("*.") {
                    Some(suffix) => compiled.wildcard.entry(suffix.to_ascii_lowercase()).or_default(),
                    None => compiled.exact.entry(host.to_ascii_lowercase()).or_default(),
                },
            };
            list.push(Arc::clone(route));
        }
        let lists = compiled.exact.values_mut().chain(compiled.wildcard.values_mut());
        for list in lists.chain([&mut compiled.any]) {
            list.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        }
        compiled
    }

    /// The route for a request. `host` is as in the Host header; `path` as on the request line, without the query.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Arc<Route>> {
        let path = normal_path(path);
        if !(self.exact.is_empty() && self.wildcard.is_empty()) {
            let host = normal_host(host);
            let found = longest(self.exact.get(&*host), &path).or_else(|| {
                let (_, suffix) = host.split_once('.')?;
                longest(self.wildcard.get(suffix), &path)
            });
            if found.is_some() {
                return found;
            }
        }
        longest(Some(&self.any), &path)
    }

    /// The route with the host and path of one from another table.
    pub(crate) fn same_route(&self, route: &Route) -> Option<&Arc<Route>> {
        self.routes.iter().find(|other| other.host == route.host && other.path == route.path)
    }
}

impl Route {
    pub(crate) fn new(
        route: &wharf_model::Route,
        release: Arc<Release>,
        health: HealthCheck,
        targets: Vec<Arc<Backend>>,
        workers: usize,
    ) -> Route {
        Route {
            host: route.host.clone(),
            path: route.path.trim_end_matches('/').to_owned(),
            release,
            balance: route.balance,
            timeout: route.timeout_ms.map(Duration::from_millis),
            health,
            targets: targets.into(),
            // Workers begin at different targets, else the first request of each goes to the same one.
            turns: (0..workers.max(1)).map(|worker| Turn(AtomicU32::new(worker as u32))).collect(),
        }
    }

    /// The next number of this worker's turn.
    pub(crate) fn turn(&self, worker: usize) -> usize {
        self.turns[worker].0.fetch_add(1, Ordering::Relaxed) as usize
    }

    fn matches(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            // `OPTIONS *` and an empty path belong to whoever has everything.
            || self.path.is_empty()
    }
}

fn longest<'a>(routes: Option<&'a Vec<Arc<Route>>>, path: &str) -> Option<&'a Arc<Route>> {
    routes?.iter().find(|route| route.matches(path))
}

/// Lower case, without port and without the dot at the end. Allocates only for upper case.
pub(crate) fn normal_host(host: &str) -> Cow<'_, str> {
    let name = match host.rfind(':') {
        // The colons of an IPv6 address are inside of brackets.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// The path by which to route: dot segments resolved, so that `/public/../admin` is routed as what the application
/// will make of it. The application gets the path as it came. Allocates only if there is a dot segment.
fn normal_path(path: &str) -> Cow<'_, str> {
    let has_dots = path.as_bytes().windows(2).any(|pair| {
        pair[0] == b'/' && (pair[1] == b'.' || pair[1] == b'%') || pair[0] == b'.' && pair[1] == b'%'
    });
    if !has_dots {
        return Cow::Borrowed(path);
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    Cow::Owned(format!("/{}", segments.join("/")))
}

/// Checks a host of a route: a DNS name, an address, or `*.` before a name.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_address = name.starts_with('[') && name.ends_with(']');
    if name.is_empty()
        || name.len() > 253
        || !(is_address || name.bytes().all(is_good))
        || name.ends_with('.')
    {
        return Err(format!(
            "`{host}` is not a host; write shop.example.com or *.example.com, without a port"
        ));
    }
    Ok(())
}

/// Checks a path prefix of a route.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    let is_good = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?');
    if is_good { Ok(()) } else { Err(format!("`{path}` is not a path prefix; write / or /api")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(host: Option<&str>, path: &str, number: u32) -> Arc<Route> {
        let route = wharf_model::Route {
            app: String::new(),
            service: String::new(),
            release: number,
            host: host.map(str::to_owned),
            path: path.to_owned(),
            balance: Balance::RoundRobin,
            timeout_ms: None,
            health: None,
            targets: Vec::new(),
        };
        let release = Arc::new(Release::new("", "", number, 1));
        let health = HealthCheck { path: None, interval_ms: 1, timeout_ms: 1, rise: 1, fall: 1 };
        Arc::new(Route::new(&route, release, health, Vec::new(), 1))
    }

    fn table(routes: &[(Option<&str>, &str)]) -> Compiled {
        let routes =
            routes.iter().zip(1..).map(|((host, path), number)| route(*host, path, number)).collect();
        Compiled::new(1, 1, 1, routes)
    }

    #[test]
    fn the_most_special_route_wins() {
        let table = table(&[
            (None, "/"),
            (None, "/api/"),
            (Some("shop.example.com"), "/"),
            (Some("Shop.example.com"), "/cart"),
            (Some("*.example.com"), "/"),
            (Some("only.org"), "/deep"),
        ]);
        for (host, path, expected) in [
            ("x", "/", Some(1)),
            ("x", "/api", Some(2)),
            ("x", "/api/v1", Some(2)),
            ("x", "/apis", Some(1)),
            ("x", "/a/../api/v1", Some(2)),
            ("x", "/api/%2e%2e/", Some(1)),
            ("x", "/api/.%2E/y", Some(1)),
            ("x", "/api/.hidden", Some(2)),
            ("x", "*", Some(1)),
            ("shop.example.com", "/", Some(3)),
            ("SHOP.example.com.:8080", "/cart/1", Some(4)),
            ("other.example.com:80", "/cart", Some(5)),
            ("a.b.example.com", "/", Some(1)),
            ("example.com", "/", Some(1)),
            ("only.org", "/deep/1", Some(6)),
            ("only.org", "/", Some(1)),
            ("[::1]:80", "/", Some(1)),
            ("", "/", Some(1)),
        ] {
            let found = table.find(host, path).map(|route| route.release.release);
            assert_eq!(found, expected, "{host} {path}");
        }
        assert!(Compiled::new(1, 1, 1, Vec::new()).find("x", "/").is_none());
    }

    #[test]
    fn hosts_lose_case_port_and_last_dot() {
        for (host, expected) in
            [("A.b:80", "a.b"), ("a.", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a.:1", "a")]
        {
            assert_eq!(normal_host(host), expected);
        }
    }

    /// What `find` is to mean, without indexes.
    fn naive(routes: &[(Option<&str>, &str)], host: &str, path: &str) -> Option<u32> {
        let candidates = routes.iter().zip(1u32..).filter_map(|((pattern, prefix), number)| {
            let class = match pattern {
                None => 0,
                Some(pattern) if pattern.starts_with("*.") => {
                    let (label, rest) = host.split_once('.')?;
                    if label.is_empty() || rest != &pattern[2..] {
                        return None;
                    }
                    1
                }
                Some(pattern) if *pattern == host => 2,
                Some(_) => return None,
            };
            let wanted: Vec<&str> = prefix.split('/').filter(|segment| !segment.is_empty()).collect();
            let given: Vec<&str> = path[1..].split('/').collect();
            given.starts_with(&wanted).then_some(((class, wanted.len()), number))
        });
        candidates.max_by_key(|(rank, _)| *rank).map(|(_, number)| number)
    }

    proptest! {
        #[test]
        fn finds_what_the_naive_model_finds(
            picks in prop::collection::btree_set((0usize..5, 0usize..5), 0..12),
            host in prop::sample::select(vec!["a.b", "x.a.b", "a", "b", "y.b"]),
            path in prop::sample::select(vec!["/", "/p", "/p/q", "/pq", "/p/q/r", "/q"]),
        ) {
            let hosts = [None, Some("a.b"), Some("*.b"), Some("*.a.b"), Some("a")];
            let paths = ["/", "/p", "/p/q", "/q", "/pq"];
            let routes: Vec<_> = picks.iter().map(|(host, path)| (hosts[*host], paths[*path])).collect();
            let found = table(&routes).find(host, path).map(|route| route.release.release);
            prop_assert_eq!(found, naive(&routes, host, path));
        }
    }
}
