//! Pulls an image if the Engine lacks it, and counts the bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use wharf_docker::bollard::auth::DockerCredentials;
use wharf_docker::bollard::models::CreateImageInfo;
use wharf_docker::bollard::query_parameters::CreateImageOptionsBuilder;
use wharf_docker::{Engine, Error};

use crate::RegistryAccount;

/// Pulls `reference` unless the Engine has it. `account` is used only for images of its own registry.
pub(crate) async fn ensure(
    engine: &Engine,
    reference: &str,
    account: Option<&RegistryAccount>,
    pulled_bytes: &AtomicU64,
) -> Result<(), Error> {
    let doing = format!("pull {reference}");
    match engine.docker().inspect_image(reference).await.map_err(|error| Error::api(&doing, error)) {
        Ok(_) => return Ok(()),
        Err(error) if error.status() == Some(404) => {}
        Err(error) => return Err(error),
    }
    let (name, tag) = split(reference);
    let mut options = CreateImageOptionsBuilder::default().from_image(name);
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
        pulled_bytes.fetch_add(layers.grown(&message), Ordering::Relaxed);
    }
    Ok(())
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
