//! A restart in place, waited for until the container is healthy again.

use std::time::Duration;

use wharf_docker::bollard::query_parameters::RestartContainerOptions;
use wharf_docker::{Engine, Error as DockerError};
use wharf_model::InstanceState;
use wharf_model::call::Restart;

use super::Desk;
use super::wire::Wire;
use crate::Error;

/// Longest time for the Engine's part; the container's own grace is what usually ends it.
const RESTART_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Stops, starts and waits. How long is the caller's business: it goes away when that is too long. `None`: it did.
pub(super) async fn restart(
    desk: &Desk,
    engine: &Engine,
    call: Restart,
    wire: &mut Wire,
) -> Result<Option<i64>, Error> {
    let mut reports = desk.reports.clone();
    let known = reports.borrow().instances.iter().find(|one| one.id == call.instance).cloned();
    let container = known.and_then(|one| one.container_id);
    let container = container
        .ok_or_else(|| Error::Invalid(format!("{} has no container on {}", call.instance, desk.shop.host)))?;
    let container = desk.own(engine, &container).await?;
    let begun = desk.clock.now();
    let docker = engine.docker().clone().with_timeout(RESTART_TIMEOUT);
    // Not to be cut in half by a caller that goes away.
    let restarted = docker.restart_container(&container, None::<RestartContainerOptions>).await;
    restarted.map_err(|error| DockerError::api(format!("restart {}", call.instance), error))?;
    let well = async {
        loop {
            let report = reports.borrow_and_update().clone();
            // What is older is about the run before this one.
            let now = report.instances.iter().find(|one| one.id == call.instance && one.since > begun);
            match now.map(|one| &one.state) {
                Some(InstanceState::Healthy) => return Ok(Some(0)),
                Some(InstanceState::Failed { reason }) => {
                    return Err(Error::Invalid(format!(
                        "{} can't be started again: {reason}",
                        call.instance
                    )));
                }
                _ => {}
            }
            if reports.changed().await.is_err() {
                return Ok(None);
            }
        }
    };
    let (_, mut input) = wire.split();
    tokio::select! {
        done = well => done,
        () = input.gone() => Ok(None),
    }
}
