//! What the agent has pulled: how many bytes, and which images, since only those may ever be removed from the Engine.
//!
//! The list is in `pulled.json`. One that can't be read or written counts as empty: then images stay that could go.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_disk::atomic;

/// LIMIT: images that are remembered; one more pushes none out, it only will not be removed.
const IMAGES_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Pulled {
    /// Of layers, since the agent started.
    pub(crate) bytes: AtomicU64,
    path: PathBuf,
    images: Mutex<BTreeSet<String>>,
}

impl Pulled {
    pub(crate) fn load(path: PathBuf) -> Pulled {
        let read = atomic::read(&path).ok().flatten();
        let images = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Pulled { bytes: AtomicU64::new(0), path, images: Mutex::new(images) }
    }

    pub(crate) fn has(&self, image: &str) -> bool {
        self.images().contains(image)
    }

    /// An image was pulled that the Engine did not have.
    pub(crate) async fn add(&self, image: &str) {
        let is_new = {
            let mut images = self.images();
            images.len() < IMAGES_MAX && images.insert(image.to_owned())
        };
        if is_new {
            self.store().await;
        }
    }

    /// Images were removed.
    pub(crate) async fn forget(&self, gone: &[String]) {
        let has_changed = {
            let mut images = self.images();
            let before = images.len();
            images.retain(|image| !gone.contains(image));
            images.len() != before
        };
        if has_changed {
            self.store().await;
        }
    }

    async fn store(&self) {
        let document = serde_json::to_vec(&*self.images()).expect("plain records are JSON");
        let path = self.path.clone();
        if let Err(error) = crate::blocking(move || atomic::write(&path, &document)).await {
            tracing::warn!(%error, "which images were pulled can't be stored");
        }
    }

    fn images(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_pulled_is_known_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pulled.json");
        let pulled = Pulled::load(path.clone());
        pulled.add("a:1").await;
        pulled.add("b:1").await;
        pulled.forget(&["a:1".to_owned(), "c:1".to_owned()]).await;
        let again = Pulled::load(path.clone());
        assert!(again.has("b:1") && !again.has("a:1"));
        std::fs::write(&path, "{").unwrap();
        assert!(!Pulled::load(path).has("b:1"));
    }
}
