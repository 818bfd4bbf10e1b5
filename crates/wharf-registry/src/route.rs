//! Reads the path of a request from the right, because a repository's name has slashes in it.
//!
//! `/v2/a/blobs/uploads/` is an upload to `a`, `/v2/blobs/uploads/manifests/x` the manifest `x` of a repository called
//! `blobs/uploads`. Each part is percent-decoded by itself, after the split.

use crate::name::RepositoryName;
use crate::query::decode;

/// What a path names. Digests, tags and session ids are not checked yet: how that fails depends on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v2/`
    Ping,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/blobs/<digest>`
    Blob { name: RepositoryName, digest: String },
    /// `/v2/<name>/blobs/uploads/`
    Uploads { name: RepositoryName },
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload { name: RepositoryName, id: String },
    /// `/v2/<name>/manifests/<reference>`
    Manifest { name: RepositoryName, reference: String },
    /// `/v2/<name>/tags/list`
    Tags { name: RepositoryName },
    /// `/v2/<name>/referrers/<digest>`
    Referrers { name: RepositoryName, digest: String },
}

/// Why a path names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// It is not of ours.
    Unknown,
    /// Only the repository's name is wrong.
    BadName(String),
}

/// Reads a path.
pub(crate) fn parse(path: &str) -> Result<Route, NoRoute> {
    let rest = match path.strip_prefix("/v2") {
        Some("" | "/") => return Ok(Route::Ping),
        Some(rest) => rest.strip_prefix('/').ok_or(NoRoute::Unknown)?,
        None => return Err(NoRoute::Unknown),
    };
    if rest == "_catalog" {
        return Ok(Route::Catalog);
    }
    // The name may be empty or wrong; it is looked at last.
    let parts: Vec<&str> = rest.split('/').collect();
    let decoded = |text: &str| decode(text).into_owned();
    match parts.as_slice() {
        [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
            Ok(Route::Uploads { name: repository(name)? })
        }
        // `blobs/uploads/manifests/x` is the manifest of a repository, so the last two parts decide first.
        [name @ .., "manifests", reference] => {
            Ok(Route::Manifest { name: repository(name)?, reference: decoded(reference) })
        }
        [name @ .., "tags", "list"] => Ok(Route::Tags { name: repository(name)? }),
        [name @ .., "referrers", digest] => {
            Ok(Route::Referrers { name: repository(name)?, digest: decoded(digest) })
        }
        [name @ .., "blobs", "uploads", id] => Ok(Route::Upload { name: repository(name)?, id: decoded(id) }),
        [name @ .., "blobs", digest] => Ok(Route::Blob { name: repository(name)?, digest: decoded(digest) }),
        _ => Err(NoRoute::Unknown),
    }
}

fn repository(parts: &[&str]) -> Result<RepositoryName, NoRoute> {
    let name = parts.join("/");
    RepositoryName::parse(&name).ok_or_else(|| NoRoute::BadName(name.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    #[test]
    fn paths_are_read_from_the_right() {
        let blob = |repository: &str, digest: &str| {
            Ok(Route::Blob { name: name(repository), digest: digest.to_owned() })
        };
        let manifest = |repository: &str, reference: &str| {
            Ok(Route::Manifest { name: name(repository), reference: reference.to_owned() })
        };
        let upload =
            |repository: &str, id: &str| Ok(Route::Upload { name: name(repository), id: id.to_owned() });
        for (path, expected) in [
            ("/v2", Ok(Route::Ping)),
            ("/v2/", Ok(Route::Ping)),
            ("/v2/_catalog", Ok(Route::Catalog)),
            ("/v2/a/b/blobs/sha256:00", blob("a/b", "sha256:00")),
            ("/v2/a/blobs/sha256%3A00", blob("a", "sha256:00")),
            ("/v2/a/blobs/uploads/", Ok(Route::Uploads { name: name("a") })),
            ("/v2/a/blobs/uploads", Ok(Route::Uploads { name: name("a") })),
            ("/v2/a/blobs/uploads/1-2", upload("a", "1-2")),
            ("/v2/blobs/uploads/blobs/uploads/x", upload("blobs/uploads", "x")),
            ("/v2/blobs/uploads/manifests/x", manifest("blobs/uploads", "x")),
            ("/v2/manifests/manifests/manifests", manifest("manifests", "manifests")),
            ("/v2/a/b/c/tags/list", Ok(Route::Tags { name: name("a/b/c") })),
            ("/v2/a/referrers/x", Ok(Route::Referrers { name: name("a"), digest: "x".to_owned() })),
            ("/v2/A/tags/list", Err(NoRoute::BadName("A".to_owned()))),
            ("/v2/manifests/x", Err(NoRoute::BadName(String::new()))),
            ("/v2/a%2Fb/tags/list", Err(NoRoute::BadName("a%2Fb".to_owned()))),
            ("/v2/a//manifests/x", Err(NoRoute::BadName("a/".to_owned()))),
            ("/v2/a", Err(NoRoute::Unknown)),
            ("/v2/a/manifests/x/", Err(NoRoute::Unknown)),
            ("/v1/", Err(NoRoute::Unknown)),
            ("/v2x/", Err(NoRoute::Unknown)),
            ("", Err(NoRoute::Unknown)),
        ] {
            assert_eq!(parse(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(path in "(/v2)?/?([a-z/%:.]|manifests|blobs|uploads|tags|list){0,12}") {
            let _ = parse(&path);
        }

        #[test]
        fn every_name_is_found_again(
            parts in prop::collection::vec("[a-z0-9]{1,4}|blobs|uploads|manifests|tags|list|referrers", 1..6),
            reference in "[a-z0-9]{1,8}",
        ) {
            let name = name(&parts.join("/"));
            let path = format!("/v2/{name}/manifests/{reference}");
            prop_assert_eq!(parse(&path), Ok(Route::Manifest { name: name.clone(), reference: reference.clone() }));
            let path = format!("/v2/{name}/blobs/uploads/{reference}-1");
            prop_assert_eq!(parse(&path), Ok(Route::Upload { name, id: format!("{reference}-1") }));
        }
    }
}
