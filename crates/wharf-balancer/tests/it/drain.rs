//! Switching and draining under load: nothing is lost, nobody is disconnected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;
use wharf_model::TargetState;

use crate::backend::App;
use crate::client::Client;
use crate::setup::{Balancer, table, traffic};

/// Clients that ask until told to stop; counts answers by body and what was lost.
struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<(BTreeMap<String, u64>, u64, u64)>,
    answered: Arc<AtomicU64>,
}

impl Load {
    fn start(balancer: &Balancer, clients: usize) -> Load {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut set = JoinSet::new();
        for number in 0..clients {
            let (address, stop, answered) = (balancer.address(), Arc::clone(&stop), Arc::clone(&answered));
            set.spawn(async move {
                let (mut bodies, mut lost, mut connections) = (BTreeMap::new(), 0, 1);
                let mut client = Client::connect(address).await;
                while !stop.load(Ordering::Relaxed) {
                    // A third each: plain, with a body, with a new connection per request.
                    let response = match number % 3 {
                        0 => client.try_get("/").await,
                        1 => Some(
                            client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi").await,
                        ),
                        _ => {
                            client = Client::connect(address).await;
                            connections += 1;
                            Some(client.ask("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await)
                        }
                    };
                    answered.fetch_add(1, Ordering::Relaxed);
                    match response {
                        Some(response) if response.status == 200 => {
                            *bodies.entry(response.text()).or_default() += 1
                        }
                        _ => lost += 1,
                    }
                    if number % 3 == 0 && lost > 0 {
                        break;
                    }
                }
                (bodies, lost, connections)
            });
        }
        Load { stop, clients: set, answered }
    }

    /// Waits for so many more answers.
    async fn answers(&self, count: u64) {
        let until = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < until {
            tokio::task::yield_now().await;
        }
    }

    /// Answers by body; panics if any was lost.
    async fn stop(mut self) -> BTreeMap<String, u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = BTreeMap::new();
        while let Some(result) = self.clients.join_next().await {
            let (bodies, lost, _) = result.unwrap();
            assert_eq!(lost, 0);
            for (body, count) in bodies {
                *sum.entry(body).or_default() += count;
            }
        }
        sum
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_switches_under_load_lose_nothing_and_drained_releases_stay_empty() {
    let balancer = Balancer::start().await;
    let (a, b) = (App::start("a").await, App::start("b").await);
    balancer.apply(table(1, 1, &[a.address]));
    let load = Load::start(&balancer, 12);
    for version in 2..=300u32 {
        load.answers(5).await;
        let (app, old_app) = if version % 2 == 0 { (&b, &a) } else { (&a, &b) };
        balancer.apply(table(version.into(), version, &[app.address]));
        if version % 20 == 0 {
            // The old release runs empty, and then its application sees no request any more.
            balancer
                .observed("the old release is empty", |pools| {
                    let older = pools.balancers[0].traffic.iter().filter(|traffic| traffic.release < version);
                    pools.have_applied(version.into())
                        && older.map(|traffic| traffic.in_flight).sum::<u64>() == 0
                })
                .await;
            let before = old_app.requests.load(Ordering::SeqCst);
            load.answers(50).await;
            assert_eq!(old_app.requests.load(Ordering::SeqCst), before, "version {version}");
        }
    }
    let bodies = load.stop().await;
    assert!(bodies["a"] > 0 && bodies["b"] > 0);
    let answered: u64 = bodies.values().sum();
    balancer
        .observed("all counted", |pools| {
            let counted: u64 = pools.balancers[0].traffic.iter().map(|traffic| traffic.requests).sum();
            // Releases that were long idle are forgotten.
            counted <= answered && pools.balancers[0].traffic.iter().all(|traffic| traffic.in_flight == 0)
        })
        .await;
    assert_eq!(balancer.log_lines().await.len() as u64, answered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_and_killing_targets_one_by_one_loses_nothing() {
    let balancer = Balancer::start().await;
    let mut apps = Vec::new();
    for name in ["a", "b", "c"] {
        apps.push(App::start(name).await);
    }
    let mut version = 1;
    balancer.apply(table(version, 1, &apps.iter().map(|app| app.address).collect::<Vec<_>>()));
    let load = Load::start(&balancer, 9);
    for round in 0..12 {
        load.answers(30).await;
        let index = round % apps.len();
        let addresses: Vec<_> = apps.iter().map(|app| app.address).collect();
        let mut draining = table(version + 1, 1, &addresses);
        draining.routes[0].targets[index].state = TargetState::Draining;
        let id = draining.routes[0].targets[index].id.clone();
        balancer.apply(draining);
        let generation = version + 1;
        balancer
            .observed("it is drained", |pools| {
                pools.have_applied(generation) && pools.balancers[0].draining.get(&id) == Some(&0)
            })
            .await;
        // What a deploy does: the container is stopped, a new one comes at another address.
        apps[index].kill();
        apps[index] = App::start(&format!("r{round}")).await;
        version += 2;
        balancer.apply(table(version, 1, &apps.iter().map(|app| app.address).collect::<Vec<_>>()));
    }
    let bodies = load.stop().await;
    assert!(bodies.len() > 3, "{bodies:?}");
}

#[tokio::test]
async fn a_new_table_closes_no_connection_and_requests_in_flight_finish_on_the_old_target() {
    let balancer = Balancer::start().await;
    let (a, b) = (App::start("a").await, App::start("b").await);
    balancer.apply(table(1, 1, &[a.address]));
    let mut client = Client::connect(balancer.address()).await;
    client.send("GET /slow?300 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    balancer.observed("in flight", |pools| traffic(pools, 1).in_flight == 1).await;
    balancer.apply(table(2, 2, &[b.address]));
    let pools = balancer.observed("applied", |pools| pools.have_applied(2)).await;
    assert!(!traffic(&pools, 1).is_active && traffic(&pools, 2).is_active);
    assert_eq!(client.response().await.unwrap().text(), "a");
    assert_eq!(client.get("/").await.text(), "b");
    balancer.observed("drained", |pools| pools.in_flight("shop", 1) == 0).await;
}
