//! apt's protocol: what is verified, what belongs together, what is served while the archive is away.

use std::time::Duration;

use crate::origin::{Fault, Origin};
use crate::support::{Cache, in_release, publish, publish_index, sha256};

const DEB: &str = "pool/main/h/hello_1_all.deb";
const PACKAGES: &str = "/debian/dists/x/main/binary-amd64/Packages";

#[tokio::test]
async fn a_deb_is_fetched_once_and_served_by_both_addresses() {
    let (data, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    let deb = vec![7; 200_000];
    publish(&origin, &[(DEB, &deb)], false);
    let cache = Cache::start(data.path(), &origin).await;
    let proxied = |path: &str| format!("{}{path}", origin.url());
    assert_eq!(cache.get(&proxied("/debian/dists/x/InRelease")).await.status, 200);
    let packages = cache.get(&proxied(PACKAGES)).await;
    assert!(packages.status == 200 && packages.is_whole());
    for target in [
        proxied(&format!("/debian/{DEB}")),
        format!("/apt/{}/debian/{DEB}", origin.address),
        proxied("/debian/pool/main/h/hello%5f1_all.deb"),
    ] {
        let answer = cache.get(&target).await;
        assert!(answer.status == 200 && answer.is_whole() && answer.body == deb, "{target}");
    }
    let part = cache.ask(&proxied(&format!("/debian/{DEB}")), "range: bytes=199990-\r\n").await;
    assert_eq!((part.status, &part.body[..]), (206, &deb[199_990..]));
    assert_eq!(part.header("content-range"), Some("bytes 199990-199999/200000"));
    let etag = part.header("etag").unwrap();
    let same = cache.ask(&proxied(&format!("/debian/{DEB}")), &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!(same.status, 304);
    let fetched = origin.requests().iter().filter(|request| request.contains("pool")).count();
    assert_eq!(fetched, 1, "{:?}", origin.requests());
    let stats = cache.handle.stats().await.unwrap();
    assert_eq!((stats.ecosystems[0].files, stats.ecosystems[0].counts.misses), (3, 3));
    let entries = cache.handle.entries(None, 10).await.unwrap();
    assert!(entries[0].source.ends_with(DEB) && entries[0].bytes == 200_000, "{entries:?}");
    let purged = cache.handle.purge(None).await.unwrap();
    assert_eq!(purged.files, 3);
    assert_eq!(cache.handle.stats().await.unwrap().bytes, 0);
    cache.stop().await;
}

#[tokio::test]
async fn wrong_bytes_reach_nobody_and_are_not_stored() {
    let (data, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    let (small, large) = (vec![1; 1_000], vec![2; 400_000]);
    publish(&origin, &[(DEB, &small), ("pool/large_1_all.deb", &large)], true);
    let cache = Cache::start(data.path(), &origin).await;
    cache.get(&format!("{}/debian/dists/x/InRelease", origin.url())).await;
    cache.get(&format!("{}{PACKAGES}", origin.url())).await;
    origin.put(&format!("/debian/{DEB}"), vec![9; 1_000]);
    origin.put("/debian/pool/large_1_all.deb", vec![9; 400_000]);
    let answer = cache.get(&format!("{}/debian/{DEB}", origin.url())).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("other bytes than its index says"), "{}", answer.text());
    let answer = cache.get(&format!("{}/debian/pool/large_1_all.deb", origin.url())).await;
    assert!(!answer.is_whole(), "a client sees that it did not get everything");
    origin.put("/debian/dists/x/by-hash/SHA256/".to_owned().as_str(), b"x".to_vec());
    let by_hash = format!("{}/debian/dists/x/main/by-hash/SHA256/{}", origin.url(), sha256(b"right"));
    origin.put(&by_hash[origin.url().len()..], b"wrong".to_vec());
    assert_eq!(cache.get(&by_hash).await.status, 502);
    let stats = cache.handle.stats().await.unwrap();
    assert_eq!(stats.files, 2, "the release file and the index");
    assert!(stats.ecosystems[0].counts.wrong >= 3);
    origin.put(&format!("/debian/{DEB}"), small.clone());
    assert_eq!(cache.get(&format!("{}/debian/{DEB}", origin.url())).await.body, small, "and it recovers");
    cache.stop().await;
}

#[tokio::test]
async fn a_new_release_is_served_only_with_its_indexes() {
    for by_hash in [false, true] {
        let (data, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
        let old = publish(&origin, &[(DEB, b"one")], by_hash);
        let cache = Cache::start(data.path(), &origin).await;
        let (release, index) =
            (format!("{}/debian/dists/x/InRelease", origin.url()), format!("{}{PACKAGES}", origin.url()));
        assert_eq!(cache.get(&release).await.text(), in_release(&old, by_hash));
        assert_eq!(cache.get(&index).await.text(), old);

        // The archive is in the middle of an update: the release file is new, the index is not.
        let new = format!("{old}Package: y\nFilename: pool/y.deb\nSize: 1\nSHA256: {}\n\n", sha256(b"y"));
        origin.put("/debian/dists/x/InRelease", in_release(&new, by_hash));
        cache.clock.advance(Duration::from_secs(60));
        let answer = cache.get(&release).await;
        assert_eq!(answer.text(), in_release(&old, by_hash), "by_hash {by_hash}");
        assert!(answer.header("warning").is_some());
        assert_eq!(cache.get(&index).await.text(), old);

        publish_index(&origin, &new, by_hash);
        origin.put("/debian/pool/y.deb", b"y".to_vec());
        cache.clock.advance(Duration::from_secs(60));
        assert_eq!(cache.get(&release).await.text(), in_release(&new, by_hash));
        assert_eq!(cache.get(&index).await.text(), new);
        let before = origin.requests().len();
        assert_eq!(cache.get(&format!("{}/debian/pool/y.deb", origin.url())).await.text(), "y");
        assert_eq!(cache.get(&format!("{}/debian/pool/y.deb", origin.url())).await.text(), "y");
        assert_eq!(origin.requests().len(), before + 1, "the new index was read as well");
        cache.stop().await;
    }
}

#[tokio::test]
async fn what_no_index_names_is_passed_on_and_not_stored() {
    let (data, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    origin.put("/debian/README", b"read me".to_vec());
    let cache = Cache::start(data.path(), &origin).await;
    let target = format!("{}/debian/README", origin.url());
    for _ in 0..2 {
        assert_eq!(cache.get(&target).await.text(), "read me");
    }
    assert_eq!(cache.get(&format!("{}/debian/none", origin.url())).await.status, 404);
    assert_eq!(origin.requests().len(), 3);
    let stats = cache.handle.stats().await.unwrap();
    assert_eq!((stats.files, stats.ecosystems[0].counts.passed), (0, 3));
    cache.stop().await;
}

#[tokio::test]
async fn a_page_that_is_no_release_file_is_not_taken_for_one() {
    let (data, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    origin.put("/debian/dists/x/InRelease", b"<html>please log in</html>".to_vec());
    let cache = Cache::start(data.path(), &origin).await;
    let answer = cache.get(&format!("{}/debian/dists/x/InRelease", origin.url())).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(cache.handle.stats().await.unwrap().files, 0);
    cache.stop().await;
}

#[tokio::test]
async fn an_archive_that_is_away_is_named_and_what_is_stored_is_served() {
    let (data, mut origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    publish(&origin, &[(DEB, b"deb")], true);
    let cache = Cache::start(data.path(), &origin).await;
    let url = origin.url();
    let warm = [
        format!("{url}/debian/dists/x/InRelease"),
        format!("{url}{PACKAGES}"),
        format!("{url}/debian/{DEB}"),
    ];
    for target in &warm {
        assert_eq!(cache.get(target).await.status, 200, "{target}");
    }
    origin.stop().await;
    cache.stop().await;

    let cache = Cache::start(data.path(), &origin).await;
    cache.clock.advance(Duration::from_secs(3_600));
    for target in &warm {
        assert_eq!(cache.get(target).await.status, 200, "{target}");
    }
    let stale = cache.get(&warm[0]).await;
    assert!(stale.header("warning").is_some_and(|warning| warning.starts_with("111")));
    for cold in
        ["/debian/dists/y/InRelease".to_owned(), format!("/debian/by-hash/SHA256/{}", sha256(b"other"))]
    {
        let answer = cache.get(&format!("{url}{cold}")).await;
        assert_eq!(answer.status, 503, "{cold}");
        assert!(answer.header("retry-after").is_some());
        assert!(answer.text().contains(&origin.address.to_string()), "{}", answer.text());
    }
    cache.stop().await;
}

#[tokio::test]
async fn an_archive_that_says_429_is_left_alone_for_as_long_as_it_wants() {
    let (data, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    publish(&origin, &[(DEB, b"deb")], true);
    let cache = Cache::start(data.path(), &origin).await;
    origin.fail([Fault::Status(429)]);
    let target = format!("{}/debian/dists/x/InRelease", origin.url());
    let answer = cache.get(&target).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(cache.get(&target).await.status, 200, "Retry-After was 0");
    cache.stop().await;
}

#[tokio::test]
async fn strangers_and_tunnels_are_refused_with_a_hint() {
    let (data, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    let cache = Cache::start(data.path(), &origin).await;
    for (target, status, word) in [
        ("http://127.0.0.1:1/x", 403, "cache.apt.upstreams"),
        ("/apt/elsewhere.example/x", 403, "cache.apt.upstreams"),
        ("/", 404, "wharf cache env"),
        ("/etc/passwd", 404, "wharf cache env"),
        (&format!("{}/../../etc/passwd", origin.url()), 400, "no path"),
        (&format!("{}/a%00b", origin.url()), 400, "no path"),
    ] {
        let answer = cache.get(target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(answer.text().contains(word), "{target}: {}", answer.text());
    }
    assert_eq!(origin.requests().len(), 0);
    cache.stop().await;
}
