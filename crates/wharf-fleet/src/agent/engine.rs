//! Finds the Engine, and follows its events. Both go on for ever: an Engine that is down comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use wharf_base::{Backoff, Clock};
use wharf_docker::Engine;
use wharf_docker::bollard::models::EventMessage;
use wharf_docker::bollard::query_parameters::EventsOptionsBuilder;

use super::converge::{Sign, Wake};
use crate::labels;
use crate::protocol::HostDesired;

/// Events that can change what is to be done. `exec_*`, which every health check gives three of, is not among them.
const EVENTS: [&str; 12] = [
    "create",
    "destroy",
    "die",
    "health_status",
    "kill",
    "oom",
    "pause",
    "rename",
    "start",
    "stop",
    "unpause",
    "update",
];
/// Events of networks. Their labels are not in them, so those of others come as well.
const NETWORK_EVENTS: [&str; 2] = ["destroy", "disconnect"];
/// Signals that tell a program something and don't end it: HUP, USR1, USR2, CONT, STOP, WINCH. A container whose stop
/// signal is one of them is known to be stopped by the event `stop`.
const HARMLESS: [&str; 6] = ["1", "10", "12", "18", "19", "28"];

/// Connects to the Engine and wakes the loop with every event of a container of ours.
pub(crate) async fn follow(
    address: Option<String>,
    owner: String,
    engine: watch::Sender<Option<Engine>>,
    desired: watch::Receiver<Option<Arc<HostDesired>>>,
    wake: mpsc::Sender<Wake>,
    clock: Arc<dyn Clock>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), 1);
    loop {
        let connected = match &address {
            Some(address) => Engine::connect(address).await,
            None => Engine::connect_default().await,
        };
        match connected {
            Ok(found) => {
                engine.send_replace(Some(found.clone()));
                backoff.reset();
                if !events(&found, &owner, &desired, &wake, &*clock).await {
                    return;
                }
                tracing::warn!("the Docker Engine ended its event stream");
            }
            Err(error) => tracing::warn!(%error, "cannot reach the Docker Engine"),
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Until the stream ends. False when nobody listens any more.
async fn events(
    engine: &Engine,
    owner: &str,
    desired: &watch::Receiver<Option<Arc<HostDesired>>>,
    wake: &mpsc::Sender<Wake>,
    clock: &dyn Clock,
) -> bool {
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![format!("{}={owner}", labels::OWNER)]),
        ("event".to_owned(), EVENTS.map(str::to_owned).to_vec()),
    ]);
    // The look at everything below may be earlier than the stream's begin: the Engine replays what lies between.
    let since = (clock.now().0 / 1_000 - 1).to_string();
    let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
    let mut events = engine.docker().events(Some(options));
    let filters = HashMap::from([
        ("type".to_owned(), vec!["network".to_owned()]),
        ("event".to_owned(), NETWORK_EVENTS.map(str::to_owned).to_vec()),
    ]);
    let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
    let mut networks = engine.docker().events(Some(options));
    if wake.send(Wake::Everything).await.is_err() {
        return false;
    }
    loop {
        let told = tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => Some(of_container(event)),
                Some(Err(_)) | None => break,
            },
            event = networks.next() => match event {
                Some(Ok(event)) => of_network(event, desired),
                Some(Err(_)) | None => break,
            },
        };
        if let Some(told) = told
            && wake.send(told).await.is_err()
        {
            return false;
        }
    }
    !wake.is_closed()
}

fn of_container(event: EventMessage) -> Wake {
    let actor = event.actor.unwrap_or_default();
    let signal = actor.attributes.as_ref().and_then(|all| all.get("signal")).map_or("", String::as_str);
    let sign = match event.action.as_deref() {
        Some("kill") if !HARMLESS.contains(&signal) => Sign::Killed,
        Some("stop") => Sign::Killed,
        Some("start") => Sign::Started,
        Some("pause" | "unpause") => Sign::Unsettled,
        _ => Sign::Other,
    };
    Wake::Container(actor.id.unwrap_or_default(), sign)
}

/// `None` for a network that no container of ours is to be in.
fn of_network(event: EventMessage, desired: &watch::Receiver<Option<Arc<HostDesired>>>) -> Option<Wake> {
    let attributes = event.actor?.attributes?;
    let name = attributes.get("name")?;
    let desired = desired.borrow().clone()?;
    let instances = desired.apps.values().flat_map(|app| &app.instances);
    let mut used = instances.flat_map(|one| &one.spec.networks);
    let is_ours = used.any(|one| one.network == *name);
    is_ours.then(|| Wake::Container(attributes.get("container").cloned().unwrap_or_default(), Sign::Other))
}
