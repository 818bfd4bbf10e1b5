//! What an agent asks of the Engine, and what it does when the Engine does not answer. A relay stands between them: it
//! notes the calls and can refuse them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use wharf_base::Tasks;
use wharf_model::InstanceState;
use wharf_test_support::require;

use crate::world::{World, docker, name};

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_with_nothing_to_do_is_one_list_call() {
    require!(Docker);
    let mut world = World::with_local_host();
    let relay = Relay::start(world.path("relay").join("docker.sock")).await;
    world.agent_config.engine = Some(relay.path.display().to_string());
    world.agent_config.converge_interval = Duration::from_millis(200);
    let server = world.server().await;
    let agent = world.inside_agent(&server).await;
    let instances = vec![world.instance("local", "web", &["wait"]), world.instance("local", "db", &["wait"])];
    let generation = world.commit(&server, Some(world.desired(instances))).await;
    server.healthy("web").await;
    server.healthy("db").await;
    server.converged("local", generation).await;

    relay.calls.lock().unwrap().clear();
    let mut count = relay.count.subscribe();
    let begun = *count.borrow_and_update();
    tokio::time::timeout(wharf_test_support::DEADLINE, count.wait_for(|now| *now >= begun + 5))
        .await
        .unwrap()
        .unwrap();
    let calls = relay.calls.lock().unwrap().clone();
    let is_list = |call: &String| call.starts_with("GET ") && call.contains("/containers/json");
    assert!(calls.iter().all(is_list), "{calls:#?}");
    agent.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_gone_is_a_problem_of_the_host_and_not_of_its_containers() {
    require!(Docker);
    let mut world = World::with_local_host();
    let relay = Relay::start(world.path("relay").join("docker.sock")).await;
    world.agent_config.engine = Some(relay.path.display().to_string());
    world.agent_config.converge_interval = Duration::from_millis(200);
    let server = world.server().await;
    relay.is_open.send_replace(false);
    let agent = world.inside_agent(&server).await;
    let problem = |observed: &wharf_model::Observed| {
        observed.hosts.get(&name("local")).and_then(|(_, report)| report.problem.clone())
    };
    server.observe("a problem", |observed| problem(observed).is_some()).await;

    // It comes up, and all goes on by itself.
    relay.is_open.send_replace(true);
    world.commit(&server, Some(world.desired(vec![world.instance("local", "web", &["wait"])]))).await;
    let web = server.healthy("web").await;
    server.observe("no problem", |observed| problem(observed).is_none()).await;

    // It goes down: containers go on without it, so what was known of them stays.
    relay.is_open.send_replace(false);
    let observed = server.observe("a problem", |observed| problem(observed).is_some()).await;
    assert_eq!(observed.hosts[&name("local")].1.instances[0].state, InstanceState::Healthy);

    // Behind its back the container vanishes; when the Engine is back it is made again.
    docker(&["rm", "-f", web.container_id.as_ref().unwrap()]);
    relay.is_open.send_replace(true);
    server.instance("web", |one| one.state.is_healthy() && one.container_id != web.container_id).await;
    agent.stop().await;
    server.stop().await;
}

struct Relay {
    path: PathBuf,
    calls: Arc<Mutex<Vec<String>>>,
    /// How many calls there have been.
    count: watch::Sender<u64>,
    /// While closed, connections are ended at once, those that exist too.
    is_open: watch::Sender<bool>,
    tasks: Tasks,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

impl Relay {
    async fn start(path: PathBuf) -> Relay {
        let listener = UnixListener::bind(&path).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (count, _) = watch::channel(0);
        let (is_open, _) = watch::channel(true);
        let tasks = Tasks::new();
        let relay = Relay { path, calls, count, is_open, tasks: tasks.clone() };
        let (calls, count, is_open) = (Arc::clone(&relay.calls), relay.count.clone(), relay.is_open.clone());
        tasks.clone().spawn("relay", async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let mut open = is_open.subscribe();
                if !*open.borrow_and_update() {
                    continue;
                }
                let (calls, count, shutdown) = (Arc::clone(&calls), count.clone(), tasks.shutdown());
                tasks.spawn("relayed", async move {
                    tokio::select! {
                        () = relay_one(client, &calls, &count) => {}
                        _ = open.wait_for(|is_open| !is_open) => {}
                        () = shutdown.cancelled() => {}
                    }
                });
            }
        });
        relay
    }
}

/// Copies both ways and notes the first line of every request.
async fn relay_one(client: UnixStream, calls: &Mutex<Vec<String>>, count: &watch::Sender<u64>) {
    let engine = UnixStream::connect("/var/run/docker.sock").await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let there = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from_client.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                let _ = to_engine.shutdown().await;
                return;
            }
            let line = String::from_utf8_lossy(&buffer[..read]).lines().next().unwrap_or_default().to_owned();
            if line.ends_with("HTTP/1.1") {
                calls.lock().unwrap().push(line);
                count.send_modify(|count| *count += 1);
            }
            if to_engine.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let _ = tokio::io::copy(&mut from_engine, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::join!(there, back);
}
