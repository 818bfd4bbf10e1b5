//! One lease, several servers: who has it acts, and nobody else's commit is kept.

use std::sync::mpsc;
use std::time::Duration;

use wharf_state::postgres::{Leader, Options, Postgres};
use wharf_state::{Database, Error, Migration};
use wharf_test_support::{DEADLINE, require};

use crate::place::{lead, options, peer};

const MIGRATIONS: &[Migration] = &["CREATE TABLE item (number INTEGER PRIMARY KEY) STRICT;"];

async fn insert(database: &Database, number: i64) -> Result<usize, Error> {
    database.write(move |tx| tx.execute("INSERT INTO item VALUES (?1)", [number])).await
}

async fn numbers(database: &Database) -> Vec<i64> {
    let sql = "SELECT number FROM item ORDER BY number";
    database.read(move |connection| connection.query_map(sql, (), |row| row.get(0))).await.unwrap()
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("within the deadline")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_the_other_hears_who_and_takes_over_what_is_given_back() {
    require!(Postgres);
    let server = wharf_test_support::Postgres::start();
    let url = server.database("state");
    let (one, two) =
        (Postgres::connect(options(&url)).await.unwrap(), Postgres::connect(options(&url)).await.unwrap());
    let (first, lease) = lead(&one, "one").await;
    first.migrate("test", MIGRATIONS).await.unwrap();
    insert(&first, 1).await.unwrap();
    let refused = two.try_lead(&peer("two")).await.unwrap().err().unwrap();
    assert_eq!(refused, Some(Leader { api: "http://one:7700".to_owned(), term: 1 }));
    let agents: Vec<String> = one.peers().await.unwrap().into_iter().map(|peer| peer.agents).collect();
    assert_eq!(agents, ["https://two:7701", "https://one:7701"]);

    lease.clone().release().await.unwrap();
    let (second, second_lease) = lead(&two, "two").await;
    assert_eq!((lease.term(), second_lease.term()), (1, 2));
    let late = insert(&first, 2).await.unwrap_err();
    assert!(matches!(late, Error::NotLeading), "{late}");
    assert!(late.to_string().contains("hint: "));
    insert(&second, 3).await.unwrap();
    assert_eq!(numbers(&second).await, [1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stands_still_in_a_transaction_neither_commits_nor_keeps_the_next_one_waiting() {
    require!(Postgres);
    let server = wharf_test_support::Postgres::start();
    let url = server.database("state");
    let short = Options { lease: Duration::from_secs(2), ..options(&url) };
    let one = Postgres::connect(short).await.unwrap();
    let (first, lease) = lead(&one, "one").await;
    first.migrate("test", MIGRATIONS).await.unwrap();
    let (begun, begins) = mpsc::channel();
    let (go_on, waits) = mpsc::channel::<()>();
    let stuck = first.clone();
    let stuck = tokio::spawn(async move {
        stuck
            .write(move |tx| {
                tx.execute("INSERT INTO item VALUES (1)", ())?;
                begun.send(()).unwrap();
                // As if the process were stopped here.
                waits.recv().unwrap();
                tx.execute("INSERT INTO item VALUES (2)", ())
            })
            .await
    });
    tokio::task::spawn_blocking(move || begins.recv_timeout(DEADLINE)).await.unwrap().unwrap();
    // The open transaction has locked the lease's row, so the next one waits until PostgreSQL ends the transaction.
    let take = "UPDATE wharf_lease SET term = term + 1, holder = 'two', expires = clock_timestamp() + interval '1 hour'";
    let server = within(tokio::task::spawn_blocking(move || {
        server.sql("state", take);
        server
    }))
    .await
    .unwrap();
    within(lease.lost()).await;
    go_on.send(()).unwrap();
    let error = within(stuck).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreachable(_) | Error::NotLeading), "{error}");
    assert!(matches!(insert(&first, 4).await, Err(Error::NotLeading)));
    assert_eq!(server.sql("state", "SELECT count(*) FROM item"), "0", "nothing of the old term");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_that_was_taken_over_commits_nothing_even_if_its_holder_has_not_noticed() {
    require!(Postgres);
    let server = wharf_test_support::Postgres::start();
    let url = server.database("state");
    let one = Postgres::connect(options(&url)).await.unwrap();
    let (first, lease) = lead(&one, "one").await;
    first.migrate("test", MIGRATIONS).await.unwrap();
    server.sql("state", "UPDATE wharf_lease SET term = term + 1, holder = 'two'");
    let error = insert(&first, 1).await.unwrap_err();
    assert!(matches!(error, Error::NotLeading), "{error}");
    within(lease.lost()).await;
    assert_eq!(server.sql("state", "SELECT count(*) FROM item"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_crashes_of_postgresql_and_nothing_else_is_claimed() {
    require!(Postgres);
    let mut server = wharf_test_support::Postgres::start();
    let url = server.database("state");
    let one = Postgres::connect(options(&url)).await.unwrap();
    let (first, _lease) = lead(&one, "one").await;
    first.migrate("test", MIGRATIONS).await.unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let database = first.clone();
    let writer = tokio::spawn(async move {
        let (mut kept, mut refused) = (Vec::new(), 0);
        for number in 0_i64.. {
            match insert(&database, number).await {
                Ok(_) => kept.push(number),
                Err(Error::Unreachable(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            if stopped.try_recv().is_ok() {
                break;
            }
        }
        (kept, refused)
    });
    let server = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            server.crash();
            server.run_again();
        }
        server
    })
    .await
    .unwrap();
    within(async {
        let before = numbers(&first).await.len();
        while numbers(&first).await.len() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stop.send(()).unwrap();
    let (kept, refused) = within(writer).await.unwrap();
    assert!(refused > 0, "the crashes were noticed");
    assert_eq!(numbers(&first).await, kept, "exactly what was answered with success");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_can_not_be_used_is_named() {
    require!(Postgres);
    let server = wharf_test_support::Postgres::start();
    let refused =
        |url: String| async move { Postgres::connect(options(&url)).await.err().unwrap().to_string() };
    let missing = refused(format!("postgres://wharf@127.0.0.1:{}/missing", server.port())).await;
    assert!(missing.contains("database \"missing\" does not exist"), "{missing}");
    let nobody = refused(format!("postgres://nobody@127.0.0.1:{}/postgres", server.port())).await;
    assert!(nobody.contains("role \"nobody\" does not exist"), "{nobody}");
    let closed = refused(format!("postgres://w@127.0.0.1:{}/w", wharf_test_support::free_port())).await;
    assert!(closed.contains("refused"), "{closed}");
    server.database("local");
    let socket = server.socket_directory().display();
    Postgres::connect(options(&format!("postgres:///local?host={socket}&port={}&user=wharf", server.port())))
        .await
        .unwrap();
}
