//! Removes images that no kept release needs, once a release serves.
//!
//! It is written down first that nobody can go back to those releases; then the images go, from hosts that can be asked
//! now, from the Engine that builds and from the registry. What could not be done now is done after the next deploy, since it is
//! worked out anew each time. Nothing here makes a deploy fail: what serves, serves.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use wharf_model::call::RemoveImages;
use wharf_model::frame::Status;
use wharf_model::ports::PortError;
use wharf_model::{Call, Frame, Liveness, Name};

use crate::Error;
use crate::api::What;
use crate::engine::Engine;
use crate::retention::{self, Unneeded};
use crate::run::Run;
use crate::store::{App, Release};

/// LIMIT: hosts that are asked at a time.
const HOSTS_AT_A_TIME: usize = 16;
/// Longest time for one host, and for the registry: the deploy waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Removes what no kept release of the run's application needs.
pub(super) async fn retain(engine: &Engine, run: &Run) {
    match run.what {
        What::Deploy | What::Rollback => {}
        What::Move | What::Remove | What::Restart | What::Scale => return,
    }
    let unneeded = match look(engine, &run.app).await {
        Ok(unneeded) => unneeded,
        Err(error) => return tracing::warn!(%error, app = %run.app, "old images can't be looked for"),
    };
    if unneeded.built.is_empty() && unneeded.pulled.is_empty() {
        return;
    }
    let work = async { Ok(((), remove(engine, &unneeded).await)) };
    let _ = engine.step(run, "images", "those of old releases go".to_owned(), work).await;
}

async fn look(engine: &Engine, app: &Name) -> Result<Unneeded, Error> {
    let mut all: Vec<(App, Vec<Release>)> = Vec::new();
    for known in engine.store.apps().await? {
        let releases = engine.store.releases(&known.name).await?;
        all.push((known, releases));
    }
    let all: Vec<(&App, &[Release])> = all.iter().map(|(app, releases)| (app, releases.as_slice())).collect();
    let keep = engine.config.keep_releases.min(engine.config.releases_kept);
    let unneeded = retention::unneeded(app, &all, keep, &engine.registry);
    engine.store.images_gone(app, unneeded.releases.clone()).await?;
    Ok(unneeded)
}

/// Returns what to say about it.
async fn remove(engine: &Engine, unneeded: &Unneeded) -> String {
    let hosts: Vec<Name> = engine
        .hosts
        .hosts()
        .into_iter()
        .filter(|host| host.liveness == Liveness::Up)
        .map(|host| host.name)
        .collect();
    let count = hosts.len();
    let asked = stream::iter(hosts).map(|host| async move {
        let asked = tokio::time::timeout(DEADLINE, ask(engine, &host, unneeded)).await;
        let problem = match asked {
            Ok(Ok(0)) => return None,
            Ok(Ok(staying)) => format!("{staying} in use on {host}"),
            Ok(Err(error)) => {
                tracing::info!(%host, %error, "a host has not removed old images");
                format!("not on {host}")
            }
            Err(_) => format!("not in time on {host}"),
        };
        Some(problem)
    });
    let problems: BTreeSet<String> =
        asked.buffer_unordered(HOSTS_AT_A_TIME).filter_map(std::future::ready).collect().await;
    let stored = async {
        for image in &unneeded.built {
            if let Err(error) = engine.images.remove(image).await {
                tracing::warn!(image, %error, "an old image was not removed");
            }
        }
    };
    if tokio::time::timeout(DEADLINE, stored).await.is_err() {
        tracing::warn!(
            "removing old images from the registry takes too long; the rest goes after the next deploy"
        );
    }
    let mut told = match unneeded.releases.as_slice() {
        [] => "names of old releases removed".to_owned(),
        [one] => format!("release {one} can't be gone back to any more"),
        more => {
            let numbers: Vec<String> = more.iter().rev().map(u32::to_string).collect();
            format!("releases {} can't be gone back to any more", numbers.join(", "))
        }
    };
    if !problems.is_empty() {
        let shown: Vec<&str> = problems.iter().take(3).map(String::as_str).collect();
        told.push_str(&format!("; of {count} hosts: {}", shown.join(", ")));
    }
    told
}

/// Has one host remove them; returns how many stay because something uses them.
async fn ask(engine: &Engine, host: &Name, unneeded: &Unneeded) -> Result<i64, PortError> {
    let (built, pulled) = (&unneeded.built, &unneeded.pulled);
    let images =
        RemoveImages { built: built.iter().cloned().collect(), pulled: pulled.iter().cloned().collect() };
    let mut session = engine.calls.call(host, Call::RemoveImages(images)).await?;
    while let Some(frame) = session.output.recv().await {
        match frame {
            Frame::Status(Status::Exited { code }) => return Ok(code),
            Frame::Status(Status::Failed { code, message }) => return Err(PortError::new(code, message)),
            _ => {}
        }
    }
    Err(PortError::new(wharf_base::ErrorCode::Unavailable, format!("host {host} has gone")))
}
