//! For which platforms an image in this registry is: what a plan needs to know before a host pulls it.
//!
//! An index says it of each entry, an image's manifest in its configuration. Entries without an architecture
//! (attestations) are no images.

use serde::Deserialize;
use wharf_base::Digest;
use wharf_model::Platform;

use crate::Error;
use crate::name::{Reference, RepositoryName};
use crate::registry::Registry;

/// LIMIT: bytes of a configuration that is read; those of real images have some ten thousand.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// The members of an index or an image's manifest that tell.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    manifests: Vec<Entry>,
    config: Option<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    digest: String,
    platform: Option<Said>,
}

/// A configuration, or the platform of an index's entry: both have these members.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Said {
    fn platform(&self) -> Option<Platform> {
        Platform::new(&self.os, &self.architecture, self.variant.as_deref())
    }
}

/// The platforms of `reference`, which is `host:port/name[:tag][@digest]`. Empty: it is not here, or does not say.
pub(crate) async fn of(registry: &Registry, reference: &str) -> Result<Vec<Platform>, Error> {
    let Some((name, reference)) = split(reference) else { return Ok(Vec::new()) };
    let Some(manifest) = registry.metadata.manifest(&registry.store, &name, &reference).await? else {
        return Ok(Vec::new());
    };
    let (listed, config) = read(&manifest.bytes);
    let Some(config) = config.filter(|_| listed.is_empty()) else { return Ok(listed) };
    let size = registry.metadata.link(&name, &config).await?;
    if size.is_none_or(|size| size > CONFIG_BYTES_MAX) {
        return Ok(Vec::new());
    }
    let bytes = registry.store.read(&config).await?.unwrap_or_default();
    let said: Said = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(said.platform().into_iter().collect())
}

/// The platforms that an index lists, and the digest of an image's configuration.
fn read(manifest: &[u8]) -> (Vec<Platform>, Option<Digest>) {
    let document: Document = serde_json::from_slice(manifest).unwrap_or_default();
    let listed = document.manifests.iter().filter_map(|entry| entry.platform.as_ref()?.platform());
    (listed.collect(), document.config.and_then(|config| config.digest.parse().ok()))
}

fn split(reference: &str) -> Option<(RepositoryName, Reference)> {
    let (_, rest) = reference.split_once('/')?;
    let (name, digest) = match rest.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (rest, None),
    };
    let (name, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let reference = Reference::parse(digest.unwrap_or(tag)).ok()?;
    Some((RepositoryName::parse(name)?, reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_lists_its_platforms_without_attestations_and_an_image_names_its_configuration() {
        let digest = format!("sha256:{}", "b".repeat(64));
        let entry = |os: &str, architecture: &str, variant: Option<&str>| serde_json::json!({ "digest": digest, "platform": { "os": os, "architecture": architecture, "variant": variant } });
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [
            entry("linux", "amd64", None), entry("linux", "arm", Some("v7")), entry("unknown", "unknown", None),
            { "digest": digest },
        ] });
        let (listed, config) = read(index.to_string().as_bytes());
        let listed: Vec<String> = listed.iter().map(Platform::to_string).collect();
        assert_eq!((listed, config), (vec!["linux/amd64".to_owned(), "linux/arm/v7".to_owned()], None));

        let image = serde_json::json!({ "schemaVersion": 2, "config": { "digest": digest }, "layers": [] });
        assert_eq!(read(image.to_string().as_bytes()), (vec![], Some(digest.parse().unwrap())));
        for foreign in ["", "[]", r#"{"manifests": 1}"#, r#"{"config": {"digest": "x"}}"#] {
            assert_eq!(read(foreign.as_bytes()), (vec![], None), "{foreign}");
        }
    }

    #[test]
    fn references_are_split_into_name_and_tag_or_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let check = |reference: &str, expected: Option<(&str, Reference)>| {
            let split = split(reference);
            let split = split.as_ref().map(|(name, reference)| (name.as_str(), reference.clone()));
            assert_eq!(split, expected, "{reference}");
        };
        let tag = |tag: &str| Reference::Tag(tag.to_owned());
        let by_digest = Reference::Digest(digest.parse().unwrap());
        check("r:5000/shop/web", Some(("shop/web", tag("latest"))));
        check("r:5000/shop/web:r3", Some(("shop/web", tag("r3"))));
        check(&format!("r:5000/shop/web@{digest}"), Some(("shop/web", by_digest.clone())));
        check(&format!("r:5000/shop/web:r3@{digest}"), Some(("shop/web", by_digest)));
        check("nginx", None);
        check("r:5000/Shop", None);
    }
}
