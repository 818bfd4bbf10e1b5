//! Which images no kept release needs: values in, values out.
//!
//! Kept are the active release, the one before it, and the newest that have served, as many as `deploy.keep_releases` says.
//! What any kept release of any application names stays, whoever built it.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::Name;

use crate::rollout::at_registry;
use crate::store::{App, Release};

/// What can go of one application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unneeded {
    /// Releases that lose an image which was built for them: nobody can go back to these.
    pub(crate) releases: Vec<u32>,
    /// Names that our builds gave: `reg:5000/shop/web:r3`, `reg:5000/shop/web@sha256:…`.
    pub(crate) built: BTreeSet<String>,
    /// Names of images that others made.
    pub(crate) pulled: BTreeSet<String>,
}

/// The releases of all applications, each list with the newest first.
pub(crate) type Releases<'a> = [(&'a App, &'a [Release])];

/// What can go of `app`.
pub(crate) fn unneeded(app: &Name, all: &Releases<'_>, keep: u32, registry: &str) -> Unneeded {
    let mut needed = BTreeSet::new();
    let mut dropped: Vec<&Release> = Vec::new();
    for (owner, releases) in all {
        let kept = kept(owner, releases, keep);
        for release in *releases {
            if owner.name != *app || kept.contains(&release.number) {
                needed.extend(digests(release, registry).into_values());
                needed.extend(foreign(release));
            } else {
                dropped.push(release);
            }
        }
    }
    let mut unneeded = Unneeded::default();
    for release in dropped {
        let digests = digests(release, registry);
        if digests.values().any(|image| !needed.contains(image)) {
            unneeded.releases.push(release.number);
        }
        // Each build has a tag of its own, also where it gave what was there before.
        let tag = |service: &String| format!("{registry}/{app}/{service}:r{}", release.number);
        unneeded.built.extend(digests.keys().map(tag));
        unneeded.built.extend(digests.into_values());
        unneeded.pulled.extend(foreign(release));
    }
    unneeded.built.retain(|image| !needed.contains(image));
    unneeded.pulled.retain(|image| !needed.contains(image));
    unneeded
}

fn kept(app: &App, releases: &[Release], keep: u32) -> BTreeSet<u32> {
    let served = releases.iter().filter(|release| release.has_served).map(|release| release.number);
    served.take(keep as usize).chain(app.active).chain(app.previous).collect()
}

/// What was built, by service.
fn digests(release: &Release, registry: &str) -> BTreeMap<String, String> {
    at_registry(&release.content.images, registry)
}

/// What services use that was not built.
fn foreign(release: &Release) -> Vec<String> {
    let content = &release.content;
    let services = content.project.services.iter();
    let others = services.filter(|(name, _)| !content.images.contains_key(*name));
    others.filter_map(|(_, service)| service.image.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_base::UnixMillis;

    use super::*;
    use crate::store::Content;

    /// A release whose service `web` was built and whose `db` was not.
    fn release(number: u32, digest: &str, db: &str) -> Release {
        let services = json!({ "web": { "build": { "context": "." } }, "db": { "image": db } });
        let content = Content {
            project: serde_json::from_value(json!({ "name": "shop", "services": services })).unwrap(),
            images: BTreeMap::from([("web".to_owned(), format!("old:1/shop/web@sha256:{digest}"))]),
            files: BTreeMap::new(),
            contexts: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        let (author, message) = ("ann".to_owned(), String::new());
        Release {
            number,
            created: UnixMillis(0),
            author,
            message,
            content,
            has_served: true,
            images_gone: false,
        }
    }

    fn app(name: &str, active: u32, previous: u32) -> App {
        App { name: name.parse().unwrap(), active: Some(active), previous: Some(previous) }
    }

    #[test]
    fn what_kept_releases_share_stays() {
        let shop = app("shop", 5, 4);
        let mut releases = [
            release(5, "e", "db:2"),
            release(4, "d", "db:2"),
            release(3, "c", "db:2"),
            release(2, "d", "db:1"),
            release(1, "a", "db:1"),
        ];
        let check = |releases: &[Release], others: &[(&App, &[Release])], keep: u32| {
            let mut all = vec![(&shop, releases)];
            all.extend(others);
            let unneeded = unneeded(&shop.name, &all, keep, "reg:1");
            let join = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
            (unneeded.releases, join(unneeded.built), join(unneeded.pulled))
        };
        assert_eq!(check(&releases, &[], 5), (vec![], String::new(), String::new()));
        let (c, a) = ("reg:1/shop/web@sha256:c", "reg:1/shop/web@sha256:a");
        let tag = |number: u32| format!("reg:1/shop/web:r{number}");
        // Release 2 has the image of release 4, and can be gone back to.
        assert_eq!(
            check(&releases, &[], 3),
            (vec![1], format!("{} {} {a}", tag(1), tag(2)), "db:1".to_owned())
        );
        // The active one and the one before are always kept.
        assert_eq!(
            check(&releases, &[], 0),
            (vec![3, 1], format!("{} {} {} {a} {c}", tag(1), tag(2), tag(3)), "db:1".to_owned())
        );
        // Another application uses both.
        let blog = app("blog", 1, 1);
        let mut theirs = release(1, "z", "db:1");
        theirs.content.images = BTreeMap::from([("web".to_owned(), a.to_owned())]);
        let others = [theirs];
        assert_eq!(
            check(&releases, &[(&blog, &others)], 3),
            (vec![], format!("{} {}", tag(1), tag(2)), String::new())
        );
        // A failed deploy is nothing to go back to.
        releases[2].has_served = false;
        assert_eq!(check(&releases, &[], 4).0, [3]);
    }
}
