//! Plan equals apply, over 10,000 generated states: what is desired, what the Engine has, what people changed on it,
//! and steps that fail. A part of the same on a real Engine is in `tests/it/states.rs`.

use proptest::prelude::*;
use wharf_model::{ContainerSpec, MountSpec, NetworkAttachment, ResourceLimits};

use super::super::drift::settings::Settings;
use super::model::{Model, OWNER, container};
use super::*;
use crate::testing::{instance, name};

/// What people did to a container.
#[derive(Clone, Copy, Debug)]
enum Hand {
    Nothing,
    Disconnected,
    Killed,
    Limited,
    Renamed,
}

/// A container that exists already.
#[derive(Clone, Debug)]
struct There {
    instance: Instance,
    run: Run,
    is_foreign: bool,
    hand: Hand,
}

#[derive(Clone, Debug)]
struct State {
    desired: Vec<Wanted>,
    model: Model,
    reported: BTreeSet<String>,
    met: BTreeMap<String, String>,
    /// Units of which a step fails, by their place in the order in which units are carried out.
    faults: Vec<Option<usize>>,
}

fn wanted(instance: Instance) -> Wanted {
    let hash = spec_hash(&instance, None);
    Wanted { app: name("shop"), instance, hash }
}

fn any_run() -> impl Strategy<Value = Run> {
    prop_oneof![
        1 => Just(Run::Created),
        4 => Just(Run::Running),
        1 => Just(Run::Paused),
        1 => Just(Run::Restarting(1)),
        1 => Just(Run::Exited(0)),
        1 => Just(Run::Exited(1)),
        1 => Just(Run::Dead),
    ]
}

fn any_hand() -> impl Strategy<Value = Hand> {
    prop_oneof![
        4 => Just(Hand::Nothing),
        1 => Just(Hand::Disconnected),
        1 => Just(Hand::Killed),
        1 => Just(Hand::Limited),
        1 => Just(Hand::Renamed),
    ]
}

fn any_spec() -> impl Strategy<Value = ContainerSpec> {
    let restart = prop_oneof![
        Just(RestartPolicy::No),
        Just(RestartPolicy::Always),
        Just(RestartPolicy::OnFailure(None)),
        Just(RestartPolicy::OnFailure(Some(2))),
        Just(RestartPolicy::UnlessStopped)
    ];
    let memory = prop_oneof![Just(None), Just(Some(64 << 20)), Just(Some(128 << 20))];
    (restart, memory, 0..2usize, 0..3usize, any::<bool>()).prop_map(
        |(restart, memory, image, networks, has_volume)| ContainerSpec {
            image: format!("image-{image}"),
            restart,
            resources: ResourceLimits { memory_bytes: memory, ..Default::default() },
            networks: ["front", "back"][..networks]
                .iter()
                .map(|network| NetworkAttachment { network: (*network).to_owned(), ..Default::default() })
                .collect(),
            mounts: has_volume
                .then(|| MountSpec {
                    source: MountSource::Volume("data".to_owned()),
                    target: "/data".to_owned(),
                    ..Default::default()
                })
                .into_iter()
                .collect(),
            ..Default::default()
        },
    )
}

/// Services depend only on those before them in the alphabet, so there is no circle (deploy refuses one).
fn any_instance() -> impl Strategy<Value = Instance> {
    let wait = prop_oneof![Just(WaitFor::Started), Just(WaitFor::Healthy)];
    (0..3usize, 1..3u32, 1..3u32, any_spec(), any::<bool>(), 0..3u8, wait).prop_map(
        |(service, release, slot, spec, fixed, depends, wait)| {
            let names = ["a", "b", "c"];
            let mut one = instance("shop", names[service], release, slot);
            one.spec = spec;
            if fixed {
                one.spec.container_name = Some(format!("{}-{slot}", names[service]));
            }
            if depends > 0 && service > 0 {
                one.after.insert(name(names[service - 1]), wait);
            }
            if depends > 1 && service > 0 {
                one.spec.shares.insert(name(names[service - 1]), "digest".to_owned());
            }
            one
        },
    )
}

fn any_there() -> impl Strategy<Value = There> {
    (any_instance(), any_run(), prop::bool::weighted(0.2), any_hand())
        .prop_map(|(instance, run, is_foreign, hand)| There { instance, run, is_foreign, hand })
}

fn any_state() -> impl Strategy<Value = State> {
    let desired = prop::collection::vec((any_instance(), prop::bool::weighted(0.2)), 0..7);
    // Containers of wanted instances, so that drift is met often, and of others.
    let same = prop::collection::vec((0..8usize, any_run(), any_hand()), 0..6);
    let there = prop::collection::vec(any_there(), 0..5);
    let met = prop::collection::vec(any::<bool>(), 7);
    let faults = prop::collection::vec(prop::option::weighted(0.2, 0..6usize), 0..12);
    (desired, same, there, met, faults).prop_map(|(desired, same, there, met, faults)| {
        let mut seen = BTreeSet::new();
        let mut reported = BTreeSet::new();
        let mut all = Vec::new();
        for (one, is_reported) in desired {
            if seen.insert(one.id.clone()) {
                if is_reported {
                    reported.insert(one.id.clone());
                }
                all.push(one);
            }
        }
        // A fixed name is there once (deploy sees to that).
        let mut fixed = BTreeSet::new();
        for one in &mut all {
            one.spec.container_name =
                one.spec.container_name.take().filter(|name| fixed.insert(name.clone()));
        }
        let services: BTreeSet<Name> = all.iter().map(|one| one.service.clone()).collect();
        for one in &mut all {
            one.after.retain(|service, _| services.contains(service));
            one.spec.shares.retain(|service, _| services.contains(service));
        }
        let desired: Vec<Wanted> = all.into_iter().map(wanted).collect();
        let mut there = there;
        for (index, run, hand) in same {
            if let Some(one) = desired.get(index) {
                there.push(There { instance: one.instance.clone(), run, is_foreign: false, hand });
            }
        }
        let met = desired.iter().zip(met).filter(|(_, met)| *met);
        let met = met.map(|(one, _)| (one.instance.id.clone(), one.hash.clone())).collect();
        State { model: engine(there), desired, reported, met, faults }
    })
}

/// An Engine with these containers; names are unique on it.
fn engine(there: Vec<There>) -> Model {
    let mut model = Model::default();
    let mut names = BTreeSet::new();
    for (index, There { instance, run, is_foreign, hand }) in there.into_iter().enumerate() {
        let one = wanted(instance);
        let mut container = container(&one, &format!("c{index}"), run);
        model.networks.extend(container.networks.iter().cloned());
        match hand {
            Hand::Nothing => {}
            Hand::Disconnected => drop(container.networks.pop()),
            Hand::Killed => container.was_killed = true,
            Hand::Limited => container.settings = Some(limited()),
            Hand::Renamed => container.name = format!("renamed-{index}"),
        }
        if is_foreign {
            container.owner = "another".to_owned();
        }
        if names.insert(container.name.clone()) {
            model.containers.push(container);
        }
    }
    model
}

/// As after `docker update --memory 32m --restart no`.
fn limited() -> Settings {
    let mut limited = instance("shop", "a", 1, 1);
    limited.spec.resources.memory_bytes = Some(32 << 20);
    Settings::wanted(&wanted(limited))
}

fn foreign(model: &Model) -> Vec<Found> {
    model.containers.iter().filter(|one| one.owner != OWNER).cloned().collect()
}

/// Whether the plan may leave a wanted instance as it is although it does not run in the right way.
fn may_rest(state: &State, plan: &Plan, one: &Wanted) -> bool {
    let id = &one.instance.id;
    let is_blocked_by_name = state.model.containers.iter().any(|other| {
        let name = super::super::create::container_name(one);
        other.name == name && (other.owner != OWNER || other.instance != *id)
    });
    let is_reported = state.reported.contains(id) && plan.deviations.contains_key(id);
    plan.waiting.contains_key(id) || is_blocked_by_name || is_reported
}

/// The container that a wanted instance has in the end: itself, and nothing of it left as people changed it.
fn check_at_rest(state: &State, plan: &Plan) -> Result<(), TestCaseError> {
    for container in state.model.containers.iter().filter(|one| one.owner == OWNER) {
        let wanted = state.desired.iter().find(|one| one.instance.id == container.instance);
        let is_leaving = plan.waiting.contains_key(&container.instance);
        prop_assert!(wanted.is_some() || is_leaving, "{container:?} is wanted by nobody");
        let Some(wanted) = wanted else { continue };
        prop_assert!(
            wanted.is_met_by(container) || may_rest(state, plan, wanted),
            "{container:?} is not as wanted"
        );
    }
    for one in &state.desired {
        if may_rest(state, plan, one) {
            continue;
        }
        let mine = state
            .model
            .containers
            .iter()
            .filter(|found| found.owner == OWNER && found.instance == one.instance.id);
        let mine: Vec<&Found> = mine.collect();
        prop_assert_eq!(mine.len(), 1, "{} has one container", one.instance.id);
        let found = mine[0];
        let may_have_ended = match found.run {
            Run::Exited(code) => !starts_again(one.instance.spec.restart, code) && !found.was_killed,
            Run::Restarting(_) | Run::Running => true,
            Run::Created | Run::Dead | Run::Paused | Run::Removing => false,
        };
        prop_assert!(may_have_ended, "{found:?} is left as it is");
        let mut as_made = container(one, &found.id, found.run);
        // A container that has ended, or is about to be started again, joins its networks when it starts.
        if found.run != Run::Running {
            as_made.networks.clone_from(&found.networks);
        }
        as_made.was_killed = found.was_killed;
        as_made.is_healthy = found.is_healthy;
        // What only says in which order containers stop is no part of the specification.
        as_made.after.clone_from(&found.after);
        // What it uses of others is what is there now.
        let ours: Vec<&Found> = state.model.containers.iter().filter(|one| one.owner == OWNER).collect();
        as_made.shares = shared(one, &state.desired, &ours);
        prop_assert_eq!(&as_made, found);
    }
    Ok(())
}

proptest! {
    // LIMIT: 10,000 states take about three seconds in a debug build.
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// Whatever is there, and whatever fails on the way: applying plans ends in exactly the desired state, planning again
    /// gives nothing, every container that is not ours is as it was, and no volume is gone.
    #[test]
    fn applying_the_plan_gives_the_planned_state_and_then_nothing_is_left(state in any_state()) {
        let mut state = state;
        let before = foreign(&state.model);
        let volumes = state.model.volumes.clone();
        let reported_before: Vec<Found> = state.model.containers.iter().filter(|one| {
            state.reported.contains(&one.instance)
        }).cloned().collect();
        let mut faults = state.faults.clone().into_iter();
        let busy = BTreeSet::new();
        for round in 0.. {
            let context =
                Context { owner: OWNER, busy: &busy, reported: &state.reported, met: &state.met };
            let plan = plan(&context, &state.desired, &state.model.containers);
            prop_assert_eq!(
                &plan,
                &super::plan(&context, &state.desired, &state.model.containers),
                "the same state gives the same plan"
            );
            let mut progressed = false;
            for unit in &plan.units {
                if unit.steps.iter().any(|step| matches!(step, Step::Remove(_))) {
                    // As the agent does: what it removes itself was not removed by people.
                    state.met.remove(&unit.instance);
                }
                let before = state.model.clone();
                let fails_at = faults.next().flatten();
                state.model.apply(unit, &state.desired, fails_at);
                progressed |= fails_at.is_some() || state.model != before;
            }
            if plan.units.is_empty() || !progressed {
                check_at_rest(&state, &plan)?;
                break;
            }
            prop_assert!(round < 40, "does not come to rest: {plan:?}");
        }
        prop_assert_eq!(foreign(&state.model), before);
        prop_assert!(volumes.is_subset(&state.model.volumes), "volumes are never removed");
        // What is only reported, and deviates, is the very same container as before.
        for one in reported_before.iter().filter(|one| one.owner == OWNER) {
            let wanted = state.desired.iter().find(|wanted| wanted.instance.id == one.instance);
            // One that uses another's interfaces or volumes is made again with that other one.
            let wanted = wanted.filter(|wanted| wanted.instance.spec.shares.is_empty());
            let Some(wanted) = wanted.filter(|wanted| wanted.is_met_by(one) && one.run != Run::Dead) else {
                continue;
            };
            let is_first = reported_before.iter().find(|other| {
                other.owner == OWNER && wanted.is_met_by(other) && other.run != Run::Dead
            });
            if is_first == Some(one) && !drift::of(wanted, one, false).is_empty() && one.run != Run::Created {
                prop_assert!(state.model.containers.contains(one), "{one:?} was touched");
            }
        }
    }
}
