//! Which servers an agent knows, and which of them it tries next.
//!
//! It has joined one. Where several share their state (docs/guide/high-availability.md), the one that leads tells where
//! the others are, and the agent keeps that on its disk. Whenever a connection fails or ends it goes on to the next one.
//! All are dialled with the host's newest certificate ([`super::renewal`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wharf_base::Clock;
use wharf_disk::atomic;
use wharf_http::Endpoint;

use super::data::Identity;
use super::link::Server;
use super::renewal::Renewal;
use crate::Error;
use crate::protocol::{Servers as Answer, VERSION};

/// LIMIT: servers that are kept.
const SERVERS_MAX: usize = 16;
/// How often a server that is one of several is asked where the others are.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// The same for one that is alone.
const ASK_ALONE_EVERY: Duration = Duration::from_secs(600);

/// The known servers, in the order in which they are tried.
pub struct Servers {
    pub(super) renewal: Renewal,
    file: PathBuf,
    state: Mutex<State>,
}

struct State {
    urls: Vec<String>,
    current: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    urls: Vec<String>,
}

impl Servers {
    /// Those that an agent with this identity and directory knows.
    pub(super) fn load(identity: &Identity, data: &Path, clock: Arc<dyn Clock>) -> Result<Servers, Error> {
        let renewal = Renewal::load(identity.clone(), data.to_owned(), clock)?;
        Endpoint::parse(&identity.agents_url, Some(renewal.tls()))?;
        let file = data.join("servers.json");
        let mut urls = vec![identity.agents_url.clone()];
        // One that can't be read is worth no more than none: the server that was joined tells again.
        let stored = atomic::read(&file)?.and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok());
        urls.extend(
            stored.into_iter().flat_map(|stored| stored.urls).filter(|url| *url != identity.agents_url),
        );
        Ok(Servers { renewal, file, state: Mutex::new(State { urls, current: 0 }) })
    }

    /// The one whose turn it is.
    pub fn current(&self) -> Result<Endpoint, Error> {
        let url = self.state(|state| state.urls[state.current].clone());
        Ok(Endpoint::parse(&url, Some(self.renewal.tls()))?)
    }

    /// Goes on to the next one; returns how many there are.
    pub(super) fn turn(&self) -> usize {
        self.state(|state| {
            state.current = (state.current + 1) % state.urls.len();
            state.urls.len()
        })
    }

    /// Asks `server` where the others are, again and again.
    pub(super) async fn follow(&self, server: &Server) {
        loop {
            let every = match server.get::<Answer>("/agent/v1/servers").await {
                Ok(answer) if answer.agents.is_empty() => ASK_ALONE_EVERY,
                Ok(answer) => {
                    if let Err(error) = self.learn(answer.agents).await {
                        tracing::error!(%error, "the list of servers can't be kept");
                    }
                    ASK_EVERY
                }
                // A server of the version before.
                Err(error) => {
                    tracing::debug!(%error, "the server does not say where others are");
                    ASK_ALONE_EVERY
                }
            };
            tokio::time::sleep(every).await;
        }
    }

    async fn learn(&self, mut urls: Vec<String>) -> Result<(), Error> {
        urls.retain(|url| Endpoint::parse(url, Some(self.renewal.tls())).is_ok());
        urls.truncate(SERVERS_MAX);
        let is_news = self.state(|state| {
            let (mut old, mut new) = (state.urls.clone(), urls.clone());
            old.sort();
            new.sort();
            let is_news = !urls.is_empty() && old != new;
            if is_news {
                let current = &state.urls[state.current];
                let place = urls.iter().position(|url| url == current).unwrap_or(0);
                *state = State { urls: urls.clone(), current: place };
            }
            is_news
        });
        if !is_news {
            return Ok(());
        }
        tracing::info!(servers = ?urls, "the servers are known");
        let document =
            serde_json::to_vec(&Stored { version: VERSION, urls }).expect("plain records are JSON");
        let file = self.file.clone();
        crate::blocking(move || Ok(atomic::write(&file, &document)?)).await
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use wharf_http::pki::{Authority, new_request};

    use super::*;
    use crate::agent::data::Certificates;

    #[tokio::test]
    async fn the_others_are_learnt_kept_and_tried_in_turn() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(&directory.path().join("ca")).unwrap();
        let (key, request) = new_request("h1").unwrap();
        let certificate = authority.sign_client(&request, "h1").unwrap().certificate;
        let ca = authority.certificate_pem().to_owned();
        let joined = "https://10.0.0.1:7701".to_owned();
        let identity = Identity::new("aa".to_owned(), "h1".parse().unwrap(), joined.clone(), None, None);
        identity.store(directory.path(), &Certificates { key, certificate, ca }).unwrap();
        let open = || Servers::load(&identity, directory.path(), Arc::new(wharf_base::SystemClock)).unwrap();
        let now = |servers: &Servers| servers.current().unwrap().authority();

        let servers = open();
        assert_eq!((now(&servers).as_str(), servers.turn()), ("10.0.0.1:7701", 1));
        let all = ["https://10.0.0.2:7701", "no url", &joined].map(str::to_owned).to_vec();
        servers.learn(all).await.unwrap();
        assert_eq!(now(&servers), "10.0.0.1:7701", "the connection is to it still");
        assert_eq!((servers.turn(), now(&servers).as_str()), (2, "10.0.0.2:7701"));
        assert_eq!((servers.turn(), now(&servers).as_str()), (2, "10.0.0.1:7701"));
        servers.learn(Vec::new()).await.unwrap();

        let again = open();
        assert_eq!(now(&again), "10.0.0.1:7701");
        assert_eq!((again.turn(), now(&again).as_str()), (2, "10.0.0.2:7701"));
        std::fs::write(directory.path().join("servers.json"), "{").unwrap();
        assert_eq!(open().turn(), 1);
    }
}
