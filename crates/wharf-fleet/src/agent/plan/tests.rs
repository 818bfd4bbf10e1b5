//! Cases of planning.

use wharf_model::{MountSpec, NetworkAttachment, PublishedPort, Transport};

use super::model::{self, OWNER};
use super::*;
use crate::testing::{instance, name};

fn wanted(instance: Instance) -> Wanted {
    let hash = spec_hash(&instance, None);
    Wanted { app: name("shop"), instance, hash }
}

/// As the agent lists it, without a look at its settings.
fn found(wanted: &Wanted, run: Run) -> Found {
    let id = format!("c-{}-{}", wanted.instance.id, &wanted.hash[..8]);
    Found { settings: None, ..model::container(wanted, &id, run) }
}

fn plan_all(wanted: &[Wanted], found: &[Found]) -> Plan {
    plan_with(wanted, found, &BTreeSet::new(), &BTreeSet::new())
}

fn plan_with(
    wanted: &[Wanted],
    found: &[Found],
    busy: &BTreeSet<String>,
    reported: &BTreeSet<String>,
) -> Plan {
    plan(&Context { owner: OWNER, busy, reported, met: &BTreeMap::new() }, wanted, found)
}

fn steps(wanted: &[Wanted], found: &[Found]) -> Vec<Step> {
    plan_all(wanted, found).units.into_iter().flat_map(|unit| unit.steps).collect()
}

#[test]
fn a_missing_instance_gets_everything_it_needs_in_order() {
    let mut one = instance("shop", "web", 1, 1);
    one.spec.networks = vec![NetworkAttachment { network: "net".to_owned(), ..Default::default() }];
    let mount = |source, target: &str| MountSpec {
        source,
        target: target.to_owned(),
        read_only: true,
        ..Default::default()
    };
    one.spec.mounts = vec![
        mount(MountSource::Volume("vol".to_owned()), "/v"),
        mount(MountSource::Files("sha256:x".to_owned()), "/f"),
        mount(MountSource::Tmpfs, "/t"),
    ];
    let image = one.spec.image.clone();
    assert_eq!(
        steps(&[wanted(one)], &[]),
        [
            Step::Network("net".to_owned()),
            Step::Volume("vol".to_owned()),
            Step::Files("sha256:x".to_owned()),
            Step::Pull(image),
            Step::Create,
            Step::Start(None)
        ]
    );
}

#[test]
fn nothing_is_done_when_all_is_as_desired() {
    let one = wanted(instance("shop", "web", 1, 1));
    for run in [Run::Running, Run::Restarting(1), Run::Exited(0), Run::Removing] {
        assert!(plan_all(std::slice::from_ref(&one), &[found(&one, run)]).is_empty(), "{run:?}");
    }
}

#[test]
fn another_spec_replaces_and_pulls_before_it_stops() {
    let old = wanted(instance("shop", "web", 1, 1));
    let mut new = old.instance.clone();
    new.spec.image = "new".to_owned();
    let id = found(&old, Run::Running).id;
    assert_eq!(
        steps(&[wanted(new)], &[found(&old, Run::Running)]),
        [
            Step::Pull("new".to_owned()),
            Step::Stop(id.clone()),
            Step::Remove(id),
            Step::Create,
            Step::Start(None)
        ]
    );
}

#[test]
fn what_ended_is_started_as_its_policy_says() {
    for (restart, code, expected) in [
        (RestartPolicy::No, 1, false),
        (RestartPolicy::Always, 0, true),
        (RestartPolicy::UnlessStopped, 255, true),
        (RestartPolicy::OnFailure(None), 0, false),
        (RestartPolicy::OnFailure(None), 255, true),
        (RestartPolicy::OnFailure(Some(3)), 1, false),
    ] {
        let mut one = instance("shop", "web", 1, 1);
        one.spec.restart = restart;
        let one = wanted(one);
        let steps = steps(std::slice::from_ref(&one), &[found(&one, Run::Exited(code))]);
        assert_eq!(!steps.is_empty(), expected, "{restart:?} {code}");
    }
    let one = wanted(instance("shop", "web", 1, 1));
    let cut = Found { was_cut_off: true, ..found(&one, Run::Exited(255)) };
    assert_eq!(steps(std::slice::from_ref(&one), &[cut]).len(), 1, "power loss is no end of its own");
    let created = found(&one, Run::Created);
    let expected = [Step::Start(Some(created.id.clone()))];
    assert_eq!(steps(&[one], &[created]), expected, "a cut creation goes on");
}

#[test]
fn a_container_that_is_not_ours_is_in_no_step() {
    let one = wanted(instance("shop", "web", 1, 1));
    let mut foreign = found(&one, Run::Running);
    foreign.owner = "another".to_owned();
    assert_eq!(steps(&[], &[foreign.clone()]), []);
    let steps = steps(&[one], &[foreign.clone()]);
    assert!(steps.iter().all(|step| !format!("{step:?}").contains(&foreign.id)), "{steps:?}");
}

#[test]
fn a_dependency_is_waited_for_by_its_condition() {
    let db = wanted(instance("shop", "db", 1, 1));
    for (condition, run, healthy, met) in [
        (WaitFor::Started, Run::Running, false, true),
        (WaitFor::Started, Run::Created, false, false),
        (WaitFor::Healthy, Run::Running, false, false),
        (WaitFor::Healthy, Run::Running, true, true),
        (WaitFor::Completed, Run::Exited(0), false, true),
        (WaitFor::Completed, Run::Exited(1), false, false),
    ] {
        let mut web = instance("shop", "web", 1, 1);
        web.after.insert(name("db"), condition);
        let web = wanted(web);
        let mut container = found(&db, run);
        container.is_healthy = healthy;
        let plan = plan_all(&[db.clone(), web.clone()], &[container]);
        assert_eq!(!plan.waiting.contains_key(&web.instance.id), met, "{condition:?} {run:?} {healthy}");
        let started = plan_all(&[db.clone(), web.clone()], &[found(&web, Run::Running)]);
        assert!(started.waiting.is_empty(), "what runs does not wait any more");
    }
    let mut lonely = instance("shop", "web", 1, 1);
    lonely.after.insert(name("gone"), WaitFor::Started);
    assert_eq!(plan_all(&[wanted(lonely)], &[]).waiting.len(), 1);
}

#[test]
fn a_fixed_port_is_taken_over_only_when_the_predecessor_is_gone() {
    let old = wanted(instance("shop", "web", 1, 1));
    let mut new = instance("shop", "web", 2, 1);
    let port =
        PublishedPort { host_ip: None, host_port: Some(80), container_port: 80, transport: Transport::Tcp };
    new.spec.ports = vec![port];
    let new = wanted(new);
    let plan = plan_all(std::slice::from_ref(&new), &[found(&old, Run::Running)]);
    assert_eq!(plan.units.len(), 1, "only the removal: {plan:?}");
    assert_eq!(plan.units[0].instance, old.instance.id);
    assert!(plan.waiting.contains_key(&new.instance.id));

    let shared = wanted(instance("shop", "web", 2, 1));
    assert_eq!(
        plan_all(&[shared], &[found(&old, Run::Running)]).units.len(),
        2,
        "others run beside each other"
    );
}

#[test]
fn what_depends_on_another_is_stopped_before_it() {
    let db = wanted(instance("shop", "db", 1, 1));
    let mut web = instance("shop", "web", 1, 1);
    web.after.insert(name("db"), WaitFor::Started);
    let web = wanted(web);
    let plan = plan_all(&[], &[found(&db, Run::Running), found(&web, Run::Running)]);
    assert_eq!(plan.units.iter().map(|unit| unit.instance.as_str()).collect::<Vec<_>>(), ["shop-web-r1-1"]);
    assert!(plan.waiting.contains_key("shop-db-r1-1"));
    let then = plan_all(&[], &[found(&db, Run::Running), found(&web, Run::Exited(0))]);
    assert_eq!(then.units.len(), 2);
}

#[test]
fn who_uses_a_container_of_another_service_is_replaced_with_it() {
    let db = wanted(instance("shop", "db", 1, 1));
    let mut web = instance("shop", "web", 1, 1);
    web.after.insert(name("db"), WaitFor::Started);
    web.spec.shares.insert(name("db"), "digest".to_owned());
    let all = [db, wanted(web)];
    let provider = found(&all[0], Run::Running);
    let user = |id: &str| Found {
        shares: BTreeMap::from([(name("db"), id.to_owned())]),
        ..found(&all[1], Run::Running)
    };
    assert!(plan_all(&all, &[provider.clone(), user(&provider.id)]).is_empty());
    let steps = steps(&all, &[provider.clone(), user("one before")]);
    assert!(steps.contains(&Step::Create) && steps.contains(&Step::Stop(user("").id)), "{steps:?}");
    // Its own is left until the other is there.
    let plan = plan_all(&all, &[user(&provider.id)]);
    assert_eq!(plan.waiting.keys().collect::<Vec<_>>(), ["shop-web-r1-1"]);
}

#[test]
fn busy_instances_are_left_to_their_unit() {
    let one = wanted(instance("shop", "web", 1, 1));
    let busy = BTreeSet::from([one.instance.id.clone()]);
    assert!(plan_with(&[one], &[], &busy, &BTreeSet::new()).is_empty());
}
