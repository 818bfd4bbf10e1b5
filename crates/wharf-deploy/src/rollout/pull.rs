//! Step `pull`: the new images are on their hosts before anything is stopped for them.

use tokio::time::Instant;
use wharf_model::{ImageSpec, ImageState, Liveness, Observed};

use super::Halt;
use super::switch::counted;
use crate::engine::{Engine, Look, watch_until};
use crate::plan::Rollout;
use crate::run::Run;

/// Has the images pulled and waits until all are there.
pub(super) async fn pull(engine: &Engine, run: &Run, rollout: &Rollout) -> Result<(), Halt> {
    let Some(pulled) = &rollout.stages.pulled else { return Ok(()) };
    let images = &pulled.images;
    engine
        .step(run, "pull", format!("0 of {}", counted(images.len(), "image")), async {
            let generation = engine.commit(run, &rollout.stages.pulled, "pull").await?;
            let began = Instant::now();
            let watched = watch_until(engine.hosts.observed(), |observed| {
                let (mut there, mut soonest) = (0, None::<Instant>);
                for image in images {
                    let (late, patience) = match look(observed, image, generation) {
                        Ok(Seen::Present) => {
                            there += 1;
                            continue;
                        }
                        Ok(Seen::Pulling) => ("is not there", engine.config.pull_deadline),
                        Ok(Seen::Nothing) => ("the host has not taken it up", engine.config.healthy_deadline),
                        Err(reason) => return Look::Done(Err(reason)),
                    };
                    if Instant::now() >= began + patience {
                        let waited = wharf_base::duration::format(patience);
                        let reason = format!("{} on {}: {late} after {waited}", image.image, image.host);
                        return Look::Done(Err(reason));
                    }
                    soonest = soonest.into_iter().chain([began + patience]).min();
                }
                match soonest {
                    None => Look::Done(Ok(())),
                    Some(until) => {
                        engine.detail(run, format!("{there} of {}", counted(images.len(), "image")));
                        Look::Wait(until)
                    }
                }
            });
            engine.unless_ended(run, watched).await?.map_err(Halt::failed)?;
            Ok(((), format!("{} there", counted(images.len(), "image"))))
        })
        .await
}

/// What a host says of an image.
enum Seen {
    /// Nothing yet.
    Nothing,
    /// It is on its way.
    Pulling,
    /// It is there.
    Present,
}

/// How it stands. Errors: it will not come, in words.
fn look(observed: &Observed, wanted: &ImageSpec, generation: u64) -> Result<Seen, String> {
    let Some((liveness, report)) = observed.hosts.get(&wanted.host) else { return Ok(Seen::Nothing) };
    if *liveness != Liveness::Up {
        return Err(format!("{} can't be pulled on {}: the host is lost", wanted.image, wanted.host));
    }
    // What was said before is about something older.
    let mut known = report.images.iter().filter(|_| report.generation_seen >= generation);
    match known.find(|one| one.image == wanted.image).map(|one| &one.state) {
        Some(ImageState::Present) => Ok(Seen::Present),
        Some(ImageState::Pulling) => Ok(Seen::Pulling),
        Some(ImageState::Failed { reason }) => {
            Err(format!("{} can't be pulled on {}: {reason}", wanted.image, wanted.host))
        }
        None => Ok(Seen::Nothing),
    }
}
