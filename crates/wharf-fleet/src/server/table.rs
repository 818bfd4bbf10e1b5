//! The balancers' table, computed from the generation's routes and what agents report. Pure.
//!
//! A target is an instance of the route's release and service that its agent last reported as healthy, with an
//! address. Only instances of the generation count, each by the report of the host that it was given to: a host can't
//! bring in targets that it was not given.

use std::collections::BTreeMap;

use wharf_model::{
    AppDesired, Generation, HealthCheck, HostReport, InstanceState, Name, Route, RouteSpec, Target,
    TargetState,
};

/// The balancer's own check of targets of applications that say nothing about it: a dead container is out within two seconds, and
/// the agent's report follows.
const CHECK: HealthCheck =
    HealthCheck { path: None, interval_ms: 1_000, timeout_ms: 1_000, rise: 1, fall: 2 };

/// What the table needs to know of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostFacts<'a> {
    pub(crate) presence: Presence,
    pub(crate) draining: bool,
    pub(crate) report: &'a HostReport,
}

/// How a host's connection bears on its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Connected, or the server has just started and gives it time to connect again.
    Here,
    /// Lost a short while ago: its targets stay as lost, so that requests in flight there are repeated elsewhere.
    Lost,
    /// Lost for long, or never seen.
    Gone,
}

/// Every route with its targets, in a stable order.
pub(crate) fn routes(generation: &Generation, hosts: &BTreeMap<Name, HostFacts<'_>>) -> Vec<Route> {
    let mut routes = Vec::new();
    for (name, app) in &generation.apps {
        for route in &app.routes {
            routes.push(Route {
                app: name.to_string(),
                service: route.service.to_string(),
                release: route.release,
                host: route.host.clone(),
                path: route.path.clone(),
                balance: route.balance,
                timeout_ms: route.timeout_ms,
                health: Some(
                    route
                        .health
                        .clone()
                        .unwrap_or_else(|| HealthCheck { path: route.health_path.clone(), ..CHECK }),
                ),
                targets: targets(app, route, hosts),
            });
        }
    }
    routes
}

fn targets(app: &AppDesired, route: &RouteSpec, hosts: &BTreeMap<Name, HostFacts<'_>>) -> Vec<Target> {
    let mut targets = Vec::new();
    // Nobody is to serve any more when all of the route's release leave: then none of them is the last way.
    let serves = |one: &wharf_model::Instance| {
        one.service == route.service && one.release == route.release && !app.draining.contains(&one.id)
    };
    let is_served = app.instances.iter().any(serves);
    for instance in app.instances.iter().filter(|one| one.service == route.service) {
        let leaves = app.draining.contains(&instance.id);
        if instance.release != route.release && !leaves {
            continue;
        }
        let Some(facts) = hosts.get(&instance.host) else { continue };
        let Some(report) = facts.report.instances.iter().find(|report| report.id == instance.id) else {
            continue;
        };
        // What leaves is listed as long as it runs, healthy or not: requests in flight there are still counted.
        let counts = if leaves { runs(&report.state) } else { report.state.is_healthy() };
        let Some(address) = report.address.filter(|_| counts) else { continue };
        let state = match facts.presence {
            Presence::Gone => continue,
            Presence::Lost => TargetState::Lost,
            Presence::Here if leaves || facts.draining => TargetState::Draining,
            Presence::Here => TargetState::Active,
        };
        let may_open = is_served && instance.release == route.release && report.state.is_healthy();
        let (id, host) = (instance.id.clone(), instance.host.to_string());
        targets.push((Target { id, address, host, state }, may_open));
    }
    keep_one_open(&mut targets);
    let mut targets: Vec<Target> = targets.into_iter().map(|(target, _)| target).collect();
    targets.sort_by(|a, b| a.id.cmp(&b.id));
    targets
}

/// A route never ends up without a way only because of what we think of its hosts: if no target is active, draining
/// ones serve on; if there are only lost ones, it is as likely that we are the one who is cut off, and the balancer's own
/// checks decide.
fn keep_one_open(targets: &mut [(Target, bool)]) {
    if targets.iter().any(|(target, _)| target.state == TargetState::Active) {
        return;
    }
    let mut open: Vec<&mut Target> =
        targets.iter_mut().filter(|(_, may_open)| *may_open).map(|(target, _)| target).collect();
    let has_draining = open.iter().any(|target| target.state == TargetState::Draining);
    let fallback = if has_draining { TargetState::Draining } else { TargetState::Lost };
    for target in open.iter_mut().filter(|target| target.state == fallback) {
        target.state = TargetState::Active;
    }
}

/// Whether there is a process that requests may be in flight to.
fn runs(state: &InstanceState) -> bool {
    matches!(
        state,
        InstanceState::Healthy
            | InstanceState::Unhealthy { .. }
            | InstanceState::Starting
            | InstanceState::Stopping
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instance, name};
    use wharf_base::UnixMillis;
    use wharf_model::{Balance, InstanceReport};

    fn report_of(instances: &[wharf_model::Instance], host: &str, state: &InstanceState) -> HostReport {
        let on_host = instances.iter().filter(|one| one.host == name(host));
        let reports = on_host.map(|one| InstanceReport {
            id: one.id.clone(),
            app: name("shop"),
            service: one.service.clone(),
            release: one.release,
            slot: one.slot,
            state: state.clone(),
            address: Some(format!("10.0.0.{}:8000", one.slot).parse().unwrap()),
            container_id: None,
            since: UnixMillis(0),
            restarts: 0,
            log_tail: vec![],
        });
        HostReport { instances: reports.collect(), ..Default::default() }
    }

    /// Two instances of release 1 on hosts h1 and h2, one of release 2 on h2; the route goes to release 1.
    fn check(
        h1: (Presence, bool, InstanceState),
        h2: (Presence, bool, InstanceState),
        expected: &[(&str, TargetState)],
    ) {
        let mut instances =
            vec![instance("shop", "web", 1, 1), instance("shop", "web", 1, 2), instance("shop", "web", 2, 3)];
        instances[1].host = name("h2");
        instances[2].host = name("h2");
        let route = RouteSpec {
            service: name("web"),
            release: 1,
            host: Some("shop.example.com".to_owned()),
            path: "/".to_owned(),
            balance: Balance::LeastConn,
            timeout_ms: Some(5),
            health_path: None,
            health: None,
        };
        let (one, two) = (report_of(&instances, "h1", &h1.2), report_of(&instances, "h2", &h2.2));
        let app = AppDesired { instances, routes: vec![route], ..Default::default() };
        let generation =
            Generation { number: 1, apps: BTreeMap::from([(name("shop"), app)]), ..Default::default() };
        let hosts = BTreeMap::from([
            (name("h1"), HostFacts { presence: h1.0, draining: h1.1, report: &one }),
            (name("h2"), HostFacts { presence: h2.0, draining: h2.1, report: &two }),
        ]);
        let routes = routes(&generation, &hosts);
        assert_eq!(routes.len(), 1);
        let targets: Vec<_> = routes[0].targets.iter().map(|one| (one.id.as_str(), one.state)).collect();
        assert_eq!(targets, expected);
    }

    #[test]
    fn targets_follow_health_presence_and_drain() {
        use Presence::{Gone, Here, Lost};
        use TargetState::{Active, Draining};
        let healthy = InstanceState::Healthy;
        let sick = InstanceState::Unhealthy { reason: "503".to_owned() };
        let (one, two) = ("shop-web-r1-1", "shop-web-r1-2");
        check(
            (Here, false, healthy.clone()),
            (Here, false, healthy.clone()),
            &[(one, Active), (two, Active)],
        );
        check((Here, false, healthy.clone()), (Here, false, sick.clone()), &[(one, Active)]);
        check((Here, false, sick.clone()), (Here, false, InstanceState::Starting), &[]);
        check(
            (Lost, false, healthy.clone()),
            (Here, false, healthy.clone()),
            &[(one, TargetState::Lost), (two, Active)],
        );
        check((Gone, false, healthy.clone()), (Here, false, healthy.clone()), &[(two, Active)]);
        check(
            (Here, true, healthy.clone()),
            (Here, false, healthy.clone()),
            &[(one, Draining), (two, Active)],
        );
        // The last way stays open.
        check((Here, true, healthy.clone()), (Here, true, healthy.clone()), &[(one, Active), (two, Active)]);
        check(
            (Here, true, healthy.clone()),
            (Lost, false, healthy.clone()),
            &[(one, Active), (two, TargetState::Lost)],
        );
        check(
            (Lost, false, healthy.clone()),
            (Lost, false, healthy.clone()),
            &[(one, Active), (two, Active)],
        );
        check((Lost, false, healthy), (Here, false, sick), &[(one, Active)]);
    }

    #[test]
    fn the_check_is_what_the_route_says_and_else_ours() {
        let check_of = |health_path: Option<&str>, health: Option<HealthCheck>| {
            let route = RouteSpec {
                service: name("web"),
                release: 1,
                host: None,
                path: "/".to_owned(),
                balance: Balance::RoundRobin,
                timeout_ms: None,
                health_path: health_path.map(str::to_owned),
                health,
            };
            let app = AppDesired { routes: vec![route], ..Default::default() };
            let apps = BTreeMap::from([(name("shop"), app)]);
            routes(&Generation { apps, ..Default::default() }, &BTreeMap::new())[0].health.clone().unwrap()
        };
        assert_eq!(check_of(None, None), CHECK);
        assert_eq!(check_of(Some("/up"), None), HealthCheck { path: Some("/up".to_owned()), ..CHECK });
        let own = HealthCheck { path: None, interval_ms: 500, timeout_ms: 900, rise: 2, fall: 4 };
        assert_eq!(check_of(Some("/up"), Some(own.clone())), own);
    }

    #[test]
    fn a_draining_instance_is_listed_as_such_whatever_its_release() {
        let instances =
            vec![instance("shop", "web", 1, 1), instance("shop", "web", 2, 1), instance("shop", "web", 2, 2)];
        let report = report_of(&instances, "h1", &InstanceState::Healthy);
        let route = RouteSpec {
            service: name("web"),
            release: 2,
            host: None,
            path: "/".to_owned(),
            balance: Balance::RoundRobin,
            timeout_ms: None,
            health_path: None,
            health: None,
        };
        let mut app = AppDesired { instances, routes: vec![route], ..Default::default() };
        let facts = HostFacts { presence: Presence::Here, draining: false, report: &report };
        let states = |app: &AppDesired| {
            let apps = BTreeMap::from([(name("shop"), app.clone())]);
            let routes =
                routes(&Generation { apps, ..Default::default() }, &BTreeMap::from([(name("h1"), facts)]));
            routes[0].targets.iter().map(|one| (one.id.clone(), one.state)).collect::<Vec<_>>()
        };
        assert_eq!(states(&app).len(), 2, "the old release is not in the table");
        app.draining = ["shop-web-r1-1".to_owned(), "shop-web-r2-2".to_owned()].into();
        let expected = [TargetState::Draining, TargetState::Active, TargetState::Draining];
        assert_eq!(states(&app).iter().map(|(_, state)| *state).collect::<Vec<_>>(), expected);
        app.draining.insert("shop-web-r2-1".to_owned());
        assert!(
            states(&app).iter().all(|(_, state)| *state == TargetState::Draining),
            "scaled to nothing: nobody is to serve"
        );
    }

    #[test]
    fn an_instance_that_was_not_given_to_the_host_is_no_target() {
        let ours = instance("shop", "web", 1, 1);
        let mut stranger = report_of(&[ours], "h1", &InstanceState::Healthy);
        stranger.instances[0].id = "shop-web-r1-9".to_owned();
        let generation = Generation::default();
        let hosts = BTreeMap::from([(
            name("h1"),
            HostFacts { presence: Presence::Here, draining: false, report: &stranger },
        )]);
        assert!(routes(&generation, &hosts).is_empty());
    }
}
