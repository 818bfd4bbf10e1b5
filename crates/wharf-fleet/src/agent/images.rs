//! Images that the host is to have before anything needs them: a deploy has them pulled before it stops what can't run
//! beside its successor.
//!
//! Each is pulled once, and the outcome is reported as long as the image is desired. A pull that failed is not tried
//! again: the deploy that asked for it ends with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use wharf_base::Tasks;
use wharf_docker::Engine;
use wharf_model::{ImageReport, ImageState};

use super::converge::Wake;
use super::work::Workshop;
use super::{explain, pull};
use crate::protocol::HostDesired;

/// The desired images and how each stands.
#[derive(Default)]
pub(crate) struct Images(BTreeMap<String, Image>);

struct Image {
    /// `None` until its pull begins.
    state: Option<ImageState>,
    /// No longer desired: ends the pull.
    cancelled: CancellationToken,
}

impl Images {
    /// Takes a new desired state in.
    pub(crate) fn follow(&mut self, desired: &HostDesired) {
        let all = desired.apps.values().flat_map(|app| &app.images);
        let wanted: BTreeSet<&str> = all.map(|one| one.image.as_str()).collect();
        self.0.retain(|image, known| {
            let is_wanted = wanted.contains(image.as_str());
            if !is_wanted {
                known.cancelled.cancel();
            }
            is_wanted
        });
        for image in wanted {
            let new = || Image { state: None, cancelled: CancellationToken::new() };
            self.0.entry(image.to_owned()).or_insert_with(new);
        }
    }

    /// Those whose pull is to begin now.
    pub(crate) fn due(&mut self) -> Vec<(String, CancellationToken)> {
        let due = self.0.iter_mut().filter(|(_, one)| one.state.is_none());
        due.map(|(image, one)| {
            one.state = Some(ImageState::Pulling);
            (image.clone(), one.cancelled.clone())
        })
        .collect()
    }

    /// A pull ended.
    pub(crate) fn ended(&mut self, image: &str, result: Result<(), String>) {
        if let Some(one) = self.0.get_mut(image) {
            one.state = Some(match result {
                Ok(()) => ImageState::Present,
                Err(reason) => ImageState::Failed { reason },
            });
        }
    }

    /// Whether nothing is left to do about them.
    pub(crate) fn are_there(&self) -> bool {
        self.0.values().all(|one| one.state == Some(ImageState::Present))
    }

    /// How each stands.
    pub(crate) fn report(&self) -> Vec<ImageReport> {
        let report = |(image, one): (&String, &Image)| ImageReport {
            image: image.clone(),
            state: one.state.clone().unwrap_or(ImageState::Pulling),
        };
        self.0.iter().map(report).collect()
    }
}

/// Pulls `image` in a task of its own, and wakes the loop when that has ended.
pub(crate) fn pull(
    tasks: &Tasks,
    shop: &Arc<Workshop>,
    engine: &Engine,
    permits: Arc<Semaphore>,
    wake: mpsc::Sender<Wake>,
    image: String,
    cancelled: CancellationToken,
) {
    let (shop, engine, shutdown) = (Arc::clone(shop), engine.clone(), tasks.shutdown());
    tasks.spawn(format!("agent image {image}"), async move {
        let work = async {
            let _permit = permits.acquire_owned().await;
            let _gate = shop.gates.pass(&format!("image {image}")).await;
            let account = shop.account.as_ref();
            pull::ensure(&engine, &image, pull::Wish::default(), account, &shop.pulled).await
        };
        let result = tokio::select! {
            result = work => match result {
                Ok(()) => Ok(()),
                Err(error) => Err(explain::failure(&engine, error.to_string()).await),
            },
            () = cancelled.cancelled() => return,
            () = shutdown.cancelled() => return,
        };
        // The loop is gone only when the agent stops.
        let _ = wake.send(Wake::Image(image, result)).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;
    use wharf_model::{AppDesired, ImageSpec};

    #[test]
    fn each_image_is_pulled_once_and_a_failure_stays_until_it_is_not_wanted_any_more() {
        let desired = |images: &[&str]| {
            let image = |image: &&str| ImageSpec { host: name("h1"), image: (*image).to_owned() };
            let app = AppDesired { images: images.iter().map(image).collect(), ..Default::default() };
            HostDesired { apps: BTreeMap::from([(name("shop"), app)]), ..Default::default() }
        };
        let mut images = Images::default();
        assert!(images.are_there());
        images.follow(&desired(&["a", "b"]));
        let due = images.due();
        assert_eq!(due.iter().map(|(image, _)| image.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        images.follow(&desired(&["a", "b"]));
        assert!(images.due().is_empty() && !images.are_there());
        images.ended("a", Ok(()));
        images.ended("b", Err("no such image".to_owned()));
        let failed = ImageState::Failed { reason: "no such image".to_owned() };
        let states: Vec<ImageState> = images.report().into_iter().map(|one| one.state).collect();
        assert_eq!(states, [ImageState::Present, failed]);
        images.follow(&desired(&["a"]));
        assert!(images.are_there() && due[1].1.is_cancelled() && !due[0].1.is_cancelled());
    }
}
