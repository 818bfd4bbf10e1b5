//! Routes from wharf.yaml, as routes of a table with an empty application.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wharf_model::{Balance, HealthCheck, Route, Target, TargetState};

use crate::Error;
use crate::config::{Health, Policy, StaticRoute};
use crate::table::{check_host, check_path};

/// LIMIT: routes in wharf.yaml; more come from a mistake or belong into applications.
const ROUTES_MAX: usize = 10_000;

/// Finds mistakes without touching the network.
pub(crate) fn check(routes: &[StaticRoute]) -> Result<(), Error> {
    if routes.len() > ROUTES_MAX {
        return Err(wrong("balancer.routes".to_owned(), format!("more than {ROUTES_MAX} routes")));
    }
    let mut places: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
    for (index, route) in routes.iter().enumerate() {
        let key = |part: &str| format!("balancer.routes[{index}].{part}");
        let place = (route.host.as_deref(), route.path.as_deref().unwrap_or("/"));
        if let Some(first) = places.insert(place, index) {
            let (host, path) = (place.0.unwrap_or("every host"), place.1);
            let problem = format!(
                "{host} with path {path} has a route already, balancer.routes[{first}]; hint: give both targets to one"
            );
            return Err(wrong(format!("balancer.routes[{index}]"), problem));
        }
        if let Some(host) = &route.host {
            check_host(host).map_err(|problem| wrong(key("host"), problem))?;
        }
        check_path(route.path.as_deref().unwrap_or("/")).map_err(|problem| wrong(key("path"), problem))?;
        if route.targets.is_empty() {
            let problem = "no target is given; hint: write [http://127.0.0.1:9000]".to_owned();
            return Err(wrong(key("targets"), problem));
        }
        for (position, target) in route.targets.iter().enumerate() {
            authority(target).map_err(|problem| wrong(key(&format!("targets[{position}]")), problem))?;
        }
        if let Some(health) = &route.health {
            health.check(&key("health"))?;
        }
    }
    Ok(())
}

/// Turns the routes into table routes. Names of targets are looked up once, now; each address of a name is a target
/// (as nginx's `server` in `upstream` has it), so that `localhost` works where the application has only one of its two.
pub(crate) async fn resolve(routes: &[StaticRoute]) -> Result<Vec<Route>, Error> {
    let mut resolved = Vec::with_capacity(routes.len());
    for (index, route) in routes.iter().enumerate() {
        let path = route.path.clone().unwrap_or_else(|| "/".to_owned());
        let mut targets = Vec::with_capacity(route.targets.len());
        for (position, text) in route.targets.iter().enumerate() {
            let key = format!("balancer.routes[{index}].targets[{position}]");
            let name = authority(text).map_err(|problem| wrong(key.clone(), problem))?;
            let addresses =
                lookup(&name).await.map_err(|source| Error::Resolve { key, name: name.clone(), source })?;
            targets.extend(targets_of(&name, &addresses));
        }
        let label = route.host.as_deref().unwrap_or("any");
        resolved.push(Route {
            app: String::new(),
            service: route.name.clone().unwrap_or_else(|| format!("{label}{path}")),
            release: 0,
            host: route.host.clone(),
            path,
            balance: match route.balance {
                Policy::LeastConn => Balance::LeastConn,
                Policy::RoundRobin => Balance::RoundRobin,
            },
            timeout_ms: route.timeout.map(|timeout| timeout.as_millis() as u64),
            health: route.health.as_ref().map(health_check),
            targets,
        });
    }
    Ok(resolved)
}

/// The table's form of a check.
pub(crate) fn health_check(health: &Health) -> HealthCheck {
    HealthCheck {
        path: health.path.clone(),
        interval_ms: health.interval.as_millis() as u64,
        timeout_ms: health.timeout.as_millis() as u64,
        rise: health.rise,
        fall: health.fall,
    }
}

/// The addresses of `name` in the resolver's order, each once; never empty.
async fn lookup(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let mut addresses = Vec::new();
    for address in tokio::net::lookup_host(name).await? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(std::io::Error::other("the name has no address"));
    }
    Ok(addresses)
}

/// One target per address; the id says which where there are several.
fn targets_of(name: &str, addresses: &[SocketAddr]) -> Vec<Target> {
    let id = |address: &SocketAddr| match addresses {
        [_] => name.to_owned(),
        _ => format!("{name} ({})", address.ip()),
    };
    let target = |address: &SocketAddr| Target {
        id: id(address),
        address: *address,
        host: String::new(),
        state: TargetState::Active,
    };
    addresses.iter().map(target).collect()
}

/// `host:port` of `http://host:port`.
fn authority(target: &str) -> Result<String, String> {
    if target.starts_with("https://") {
        return Err(format!("`{target}`: TLS to targets is not supported; hint: use http://"));
    }
    let rest = target.strip_prefix("http://").unwrap_or(target);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('/') {
        return Err(format!("`{target}` has a path; hint: paths belong into `path` of the route"));
    }
    let uri: http::uri::Authority = rest
        .parse()
        .map_err(|_| format!("`{target}` is not an address; hint: write http://127.0.0.1:9000"))?;
    if uri.host().is_empty() || rest.contains('@') {
        return Err(format!("`{target}` is not an address; hint: write http://127.0.0.1:9000"));
    }
    Ok(if uri.port_u16().is_some() { rest.to_owned() } else { format!("{rest}:80") })
}

fn wrong(key: String, problem: String) -> Error {
    Error::Config { key, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_of_a_name_is_a_target() {
        let (six, four) = ("[::1]:80".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        let ids = |addresses: &[SocketAddr]| -> Vec<String> {
            targets_of("localhost:80", addresses).into_iter().map(|target| target.id).collect()
        };
        assert_eq!(ids(&[four]), ["localhost:80"]);
        assert_eq!(ids(&[six, four]), ["localhost:80 (::1)", "localhost:80 (127.0.0.1)"]);
        let targets = targets_of("localhost:80", &[six, four]);
        assert_eq!((targets[0].address, targets[1].address), (six, four));
    }
}
