//! Cases and properties of planning, against a model of the Engine.

use proptest::prelude::*;
use wharf_model::{ContainerSpec, MountSpec, NetworkAttachment, PublishedPort, Transport};

use super::super::found::Check;
use super::*;
use crate::testing::{instance, name};

const OWNER: &str = "me";

fn wanted(instance: Instance) -> Wanted {
    let hash = spec_hash(&instance, None);
    Wanted { app: name("shop"), instance, hash }
}

fn found(wanted: &Wanted, run: Run) -> Found {
    Found {
        id: format!("c-{}-{}", wanted.instance.id, &wanted.hash[..8]),
        owner: OWNER.to_owned(),
        app: wanted.app.clone(),
        service: wanted.instance.service.clone(),
        release: wanted.instance.release,
        slot: wanted.instance.slot,
        instance: wanted.instance.id.clone(),
        spec: wanted.hash.clone(),
        after: wanted.instance.after.keys().cloned().collect(),
        run,
        check: Check::None,
        address: None,
        published: vec![],
        is_healthy: run == Run::Running,
        was_cut_off: false,
    }
}

fn plan_all(wanted: &[Wanted], found: &[Found]) -> Plan {
    plan(OWNER, wanted, found, &BTreeSet::new())
}

fn steps(wanted: &[Wanted], found: &[Found]) -> Vec<Step> {
    plan_all(wanted, found).units.into_iter().flat_map(|unit| unit.steps).collect()
}

#[test]
fn a_missing_instance_gets_everything_it_needs_in_order() {
    let mut one = instance("shop", "web", 1, 1);
    one.spec.networks = vec![NetworkAttachment { network: "net".to_owned(), aliases: vec![] }];
    let mount = |source, target: &str| MountSpec { source, target: target.to_owned(), read_only: true };
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
    for run in [Run::Running, Run::Paused, Run::Restarting(1), Run::Exited(0), Run::Removing] {
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
fn busy_instances_are_left_to_their_unit() {
    let one = wanted(instance("shop", "web", 1, 1));
    let busy = BTreeSet::from([one.instance.id.clone()]);
    assert!(plan(OWNER, &[one], &[], &busy).is_empty());
}

/// Does a unit's steps to the list of containers, as the Engine would.
fn apply(unit: &Unit, wanted: &[Wanted], containers: &mut Vec<Found>) {
    for step in &unit.steps {
        match step {
            Step::Network(_) | Step::Volume(_) | Step::Files(_) | Step::Pull(_) => {}
            Step::Stop(id) => {
                let one = containers.iter_mut().find(|one| one.id == *id).expect("stops what is there");
                assert_eq!(one.owner, OWNER);
                one.run = Run::Exited(137);
            }
            Step::Remove(id) => {
                let index = containers.iter().position(|one| one.id == *id).expect("removes what is there");
                assert!(!containers[index].is_running(), "a running container is stopped first");
                assert_eq!(containers.remove(index).owner, OWNER);
            }
            Step::Create => {
                let one = wanted
                    .iter()
                    .find(|one| one.instance.id == unit.instance)
                    .expect("creates what is wanted");
                containers.push(found(one, Run::Created));
            }
            Step::Start(id) => {
                let one = match id {
                    Some(id) => containers.iter_mut().find(|one| one.id == *id),
                    None => containers.last_mut(),
                };
                let one = one.expect("starts what is there");
                one.run = Run::Running;
                one.is_healthy = true;
            }
        }
    }
}

fn any_run() -> impl Strategy<Value = Run> {
    prop_oneof![
        Just(Run::Created),
        Just(Run::Running),
        Just(Run::Paused),
        Just(Run::Restarting(1)),
        Just(Run::Exited(0)),
        Just(Run::Exited(1)),
        Just(Run::Dead),
    ]
}

fn any_instance() -> impl Strategy<Value = Instance> {
    let restart = prop_oneof![
        Just(RestartPolicy::No),
        Just(RestartPolicy::Always),
        Just(RestartPolicy::OnFailure(Some(2))),
        Just(RestartPolicy::UnlessStopped)
    ];
    // Services depend only on those before them in the alphabet, so there is no circle (deploy refuses one).
    (0..3usize, 1..3u32, 1..3u32, restart, any::<bool>(), any::<bool>(), 0..2usize).prop_map(
        |(service, release, slot, restart, fixed, depends, image)| {
            let names = ["a", "b", "c"];
            let mut one = instance("shop", names[service], release, slot);
            one.spec = ContainerSpec { image: format!("image-{image}"), restart, ..Default::default() };
            if fixed {
                one.spec.container_name = Some(format!("{}-{slot}", names[service]));
            }
            if depends && service > 0 {
                one.after.insert(name(names[service - 1]), WaitFor::Started);
            }
            one
        },
    )
}

proptest! {
    /// Whatever is there: applying plans ends, in an empty one, with every foreign container untouched.
    #[test]
    fn applying_again_does_nothing(
        desired in prop::collection::vec(any_instance(), 0..8),
        there in prop::collection::vec((any_instance(), any_run(), any::<bool>()), 0..8),
    ) {
        let mut seen = BTreeSet::new();
        let mut desired: Vec<Wanted> =
            desired.into_iter().filter(|one| seen.insert(one.id.clone())).map(wanted).collect();
        let services: BTreeSet<Name> = desired.iter().map(|one| one.instance.service.clone()).collect();
        for one in &mut desired {
            one.instance.after.retain(|service, _| services.contains(service));
        }
        let mut containers = Vec::new();
        let mut ids = BTreeSet::new();
        for (index, (one, run, is_foreign)) in there.into_iter().enumerate() {
            let mut container = found(&wanted(one), run);
            if is_foreign {
                container.owner = "another".to_owned();
                container.id = format!("foreign-{index}");
            }
            if ids.insert(container.id.clone()) {
                containers.push(container);
            }
        }
        let foreign: Vec<Found> = containers.iter().filter(|one| one.owner != OWNER).cloned().collect();
        for round in 0.. {
            // A dependency that ended and stays ended never counts as started: deploy reports that, not the plan.
            let plan = plan_all(&desired, &containers);
            if plan.units.is_empty() {
                for id in plan.waiting.keys() {
                    let one = desired.iter().find(|one| one.instance.id == *id);
                    prop_assert!(one.is_some(), "{id} is never removed");
                    let one = one.unwrap();
                    prop_assert!(!one.instance.after.is_empty(), "{id} waits for nothing that could change");
                }
                break;
            }
            prop_assert!(round < 10, "does not come to rest: {plan:?}");
            for unit in &plan.units {
                apply(unit, &desired, &mut containers);
            }
        }
        let untouched: Vec<Found> = containers.iter().filter(|one| one.owner != OWNER).cloned().collect();
        prop_assert_eq!(untouched, foreign);
        for container in containers.iter().filter(|one| one.owner == OWNER) {
            prop_assert!(desired.iter().any(|one| one.is_met_by(container)), "{container:?} is wanted by nobody");
        }
    }
}
