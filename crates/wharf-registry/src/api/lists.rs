//! Lists: tags, the catalog, referrers (ids 8a, 8b, 12a, 12b).

use http::header::{CONTENT_TYPE, HeaderName, LINK};
use serde_json::json;
use wharf_base::Digest;

use super::{Answer, Call, answer};
use crate::metadata::Page;
use crate::name::RepositoryName;
use crate::query::encode;
use crate::refusal::{Code, Refusal};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// LIMIT: items of one answer; who wants more follows `Link`.
const PAGE_MAX: usize = 10_000;
/// LIMIT: descriptors of one answer; annotations may make them large.
const REFERRERS_MAX: usize = 1_000;

pub(super) async fn tags(call: &Call<'_>, name: &RepositoryName) -> Answer {
    let (last, count) = asked_page(call)?;
    let page = call.registry.metadata.tags(name, last, count).await?;
    let page = page.ok_or_else(|| Refusal::new(Code::NameUnknown, format!("no repository {name}")))?;
    let document = json!({ "name": name.as_str(), "tags": page.items });
    Ok(paged(document.to_string(), &format!("/v2/{name}/tags/list"), &page, count))
}

pub(super) async fn catalog(call: &Call<'_>) -> Answer {
    let (last, count) = asked_page(call)?;
    let page = call.registry.metadata.catalog(last, count).await?;
    let document = json!({ "repositories": page.items });
    Ok(paged(document.to_string(), "/v2/_catalog", &page, count))
}

pub(super) async fn referrers(call: &Call<'_>, name: &RepositoryName, digest: &str) -> Answer {
    let digest: Digest = super::digest(digest)?;
    let artifact_type = call.query.get("artifactType").filter(|artifact_type| !artifact_type.is_empty());
    let last = call.query.get("last").unwrap_or_default();
    let metadata = &call.registry.metadata;
    let (found, has_more) = metadata.referrers(name, &digest, artifact_type, last, REFERRERS_MAX).await?;
    let descriptors: Vec<&str> = found.iter().map(|(_, descriptor)| descriptor.as_str()).collect();
    // The descriptors are JSON already.
    let document = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{}]}}",
        descriptors.join(",")
    );
    let mut response = answer::json(http::StatusCode::OK, document);
    answer::set(&mut response, CONTENT_TYPE, INDEX);
    if artifact_type.is_some() {
        answer::set(&mut response, FILTERS_APPLIED, "artifactType");
    }
    if let Some((last, _)) = found.last().filter(|_| has_more) {
        let filter = artifact_type.map(|text| format!("artifactType={}&", encode(text))).unwrap_or_default();
        let link = format!("</v2/{name}/referrers/{digest}?{filter}last={}>; rel=\"next\"", encode(last));
        answer::set(&mut response, LINK, link);
    }
    Ok(response)
}

/// `last` and `n` of the request. Errors: 400 for an `n` that is no number.
fn asked_page<'a>(call: &'a Call<'_>) -> Result<(&'a str, usize), Refusal> {
    let last = call.query.get("last").unwrap_or_default();
    let count = match call.query.get("n") {
        None | Some("") => PAGE_MAX,
        Some(text) => text.parse::<usize>().map_err(|_| {
            Refusal::new(Code::PaginationNumberInvalid, "the parameter `n` must be a number from 0")
        })?,
    };
    Ok((last, count.min(PAGE_MAX)))
}

fn paged(document: String, path: &str, page: &Page, count: usize) -> axum::response::Response {
    let mut response = answer::json(http::StatusCode::OK, document);
    if let Some(last) = page.items.last().filter(|_| page.has_more) {
        answer::set(&mut response, LINK, format!("<{path}?n={count}&last={}>; rel=\"next\"", encode(last)));
    }
    response
}
