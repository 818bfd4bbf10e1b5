//! What people do to containers behind the agent's back, on a real Engine. The interval is an hour in these tests: only
//! the Engine's events can be what wakes the agent.

use std::time::Duration;

use wharf_fleet::DriftPolicy;
use wharf_model::ports::Hosts as _;
use wharf_model::{
    AppDesired, Drift, DriftOutcome, Event, Instance, InstanceState, NetworkAttachment, NetworkSpec,
    RestartPolicy,
};
use wharf_test_support::{DEADLINE, require};

use crate::world::{Server, World, docker, inspect, name};

fn watched_world() -> World {
    let mut world = World::with_local_host();
    world.agent_config.converge_interval = Duration::from_secs(3_600);
    world.agent_config.settle = Duration::from_millis(20);
    world
}

/// An instance with two networks and a memory limit.
fn web(world: &World) -> Instance {
    let mut web = world.instance("local", "web", &["wait"]);
    web.spec.resources.memory_bytes = Some(64 << 20);
    let part = |key: &str| NetworkAttachment {
        network: format!("{}_{key}", world.app),
        aliases: vec!["web".to_owned()],
        ..Default::default()
    };
    web.spec.networks = vec![part("front"), part("back")];
    web
}

fn desired(world: &World, instances: Vec<Instance>) -> AppDesired {
    let network = |key: &str| NetworkSpec { name: format!("{}_{key}", world.app), ..NetworkSpec::default() };
    AppDesired { networks: vec![network("front"), network("back")], ..world.desired(instances) }
}

impl Server {
    /// Waits until a drift whose words begin so has this outcome.
    async fn drift(&self, words: &str, outcome: DriftOutcome) -> Drift {
        let find = |observed: &wharf_model::Observed| {
            let mut all = observed.hosts.values().flat_map(|(_, report)| report.drifts.iter().rev());
            all.find(|one| one.what.starts_with(words) && one.outcome == outcome).cloned()
        };
        let observed = self.observe(words, |observed| find(observed).is_some()).await;
        find(&observed).unwrap()
    }

    /// Waits for the event about a drift.
    async fn told(&self, words: &str, outcome: &str) {
        let mut events = self.events.subscribe();
        let is_it = |event: &Event| matches!(event, Event::Drifted { what, outcome: told, .. } if what.starts_with(words) && told == outcome);
        if self.events.newest(200).await.unwrap().iter().any(|record| is_it(&record.event)) {
            return;
        }
        let told = async {
            while let Ok(record) = events.recv().await {
                if is_it(&record.event) {
                    return;
                }
            }
            panic!("the event log ended");
        };
        tokio::time::timeout(DEADLINE, told).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_change_is_put_right_by_the_event_and_told() {
    require!(Docker);
    let world = watched_world();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let generation = world.commit(&server, Some(desired(&world, vec![web(&world)]))).await;
    let container = server.healthy("web").await.container_id.unwrap();
    server.converged("local", generation).await;
    let own_name = format!("/{}-web-r1-1", world.app);
    let back = format!("{}_back", world.app);
    let back_network = format!("{{{{(index .NetworkSettings.Networks \"{back}\").Aliases}}}}");

    let renamed = format!("{}-renamed", world.app);
    for (arguments, words, format, right) in [
        (vec!["pause", &container], "paused", "{{.State.Paused}}", "false"),
        (vec!["stop", &container], "stopped", "{{.State.Running}}", "true"),
        (vec!["kill", &container], "stopped", "{{.State.Running}}", "true"),
        (vec!["rename", &container, &renamed], "renamed", "{{.Name}}", own_name.as_str()),
        (
            vec!["update", "--memory", "32m", "--memory-swap", "48m", &container],
            "memory is 32M instead of 64M",
            "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}",
            "67108864 134217728",
        ),
        (
            vec!["update", "--restart", "always", &container],
            "restart policy is always instead of no",
            "{{.HostConfig.RestartPolicy.Name}}",
            "no",
        ),
        (vec!["network", "disconnect", &back, &container], "disconnected", &back_network, "[web"),
    ] {
        let count = |observed: &wharf_model::Observed| {
            let all = observed.hosts.values().flat_map(|(_, report)| &report.drifts);
            all.filter(|one| one.what.starts_with(words) && one.outcome == DriftOutcome::Repaired).count()
        };
        let before = count(&server.handle.observed().borrow().clone());
        docker(&arguments);
        server.observe(words, |observed| count(observed) > before).await;
        server.told(words, "repaired").await;
        let is = inspect(&container, format);
        assert!(is.starts_with(right), "{arguments:?}: {is}");
    }
    // All of it without another container.
    assert_eq!(world.containers(), std::slice::from_ref(&container));

    // What the Engine can't take back makes another one.
    docker(&["update", "--cpu-shares", "100", &container]);
    server.drift("cpu_shares is 100 instead of unlimited", DriftOutcome::Repaired).await;
    let next = server.instance("web", |one| {
        one.state == InstanceState::Healthy && one.container_id.as_deref() != Some(&container)
    });
    let container = next.await.container_id.unwrap();
    assert_eq!(inspect(&container, "{{.HostConfig.CpuShares}}"), "0");

    docker(&["rm", "-f", &container]);
    server.drift("removed", DriftOutcome::Repaired).await;
    server.told("removed", "repaired").await;

    // A network that is gone: the container has left it, and both come back.
    let container = server
        .instance("web", |one| {
            one.state == InstanceState::Healthy && one.container_id.as_deref() != Some(&container)
        })
        .await
        .container_id
        .unwrap();
    let stopped = docker(&["kill", &container]);
    assert_eq!(stopped, std::slice::from_ref(&container));
    for key in ["front", "back"] {
        let network = format!("{}_{key}", world.app);
        docker(&["network", "disconnect", "-f", &network, &container]);
        docker(&["network", "rm", &network]);
    }
    let is_right = |observed: &wharf_model::Observed| {
        let report = &observed.hosts[&name("local")].1;
        report.instances.iter().all(|one| one.state.is_healthy())
            && report.drifts.iter().all(|one| !one.outcome.is_open())
    };
    server.observe("everything to be right", is_right).await;
    let networks = inspect(&container, "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}");
    assert_eq!(networks.trim(), format!("{}_back {}_front", world.app, world.app));
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_to_be_reported_is_left_alone_and_told_also_after_a_restart() {
    require!(Docker);
    let world = watched_world();
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let mut worker = world.instance("local", "worker", &["wait"]);
    worker.spec.restart = RestartPolicy::Always;
    let reported = AppDesired {
        reported: [name("web"), name("worker")].into(),
        ..desired(&world, vec![web(&world), worker])
    };
    let generation = world.commit(&server, Some(reported.clone())).await;
    let web = server.healthy("web").await.container_id.unwrap();
    let worker = server.healthy("worker").await.container_id.unwrap();
    server.converged("local", generation).await;

    docker(&["pause", &web]);
    server.drift("paused", DriftOutcome::Reported).await;
    server.told("paused", "reported").await;
    docker(&["unpause", &web]);
    server.drift("paused", DriftOutcome::Resolved).await;
    server.told("paused", "resolved").await;
    docker(&["stop", &worker]);
    server.drift("stopped", DriftOutcome::Reported).await;
    docker(&["rm", "-f", &web]);
    server.drift("removed", DriftOutcome::Reported).await;
    agent.stop().await;

    // An agent that starts knows what it made: it leaves alone what is gone as well.
    let agent = world.inside_agent(&server).await;
    let mut reports = agent.reports();
    let has_looked = |report: &wharf_model::HostReport| {
        report.drifts.iter().filter(|one| one.outcome == DriftOutcome::Reported).count() == 2
    };
    crate::world::wait(&mut reports, "both drifts", has_looked).await;
    assert_eq!(world.containers(), std::slice::from_ref(&worker));
    assert_eq!(inspect(&worker, "{{.State.Running}}"), "false");

    // The policy changes: both are put right, without a new release.
    let generation = world.commit(&server, Some(AppDesired { reported: [].into(), ..reported })).await;
    server.healthy("web").await;
    server.converged("local", generation).await;
    assert_eq!(inspect(&worker, "{{.State.Running}}"), "true");
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_policy_holds_for_all_its_containers() {
    require!(Docker);
    let mut world = watched_world();
    world.agent_config.drift = DriftPolicy::Report;
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    world.commit(&server, Some(desired(&world, vec![web(&world)]))).await;
    let container = server.healthy("web").await.container_id.unwrap();
    docker(&["kill", &container]);
    server.drift("stopped", DriftOutcome::Reported).await;
    assert_eq!(inspect(&container, "{{.State.Running}}"), "false");
    agent.stop().await;
    server.stop().await;
}
