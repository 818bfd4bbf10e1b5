//! What deviates, and how it is put right.

use std::collections::{BTreeMap, BTreeSet};

use wharf_docker::bollard::models::HostConfig;
use wharf_model::{NetworkAttachment, WaitFor};

use super::super::found::Check;
use super::super::plan::{Context, Plan, plan};
use super::*;
use crate::spec_hash;
use crate::testing::{instance, name};

const OWNER: &str = "me";

fn wanted(restart: RestartPolicy) -> Wanted {
    let mut one = instance("shop", "web", 1, 1);
    one.spec.restart = restart;
    one.spec.resources.memory_bytes = Some(128 << 20);
    let network = |name: &str| NetworkAttachment { network: name.to_owned(), ..Default::default() };
    one.spec.networks = vec![network("front"), network("back")];
    let hash = spec_hash(&one, None);
    Wanted { app: name("shop"), instance: one, hash }
}

fn found(wanted: &Wanted, run: Run) -> Found {
    Found {
        id: "c1".to_owned(),
        owner: OWNER.to_owned(),
        app: wanted.app.clone(),
        service: wanted.instance.service.clone(),
        release: 1,
        slot: 1,
        instance: wanted.instance.id.clone(),
        spec: wanted.hash.clone(),
        name: container_name(wanted).to_owned(),
        networks: vec!["front".to_owned(), "back".to_owned(), "added-by-hand".to_owned()],
        after: vec![],
        shares: BTreeMap::new(),
        is_on_host: false,
        run,
        check: Check::None,
        address: None,
        published: vec![],
        is_healthy: true,
        was_cut_off: false,
        was_killed: false,
        settings: Some(Settings::wanted(wanted)),
    }
}

fn inspected(change: impl FnOnce(&mut HostConfig)) -> Option<Settings> {
    let mut config = HostConfig { memory: Some(128 << 20), ..Default::default() };
    change(&mut config);
    Some(Settings::read(&config))
}

fn words(wanted: &Wanted, found: &Found) -> Vec<String> {
    of(wanted, found, false).iter().map(Deviation::to_string).collect()
}

#[test]
fn every_change_by_hand_is_found_in_words_and_nothing_else() {
    let one = wanted(RestartPolicy::No);
    assert_eq!(words(&one, &found(&one, Run::Running)), [""; 0], "a network that somebody added is theirs");
    let changed = |change: &dyn Fn(&mut Found)| {
        let mut container = found(&one, Run::Running);
        change(&mut container);
        words(&one, &container)
    };
    assert_eq!(changed(&|it| it.run = Run::Paused), ["paused"]);
    assert_eq!(changed(&|it| it.name = "x".to_owned()), ["renamed to x"]);
    assert_eq!(changed(&|it| drop(it.networks.remove(1))), ["disconnected from network back"]);
    assert_eq!(changed(&|it| it.settings = None), [""; 0], "what is not known is not compared");
    let limits = |it: &mut Found| it.settings = inspected(|config| config.memory = Some(64 << 20));
    assert_eq!(changed(&limits), ["memory is 64M instead of 128M"]);
    let more = |it: &mut Found| it.settings = inspected(|config| config.nano_cpus = Some(1_500_000_000));
    assert_eq!(changed(&more), ["cpus is 1.5 instead of unlimited"]);
    let processes = |it: &mut Found| it.settings = inspected(|config| config.pids_limit = Some(-1));
    assert_eq!(changed(&processes), [""; 0], "-1 is no limit");
}

#[test]
fn a_stop_by_hand_is_told_from_an_end() {
    for (restart, code, was_killed, is_job, expected) in [
        (RestartPolicy::No, 0, false, false, false),
        (RestartPolicy::No, 137, true, false, true),
        (RestartPolicy::No, 137, true, true, false),
        (RestartPolicy::Always, 0, false, false, true),
        (RestartPolicy::Always, 255, false, false, false),
        (RestartPolicy::UnlessStopped, 1, false, false, true),
        (RestartPolicy::OnFailure(None), 1, false, false, true),
        (RestartPolicy::OnFailure(None), 0, false, false, false),
        (RestartPolicy::OnFailure(Some(2)), 1, false, false, false),
    ] {
        let one = wanted(restart);
        let container = Found { was_killed, ..found(&one, Run::Exited(code)) };
        let is_found = !of(&one, &container, is_job).is_empty();
        assert_eq!(is_found, expected, "{restart:?} {code} {was_killed} {is_job}");
    }
    let one = wanted(RestartPolicy::Always);
    let cut = Found { was_cut_off: true, ..found(&one, Run::Exited(0)) };
    assert_eq!(of(&one, &cut, false), [], "it went down with the machine");
}

fn plan_of(one: &Wanted, container: Option<&Found>, is_reported: bool) -> Plan {
    let reported: BTreeSet<String> = is_reported.then(|| one.instance.id.clone()).into_iter().collect();
    let met = BTreeMap::from([(one.instance.id.clone(), one.hash.clone())]);
    let busy = BTreeSet::new();
    let found: Vec<Found> = container.cloned().into_iter().collect();
    let context = Context { owner: OWNER, busy: &busy, reported: &reported, met: &met };
    plan(&context, std::slice::from_ref(one), &found)
}

fn steps(one: &Wanted, container: Option<&Found>) -> Vec<Step> {
    plan_of(one, container, false).units.into_iter().flat_map(|unit| unit.steps).collect()
}

#[test]
fn repair_keeps_the_container_where_it_can() {
    let one = wanted(RestartPolicy::No);
    let id = || "c1".to_owned();
    let mut container = found(&one, Run::Paused);
    container.name = "x".to_owned();
    container.networks = vec!["back".to_owned()];
    container.settings = inspected(|config| config.memory = Some(64 << 20));
    assert_eq!(
        steps(&one, Some(&container)),
        [
            Step::Rename(id()),
            Step::Network("front".to_owned()),
            Step::Connect(id(), "front".to_owned()),
            Step::Update(id()),
            Step::Unpause(id()),
        ]
    );
    // The Engine can't take a limit away again: only another container is right.
    container.settings = inspected(|config| config.cpu_shares = Some(2));
    let steps = steps(&one, Some(&container));
    assert!(steps.contains(&Step::Remove(id())) && steps.contains(&Step::Create), "{steps:?}");
}

#[test]
fn what_is_only_reported_is_left_as_it_is() {
    let one = wanted(RestartPolicy::Always);
    for container in [
        None,
        Some(found(&one, Run::Paused)),
        Some(found(&one, Run::Exited(0))),
        Some(Found { name: "x".to_owned(), ..found(&one, Run::Running) }),
    ] {
        let plan = plan_of(&one, container.as_ref(), true);
        assert!(plan.units.is_empty(), "{plan:?}");
        assert_eq!(plan.deviations.len(), 1);
        assert!(!plan_of(&one, container.as_ref(), false).units.is_empty());
    }
    let created = found(&one, Run::Created);
    assert!(!plan_of(&one, Some(&created), true).units.is_empty(), "a cut creation goes on");
}

#[test]
fn a_job_that_was_killed_is_not_run_again() {
    let job = wanted(RestartPolicy::No);
    let mut web = instance("shop", "next", 1, 1);
    web.after.insert(name("web"), WaitFor::Completed);
    let web = Wanted { app: name("shop"), hash: spec_hash(&web, None), instance: web };
    let killed = Found { was_killed: true, ..found(&job, Run::Exited(137)) };
    let none = BTreeSet::new();
    let met = BTreeMap::new();
    let context = Context { owner: OWNER, busy: &none, reported: &none, met: &met };
    let plan = plan(&context, &[job, web], &[killed]);
    assert!(plan.units.is_empty() && plan.deviations.is_empty(), "{plan:?}");
}
