use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use wharf_base::ManualClock;

use super::*;

const LIMITS: Limits = Limits { keep_free: 0, sessions_max: 4 };

async fn open(root: &Path) -> Store {
    Store::open(root, LIMITS, Arc::new(ManualClock::default())).await.unwrap()
}

async fn append(session: &Session, pieces: &[&[u8]]) -> u64 {
    let mut writer = session.writer().unwrap();
    for piece in pieces {
        writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn content(store: &Store, digest: &Digest, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let blob = store.open_blob(digest).await.unwrap().expect("blob is there");
    let range = range.unwrap_or(0..blob.size());
    let mut reader = blob.reader(range);
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    assert_eq!(reader.left(), 0);
    bytes
}

fn uploads(root: &Path) -> usize {
    fs::read_dir(root.join("uploads")).unwrap().count()
}

#[tokio::test]
async fn committed_bytes_are_an_immutable_file_named_by_their_digest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = digest_of(algorithm, b"hello world");
        assert!(store.open_blob(&digest).await.unwrap().is_none());
        let session = store.create_session("a/b", Algorithm::Sha256).await.unwrap();
        assert_eq!(append(&session, &[b"hello", b"", b" world"]).await, 11);
        assert_eq!(session.commit(&digest).await.unwrap(), 11);

        assert_eq!(content(&store, &digest, None).await, b"hello world");
        assert_eq!(content(&store, &digest, Some(3..7)).await, b"lo w");
        assert_eq!(content(&store, &digest, Some(11..11)).await, b"");
        assert_eq!(store.read(&digest).await.unwrap().unwrap(), "hello world");
        let path = store.inner.layout.blob(&digest);
        assert!(path.ends_with(format!("{}/{}", &digest.hex()[..2], digest.hex())));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        assert!(matches!(session.commit(&digest).await, Err(Error::SessionUnknown)));
    }
    assert_eq!(uploads(dir.path()), 0);
    let mut listed = Vec::new();
    for shard in Shard::all() {
        listed.extend(store.list(shard).await.unwrap().into_iter().map(|entry| entry.digest));
    }
    assert_eq!(listed, [Algorithm::Sha256, Algorithm::Sha512].map(|it| digest_of(it, b"hello world")));
    let digest = digest_of(Algorithm::Sha256, b"hello world");
    assert!(store.delete(&digest).await.unwrap());
    assert!(!store.delete(&digest).await.unwrap());
    assert_eq!(store.stats().blobs_committed, 2);
}

#[tokio::test]
async fn wrong_digest_stores_nothing_and_ends_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let expected = digest_of(Algorithm::Sha256, b"something else");
    let session = store.create_session("a", Algorithm::Sha256).await.unwrap();
    append(&session, &[b"hello"]).await;
    assert!(matches!(session.commit(&expected).await, Err(Error::DigestMismatch { .. })));
    assert!(store.open_blob(&expected).await.unwrap().is_none());
    assert!(matches!(store.session("a", session.id()), Err(Error::SessionUnknown)));
    assert_eq!(uploads(dir.path()), 0);
}

#[tokio::test]
async fn sessions_outlive_the_process_and_belong_to_their_scope() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let session = store.create_session("shop/web", Algorithm::Sha512).await.unwrap();
    append(&session, &[b"first "]).await;
    let id = session.id().to_owned();
    drop((session, store));
    fs::write(dir.path().join("uploads/put-0123"), b"half").unwrap();

    let store = open(dir.path()).await;
    assert_eq!(store.stats().sessions_open, 1, "put-* is gone");
    assert!(matches!(store.session("other", &id), Err(Error::SessionUnknown)));
    assert!(matches!(store.session("shop/web", "../../etc"), Err(Error::SessionUnknown)));
    let session = store.session("shop/web", &id).unwrap();
    assert_eq!(session.size(), 6);
    append(&session, &[b"second"]).await;
    let digest = digest_of(Algorithm::Sha256, b"first second");
    assert_eq!(session.commit(&digest).await.unwrap(), 12);
    assert_eq!(content(&store, &digest, None).await, b"first second");
}

#[tokio::test]
async fn one_writer_at_a_time_and_a_dropped_one_leaves_the_session_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let session = store.create_session("a", Algorithm::Sha256).await.unwrap();
    let mut writer = session.writer().unwrap();
    assert!(matches!(session.writer(), Err(Error::SessionBusy)));
    assert!(matches!(session.cancel().await, Err(Error::SessionBusy)));
    let big = Bytes::from(vec![7; 3 << 20]);
    writer.push(big).await.unwrap();
    writer.push(Bytes::from_static(b"not yet in a batch")).await.unwrap();
    drop(writer);
    // The batch that was under way ends by itself and frees the session.
    let writer = loop {
        match session.writer() {
            Ok(writer) => break writer,
            Err(Error::SessionBusy) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(writer.start(), 3 << 20);
    drop(writer);
    let digest = digest_of(Algorithm::Sha256, &vec![7; 3 << 20]);
    session.commit(&digest).await.unwrap();
}

#[tokio::test]
async fn roll_back_takes_one_writers_bytes_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let session = store.create_session("a", Algorithm::Sha256).await.unwrap();
    append(&session, &[b"keep"]).await;
    let mut writer = session.writer().unwrap();
    writer.push(Bytes::from(vec![1; 1 << 20])).await.unwrap();
    writer.push(Bytes::from_static(b"x")).await.unwrap();
    writer.roll_back().await.unwrap();
    assert_eq!(session.size(), 4);
    append(&session, &[b" this"]).await;
    session.commit(&digest_of(Algorithm::Sha256, b"keep this")).await.unwrap();
}

#[tokio::test]
async fn limits_are_kept_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let store = Store::open(dir.path(), LIMITS, clock.clone()).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(store.create_session("a", Algorithm::Sha256).await.unwrap());
    }
    let refused = store.create_session("a", Algorithm::Sha256).await;
    assert!(matches!(refused, Err(Error::TooManySessions { open: 4 })));
    clock.advance(Duration::from_secs(60));
    append(&sessions[0], &[b"still going"]).await;
    assert_eq!(store.expire_sessions(Duration::from_secs(60)).await.unwrap(), 3);
    assert!(store.session("a", sessions[0].id()).is_ok());
    assert_eq!(store.stats().sessions_refused, 1);
    assert_eq!(uploads(dir.path()), 1);

    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { keep_free: u64::MAX / 2, sessions_max: 4 };
    let store = Store::open(dir.path(), limits, clock).await.unwrap();
    let refused = store.create_session("a", Algorithm::Sha256).await.map(|_| ()).unwrap_err();
    assert!(refused.is_disk_full(), "{refused}");
    let digest = digest_of(Algorithm::Sha256, b"x");
    assert!(store.put(&digest, Bytes::from_static(b"x")).await.unwrap_err().is_disk_full());
    assert_eq!(store.stats().disk_refused, 2);
}

#[tokio::test]
async fn failed_fsync_closes_the_store_for_writing_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let fail = |_: &File| Err(io::Error::from_raw_os_error(5));
    let store = Store::open_blocking(dir.path(), LIMITS, Arc::new(ManualClock::default()), fail).unwrap();
    let session = store.create_session("a", Algorithm::Sha256).await.unwrap();
    append(&session, &[b"x"]).await;
    let digest = digest_of(Algorithm::Sha256, b"x");
    let error = session.commit(&digest).await.unwrap_err();
    assert!(error.to_string().contains("Input/output error"), "{error}");
    assert!(store.open_blob(&digest).await.unwrap().is_none(), "it got no name");
    assert!(matches!(session.commit(&digest).await, Err(Error::Refused { .. })));
    assert!(matches!(store.create_session("a", Algorithm::Sha256).await, Err(Error::Refused { .. })));
    assert!(matches!(store.put(&digest, Bytes::new()).await, Err(Error::Refused { .. })));
    assert!(store.stats().refuses_writes.is_some());
}

#[tokio::test]
async fn put_stores_small_content_and_repairs_a_damaged_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let digest = digest_of(Algorithm::Sha256, b"{}");
    store.put(&digest, Bytes::from_static(b"{}")).await.unwrap();
    store.put(&digest, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(store.stats().blobs_committed, 1);
    let path = store.inner.layout.blob(&digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"").unwrap();
    store.put(&digest, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(content(&store, &digest, None).await, b"{}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However the bytes are cut into pieces, requests and processes, the digest is that of the whole.
    #[test]
    fn any_chunking_gives_the_same_digest(
        pieces in prop::collection::vec((0usize..400_000, 0u8..8), 0..12),
        wants_sha512 in any::<bool>(),
    ) {
        let algorithm = if wants_sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let mut store = open(dir.path()).await;
            let mut session = store.create_session("a", Algorithm::Sha256).await.unwrap();
            let id = session.id().to_owned();
            let mut whole = Vec::new();
            let mut writer = None;
            for (size, then) in pieces {
                let bytes: Vec<u8> = (0..size).map(|index| (index * 31 + whole.len()) as u8).collect();
                whole.extend_from_slice(&bytes);
                let open_writer = writer.get_or_insert_with(|| session.writer().unwrap());
                open_writer.push(Bytes::from(bytes)).await.unwrap();
                // 0: the request ends. 1: the process ends after it. Else the same request goes on.
                if then < 2 {
                    let size = writer.take().unwrap().finish().await.unwrap();
                    assert_eq!(size, whole.len() as u64);
                }
                if then == 1 {
                    store = open(dir.path()).await;
                    session = store.session("a", &id).unwrap();
                }
            }
            if let Some(writer) = writer {
                writer.finish().await.unwrap();
            }
            let digest = digest_of(algorithm, &whole);
            assert_eq!(session.commit(&digest).await.unwrap(), whole.len() as u64);
            assert_eq!(content(&store, &digest, None).await, whole);
        });
    }
}
