//! The port `ImageStore`: the Engine that builds and the registry, of which neither knows the other.

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use wharf_base::ErrorCode;
use wharf_model::ports::{ImageStore, PortError};

pub(crate) struct Images {
    pub(crate) builder: wharf_image::Handle,
    /// `None`: built images are pushed to a registry of others, which keeps them as it likes.
    pub(crate) registry: Option<wharf_registry::Handle>,
}

#[async_trait]
impl ImageStore for Images {
    async fn remove(&self, reference: &str) -> Result<(), PortError> {
        if let (Some(registry), Some(path)) = (&self.registry, manifest(reference)) {
            forget(registry, &path).await?;
        }
        self.builder.remove_image(reference).await?;
        Ok(())
    }
}

/// Deletes a manifest or a tag, as any client of the registry would.
async fn forget(registry: &wharf_registry::Handle, path: &str) -> Result<(), PortError> {
    let wrong = |what: String| {
        PortError::new(ErrorCode::Internal, format!("the registry does not delete {path}: {what}"))
    };
    let request = Request::builder().method(Method::DELETE).uri(path).body(Body::empty());
    let request = request.map_err(|error| wrong(error.to_string()))?;
    let router = wharf_registry::router(registry, wharf_registry::Exposure { needs_auth: false });
    let answered = router.oneshot(request).await;
    let status = match answered {
        Ok(answer) => answer.status(),
        Err(never) => match never {},
    };
    match status {
        StatusCode::ACCEPTED | StatusCode::NOT_FOUND => Ok(()),
        other => Err(wrong(format!("it answers {other}"))),
    }
}

/// `/v2/shop/web/manifests/r3` of `127.0.0.1:5000/shop/web:r3`.
fn manifest(reference: &str) -> Option<String> {
    let (_, rest) = reference.split_once('/')?;
    let (name, manifest) = match rest.split_once('@') {
        // A name may have a tag besides the digest.
        Some((name, digest)) => (name.split(':').next()?, digest),
        None => rest.rsplit_once(':')?,
    };
    Some(format!("/v2/{name}/manifests/{manifest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_path_of_the_registry() {
        for (reference, path) in [
            ("127.0.0.1:5000/shop/web:r3", Some("/v2/shop/web/manifests/r3")),
            ("127.0.0.1:5000/shop/web@sha256:ab", Some("/v2/shop/web/manifests/sha256:ab")),
            ("127.0.0.1:5000/shop/web:r3@sha256:ab", Some("/v2/shop/web/manifests/sha256:ab")),
            ("127.0.0.1:5000/shop/web", None),
            ("web:r3", None),
        ] {
            assert_eq!(manifest(reference).as_deref(), path, "{reference}");
        }
    }
}
