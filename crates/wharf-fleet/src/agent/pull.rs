//! Pulls an image if the Engine lacks it, and counts the bytes.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use wharf_docker::bollard::auth::DockerCredentials;
use wharf_docker::bollard::models::{CreateImageInfo, ImageInspect};
use wharf_docker::bollard::query_parameters::CreateImageOptionsBuilder;
use wharf_docker::{Engine, Error};
use wharf_model::PullPolicy;

use super::pulled::Pulled;
use crate::RegistryAccount;

/// Which image, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish<'a> {
    /// `linux/arm64`; `None` is the host's.
    pub(crate) platform: Option<&'a str>,
    pub(crate) policy: PullPolicy,
}

/// Pulls `reference` as `wish` says. `account` is used only for images of its own registry.
pub(crate) async fn ensure(
    engine: &Engine,
    reference: &str,
    wish: Wish<'_>,
    account: Option<&RegistryAccount>,
    pulled: &Pulled,
) -> Result<(), crate::Error> {
    let doing = format!("pull {reference}");
    let found = engine.docker().inspect_image(reference).await.map_err(|error| Error::api(&doing, error));
    let is_new = found.is_err();
    match (found, wish.policy) {
        // The Engine keeps one platform of each name.
        (Ok(image), PullPolicy::Missing | PullPolicy::Never) if is_for(&image, wish.platform) => {
            return Ok(());
        }
        (Ok(_), PullPolicy::Never) => {
            let platform = wish.platform.unwrap_or_default();
            return Err(crate::Error::Invalid(format!(
                "the image {reference} on the host is not for {platform}, and `pull_policy: never` forbids to pull it"
            )));
        }
        (Ok(_), _) => {}
        (Err(error), PullPolicy::Never) if error.status() == Some(404) => {
            return Err(crate::Error::Invalid(format!(
                "the image {reference} is not on the host, and `pull_policy: never` forbids to pull it\n  \
                 hint: load it there with `docker load`, or remove `pull_policy`"
            )));
        }
        (Err(error), _) if error.status() == Some(404) => {}
        (Err(error), _) => return Err(error.into()),
    }
    let (name, tag) = split(reference);
    let mut options = CreateImageOptionsBuilder::default().from_image(name);
    if let Some(platform) = wish.platform {
        options = options.platform(platform);
    }
    if let Some(tag) = tag {
        options = options.tag(tag);
    }
    let account = account
        .filter(|account| reference.strip_prefix(&account.address).is_some_and(|rest| rest.starts_with('/')));
    let credentials = account.map(|account| DockerCredentials {
        username: Some(account.username.clone()),
        password: Some(account.password.clone()),
        serveraddress: Some(account.address.clone()),
        ..Default::default()
    });
    let mut layers = Layers::default();
    let mut progress = engine.docker().create_image(Some(options.build()), None, credentials);
    while let Some(message) = progress.next().await {
        let message = message.map_err(|error| Error::api(&doing, error))?;
        pulled.bytes.fetch_add(layers.grown(&message), Ordering::Relaxed);
    }
    // One that was there before we came, under the same name, is not ours to remove.
    if is_new {
        pulled.add(reference).await;
    }
    Ok(())
}

/// Whether the image runs on `platform` (`os[/architecture[/variant]]`).
fn is_for(image: &ImageInspect, platform: Option<&str>) -> bool {
    let Some(platform) = platform else { return true };
    let mut parts = platform.split('/');
    let fits = |wanted: Option<&str>, has: Option<&str>| match (wanted, has) {
        (Some(wanted), Some(has)) => has.is_empty() || normal(wanted) == normal(has),
        _ => true,
    };
    fits(parts.next(), image.os.as_deref()) && fits(parts.next(), image.architecture.as_deref())
}

/// The Engine's name for an architecture (containerd `platforms/database.go`).
fn normal(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        other => other,
    }
}

/// Name and tag as `POST /images/create` wants them. A digest stays with the name; without a tag the Engine would pull
/// them all.
fn split(reference: &str) -> (&str, Option<&str>) {
    if reference.contains('@') {
        return (reference, None);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (reference, Some("latest")),
    }
}

/// Compressed size of each layer, as far as the progress has told.
#[derive(Default)]
struct Layers(HashMap<String, u64>);

impl Layers {
    /// By how many bytes this message makes the sum grow. Small layers show up only when they are extracted.
    fn grown(&mut self, message: &CreateImageInfo) -> u64 {
        let (Some(id), Some(detail)) = (&message.id, &message.progress_detail) else { return 0 };
        let size = match message.status.as_deref() {
            Some("Downloading") => detail.current,
            Some("Extracting") => detail.total,
            _ => None,
        };
        let Some(size) = size.and_then(|size| u64::try_from(size).ok()) else { return 0 };
        let known = self.0.entry(id.clone()).or_default();
        let grown = size.saturating_sub(*known);
        *known += grown;
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_docker::bollard::models::ProgressDetail;

    #[test]
    fn references_are_split_as_the_engine_wants() {
        for (reference, expected) in [
            ("a", ("a", Some("latest"))),
            ("a:1", ("a", Some("1"))),
            ("h:5000/a", ("h:5000/a", Some("latest"))),
            ("h:5000/a:1", ("h:5000/a", Some("1"))),
            ("h:5000/a@sha256:00", ("h:5000/a@sha256:00", None)),
        ] {
            assert_eq!(split(reference), expected, "{reference}");
        }
    }

    #[test]
    fn an_image_fits_the_platforms_that_it_is_for() {
        let image = ImageInspect {
            os: Some("linux".to_owned()),
            architecture: Some("amd64".to_owned()),
            ..Default::default()
        };
        for (platform, expected) in [
            (None, true),
            (Some("linux"), true),
            (Some("linux/amd64"), true),
            (Some("linux/x86_64"), true),
            (Some("linux/arm64/v8"), false),
            (Some("windows/amd64"), false),
        ] {
            assert_eq!(is_for(&image, platform), expected, "{platform:?}");
        }
    }

    #[test]
    fn each_byte_of_a_layer_counts_once() {
        let mut layers = Layers::default();
        let mut total = 0;
        for (id, status, current) in [
            ("a", "Pulling fs layer", None),
            ("a", "Downloading", Some(10)),
            ("b", "Downloading", Some(5)),
            ("a", "Downloading", Some(80)),
            ("a", "Extracting", Some(10)),
        ] {
            let progress_detail = Some(ProgressDetail { current, total: Some(100) });
            let (id, status) = (Some(id.to_owned()), Some(status.to_owned()));
            total += layers.grown(&CreateImageInfo { id, status, progress_detail, ..Default::default() });
        }
        assert_eq!(total, 105);
    }
}
