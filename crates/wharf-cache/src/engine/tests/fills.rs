//! One fetch for many clients.

use super::*;

#[tokio::test]
async fn many_clients_cause_one_fetch_and_the_next_one_none() {
    let (bench, origin) = (Bench::new(64 << 20).await, Origin::start().await);
    let content = bytes_of(3 << 20, 1);
    origin.put("/a.deb", content.clone());
    let wanted = wanted(&origin, "/a.deb", &content, true);
    let all = (0..64).map(|_| bench.read(&wanted));
    for read in futures_util::future::join_all(all).await {
        assert!(read.unwrap() == content, "the bytes are right");
    }
    assert!(bench.read(&wanted).await.unwrap() == content);
    assert_eq!(origin.requests(), ["GET /a.deb"]);
    let counts = bench.engine.counters(Ecosystem::Apt).counts();
    assert_eq!((counts.misses, counts.joined, counts.hits), (1, 63, 1));
    assert_eq!(counts.bytes_in, content.len() as u64);
}

#[tokio::test]
async fn the_first_bytes_are_there_before_the_last_and_a_late_client_begins_at_0() {
    let (bench, origin) = (Bench::new(64 << 20).await, Origin::start().await);
    let content = bytes_of(1 << 20, 2);
    origin.put("/a.deb", content.clone());
    let gate = origin.hold(300_000);
    let wanted = wanted(&origin, "/a.deb", &content, true);
    let Served::Filling(fill) = bench.engine.content(wanted.clone()).await.unwrap() else { panic!("cold") };
    let mut reader = Reader::of_fill(Arc::clone(&fill), 0, None);
    let mut early = Vec::new();
    while early.len() < 300_000 {
        early.extend_from_slice(&reader.next().await.unwrap().unwrap());
    }
    assert!(early == content[..300_000], "what has come is read while the upstream rests");
    let late = bench.engine.content(wanted).await.unwrap();
    gate.add_permits(1);
    assert!(read_all(late).await.unwrap() == content);
    while let Some(chunk) = reader.next().await {
        early.extend_from_slice(&chunk.unwrap());
    }
    assert!(early == content);
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_the_fill() {
    let (bench, origin) = (Bench::new(64 << 20).await, Origin::start().await);
    let content = bytes_of(1 << 20, 3);
    origin.put("/a.deb", content.clone());
    let gate = origin.hold(200_000);
    let wanted = wanted(&origin, "/a.deb", &content, false);
    let Served::Filling(fill) = bench.engine.content(wanted.clone()).await.unwrap() else { panic!("cold") };
    let mut reader = Reader::of_fill(Arc::clone(&fill), 0, None);
    reader.next().await.unwrap().unwrap();
    drop(reader);
    gate.add_permits(1);
    fill.ended().await.unwrap();
    assert!(matches!(bench.engine.content(wanted).await.unwrap(), Served::Stored { .. }));
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_cuts_every_64_kib_is_resumed_by_range() {
    let (bench, origin) = (Bench::new(64 << 20).await, Origin::start().await);
    let content = bytes_of(1 << 20, 4);
    origin.put("/a.deb", content.clone());
    origin.fail(vec![Fault::CutAfter(64 << 10); 15]);
    let wanted = wanted(&origin, "/a.deb", &content, true);
    assert!(bench.read(&wanted).await.unwrap() == content);
    let requests = origin.requests();
    assert_eq!(requests.len(), 16);
    assert_eq!(requests[0], "GET /a.deb");
    assert_eq!(requests[15], format!("GET /a.deb bytes={}-", 15 * (64 << 10)));
    let counts = bench.engine.counters(Ecosystem::Apt).counts();
    assert_eq!(counts.bytes_in, content.len() as u64, "no byte came twice");
}

#[tokio::test]
async fn stored_content_outlives_a_restart_and_damage_is_fetched_anew() {
    let (bench, origin) = (Bench::new(64 << 20).await, Origin::start().await);
    let content = bytes_of(100_000, 5);
    origin.put("/a.deb", content.clone());
    let wanted = wanted(&origin, "/a.deb", &content, true);
    bench.read(&wanted).await.unwrap();
    std::fs::write(bench.root().join("cache/fills/17"), b"half").unwrap();
    let bench = bench.restart(64 << 20).await;
    assert!(bench.read(&wanted).await.unwrap() == content);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(std::fs::read_dir(bench.root().join("cache/fills")).unwrap().count(), 0);

    let hex = wanted.digest.hex();
    let path = bench.root().join("cache/blobs/sha256").join(&hex[..2]).join(hex);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"short").unwrap();
    assert!(bench.read(&wanted).await.unwrap() == content);
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn the_cap_holds_and_what_is_larger_is_refused() {
    let (bench, origin) = (Bench::new(1 << 20).await, Origin::start().await);
    for number in 0..8u8 {
        let content = bytes_of(300_000, number);
        origin.put(&format!("/{number}"), content.clone());
        let wanted = wanted(&origin, &format!("/{number}"), &content, number % 2 == 0);
        bench.clock.advance(Duration::from_secs(1));
        assert!(bench.read(&wanted).await.unwrap() == content);
        let (stored, reserved, _, _) = bench.engine.store.usage();
        assert!(stored + reserved <= 1 << 20, "{stored} + {reserved}");
    }
    let (stored, reserved, files, evicted) = bench.engine.store.usage();
    assert_eq!((stored, reserved, files, evicted), (900_000, 0, 3, 5));
    let blobs = bench.root().join("cache/blobs/sha256");
    let shards = std::fs::read_dir(blobs).unwrap();
    let on_disk: usize = shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum();
    assert_eq!(on_disk, 3);

    let content = bytes_of(2 << 20, 9);
    origin.put("/large", content.clone());
    for has_size in [true, false] {
        let error = bench.read(&wanted(&origin, "/large", &content, has_size)).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
    assert_eq!(bench.engine.store.usage().0, 900_000, "and nothing went for it");
    let bench = bench.restart(700_000).await;
    assert_eq!(bench.engine.store.usage().0, 600_000, "a smaller cap holds from the start");
}

#[tokio::test]
async fn too_many_transfers_are_refused_and_counted() {
    let (bench, origin) = (Bench::new(64 << 20).await, Origin::start().await);
    let gate = origin.hold(0);
    let most = bench.engine.fills_waiting_max;
    for number in 0..=most {
        let content = number.to_le_bytes();
        origin.put(&format!("/{number}"), content.to_vec());
        let result = bench.engine.content(wanted(&origin, &format!("/{number}"), &content, true)).await;
        assert_eq!(result.is_ok(), number < most, "{number}");
    }
    assert_eq!(bench.engine.counters(Ecosystem::Apt).counts().refused, 1);
    gate.add_permits(most);
    let report = bench.tasks.stop(Duration::from_secs(10)).await;
    assert!(report.aborted.is_empty() && report.panicked == 0, "{report:?}");
}
