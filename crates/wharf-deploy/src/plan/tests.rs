//! Cases and properties of plans.

use proptest::prelude::*;
use serde_json::{Value, json};
use wharf_model::Liveness;

use super::*;
use crate::translate::translate;

/// An installation on paper: plans are carried out by taking their last stage.
struct Paper {
    hosts: Vec<HostView>,
    current: Option<AppDesired>,
    release: u32,
    scales: BTreeMap<Name, u32>,
    given_up: BTreeSet<Name>,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn paper(hosts: &[&str]) -> Paper {
    let host = |text: &&str| {
        let (host, colour) = text.split_once(':').unwrap_or((text, ""));
        let colours = (!colour.is_empty()).then(|| ("colour".to_owned(), colour.to_owned()));
        HostView { labels: colours.into_iter().collect(), ..HostView::new(name(host), Liveness::Up) }
    };
    Paper {
        hosts: hosts.iter().map(host).collect(),
        current: None,
        release: 0,
        scales: BTreeMap::new(),
        given_up: BTreeSet::new(),
    }
}

impl Paper {
    fn plan_as(&self, services: &Value, release: u32, is_resize: bool) -> Result<Plan, PlanError> {
        let volumes = json!({ "data": {} });
        let project = json!({ "name": "shop", "services": services, "volumes": volumes });
        let project = serde_json::from_value(project).unwrap();
        let app = name("shop");
        let model = translate(&app, &project, &BTreeMap::new(), &BTreeMap::new(), &BTreeMap::new()).unwrap();
        plan(&Input {
            app: &app,
            release,
            model: &model,
            current: self.current.as_ref(),
            hosts: &self.hosts,
            load: BTreeMap::new(),
            scales: &self.scales,
            is_resize,
            drain_ms: 30_000,
            platforms: &BTreeMap::new(),
            given_up: &self.given_up,
        })
    }

    fn deploy(&mut self, services: &Value) -> Plan {
        self.release += 1;
        let plan = self.plan_as(services, self.release, false).unwrap();
        self.current = plan.rollout.stages.after.clone();
        plan
    }

    fn scale(&mut self, services: &Value, service: &str, replicas: u32) -> Plan {
        self.scales.insert(name(service), replicas);
        let plan = self.plan_as(services, self.release, true).unwrap();
        self.current = plan.rollout.stages.after.clone();
        plan
    }
}

fn ids(desired: &Option<AppDesired>) -> Vec<String> {
    let desired = desired.as_ref().unwrap();
    desired.instances.iter().map(|one| format!("{}@{}", one.id, one.host)).collect()
}

fn routes(desired: &Option<AppDesired>) -> Vec<u32> {
    desired.as_ref().unwrap().routes.iter().map(|route| route.release).collect()
}

fn routed(image: &str, replicas: u32) -> Value {
    json!({ "image": image, "deploy": { "replicas": replicas }, "healthcheck": { "test": ["CMD", "x"] },
        "x_wharf": { "route": { "host": null, "path": "/", "port": 80, "balance": "round_robin", "timeout": null } } })
}

fn database(image: &str) -> Value {
    json!({ "image": image,
        "volumes": [{ "kind": "volume", "source": "data", "target": "/data", "read_only": false }] })
}

#[test]
fn a_first_deploy_starts_everything_and_routes_only_at_the_switch() {
    let mut paper = paper(&["a", "b"]);
    let plan = paper.deploy(&json!({ "web": routed("v1", 2) }));
    let stages = &plan.rollout.stages;
    assert_eq!((&stages.before, &stages.cleared), (&None, &None));
    assert_eq!(ids(&stages.started), ["shop-web-r1-1@a", "shop-web-r1-2@b"]);
    assert_eq!((routes(&stages.started), routes(&stages.switched)), (vec![], vec![1]));
    assert_eq!(lines(&plan), ["shop: release 1, the first", "+ web: new, on a, b"]);
}

#[test]
fn blue_green_starts_beside_switches_and_removes() {
    let mut paper = paper(&["a", "b"]);
    paper.deploy(&json!({ "web": routed("v1", 1) }));
    let plan = paper.deploy(&json!({ "web": routed("v2", 1) }));
    let stages = &plan.rollout.stages;
    assert_eq!(stages.cleared, None);
    assert_eq!(ids(&stages.started), ["shop-web-r1-1@a", "shop-web-r2-1@a"]);
    assert_eq!((routes(&stages.started), routes(&stages.switched)), (vec![1], vec![2]));
    let draining = &stages.switched.as_ref().unwrap().draining;
    assert_eq!(draining.iter().collect::<Vec<_>>(), ["shop-web-r1-1"]);
    assert_eq!(ids(&stages.after), ["shop-web-r2-1@a"]);
    assert!(!plan.rollout.leaving[0].shares_release);
    assert_eq!(
        lines(&plan),
        [
            "shop: release 1 → release 2",
            "~ web: new beside old, then switched (blue-green): on a, old on a go (changed: image)"
        ]
    );
}

#[test]
fn what_cannot_run_twice_is_stopped_first_and_the_plan_says_why() {
    let mut paper = paper(&["a"]);
    paper.deploy(&json!({ "db": database("v1"), "web": routed("v1", 1) }));
    let plan = paper.deploy(&json!({ "db": database("v2"), "web": routed("v1", 1) }));
    let stages = &plan.rollout.stages;
    assert_eq!(ids(&stages.cleared), ["shop-web-r1-1@a"]);
    assert_eq!(ids(&stages.started), ["shop-db-r2-1@a", "shop-web-r1-1@a"]);
    assert_eq!(routes(&stages.after), [1], "the route follows the release of the instances");
    assert_eq!(
        lines(&plan)[1..],
        [
            "~ db: stopped on a, then started on a; not blue-green, because it writes the volume `shop_data` (changed: image)",
            "= web: unchanged, 1 instance"
        ]
    );
}

#[test]
fn a_recreated_routed_service_is_routed_as_soon_as_it_starts() {
    let mut paper = paper(&["a"]);
    let fixed = |image: &str| {
        let mut web = routed(image, 1);
        web["container_name"] = json!("web");
        web
    };
    paper.deploy(&json!({ "web": fixed("v1") }));
    let plan = paper.deploy(&json!({ "web": fixed("v2") }));
    assert_eq!(routes(&plan.rollout.stages.started), [2]);
    assert_eq!(plan.rollout.leaving, []);
    assert_eq!(plan.rollout.stopped_first.len(), 1);
}

#[test]
fn unchanged_services_keep_their_containers_over_releases() {
    let mut paper = paper(&["a"]);
    paper.deploy(&json!({ "db": database("v1"), "web": routed("v1", 1) }));
    paper.deploy(&json!({ "db": database("v1"), "web": routed("v2", 1) }));
    let plan = paper.deploy(&json!({ "db": database("v1"), "web": routed("v3", 1) }));
    assert_eq!(ids(&plan.rollout.stages.after), ["shop-db-r1-1@a", "shop-web-r3-1@a"]);
    assert!(!plan.is_up_to_date());
    let again = paper.deploy(&json!({ "db": database("v1"), "web": routed("v3", 1) }));
    assert!(again.is_up_to_date());
    assert_eq!(lines(&again)[0], "shop: release 3 is up to date, nothing to do");
}

#[test]
fn a_service_without_a_route_runs_twice_only_if_the_file_says_so() {
    let mut paper = paper(&["a"]);
    let worker = |image: &str| json!({ "worker": { "image": image } });
    paper.deploy(&worker("v1"));
    let plan = paper.deploy(&worker("v2"));
    assert_eq!(plan.services[0].action, Action::Recreate);
    assert!(plan.services[0].once.as_ref().unwrap().starts_with("it has no route"));
    let asked = |image: &str| json!({ "worker": { "image": image, "x_wharf": { "rollout": { "strategy": "blue-green", "drain": "1s" } } } });
    assert_eq!(paper.deploy(&asked("v3")).services[0].action, Action::Replace);
}

#[test]
fn a_removed_service_goes_last_but_first_when_it_may_hold_what_others_want() {
    let mut paper = paper(&["a"]);
    let mut proxy = routed("v1", 1);
    proxy["container_name"] = json!("proxy");
    paper.deploy(&json!({ "old": { "image": "o" }, "proxy": proxy }));
    let plan = paper.deploy(&json!({ "new": routed("n", 1) }));
    assert_eq!(ids(&plan.rollout.stages.cleared), ["shop-old-r1-1@a"]);
    assert_eq!(ids(&plan.rollout.stages.switched), ["shop-new-r2-1@a", "shop-old-r1-1@a"]);
    assert_eq!(lines(&plan)[1..], ["+ new: new, on a", "- old: removed from a", "- proxy: removed from a"]);
}

#[test]
fn scaling_adds_beside_and_drains_only_what_goes() {
    let services = json!({ "web": routed("v1", 3) });
    let mut paper = paper(&["a", "b", "c"]);
    paper.deploy(&services);
    let more = paper.scale(&services, "web", 5);
    assert_eq!(ids(&more.rollout.stages.after)[3..], ["shop-web-r1-4@a", "shop-web-r1-5@b"]);
    assert_eq!(more.rollout.leaving, []);
    let fewer = paper.scale(&services, "web", 2);
    let leaving: Vec<(&str, bool)> =
        fewer.rollout.leaving.iter().map(|one| (one.id.as_str(), one.shares_release)).collect();
    assert_eq!(leaving, [("shop-web-r1-3", true), ("shop-web-r1-4", true), ("shop-web-r1-5", true)]);
    assert_eq!(lines(&fewer)[1], "~ web: 2 instances stay, those on a, b, c go");
    let none = paper.scale(&services, "web", 0);
    assert_eq!(routes(&none.rollout.stages.after), [1], "the route stays and answers that nobody is there");
}

#[test]
fn waits_for_what_is_not_there_are_left_out_in_every_stage() {
    let services = |image: &str| {
        let mut web = routed("v1", 1);
        web["depends_on"] = json!({ "db": { "condition": "service_started", "required": true } });
        json!({ "db": database(image), "web": web })
    };
    let mut paper = paper(&["a"]);
    paper.deploy(&services("d1"));
    let plan = paper.deploy(&services("d2"));
    let waits = |desired: &Option<AppDesired>| {
        let web = desired.as_ref().unwrap().instances.iter().find(|one| one.service.as_str() == "web");
        web.unwrap().after.len()
    };
    let stages = &plan.rollout.stages;
    assert_eq!([waits(&stages.before), waits(&stages.cleared), waits(&stages.after)], [1, 0, 1]);
    assert!(paper.deploy(&services("d2")).is_up_to_date());
}

#[test]
fn a_recreated_service_that_loses_its_route_has_none_while_it_starts() {
    let mut paper = paper(&["a"]);
    let mut web = routed("v1", 1);
    web["container_name"] = json!("web");
    paper.deploy(&json!({ "web": web }));
    let plan = paper.deploy(&json!({ "web": { "image": "v1", "container_name": "web" } }));
    assert_eq!(routes(&plan.rollout.stages.started), [0; 0]);
}

#[test]
fn a_fixed_port_is_taken_once_on_each_host() {
    let fixed = |replicas: u32| {
        let ports = json!([{ "host_ip": null, "published": 80, "target": 80, "protocol": "tcp" }]);
        json!({ "web": { "image": "v1", "ports": ports, "deploy": { "replicas": replicas } } })
    };
    let paper = paper(&["a", "b"]);
    assert!(paper.plan_as(&fixed(2), 1, false).is_ok());
    let error = paper.plan_as(&fixed(3), 1, false).unwrap_err().to_string();
    assert!(
        error.starts_with("`web` can't run twice on a, because it publishes the fixed host port 80"),
        "{error}"
    );
}

#[test]
fn data_is_never_scaled_to_nothing() {
    let services = json!({ "db": database("v1") });
    let mut paper = paper(&["a"]);
    paper.deploy(&services);
    paper.scales.insert(name("db"), 0);
    let error = paper.plan_as(&services, 1, true).unwrap_err().to_string();
    assert!(error.starts_with("`db` keeps data on a, so it can't be scaled to 0\n  hint: "), "{error}");
}

#[test]
fn rolling_back_makes_the_old_instances_again_with_their_number() {
    let (v1, v2) = (json!({ "web": routed("v1", 1) }), json!({ "web": routed("v2", 1) }));
    let mut paper = paper(&["a", "b"]);
    paper.deploy(&v1);
    paper.deploy(&v2);
    let back = paper.plan_as(&v1, 1, false).unwrap();
    assert_eq!(ids(&back.rollout.stages.after), ["shop-web-r1-1@a"]);
    assert_eq!((back.previous, back.release), (Some(2), 1));
}

#[test]
fn a_drained_host_is_left_with_new_slots_of_the_same_release() {
    let services = json!({ "web": routed("v1", 2) });
    let mut paper = paper(&["a", "b", "c"]);
    paper.deploy(&services);
    paper.hosts[0].draining = true;
    let plan = paper.plan_as(&services, 1, true).unwrap();
    assert_eq!(ids(&plan.rollout.stages.started), ["shop-web-r1-1@a", "shop-web-r1-2@b", "shop-web-r1-3@c"]);
    assert_eq!(ids(&plan.rollout.stages.after), ["shop-web-r1-2@b", "shop-web-r1-3@c"]);
    assert_eq!(lines(&plan)[1], "~ web: moved from a to c, 1 instance stays");
}

#[test]
fn a_host_that_was_removed_is_named_in_no_stage() {
    let services = json!({ "web": routed("v1", 2) });
    let mut paper = paper(&["a", "b"]);
    paper.deploy(&services);
    paper.hosts.remove(0);
    let plan = paper.plan_as(&services, 2, false).unwrap();
    let stages = &plan.rollout.stages;
    for stage in [&stages.before, &stages.started, &stages.switched, &stages.after] {
        assert!(ids(stage).iter().all(|id| id.ends_with("@b")), "{stage:?}");
    }
}

#[test]
fn what_an_earlier_rollout_could_not_remove_goes_with_the_next() {
    let services = json!({ "web": routed("v2", 1) });
    let mut paper = paper(&["a"]);
    paper.deploy(&json!({ "web": routed("v1", 1) }));
    let stuck = paper.deploy(&services).rollout.stages.switched;
    paper.current = stuck;
    let plan = paper.deploy(&services);
    assert!(!plan.is_up_to_date());
    assert_eq!(ids(&plan.rollout.stages.after), ["shop-web-r2-1@a"]);
    assert_eq!(plan.rollout.leaving.len(), 1);
    assert!(paper.deploy(&services).is_up_to_date());
}

#[test]
fn says_which_settings_changed() {
    let mut paper = paper(&["a"]);
    let web = |environment: Value, user: &str| json!({ "web": { "image": "v1", "environment": environment, "user": user } });
    paper.deploy(&web(json!({ "A": "1", "B": "1", "C": "1" }), "root"));
    let plan = paper.deploy(&web(json!({ "A": "1", "B": "2", "D": "1" }), "www"));
    assert_eq!(plan.services[0].changes, ["environment B", "environment C", "environment D", "user"]);
}

#[test]
fn asking_for_blue_green_where_it_is_impossible_is_answered() {
    let mut db = database("v1");
    db["x_wharf"] = json!({ "rollout": { "strategy": "blue-green", "drain": "5s" } });
    let plan = paper(&["a"]).deploy(&json!({ "db": db }));
    assert_eq!(
        plan.warnings,
        ["db: not blue-green as the file asks, because it writes the volume `shop_data`"]
    );
}

fn any_service() -> impl Strategy<Value = Value> {
    (0..3u8, 0..4u32, any::<bool>(), any::<bool>(), 0..4u8).prop_map(
        |(image, replicas, route, recreate, link)| {
            let mut service =
                if route { routed("x", replicas) } else { json!({ "deploy": { "replicas": replicas } }) };
            service["image"] = json!(format!("v{image}"));
            if recreate && !route {
                service["x_wharf"] = json!({ "rollout": { "strategy": "recreate", "drain": "1s" } });
            }
            if link == 0 {
                service["depends_on"] =
                    json!({ "s0": { "condition": "service_started", "required": false } });
            }
            service
        },
    )
}

fn any_services() -> impl Strategy<Value = Value> {
    proptest::collection::vec(any_service(), 1..4).prop_map(|all| {
        let service = |(index, mut service): (usize, Value)| {
            if let Some(route) = service.pointer_mut("/x_wharf/route/path") {
                *route = json!(format!("/{index}"));
            }
            (format!("s{index}"), service)
        };
        Value::Object(all.into_iter().enumerate().map(service).collect())
    })
}

proptest! {
    #[test]
    fn plans_keep_their_promises(
        history in proptest::collection::vec(any_services(), 1..5),
        coloured in any::<bool>(),
    ) {
        let mut paper = if coloured { paper(&["a:green", "b:green", "c:blue", "d:blue"]) } else { paper(&["a", "b", "c"]) };
        for services in &history {
            let before = paper.current.clone();
            let plan = paper.deploy(services);
            let stages = &plan.rollout.stages;
            prop_assert_eq!(&stages.before, &before);
            for stage in [&stages.before, &stages.cleared, &stages.started, &stages.switched, &stages.after] {
                let Some(stage) = stage else { continue };
                let unique: BTreeSet<&String> = stage.instances.iter().map(|one| &one.id).collect();
                prop_assert_eq!(unique.len(), stage.instances.len());
            }
            let (started, after) = (stages.started.as_ref().unwrap(), stages.after.as_ref().unwrap());
            let stops_first: BTreeSet<&String> = plan.rollout.stopped_first.iter().map(|one| &one.id).collect();
            let old = before.iter().flat_map(|before| &before.instances);
            for instance in old.filter(|one| !stops_first.contains(&one.id)) {
                prop_assert!(started.instances.contains(instance) || !plan.services.is_empty());
                prop_assert!(started.instances.iter().any(|one| one.id == instance.id));
            }
            for instance in &after.instances {
                prop_assert!(started.instances.iter().any(|one| one.id == instance.id));
            }
            for route in &after.routes {
                let of_service: Vec<u32> =
                    after.instances.iter().filter(|one| one.service == route.service).map(|one| one.release).collect();
                prop_assert!(of_service.iter().all(|release| *release == route.release), "{route:?} {of_service:?}");
            }
            let again = paper.plan_as(services, paper.release + 1, false).unwrap();
            prop_assert!(again.is_up_to_date(), "{:?}", lines(&again));
            prop_assert!(again.rollout.coming.is_empty() && again.rollout.leaving.is_empty());
        }
    }
}

/// Looks at hosts, places and instances that a first deploy, one with nothing to do, one of another image, a move away
/// from a tenth of the hosts and their items take together, with `count` replicas on `count` hosts.
fn looks(count: u32) -> u64 {
    let names: Vec<String> = (0..count).map(|number| format!("h{number}")).collect();
    let mut paper = paper(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let services = |image: &str| {
        json!({
            "web": {
                "image": image,
                "deploy": { "replicas": count },
                "x_wharf": { "route": { "host": null, "path": "/", "port": 80, "balance": "round_robin", "timeout": null } },
            },
            "job": { "image": "job:1", "deploy": { "replicas": count / 2 } },
        })
    };
    crate::host_index::visits::of(|| {
        let observed = wharf_model::Observed::default();
        let first = paper.deploy(&services("web:1"));
        assert_eq!(items(&first, &paper.hosts, &observed).len() as u32, count + count / 2 + 1);
        assert!(paper.deploy(&services("web:1")).is_up_to_date());
        let next = paper.deploy(&services("web:2"));
        assert_eq!(next.rollout.coming.len() as u32, count);
        items(&next, &paper.hosts, &observed);
        for host in paper.hosts.iter_mut().take(count as usize / 10) {
            host.draining = true;
        }
        let moved = paper.plan_as(&services("web:2"), paper.release, true).unwrap();
        assert_eq!(
            moved.rollout.coming.len(),
            moved.rollout.leaving.len() + moved.rollout.stopped_first.len()
        );
        assert!(moved.rollout.coming.len() as u32 >= count / 10);
        items(&moved, &paper.hosts, &observed);
    })
    .1
}

#[test]
fn planning_looks_at_each_host_and_instance_a_few_times_however_many_there_are() {
    let (some, many) = (looks(100), looks(1_000));
    assert!(many <= some * 11, "{some} looks for 100 hosts, {many} for 1,000");
    assert!(many <= 1_000 * 100, "{many} looks for 1,000 hosts and 1,500 instances");
}
