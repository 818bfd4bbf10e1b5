//! What a change of the desired state must fulfil before it is stored. Pure.

use std::collections::BTreeSet;

use wharf_model::{Change, Generation, Name};

use crate::Error;

/// LIMIT: instances of one application. Every table and report carries them all.
const INSTANCES_MAX: usize = 10_000;

/// The generation after `current` with `change`; its number and time are set by the caller.
///
/// Errors: `Invalid` when an instance names an unknown host, an instance id occurs twice in the installation, a
/// container name twice on one host, a route or dependency a service without instances, or a route is another
/// application's already.
pub(crate) fn apply(
    current: &Generation,
    change: Change,
    hosts: &BTreeSet<Name>,
) -> Result<Generation, Error> {
    let mut next = current.clone();
    match change.desired {
        Some(desired) => drop(next.apps.insert(change.app.clone(), desired)),
        None => drop(next.apps.remove(&change.app)),
    }
    next.author = change.author;
    next.reason = change.reason;
    if let Some(app) = next.apps.get(&change.app) {
        if let Some((route, owner, service)) = current.taken_route(&change.app, app) {
            return Err(Error::Invalid(format!(
                "the route {} of `{}` (service {}) is already taken by {owner} (service {service})\n  \
                 hint: give one of them another host or path",
                route.place(),
                change.app,
                route.service
            )));
        }
        check(&next, &change.app, app, hosts)?;
    }
    Ok(next)
}

fn check(
    next: &Generation,
    name: &Name,
    app: &wharf_model::AppDesired,
    hosts: &BTreeSet<Name>,
) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::Invalid(message));
    if app.instances.len() > INSTANCES_MAX {
        return invalid(format!(
            "`{name}` has {} instances, at most {INSTANCES_MAX} are possible",
            app.instances.len()
        ));
    }
    let mut ids = BTreeSet::new();
    let mut container_names = BTreeSet::new();
    for instance in next.apps.values().flat_map(|app| &app.instances) {
        if !ids.insert(&instance.id) {
            return invalid(format!("the instance `{}` occurs twice", instance.id));
        }
        let container = instance.spec.container_name.as_ref().unwrap_or(&instance.id);
        if !container_names.insert((&instance.host, container)) {
            return invalid(format!(
                "two containers on host `{}` are to be named `{container}`",
                instance.host
            ));
        }
    }
    let services: BTreeSet<&Name> = app.instances.iter().map(|one| &one.service).collect();
    for instance in &app.instances {
        if !hosts.contains(&instance.host) {
            return invalid(format!(
                "the instance `{}` is on host `{}`, which is unknown",
                instance.id, instance.host
            ));
        }
        if instance.spec.image.is_empty() {
            return invalid(format!("the instance `{}` has no image", instance.id));
        }
        if let Some(missing) = instance.after.keys().find(|service| !services.contains(service)) {
            return invalid(format!(
                "the instance `{}` waits for `{missing}`, which has no instance",
                instance.id
            ));
        }
    }
    if let Some(image) = app.images.iter().find(|image| !hosts.contains(&image.host)) {
        return invalid(format!(
            "the image `{}` is for host `{}`, which is unknown",
            image.image, image.host
        ));
    }
    for route in &app.routes {
        if !route.path.starts_with('/') {
            return invalid(format!(
                "the path `{}` of a route of `{name}` does not begin with /",
                route.path
            ));
        }
        let mut serving = app.instances.iter().filter(|one| one.service == route.service);
        if serving.clone().next().is_some() && serving.all(|one| one.serve.is_none()) {
            return invalid(format!(
                "the service `{}` has a route but no port that it serves",
                route.service
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instance, name};
    use wharf_model::{AppDesired, Balance, RouteSpec, Serve, WaitFor};

    fn check(app: AppDesired, expected: Result<(), &str>) {
        let other = AppDesired { instances: vec![instance("other", "web", 1, 1)], ..Default::default() };
        let current = Generation {
            number: 4,
            apps: std::collections::BTreeMap::from([(name("other"), other)]),
            ..Default::default()
        };
        let change = Change {
            author: "ann".to_owned(),
            reason: "test".to_owned(),
            app: name("shop"),
            desired: Some(app),
        };
        let result = apply(&current, change, &BTreeSet::from([name("h1")]));
        match (result, expected) {
            (Ok(next), Ok(())) => assert_eq!(next.apps.len(), 2),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (result, expected) => panic!("{result:?} is not {expected:?}"),
        }
    }

    fn with(instances: Vec<wharf_model::Instance>) -> AppDesired {
        AppDesired { instances, ..Default::default() }
    }

    #[test]
    fn good_changes_pass_and_bad_ones_name_the_place() {
        let good = instance("shop", "web", 1, 1);
        check(with(vec![good.clone(), instance("shop", "web", 1, 2)]), Ok(()));
        check(with(vec![]), Ok(()));
        check(with(vec![good.clone(), good.clone()]), Err("`shop-web-r1-1` occurs twice"));
        let mut elsewhere = good.clone();
        elsewhere.host = name("h9");
        check(with(vec![elsewhere]), Err("host `h9`, which is unknown"));
        let mut named = instance("shop", "web", 1, 2);
        named.spec.container_name = Some("shop-web-r1-1".to_owned());
        check(with(vec![good.clone(), named]), Err("are to be named `shop-web-r1-1`"));
        let mut taken = good.clone();
        taken.id = "other-web-r1-1".to_owned();
        check(with(vec![taken]), Err("occurs twice"));
        let mut waits = good.clone();
        waits.after.insert(name("db"), WaitFor::Started);
        check(with(vec![waits]), Err("waits for `db`"));
        let mut no_image = good.clone();
        no_image.spec.image.clear();
        check(with(vec![no_image]), Err("no image"));

        let route = |path: &str| RouteSpec {
            service: name("web"),
            release: 1,
            host: None,
            path: path.to_owned(),
            balance: Balance::RoundRobin,
            timeout_ms: None,
            health_path: None,
            health: None,
        };
        let routed = |path: &str, serve| AppDesired {
            instances: vec![wharf_model::Instance { serve, ..good.clone() }],
            routes: vec![route(path)],
            ..Default::default()
        };
        check(routed("/", Some(Serve { port: 80 })), Ok(()));
        check(routed("x", Some(Serve { port: 80 })), Err("does not begin with /"));
        check(routed("/", None), Err("no port that it serves"));
    }

    #[test]
    fn a_route_of_another_application_is_refused_but_what_is_there_can_be_undone() {
        let routed = |app: &str, host: Option<&str>, path: &str| {
            let serve = Some(Serve { port: 80 });
            let route = RouteSpec {
                service: name("web"),
                release: 1,
                host: host.map(str::to_owned),
                path: path.to_owned(),
                balance: Balance::RoundRobin,
                timeout_ms: None,
                health_path: None,
                health: None,
            };
            AppDesired {
                instances: vec![wharf_model::Instance { serve, ..instance(app, "web", 1, 1) }],
                routes: vec![route],
                ..Default::default()
            }
        };
        let hosts = BTreeSet::from([name("h1")]);
        let current = Generation {
            apps: std::collections::BTreeMap::from([(name("opshop"), routed("opshop", None, "/"))]),
            ..Default::default()
        };
        let change = |app: &str, desired| Change {
            author: String::new(),
            reason: String::new(),
            app: name(app),
            desired: Some(desired),
        };
        let error = apply(&current, change("shop", routed("shop", None, "/")), &hosts).unwrap_err();
        let expected =
            "the route */ of `shop` (service web) is already taken by opshop (service web)\n  hint: ";
        assert!(error.to_string().starts_with(expected), "{error}");
        for fine in [routed("shop", Some("shop.example.com"), "/"), routed("shop", None, "/shop")] {
            apply(&current, change("shop", fine), &hosts).unwrap();
        }
        let mut both = current.clone();
        both.apps.insert(name("shop"), routed("shop", None, "/"));
        apply(&both, change("shop", routed("shop", None, "/")), &hosts).unwrap();
    }

    #[test]
    fn removing_an_application_keeps_the_others() {
        let app = with(vec![instance("shop", "web", 1, 1)]);
        let current = Generation {
            apps: std::collections::BTreeMap::from([
                (name("shop"), app.clone()),
                (name("blog"), with(vec![])),
            ]),
            ..Default::default()
        };
        let change =
            Change { author: String::new(), reason: String::new(), app: name("shop"), desired: None };
        let next = apply(&current, change, &BTreeSet::new()).unwrap();
        assert_eq!(next.apps.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["blog"]);
    }
}
