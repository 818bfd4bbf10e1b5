//! Many hosts on one server, from this process. How fast is measured elsewhere (`cargo xtask compare deploy`).

use std::sync::Arc;
use std::time::Duration;

use wharf_base::Tasks;
use wharf_fleet::agent::{self, Simulated};
use wharf_fleet::server::NewToken;
use wharf_model::ports::Hosts as _;
use wharf_model::{Instance, Liveness, Observed};
use wharf_test_support::{DEADLINE, require};

use crate::world::{World, name};

const HOSTS: usize = 50;

fn are_all(observed: &Observed, liveness: Liveness, generation: u64) -> bool {
    let is_so = |(is, report): &(Liveness, wharf_model::HostReport)| {
        *is == liveness && report.generation == generation
    };
    observed.hosts.len() == HOSTS && observed.hosts.values().all(is_so)
}

async fn heard(hosts: &mut [Simulated], generation: u64) {
    for host in hosts {
        let is_heard = host.heard.wait_for(|heard| *heard == generation);
        tokio::time::timeout(DEADLINE, is_heard).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hosts_connect_follow_each_generation_and_come_back() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    let request = NewToken { uses: HOSTS as u32, ..NewToken::default() };
    let token = server.handle.make_token(request, "test").await.unwrap().token;
    let names: Vec<String> = (1..=HOSTS).map(|number| format!("sim{number}")).collect();
    for host in &names {
        agent::join(world.join_options(&token, host)).await.unwrap();
    }
    let tasks = Tasks::new();
    let start = |host: &String| {
        agent::start_simulated(
            &world.agent_config,
            world.path(host),
            "riscv64",
            Arc::clone(&world.clock),
            &tasks,
        )
        .unwrap()
    };
    let mut hosts: Vec<Simulated> = names.iter().map(start).collect();
    server.observe("all to be up", |observed| are_all(observed, Liveness::Up, 0)).await;

    // One instance for each host: all of them get their own, and each says that it runs.
    let instances = |release: u32| -> Vec<Instance> {
        let one = |host: &String| Instance {
            id: format!("{}-{host}-r{release}", world.app),
            release,
            ..world.instance(host, "web", &["wait"])
        };
        names.iter().map(one).collect()
    };
    let generation = world.commit(&server, Some(world.desired(instances(1)))).await;
    heard(&mut hosts, generation).await;
    let observed =
        server.observe("all to have it", |observed| are_all(observed, Liveness::Up, generation)).await;
    for host in &names {
        let instances = &observed.hosts[&name(host)].1.instances;
        assert_eq!(instances.len(), 1, "{host}");
        assert!(instances[0].id.contains(host.as_str()) && instances[0].state.is_healthy(), "{instances:?}");
    }
    assert!(server.handle.hosts().iter().all(|host| host.instances_healthy == 1));
    assert!(server.handle.hosts().iter().all(|host| host.architecture.as_deref() == Some("riscv64")));

    // The server goes away and comes back; what was stored of them is what they said last.
    server.stop().await;
    let server = world.server().await;
    let stored = server.handle.observed().borrow().clone();
    assert!(stored.hosts.values().all(|(_, report)| report.generation == generation), "{stored:?}");
    server.observe("all to be back", |observed| are_all(observed, Liveness::Up, generation)).await;
    let next = world.commit(&server, Some(world.desired(instances(2)))).await;
    heard(&mut hosts, next).await;

    tasks.stop(Duration::from_secs(10)).await;
    server.observe("all to be lost", |observed| are_all(observed, Liveness::Lost, next)).await;
    server.stop().await;
}
