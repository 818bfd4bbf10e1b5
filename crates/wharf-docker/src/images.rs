//! Removing images by reference, never by force: what a container uses stays.

use bollard::auth::DockerCredentials;
use bollard::query_parameters::RemoveImageOptions;

use crate::{Engine, Error};

/// What became of an image that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The reference is gone, or was not there.
    Gone,
    /// A container, running or not, uses the image.
    InUse,
}

/// Removes a reference, and the image's layers with its last one.
pub async fn remove_image(engine: &Engine, reference: &str) -> Result<Removed, Error> {
    let options = RemoveImageOptions { force: false, noprune: false, ..Default::default() };
    let removed = engine.docker().remove_image(reference, Some(options), None::<DockerCredentials>).await;
    match removed.map_err(|error| Error::api(format!("remove the image {reference}"), error)) {
        Ok(_) => Ok(Removed::Gone),
        Err(error) if error.status() == Some(404) => Ok(Removed::Gone),
        Err(error) if error.status() == Some(409) => Ok(Removed::InUse),
        Err(error) => Err(error),
    }
}
