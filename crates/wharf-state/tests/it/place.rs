//! A place for the control state: an SQLite file, or a database of a PostgreSQL that the test has for itself.

use std::time::Duration;

use wharf_state::Database;
use wharf_state::postgres::{Lease, Options, Peer, Postgres};
use wharf_test_support::{TempDir, temp_dir};

pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres { _server: wharf_test_support::Postgres, url: String, lease: Option<Lease> },
}

pub(crate) fn options(url: &str) -> Options {
    let lease = Duration::from_secs(60);
    Options { url: url.to_owned(), password: None, tls: None, insecure: false, lease }
}

pub(crate) fn peer(name: &str) -> Peer {
    Peer { id: name.to_owned(), api: format!("http://{name}:7700"), agents: format!("https://{name}:7701") }
}

/// The state as `name` has it when it leads.
pub(crate) async fn lead(postgres: &Postgres, name: &str) -> (Database, Lease) {
    postgres.try_lead(&peer(name)).await.unwrap().unwrap_or_else(|other| panic!("{other:?} leads"))
}

impl Place {
    pub(crate) fn sqlite() -> Place {
        Place::Sqlite(temp_dir())
    }

    pub(crate) fn postgres() -> Place {
        let server = wharf_test_support::Postgres::start();
        let url = server.database("state");
        Place::Postgres { _server: server, url, lease: None }
    }

    /// Opens it as a process does that starts after the one before has ended.
    pub(crate) async fn open(&mut self) -> Database {
        match self {
            Place::Sqlite(directory) => Database::open(&directory.path().join("state.db")).unwrap(),
            Place::Postgres { url, lease, .. } => {
                if let Some(lease) = lease.take() {
                    lease.release().await.unwrap();
                }
                let postgres = Postgres::connect(options(url)).await.unwrap();
                let (database, new) = lead(&postgres, "one").await;
                *lease = Some(new);
                database
            }
        }
    }
}
