//! Manifests: GET, HEAD, PUT, DELETE (ids 3, 7a, 7b, 9).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION};
use serde_json::{Map, Value, json};
use wharf_base::Digest;
use wharf_disk::cas::{Algorithm, digest_of};

use super::{Answer, Call, answer};
use crate::manifest::Manifest;
use crate::metadata::{ManifestDeletion, NewManifest};
use crate::name::{Reference, RepositoryName, is_tag};
use crate::refusal::{Code, Refusal};
use crate::registry::Registry;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// LIMIT: tags of one PUT. The dev spec asks for 10 at least; more are answered 414 as it says.
const TAGS_MAX: usize = 64;

pub(super) async fn get(call: &Call<'_>, name: &RepositoryName, reference: &str) -> Answer {
    let unknown = || {
        let shown: String = reference.chars().take(160).collect();
        Refusal::new(Code::ManifestUnknown, format!("{name} has no manifest {shown}"))
    };
    let registry = call.registry;
    // What is neither tag nor digest names nothing.
    let reference = Reference::parse(reference).map_err(|_| unknown())?;
    let manifest = registry.metadata.manifest(&registry.store, name, &reference).await;
    let manifest = manifest.map_err(refused)?.ok_or_else(unknown)?;
    registry.counters.pulls.fetch_add(1, Ordering::Relaxed);
    let etag = format!("\"{}\"", manifest.digest);
    let is_known =
        call.header(IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag));
    let mut response = answer::empty(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    if is_known {
        response.headers_mut().remove(CONTENT_LENGTH);
    } else {
        answer::set(&mut response, CONTENT_LENGTH, manifest.bytes.len().to_string());
        // For HEAD, axum leaves the length and takes the body away.
        *response.body_mut() = Body::from(manifest.bytes.clone());
    }
    answer::set(&mut response, CONTENT_TYPE, &manifest.media_type);
    answer::set(&mut response, ETAG, &etag);
    answer::set_digest(&mut response, &manifest.digest);
    Ok(response)
}

pub(super) async fn put(call: &Call<'_>, body: &mut Body, name: RepositoryName, reference: &str) -> Answer {
    let is_digest = reference.contains(':');
    let reference = Reference::parse(reference).map_err(|message| {
        Refusal::new(if is_digest { Code::DigestInvalid } else { Code::ManifestInvalid }, message)
    })?;
    let tags = tags(call, &reference)?;
    let bytes = call.whole(body, call.registry.config.manifest_size_max.0).await?;
    let content_type = call.header(CONTENT_TYPE).unwrap_or_default().to_owned();
    let registry = Arc::clone(call.registry);
    let complete = async move { store(&registry, &name, &reference, tags, content_type, bytes).await };
    call.registry.complete(complete).await
}

pub(super) async fn delete(call: &Call<'_>, name: RepositoryName, reference: &str) -> Answer {
    let shown: String = reference.chars().take(160).collect();
    let unknown = move |name: &RepositoryName| {
        Refusal::new(Code::ManifestUnknown, format!("{name} has no manifest {shown}"))
    };
    let Ok(reference) = Reference::parse(reference) else { return Err(unknown(&name)) };
    let registry = Arc::clone(call.registry);
    let complete = async move {
        let deletion = match &reference {
            Reference::Tag(tag) => registry.metadata.delete_tag(&name, tag).await?,
            Reference::Digest(digest) => registry.metadata.delete_manifest(&name, digest).await?,
        };
        match deletion {
            ManifestDeletion::Deleted => Ok(answer::empty(StatusCode::ACCEPTED)),
            ManifestDeletion::Unknown => Err(unknown(&name)),
        }
    };
    call.registry.complete(complete).await
}

/// The tags to set: the reference, or the parameters beside a digest (`?tag=a&tag=b,c`).
fn tags(call: &Call<'_>, reference: &Reference) -> Result<Vec<String>, Refusal> {
    let mut tags: Vec<String> = match reference {
        Reference::Tag(tag) => vec![tag.clone()],
        Reference::Digest(_) => {
            call.query.all("tag").flat_map(|tags| tags.split(',')).map(str::to_owned).collect()
        }
    };
    if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)) {
        let shown: String = bad.chars().take(80).collect();
        return Err(Refusal::new(Code::ManifestInvalid, format!("`{shown}` is not a tag")));
    }
    tags.dedup();
    if tags.len() > TAGS_MAX {
        let message = format!("at most {TAGS_MAX} tags can be set at once");
        return Err(Refusal::new(Code::ManifestInvalid, message).with_status(StatusCode::URI_TOO_LONG));
    }
    Ok(tags)
}

/// File first, then manifest, children, tags and subject in one transaction.
async fn store(
    registry: &Registry,
    name: &RepositoryName,
    reference: &Reference,
    tags: Vec<String>,
    content_type: String,
    bytes: Bytes,
) -> Answer {
    let algorithm = match reference {
        Reference::Digest(digest) => Algorithm::of(digest),
        Reference::Tag(_) => Algorithm::default(),
    };
    let body = bytes.clone();
    // 4 MiB take about 20 ms: not on an async thread.
    let parsed = tokio::task::spawn_blocking(move || {
        (digest_of(algorithm, &body), Manifest::parse(&content_type, &body))
    });
    let (digest, manifest) = parsed.await.expect("parsing doesn't panic and isn't aborted");
    if let Reference::Digest(expected) = reference
        && *expected != digest
    {
        return Err(Refusal::new(
            Code::DigestInvalid,
            format!("the manifest has digest {digest}, not {expected}"),
        ));
    }
    let manifest = manifest.map_err(|message| Refusal::new(Code::ManifestInvalid, message))?;
    let size = bytes.len() as u64;
    let subject = manifest.subject.clone();
    let row = NewManifest {
        digest: digest.clone(),
        descriptor: subject.as_ref().map(|_| descriptor(&manifest, &digest, size)),
        media_type: manifest.media_type,
        size,
        subject: manifest.subject,
        artifact_type: manifest.artifact_type,
        children: manifest.children,
        tags: tags.clone(),
        pushed: registry.clock.now(),
    };
    let missing = {
        let _arriving = registry.arriving(&digest).read().await;
        registry.store.put(&digest, bytes).await?;
        registry.metadata.put_manifest(name, row).await?
    };
    if let Some(first) = missing.first() {
        let message = format!("{name} lacks {first}, which the manifest needs ({} in all)", missing.len());
        return Err(Refusal::new(Code::ManifestBlobUnknown, message).with_detail(json!(missing)));
    }
    registry.counters.pushes.fetch_add(1, Ordering::Relaxed);
    let mut response = answer::empty(StatusCode::CREATED);
    answer::set(&mut response, LOCATION, format!("/v2/{name}/manifests/{digest}"));
    answer::set_digest(&mut response, &digest);
    if let Some(subject) = subject {
        answer::set(&mut response, OCI_SUBJECT, subject.as_str());
    }
    if matches!(reference, Reference::Digest(_)) && !tags.is_empty() {
        answer::set(&mut response, OCI_TAG, tags.join(", "));
    }
    Ok(response)
}

/// What the referrers list says of a manifest.
fn descriptor(manifest: &Manifest, digest: &Digest, size: u64) -> String {
    let mut descriptor = Map::new();
    descriptor.insert("mediaType".to_owned(), json!(manifest.media_type));
    descriptor.insert("digest".to_owned(), json!(digest));
    descriptor.insert("size".to_owned(), json!(size));
    if let Some(artifact_type) = &manifest.artifact_type {
        descriptor.insert("artifactType".to_owned(), json!(artifact_type));
    }
    if !manifest.annotations.is_empty() {
        descriptor.insert("annotations".to_owned(), Value::Object(manifest.annotations.clone()));
    }
    Value::Object(descriptor).to_string()
}

fn refused(error: crate::Error) -> Refusal {
    match error {
        crate::Error::Disk(error) => error.into(),
        crate::Error::State(error) => error.into(),
        other => Refusal::new(Code::Unavailable, other.to_string()),
    }
}
