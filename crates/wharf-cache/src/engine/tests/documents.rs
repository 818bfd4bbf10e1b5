//! What upstreams change.

use super::*;

fn look(origin: &Origin, path: &str) -> Look {
    Look {
        ecosystem: Ecosystem::Apt,
        upstream: Arc::new(Upstream::parse(&origin.url()).unwrap()),
        path: path.to_owned(),
        accept: None,
    }
}

#[tokio::test]
async fn a_document_is_asked_for_once_then_with_a_condition_then_served_stale() {
    let (bench, mut origin) = (Bench::new(1 << 20).await, Origin::start().await);
    origin.put("/InRelease", b"one".to_vec());
    let look = look(&origin, "/InRelease");
    let all = (0..20).map(|_| bench.engine.document(look.clone()));
    for document in futures_util::future::join_all(all).await {
        assert_eq!(&document.unwrap().bytes[..], b"one");
    }
    assert_eq!(origin.requests().len(), 1, "twenty clients, one request");

    bench.clock.advance(Duration::from_secs(60));
    let document = bench.engine.document(look.clone()).await.unwrap();
    assert!(!document.is_stale);
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(bench.engine.counters(Ecosystem::Apt).counts().bytes_in, 3, "304 brings no bytes");

    bench.clock.advance(Duration::from_secs(60));
    origin.put("/InRelease", b"two".to_vec());
    assert_eq!(&bench.engine.document(look.clone()).await.unwrap().bytes[..], b"two");

    bench.clock.advance(Duration::from_secs(60));
    origin.fail([Fault::Status(500)]);
    let document = bench.engine.document(look.clone()).await.unwrap();
    assert_eq!((&document.bytes[..], document.is_stale), (&b"two"[..], true));

    origin.stop().await;
    let bench = bench.restart(1 << 20).await;
    bench.clock.advance(Duration::from_secs(3_600));
    let document = bench.engine.document(look).await.unwrap();
    assert_eq!((&document.bytes[..], document.is_stale), (&b"two"[..], true), "also after a restart");
}

#[tokio::test]
async fn without_anything_stored_an_upstream_that_is_away_is_named() {
    let (bench, mut origin) = (Bench::new(1 << 20).await, Origin::start().await);
    origin.stop().await;
    let error = bench.engine.document(look(&origin, "/InRelease")).await.unwrap_err();
    let Error::Upstream { upstream, .. } = &error else { panic!("{error}") };
    assert_eq!(*upstream, origin.address.to_string());
    assert_eq!(error.status().0, 503);
}

#[tokio::test]
async fn what_the_upstream_does_not_have_is_not_there() {
    let (bench, origin) = (Bench::new(1 << 20).await, Origin::start().await);
    let error = bench.engine.document(look(&origin, "/InRelease")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status, .. } if status == 404), "{error}");
}

#[tokio::test]
async fn a_rejected_candidate_leaves_the_old_one() {
    let (bench, origin) = (Bench::new(1 << 20).await, Origin::start().await);
    origin.put("/InRelease", b"one".to_vec());
    let look = look(&origin, "/InRelease");
    bench.engine.document(look.clone()).await.unwrap();
    origin.put("/InRelease", b"two".to_vec());
    bench.clock.advance(Duration::from_secs(60));
    let Looked::Changed(candidate) = bench.engine.look(look.clone()).await.unwrap() else {
        panic!("changed")
    };
    assert_eq!(&candidate.bytes[..], b"two");
    let old = bench.engine.reject(*candidate).await.unwrap().unwrap();
    assert_eq!((&old.bytes[..], old.is_stale), (&b"one"[..], true));
    assert_eq!(&bench.engine.document(look.clone()).await.unwrap().bytes[..], b"one", "for fresh_min");
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(&bench.engine.document(look).await.unwrap().bytes[..], b"two");
}
