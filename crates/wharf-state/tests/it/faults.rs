//! What the disk can do to the state: nothing that was answered with success is lost, nothing else is claimed.

use std::path::Path;

use wharf_base::ErrorCode;
use wharf_state::{Database, Error, Migration, sqlite};
use wharf_test_support::{require, temp_dir};

use crate::disk::Disk;

const MIGRATIONS: &[Migration] =
    &["CREATE TABLE item (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"];

async fn open(directory: &Path) -> Database {
    let database = Database::open(&directory.join("state.db")).unwrap();
    database.migrate("test", MIGRATIONS).await.unwrap();
    database
}

async fn insert(database: &Database, number: u32) -> Result<usize, Error> {
    let text = "x".repeat(8_000);
    database.write(move |tx| tx.execute("INSERT INTO item VALUES (?1, ?2)", (number, &text))).await
}

async fn numbers(database: &Database) -> Vec<u32> {
    let sql = "SELECT number FROM item ORDER BY number";
    database.read(move |connection| connection.query_map(sql, (), |row| row.get(0))).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_goes_on_with_room() {
    require!(Root);
    let disk = Disk::mount(1_024);
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 300_000]).unwrap();
    let database = open(disk.path()).await;
    let mut kept = Vec::new();
    let refusal = loop {
        let number = kept.len() as u32;
        assert!(number < 1_000, "the disk does not fill");
        match insert(&database, number).await {
            Ok(_) => kept.push(number),
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, Error::Full { .. }), "{refusal}");
    assert_eq!(refusal.code(), ErrorCode::Unavailable);
    assert!(refusal.to_string().contains("hint: free space"), "{refusal}");
    for _ in 0..3 {
        assert!(matches!(insert(&database, 5_000).await, Err(Error::Full { .. })));
        assert_eq!(numbers(&database).await, kept, "reads go on and show what was answered with success");
    }
    std::fs::remove_file(&ballast).unwrap();
    insert(&database, 6_000).await.unwrap();
    kept.push(6_000);
    assert_eq!(numbers(&database).await, kept);
    drop(database);
    assert_eq!(numbers(&open(disk.path()).await).await, kept, "and so after a restart");
}

#[tokio::test]
async fn a_read_only_disk_is_named_at_start() {
    require!(Root);
    let disk = Disk::mount(1_024);
    let scratch = temp_dir();
    insert(&open(scratch.path()).await, 1).await.unwrap();
    sqlite::copy(&scratch.path().join("state.db"), &disk.path().join("state.db")).unwrap();
    disk.make_read_only();
    let error = Database::open(&disk.path().join("state.db")).err().unwrap();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("Read-only"), "{cause}");
}

#[tokio::test]
async fn a_torn_log_gives_the_first_of_the_commits_and_never_half_of_one() {
    let directory = temp_dir();
    let database = open(directory.path()).await;
    for number in 0..10 {
        insert(&database, number).await.unwrap();
    }
    // As after kill -9: the log was not folded in.
    let file = std::fs::read(directory.path().join("state.db")).unwrap();
    let log = std::fs::read(directory.path().join("state.db-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    // The log's first commits are the migrations; 4,099 has no common divisor with a frame's 4,120 bytes.
    for cut in (0..log.len()).rev().step_by(4_099).chain([log.len()]) {
        let torn = temp_dir();
        std::fs::write(torn.path().join("state.db"), &file).unwrap();
        std::fs::write(torn.path().join("state.db-wal"), &log[..cut]).unwrap();
        let found = numbers(&open(torn.path()).await).await;
        assert_eq!(found, (0..found.len() as u32).collect::<Vec<_>>(), "cut at {cut}");
        seen.insert(found.len());
    }
    assert_eq!(seen.last(), Some(&10), "the whole log has all of them");
    assert!(seen.len() > 5, "{seen:?}");
}

#[tokio::test]
async fn a_torn_or_overwritten_file_is_called_damaged_and_gives_no_backup() {
    let directory = temp_dir();
    let database = open(directory.path()).await;
    for number in 0..50 {
        insert(&database, number).await.unwrap();
    }
    let whole = directory.path().join("copy.db");
    sqlite::copy(&directory.path().join("state.db"), &whole).unwrap();
    let whole = std::fs::read(whole).unwrap();
    assert_eq!(numbers(&Database::open(&directory.path().join("copy.db")).unwrap()).await.len(), 50);
    let mut zeroed = whole.clone();
    zeroed[whole.len() / 2..].fill(0);
    let mut noise = whole.clone();
    noise[..100].fill(0x5a);
    let torn = &whole[..whole.len() - 2_000];
    let half = &whole[..whole.len() / 2];
    for (what, bytes) in [("torn", torn), ("half", half), ("zeroed", &zeroed), ("noise", &noise)] {
        let damaged = temp_dir();
        let path = damaged.path().join("state.db");
        std::fs::write(&path, bytes).unwrap();
        let error = Database::open(&path).err().unwrap_or_else(|| panic!("{what} was opened"));
        assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error}");
        assert!(error.to_string().contains("state.db is damaged"), "{what}: {error}");
        let error = sqlite::copy(&path, &damaged.path().join("backup.db")).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_copy_is_one_commit_of_a_database_in_use() {
    let directory = temp_dir();
    let database = open(directory.path()).await;
    insert(&database, 0).await.unwrap();
    let writer = {
        let database = database.clone();
        tokio::spawn(async move {
            for number in 1..200 {
                insert(&database, number).await.unwrap();
            }
        })
    };
    for index in 0..5 {
        let to = directory.path().join(format!("copy{index}.db"));
        let (from, to_path) = (directory.path().join("state.db"), to.clone());
        tokio::task::spawn_blocking(move || sqlite::copy(&from, &to_path)).await.unwrap().unwrap();
        let found = numbers(&Database::open(&to).unwrap()).await;
        assert_eq!(found, (0..found.len() as u32).collect::<Vec<_>>());
        assert!(!found.is_empty());
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    }
    writer.await.unwrap();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
