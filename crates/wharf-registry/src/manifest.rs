//! Reads manifests: what they are and what they need. Their bytes are stored as they came; nothing here is written.
//!
//! Lenient where the spec says that unknown fields survive, strict where two readers could see two documents in one
//! (`layers` beside `manifests`, CVE-2021-41190).

use serde::Deserialize;
use serde_json::{Map, Value};
use wharf_base::Digest;

/// Docker's manifest of version 1, unsigned and signed: refused.
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";
/// Content types that say nothing about which manifest it is; the document's own `mediaType` decides then.
const GENERIC: [&str; 4] =
    ["", "application/json", "application/octet-stream", "application/x-www-form-urlencoded"];

/// What a manifest says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) children: Vec<Child>,
    pub(crate) subject: Option<Digest>,
    /// For referrers: the manifest's own, else the media type of its config.
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: Map<String, Value>,
}

/// A blob or manifest that a manifest needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    /// From the list of an index: it may be a manifest; else it is a blob.
    pub(crate) may_be_manifest: bool,
    /// Layers that come from elsewhere are not pushed.
    pub(crate) is_required: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    /// The OCI artifact manifest of 1.1-rc, which some still push.
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: Option<String>,
    urls: Option<Vec<String>>,
}

impl Manifest {
    /// Reads a manifest that came with `Content-Type: content_type`. Errors: what is wrong with it.
    pub(crate) fn parse(content_type: &str, bytes: &[u8]) -> Result<Manifest, String> {
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        if content_type.starts_with(DOCKER_SCHEMA_1) {
            return Err("manifests of schema 1 are not supported; push with Docker 1.10 or later".to_owned());
        }
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| format!("manifest is not valid JSON: {error}"))?;
        if document.schema_version == Some(1) {
            return Err("manifests of schema 1 are not supported; push with Docker 1.10 or later".to_owned());
        }
        let is_index = document.manifests.is_some();
        let is_image = document.layers.is_some() || document.config.is_some() || document.blobs.is_some();
        if is_index && is_image {
            return Err("manifest has both `manifests` and `layers` or `config`".to_owned());
        }
        let inner_type = document.media_type.as_deref().unwrap_or_default();
        if !is_index && !is_image && !inner_type.contains("manifest") && !inner_type.contains("index") {
            return Err("manifest has none of `config`, `layers` and `manifests`".to_owned());
        }
        let media_type = media_type(content_type, inner_type, is_index)?;
        let config_type = document.config.as_ref().and_then(|config| config.media_type.clone());
        let own_type = document.artifact_type.filter(|artifact_type| !artifact_type.is_empty());
        Ok(Manifest {
            media_type,
            artifact_type: own_type.or(config_type),
            subject: document.subject.map(|subject| subject.digest()).transpose()?,
            annotations: document.annotations.unwrap_or_default(),
            children: children(document.config, document.layers, document.blobs, document.manifests)?,
        })
    }
}

impl Descriptor {
    fn digest(&self) -> Result<Digest, String> {
        let text = self.digest.as_deref().ok_or("a descriptor has no `digest`")?;
        text.parse().map_err(|error| format!("a descriptor is wrong: {error}"))
    }

    fn is_pushed(&self) -> bool {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        let is_elsewhere = media_type.contains(".nondistributable.")
            || media_type.contains(".foreign.")
            || self.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        !is_elsewhere
    }
}

/// The type to serve it with: what the client said, checked against what the document says.
fn media_type(content_type: &str, inner_type: &str, is_index: bool) -> Result<String, String> {
    let is_generic = GENERIC.contains(&content_type);
    if !is_generic && !inner_type.is_empty() && content_type != inner_type {
        return Err(format!(
            "Content-Type is `{content_type}`, but the manifest's mediaType is `{inner_type}`"
        ));
    }
    let media_type = match (is_generic, inner_type.is_empty()) {
        (false, _) => content_type,
        (true, false) => inner_type,
        (true, true) if is_index => "application/vnd.oci.image.index.v1+json",
        (true, true) => "application/vnd.oci.image.manifest.v1+json",
    };
    let is_header =
        media_type.len() <= 255 && media_type.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if is_header { Ok(media_type.to_owned()) } else { Err("mediaType can't be sent in a header".to_owned()) }
}

fn children(
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
) -> Result<Vec<Child>, String> {
    let blobs = config.into_iter().chain(layers.into_iter().flatten()).chain(blobs.into_iter().flatten());
    let manifests = manifests.into_iter().flatten();
    let all = blobs.map(|blob| (blob, false)).chain(manifests.map(|manifest| (manifest, true)));
    let mut children: Vec<Child> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (descriptor, may_be_manifest) in all {
        let digest = descriptor.digest()?;
        if seen.insert(digest.clone()) {
            children.push(Child { digest, may_be_manifest, is_required: descriptor.is_pushed() });
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn parse(content_type: &str, document: Value) -> Result<Manifest, String> {
        Manifest::parse(content_type, document.to_string().as_bytes())
    }

    #[test]
    fn an_image_needs_its_config_and_its_own_layers_once() {
        let manifest = parse(
            &format!("{OCI}; charset=utf-8"),
            json!({
                "schemaVersion": 2, "mediaType": OCI, "unknown": { "field": 1 },
                "config": { "mediaType": "application/vnd.example+json", "digest": digest('1'), "size": 2 },
                "layers": [
                    { "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest('2'), "size": 2 },
                    { "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest('2'), "size": 2 },
                    { "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": digest('3') },
                    { "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest('4') },
                    { "mediaType": "x", "digest": digest('5'), "urls": ["https://example.com"] },
                ],
                "subject": { "mediaType": OCI, "digest": digest('6'), "size": 3 },
                "annotations": { "a": "b" },
            }),
        )
        .unwrap();
        assert_eq!(manifest.media_type, OCI);
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.example+json"));
        assert_eq!(manifest.subject.unwrap().as_str(), digest('6'));
        let required: Vec<bool> = manifest.children.iter().map(|child| child.is_required).collect();
        assert_eq!(required, [true, true, false, false, false]);
    }

    #[test]
    fn an_index_lists_manifests_and_has_an_artifact_type_only_if_it_says_so() {
        let index = json!({ "schemaVersion": 2, "manifests": [{ "mediaType": OCI, "digest": digest('1') }] });
        let manifest = parse("", index).unwrap();
        assert_eq!(manifest.media_type, "application/vnd.oci.image.index.v1+json");
        assert!(manifest.children[0].may_be_manifest);
        assert_eq!(manifest.artifact_type, None);
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let image = json!({ "schemaVersion": 2, "layers": [] });
        for (content_type, document, expected) in [
            (OCI, json!({ "schemaVersion": 1, "fsLayers": [] }), "schema 1"),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", image.clone(), "schema 1"),
            (OCI, json!([]), "not valid JSON"),
            (OCI, json!({}), "none of"),
            (OCI, json!({ "layers": [], "manifests": [] }), "both"),
            (OCI, json!({ "layers": [{ "digest": "sha256:00" }] }), "descriptor"),
            (OCI, json!({ "layers": [{}] }), "no `digest`"),
            (
                OCI,
                json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "layers": [] }),
                "Content-Type",
            ),
            ("", json!({ "mediaType": "a\nb", "layers": [] }), "header"),
        ] {
            let error = parse(content_type, document).unwrap_err();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
        assert!(Manifest::parse(OCI, b"{\"layers\": []").is_err());
    }

    proptest! {
        /// Documents near to real ones, bytes cut and changed: an answer each time, and only checked digests in it.
        #[test]
        fn any_bytes_are_read_without_a_panic(
            cut in 0usize..400,
            at in 0usize..400,
            byte in any::<u8>(),
            content_type in "(application/vnd\\.[a-z.+]{0,20}|)",
        ) {
            let document = json!({
                "schemaVersion": 2, "config": { "digest": digest('1') }, "subject": { "digest": digest('2') },
                "layers": [{ "digest": digest('3'), "urls": ["x"] }], "annotations": { "a": "b" },
            });
            let mut bytes = document.to_string().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len().max(cut) - cut / 8);
            if let Ok(manifest) = Manifest::parse(&content_type, &bytes) {
                prop_assert!(http::HeaderValue::from_str(&manifest.media_type).is_ok());
            }
        }
    }
}
