//! The lease: one row that says which server acts, since which term, and until when.
//!
//! Times are PostgreSQL's (`clock_timestamp()`), so servers' clocks don't matter. The term grows with every new holder. A
//! holder counts its lease as lost when PostgreSQL says that another has it, or when it could not renew it for as long as
//! it lasts (by the monotonic clock, from before the last renewal was asked for): it is then at most as late as the next
//! holder is early. `wharf_server` lists all servers, so that agents learn where else to look.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::Postgres;
use crate::{Database, Error, Value};

/// Locks the lease's row for a transaction of its holder and gives the transaction's id; no row for anybody else.
pub(super) const FENCE: &str = "SELECT pg_current_xact_id()::text FROM wharf_lease
    WHERE id = 1 AND term = ?1 AND holder = ?2 FOR SHARE";

/// Version 1 of the tables that all servers write; those of the parts are migrated by the holder alone.
const TABLES: &str = "
    SELECT pg_advisory_xact_lock(7700);
    CREATE TABLE IF NOT EXISTS migration (part TEXT PRIMARY KEY, version BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS wharf_lease (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        term BIGINT NOT NULL,
        holder TEXT NOT NULL,
        api TEXT NOT NULL,
        expires TIMESTAMPTZ NOT NULL
    );
    CREATE TABLE IF NOT EXISTS wharf_server (
        id TEXT PRIMARY KEY,
        api TEXT NOT NULL,
        agents TEXT NOT NULL,
        seen TIMESTAMPTZ NOT NULL
    );";

/// A server that has not been seen for so long is forgotten.
const PEER_LIFE: &str = "7 days";

/// A server of the installation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Random; lasts as long as the process.
    pub id: String,
    /// URL of its control API.
    pub api: String,
    /// URL at which it listens for agents while it leads.
    pub agents: String,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// URL of its control API.
    pub api: String,
    /// Term of the lease.
    pub term: i64,
}

/// The lease in this process's hands; clones share it.
#[derive(Clone)]
pub struct Lease {
    inner: Arc<Inner>,
}

struct Inner {
    postgres: Postgres,
    term: i64,
    holder: String,
    lost: watch::Sender<bool>,
}

impl Postgres {
    pub(super) async fn prepare(&self) -> Result<(), Error> {
        self.ask(async |client: Client| client.batch_execute(&format!("BEGIN; {TABLES} COMMIT;")).await).await
    }

    /// Takes the lease if nobody has it; `Err` of the inner result says who has.
    pub async fn try_lead(&self, peer: &Peer) -> Result<Result<(Database, Lease), Option<Leader>>, Error> {
        let (peer, lease_ms, begun) = (peer.clone(), self.lease_ms(), Instant::now());
        let holder = peer.id.clone();
        let asked = self.ask(async move |client: Client| {
            remember(&client, &peer).await?;
            let sql = "INSERT INTO wharf_lease (id, term, holder, api, expires)
                VALUES (1, 1, $1, $2, clock_timestamp() + $3::bigint * interval '1 millisecond')
                ON CONFLICT (id) DO UPDATE SET term = wharf_lease.term + 1, holder = excluded.holder,
                    api = excluded.api, expires = clock_timestamp() + $3::bigint * interval '1 millisecond'
                WHERE wharf_lease.expires < clock_timestamp()
                RETURNING term";
            let taken = client.query_opt(sql, &[&peer.id, &peer.api, &lease_ms]).await?;
            if let Some(row) = taken {
                return row.try_get::<_, i64>(0).map(Ok);
            }
            let leader = client.query_opt("SELECT api, term FROM wharf_lease WHERE id = 1", &[]).await?;
            let leader = leader.map(|row| {
                Ok::<_, tokio_postgres::Error>(Leader { api: row.try_get(0)?, term: row.try_get(1)? })
            });
            Ok(Err(leader.transpose()?))
        });
        let term = match asked.await? {
            Ok(term) => term,
            Err(leader) => return Ok(Err(leader)),
        };
        let (lost, _) = watch::channel(false);
        let lease = Lease { inner: Arc::new(Inner { postgres: self.clone(), term, holder, lost }) };
        self.runtime().spawn(renew(lease.clone(), begun));
        let database = super::Database::open(self.clone(), lease.clone())?;
        Ok(Ok((database.into(), lease)))
    }

    /// The state for reading, by a server that does not lead: every write is refused.
    pub fn reader(&self) -> Result<Database, Error> {
        let (lost, _) = watch::channel(true);
        let inner = Inner { postgres: self.clone(), term: 0, holder: String::new(), lost };
        Ok(super::Database::open(self.clone(), Lease { inner: Arc::new(inner) })?.into())
    }

    /// All servers that were seen in the last week, this one among them.
    pub async fn peers(&self) -> Result<Vec<Peer>, Error> {
        let peers = self.ask(async |client: Client| {
            let rows =
                client.query("SELECT id, api, agents FROM wharf_server ORDER BY seen DESC", &[]).await?;
            rows.iter()
                .map(|row| Ok(Peer { id: row.try_get(0)?, api: row.try_get(1)?, agents: row.try_get(2)? }))
                .collect::<Result<Vec<_>, tokio_postgres::Error>>()
        });
        let mut seen = std::collections::BTreeSet::new();
        Ok(peers.await?.into_iter().filter(|peer| seen.insert(peer.agents.clone())).collect())
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.inner.lease.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Notes that this server is there. One that was started again has another id and the same address.
async fn remember(client: &Client, peer: &Peer) -> Result<(), tokio_postgres::Error> {
    let gone = format!(
        "DELETE FROM wharf_server WHERE (api = $1 AND id <> $2) OR seen < clock_timestamp() - interval '{PEER_LIFE}'"
    );
    client.execute(&gone, &[&peer.api, &peer.id]).await?;
    let sql = "INSERT INTO wharf_server (id, api, agents, seen) VALUES ($1, $2, $3, clock_timestamp())
        ON CONFLICT (id) DO UPDATE SET api = excluded.api, agents = excluded.agents, seen = excluded.seen";
    client.execute(sql, &[&peer.id, &peer.api, &peer.agents]).await.map(drop)
}

impl Lease {
    /// Number of the term: it grows with every new holder.
    pub fn term(&self) -> i64 {
        self.inner.term
    }

    /// Returns when another server may act: nothing is committed any more, and this one should end what it does.
    pub async fn lost(&self) {
        // The sender lives in `self`.
        let _ = self.inner.lost.subscribe().wait_for(|lost| *lost).await;
    }

    /// Gives it back, so that another server takes over at once. Nothing may be going on any more.
    pub async fn release(self) -> Result<(), Error> {
        self.give_up();
        let (term, holder) = (self.inner.term, self.inner.holder.clone());
        let sql = "UPDATE wharf_lease SET expires = clock_timestamp() - interval '1 second' WHERE term = $1 AND holder = $2";
        self.inner
            .postgres
            .ask(async move |client: Client| client.execute(sql, &[&term, &holder]).await)
            .await
            .map(drop)
    }

    pub(super) fn is_lost(&self) -> bool {
        *self.inner.lost.borrow()
    }

    pub(super) fn give_up(&self) {
        self.inner.lost.send_replace(true);
    }

    /// Arguments of [`FENCE`].
    pub(super) fn fence(&self) -> [Value<'_>; 2] {
        [Value::Integer(self.inner.term), Value::Text(&self.inner.holder)]
    }

    /// Waits for a moment, on a thread that may block, or until it is lost.
    pub(super) fn pause(&self) {
        let wait = async { tokio::time::timeout(Duration::from_millis(100), self.lost()).await };
        // Either end is good.
        let _ = self.inner.postgres.runtime().block_on(wait);
    }
}

/// Renews the lease until it is lost.
async fn renew(lease: Lease, begun: Instant) {
    let life = lease.inner.postgres.inner.lease;
    let mut expires = begun + life;
    let mut client: Option<Client> = None;
    let mut every = tokio::time::interval(life / 3);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = lease.lost() => return,
        }
        let asked = Instant::now();
        if asked >= expires {
            // Stopped, or a machine that slept: another server may have taken over long ago.
            tracing::error!("the lease was not renewed in time");
            return lease.give_up();
        }
        match tokio::time::timeout_at(expires, once(&lease, &mut client)).await {
            Ok(Ok(true)) => expires = asked + life,
            Ok(Ok(false)) => {
                tracing::error!("another server has taken the lease");
                return lease.give_up();
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error = super::session::reason(&error),
                    "the lease could not be renewed; trying again"
                );
                client = None;
                every.reset_after((life / 20).min(Duration::from_millis(250)));
            }
            Err(_) => {
                tracing::error!("PostgreSQL has not answered for as long as the lease lasts");
                return lease.give_up();
            }
        }
    }
}

/// False when another has it.
async fn once(lease: &Lease, client: &mut Option<Client>) -> Result<bool, tokio_postgres::Error> {
    let inner = &lease.inner;
    let client = match client {
        Some(client) => client,
        None => client.insert(inner.postgres.client().await?),
    };
    let sql = "UPDATE wharf_lease SET expires = clock_timestamp() + $3::bigint * interval '1 millisecond'
        WHERE id = 1 AND term = $1 AND holder = $2";
    Ok(client.execute(sql, &[&inner.term, &inner.holder, &inner.postgres.lease_ms()]).await? == 1)
}
