//! Finds the Engine, and follows its events. Both go on for ever: an Engine that is down comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use wharf_base::{Backoff, Clock};
use wharf_docker::Engine;
use wharf_docker::bollard::query_parameters::EventsOptionsBuilder;

use super::converge::Wake;
use crate::labels;

/// Events that can change what is to be done. `exec_*`, which every health check gives three of, is not among them.
const EVENTS: [&str; 9] =
    ["create", "die", "destroy", "health_status", "oom", "pause", "rename", "start", "unpause"];

/// Connects to the Engine and wakes the loop with every event of a container of ours.
pub(crate) async fn follow(
    address: Option<String>,
    owner: String,
    engine: watch::Sender<Option<Engine>>,
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
                if !events(&found, &owner, &wake, &*clock).await {
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
async fn events(engine: &Engine, owner: &str, wake: &mpsc::Sender<Wake>, clock: &dyn Clock) -> bool {
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![format!("{}={owner}", labels::OWNER)]),
        ("event".to_owned(), EVENTS.map(str::to_owned).to_vec()),
    ]);
    // The look at everything below may be earlier than the stream's begin: the Engine replays what lies between.
    let since = (clock.now().0 / 1_000 - 1).to_string();
    let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
    let mut events = engine.docker().events(Some(options));
    if wake.send(Wake::Everything).await.is_err() {
        return false;
    }
    while let Some(Ok(event)) = events.next().await {
        let id = event.actor.and_then(|actor| actor.id).unwrap_or_default();
        if wake.send(Wake::Container(id)).await.is_err() {
            return false;
        }
    }
    !wake.is_closed()
}
