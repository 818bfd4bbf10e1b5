//! Plan equals apply on a real Engine: generated states, what people did to them, and the next desired state. In the end
//! every container is what was asked for, what is not ours is as it was, and the same again does nothing.
//!
//! The full property, over 10,000 states against a model of the Engine, is beside the plan. Here 200 of them with
//! `WHARF_LONG`, else a few with a fixed seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wharf_model::{
    AppDesired, Instance, MountSource, MountSpec, NetworkAttachment, NetworkSpec, RestartPolicy, VolumeSpec,
};
use wharf_test_support::require;

use crate::world::{World, docker, name};

/// One service of a state.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Service {
    restart: usize,
    memory: usize,
    networks: usize,
    has_volume: bool,
    words: usize,
}

#[derive(Clone, Copy, Debug)]
enum Hand {
    Nothing,
    Disconnect,
    Kill,
    Limit,
    Pause,
    Remove,
    Rename,
    Restart,
}

#[derive(Clone, Debug)]
struct State {
    before: Vec<Option<Service>>,
    hands: Vec<Hand>,
    after: Vec<Option<Service>>,
}

const RESTARTS: [RestartPolicy; 3] =
    [RestartPolicy::No, RestartPolicy::Always, RestartPolicy::OnFailure(Some(2))];

fn any_service() -> impl Strategy<Value = Option<Service>> {
    let service = (0..3usize, 0..2usize, 0..3usize, any::<bool>(), 0..2usize).prop_map(
        |(restart, memory, networks, has_volume, words)| Service {
            restart,
            memory,
            networks,
            has_volume,
            words,
        },
    );
    prop::option::weighted(0.8, service)
}

fn any_state() -> impl Strategy<Value = State> {
    use Hand::{Disconnect, Kill, Limit, Nothing, Pause, Remove, Rename, Restart};
    let all = [Nothing, Disconnect, Kill, Limit, Pause, Remove, Rename, Restart];
    let services = || prop::collection::vec(any_service(), 2);
    let hands = prop::collection::vec(prop::sample::select(all.to_vec()), 2);
    // Half of the services stay as they are, so that drift is met often.
    (services(), hands, services(), prop::collection::vec(any::<bool>(), 2)).prop_map(
        |(before, hands, after, stays)| {
            let after = after
                .into_iter()
                .enumerate()
                .map(|(index, new)| if stays[index] { before[index] } else { new });
            State { after: after.collect(), before, hands }
        },
    )
}

fn instances(world: &World, services: &[Option<Service>]) -> Vec<Instance> {
    let one = |(index, service): (usize, &Option<Service>)| {
        let service = (*service)?;
        let words = [&["wait"][..], &["wait", "more"][..]][service.words];
        let mut one = world.instance("local", ["a", "b"][index], words);
        one.spec.restart = RESTARTS[service.restart];
        one.spec.resources.memory_bytes = [None, Some(64 << 20)][service.memory];
        let part =
            |key: &&str| NetworkAttachment { network: format!("{}_{key}", world.app), ..Default::default() };
        one.spec.networks = ["front", "back"][..service.networks].iter().map(part).collect();
        if service.has_volume {
            let source = MountSource::Volume(format!("{}_data", world.app));
            one.spec.mounts = vec![MountSpec { source, target: "/data".to_owned(), ..Default::default() }];
        }
        Some(one)
    };
    services.iter().enumerate().filter_map(one).collect()
}

fn desired(world: &World, services: &[Option<Service>]) -> AppDesired {
    let network = |key: &str| NetworkSpec { name: format!("{}_{key}", world.app), ..Default::default() };
    AppDesired {
        networks: vec![network("front"), network("back")],
        volumes: vec![VolumeSpec { name: format!("{}_data", world.app), ..Default::default() }],
        ..world.desired(instances(world, services))
    }
}

/// What people do to a container.
fn lay_hands_on(container: &str, hand: Hand, service: Service, world: &World, index: usize) {
    let front = format!("{}_front", world.app);
    let renamed = format!("{}-renamed-{index}", world.app);
    match hand {
        Hand::Nothing => {}
        Hand::Disconnect if service.networks > 0 => {
            docker(&["network", "disconnect", &front, container]);
        }
        Hand::Disconnect => {}
        Hand::Kill => drop(docker(&["kill", container])),
        Hand::Limit => drop(docker(&["update", "--memory", "32m", "--memory-swap", "64m", container])),
        Hand::Pause => drop(docker(&["pause", container])),
        Hand::Remove => drop(docker(&["rm", "-f", container])),
        Hand::Rename => drop(docker(&["rename", container, &renamed])),
        Hand::Restart => drop(docker(&["restart", "-t", "0", container])),
    }
}

/// Name, state, limits, policy and networks of every container of the application.
fn picture(world: &World) -> BTreeSet<String> {
    let format = "{{.Name}}|{{.State.Status}}|{{.HostConfig.Memory}}|{{.HostConfig.RestartPolicy.Name}}|\
                  {{range $name, $_ := .NetworkSettings.Networks}}{{$name}},{{end}}|{{.Config.Cmd}}|{{len .Mounts}}";
    let containers = world.containers();
    containers.iter().map(|id| crate::world::inspect(id, format)).collect()
}

/// The same, as it was asked for.
fn asked_for(world: &World, services: &[Option<Service>]) -> BTreeSet<String> {
    let line = |one: &Instance| {
        let mut networks: Vec<&str> = one.spec.networks.iter().map(|one| one.network.as_str()).collect();
        networks.sort_unstable();
        if networks.is_empty() {
            networks.push("bridge");
        }
        let restart = match one.spec.restart {
            RestartPolicy::No => "no",
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure(_) => "on-failure",
            RestartPolicy::UnlessStopped => "unless-stopped",
        };
        let networks: String = networks.iter().map(|name| format!("{name},")).collect();
        let memory = one.spec.resources.memory_bytes.unwrap_or(0);
        let command = one.spec.command.clone().unwrap_or_default().join(" ");
        format!("/{}|running|{memory}|{restart}|{networks}|[{command}]|{}", one.id, one.spec.mounts.len())
    };
    instances(world, services).iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_states_become_what_is_desired_and_then_rest() {
    require!(Docker);
    let count = if std::env::var_os("WHARF_LONG").is_some() { 200 } else { 8 };
    let mut world = World::with_local_host();
    world.agent_config.converge_interval = Duration::from_secs(3_600);
    world.agent_config.settle = Duration::from_millis(1);
    let server = world.server().await;
    let mut agent = Some(world.inside_agent(&server).await);
    let stranger =
        docker(&["create", "--name", &format!("{}-stranger", world.app), &world.image()]).remove(0);

    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for round in 0..count {
        let state = any_state().new_tree(&mut runner).unwrap().current();
        let generation = world.commit(&server, Some(desired(&world, &state.before))).await;
        server.converged("local", generation).await;
        assert_eq!(picture(&world), asked_for(&world, &state.before), "{round}: {state:?}");

        // Every other time nobody watches while people work: the agent finds it when it starts.
        let is_watched = round % 2 == 0;
        if let Some(agent) = agent.take_if(|_| !is_watched) {
            agent.stop().await;
        }
        let ids: BTreeMap<usize, String> = (0..2)
            .filter_map(|index| {
                let label = format!("label=wharf.service={}", ["a", "b"][index]);
                let app = format!("label=wharf.app={}", world.app);
                let id = docker(&["ps", "-aq", "--no-trunc", "--filter", &label, "--filter", &app]).pop()?;
                Some((index, id))
            })
            .collect();
        for (index, id) in &ids {
            let service = state.before[*index].unwrap();
            let hand = match (state.hands[*index], service.restart) {
                // A container without a policy that ends while nobody watches may have ended by itself.
                (Hand::Kill, 0 | 2) if !is_watched => Hand::Nothing,
                (hand, _) => hand,
            };
            lay_hands_on(id, hand, service, &world, *index);
        }
        let generation = world.commit(&server, Some(desired(&world, &state.after))).await;
        if !is_watched {
            agent = Some(world.inside_agent(&server).await);
        }
        server.converged("local", generation).await;
        // Being at rest and all that people did being known of are two things: the Engine's events come on their own way.
        server
            .observe("nothing to be open", |observed| {
                let report = &observed.hosts[&name("local")].1;
                report.drifts.iter().all(|one| !one.outcome.is_open())
                    && report.generation >= generation
                    && picture(&world) == asked_for(&world, &state.after)
            })
            .await;

        // The same again: nothing happens on the Engine.
        let since = docker(&["info", "--format", "{{.SystemTime}}"]).remove(0);
        let generation = world.commit(&server, Some(desired(&world, &state.after))).await;
        server.converged("local", generation).await;
        let until = docker(&["info", "--format", "{{.SystemTime}}"]).remove(0);
        let label = format!("label=wharf.app={}", world.app);
        let events = docker(&["events", "--since", &since, "--until", &until, "--filter", &label]);
        assert!(events.is_empty(), "{round}: {state:?}: {events:?}");
    }
    assert_eq!(crate::world::inspect(&stranger, "{{.State.Status}}"), "created", "not ours, not touched");
    docker(&["rm", &stranger]);
    if let Some(agent) = agent {
        agent.stop().await;
    }
    server.stop().await;
}
