//! Access itself: checks tokens and sessions, makes and removes them.
//!
//! Flow: a request's credentials → [`crate::secret`] → the book in memory (no database on the way) → who it is. A
//! change goes to the database first, then into the book; changes are one at a time, so that "the last admin token
//! stays" can't be got around by two requests at once.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wharf_base::{Clock, ErrorCode, Shutdown, Tasks, UnixMillis};
use wharf_http::Role;
use wharf_model::Event;
use wharf_model::ports::{EventSink, RegistryAccess, RegistryUser};
use wharf_state::{Database, EventLog};

use crate::book::{Book, Identity, Lifetimes, Refused};
use crate::failures::Failures;
use crate::secret::{SecretHash, Token, random_session};
use crate::store::{SessionRecord, Store, TokenRecord};
use crate::{Config, Error, role};

/// Name of the token that is kept in the file `token` under the data directory.
const FIRST_TOKEN: &str = "admin";
/// LIMIT: uses are written once in this time; a kill -9 forgets at most so much of `last_used`.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// LIMIT: how long a token is valid at most, where it ends at all: ten years.
const TOKEN_LIFE_MAX: Duration = Duration::from_secs(3_660 * 86_400);

/// What access needs of others.
pub struct Deps {
    /// Where tokens and sessions are kept.
    pub database: Database,
    /// Where log-ins are told, and what `/events` reads.
    pub events: EventLog,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Directory for the file `token`.
    pub data: PathBuf,
}

/// Running access control; clones share it.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    store: Store,
    events: EventLog,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    changes: tokio::sync::Mutex<()>,
    failures: Failures,
    streams: Arc<Semaphore>,
    shutdown: Shutdown,
}

/// A token as the API shows it: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TokenView {
    /// Names it in `DELETE /tokens/{id}`; the middle part of the token.
    pub id: String,
    /// Name, as in the audit log.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created: UnixMillis,
    /// When it was last used, within a minute; `None`: never.
    pub last_used: Option<UnixMillis>,
    /// From when on it admits nobody; `None`: never.
    pub expires: Option<UnixMillis>,
}

/// What access has counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Tokens now.
    pub tokens: usize,
    /// Wrong tokens that were over the bound of their address.
    pub failures_refused: u64,
}

/// Opens the records, makes the first admin token where its file is missing or not valid, and starts the task that
/// writes last uses.
///
/// What holds afterwards: the file `token` under `deps.data` (mode 0600) has a valid admin token. So who lost every
/// token removes that file and starts again.
pub async fn start(config: Config, deps: Deps, tasks: &Tasks) -> Result<Handle, Error> {
    let store = Store::open(deps.database).await?;
    let (tokens, sessions) = store.load().await?;
    let handle = Handle {
        inner: Arc::new(Inner {
            failures: Failures::new(config.failures_per_minute),
            streams: Arc::new(Semaphore::new(config.streams_max)),
            config,
            store,
            events: deps.events,
            clock: deps.clock,
            book: Mutex::new(Book::new(tokens, sessions)),
            changes: tokio::sync::Mutex::default(),
            shutdown: tasks.shutdown(),
        }),
    };
    handle.ensure_first_token(deps.data.join("token")).await?;
    tasks.spawn("access-flush", flush_loop(handle.clone()));
    Ok(handle)
}

impl Handle {
    /// The tokens, by name.
    pub fn tokens(&self) -> Vec<TokenView> {
        let mut views: Vec<TokenView> = self.book().tokens().map(view).collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// Makes a token for `by`, which admits its holder for `life`, or until it is removed. The text that is returned is
    /// shown this once and can't be had again.
    ///
    /// Errors: `AlreadyExists` for a name that is taken, `InvalidArgument` for one that is none and for a life of
    /// nothing or more than ten years, `ResourceExhausted` at `access.tokens_max`.
    pub async fn create_token(
        &self,
        name: &str,
        role: Role,
        life: Option<Duration>,
        by: &str,
    ) -> Result<(TokenView, String), Error> {
        let is_name = (1..=63).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !is_name || name.trim() != name {
            return Err(Error::BadName(name.chars().take(80).collect()));
        }
        if life.is_some_and(|life| life.is_zero() || life > TOKEN_LIFE_MAX) {
            return Err(Error::BadLife);
        }
        let _change = self.inner.changes.lock().await;
        if self.book().tokens().count() >= self.inner.config.tokens_max {
            return Err(Error::TooManyTokens(self.inner.config.tokens_max));
        }
        let token = Token::random()?;
        let record = self.record(&token, name, role, life);
        match self.inner.store.insert_token(record.clone(), false).await {
            Err(error) if error.code() == ErrorCode::AlreadyExists => Err(Error::NameTaken(name.to_owned())),
            Err(error) => Err(error.into()),
            Ok(()) => {
                let shown = view(&record);
                self.book().insert_token(record);
                self.inner.events.emit(Event::TokenMade {
                    name: name.to_owned(),
                    role: role::word(role).to_owned(),
                    by: by.to_owned(),
                });
                Ok((shown, token.reveal()))
            }
        }
    }

    /// Removes a token for `by`; its sessions end at once.
    ///
    /// Errors: `NotFound`; `Conflict` when it is the last one with the role admin that does not expire.
    pub async fn remove_token(&self, id: &str, by: &str) -> Result<(), Error> {
        let _change = self.inner.changes.lock().await;
        let name = {
            let book = self.book();
            let record = book.token(id).ok_or_else(|| Error::NoSuchToken(id.chars().take(80).collect()))?;
            // One that expires would leave nobody in the end.
            let stays = |token: &TokenRecord| token.role == Role::Admin && token.expires.is_none();
            if stays(record) && book.tokens().filter(|token| stays(token)).count() == 1 {
                return Err(Error::LastAdmin(record.name.clone()));
            }
            record.name.clone()
        };
        self.inner.store.delete_token(id.to_owned()).await?;
        self.book().remove_token(id);
        self.inner.events.emit(Event::TokenRemoved { name, by: by.to_owned() });
        Ok(())
    }

    /// Whose token this text is. A wrong one counts against `address`.
    pub(crate) fn check_token(&self, text: &str, address: IpAddr) -> Result<Identity, Error> {
        let now = self.inner.clock.now();
        let token = Token::parse(text).ok_or(Refused::Unknown);
        let found = token.and_then(|token| self.book().by_token(&token, now));
        found.map_err(|refused| self.refused(refused, address, now, Error::WrongToken))
    }

    /// Whose session this is. A wrong one counts against `address`.
    pub(crate) fn check_session(&self, secret: &str, address: IpAddr) -> Result<Identity, Error> {
        let now = self.inner.clock.now();
        let found = self.book().by_session(SecretHash::of(secret), self.lifetimes(), now);
        found.map_err(|refused| self.refused(refused, address, now, Error::SessionEnded))
    }

    /// Begins a session for the holder of a token; the text is the cookie's value.
    pub(crate) async fn open_session(&self, identity: &Identity) -> Result<String, Error> {
        let secret = random_session()?;
        let now = self.inner.clock.now();
        let record = SessionRecord {
            hash: SecretHash::of(&secret),
            token: identity.token_id.clone(),
            created: now,
            last_used: now,
        };
        let _change = self.inner.changes.lock().await;
        if self.book().token(&identity.token_id).is_none() {
            return Err(Error::WrongToken);
        }
        let evicted = self.book().session_to_evict(self.inner.config.sessions_max);
        if let Some(evicted) = &evicted {
            tracing::warn!(
                most = self.inner.config.sessions_max,
                "access.sessions_max is reached, the oldest ends"
            );
            self.book().remove_session(evicted);
        }
        self.inner.store.insert_session(record.clone(), evicted).await?;
        self.book().insert_session(record);
        self.inner.events.emit(Event::LoggedIn { who: identity.name.clone() });
        Ok(secret)
    }

    /// Ends a session. One that is not there is fine.
    pub(crate) async fn close_session(&self, secret: &str) -> Result<(), Error> {
        let hash = SecretHash::of(secret);
        let _change = self.inner.changes.lock().await;
        // Gone from the book first: it must not let anyone in once the answer is out, whatever the disk says.
        if self.book().remove_session(&hash) {
            self.inner.store.delete_sessions(vec![hash]).await?;
        }
        Ok(())
    }

    /// How long the cookie of a session lasts.
    pub(crate) fn session_max(&self) -> Duration {
        self.inner.config.session_max
    }

    /// A place for one more event stream.
    pub(crate) fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let most = self.inner.config.streams_max;
        Arc::clone(&self.inner.streams).try_acquire_owned().map_err(|_| Error::TooManyStreams(most))
    }

    /// The event log.
    pub(crate) fn events(&self) -> &EventLog {
        &self.inner.events
    }

    /// Says when streams must end.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.inner.shutdown.clone()
    }

    /// Checks a user name and password of the registry: the password is an API token, the name may be anything.
    /// `None`: wrong.
    pub fn check_registry(&self, _user: &str, password: &str) -> Option<RegistryUser> {
        let token = Token::parse(password)?;
        let identity = self.book().by_token(&token, self.inner.clock.now()).ok()?;
        Some(RegistryUser { may_push: role::may_change(identity.role), name: identity.name })
    }

    /// What was counted since the start.
    pub fn stats(&self) -> Stats {
        Stats { tokens: self.book().tokens().count(), failures_refused: self.inner.failures.refused() }
    }

    /// Of servers that share their state each has a first token of its own: the other one's file stays good.
    fn first_token_name(&self) -> String {
        if !self.inner.store.is_shared() {
            return FIRST_TOKEN.to_owned();
        }
        let book = self.book();
        let is_free = |name: &String| book.tokens().all(|token| token.name != *name);
        let numbered = (2..).map(|number| format!("{FIRST_TOKEN}-{number}"));
        std::iter::once(FIRST_TOKEN.to_owned()).chain(numbered).find(is_free).expect("numbers have no end")
    }

    async fn ensure_first_token(&self, path: PathBuf) -> Result<(), Error> {
        let stored = wharf_disk::atomic::read(&path)?.unwrap_or_default();
        let stored = Token::parse(String::from_utf8_lossy(&stored).trim());
        let now = self.inner.clock.now();
        let known = stored.and_then(|token| self.book().by_token(&token, now).ok());
        if known.is_some_and(|identity| identity.role == Role::Admin) {
            return Ok(());
        }
        let token = Token::random()?;
        let name = self.first_token_name();
        let record = self.record(&token, &name, Role::Admin, None);
        // The file first: after a crash in between, the next start finds it not valid and makes both anew.
        wharf_disk::atomic::write_private(&path, format!("{}\n", token.reveal()).as_bytes())?;
        self.inner.store.insert_token(record.clone(), true).await?;
        let mut book = self.book();
        let replaced: Vec<String> =
            book.tokens().filter(|token| token.name == name).map(|token| token.id.clone()).collect();
        replaced.iter().for_each(|id| book.remove_token(id));
        book.insert_token(record);
        tracing::info!(path = %path.display(), "made an admin token");
        Ok(())
    }

    fn record(&self, token: &Token, name: &str, role: Role, life: Option<Duration>) -> TokenRecord {
        let created = self.inner.clock.now();
        TokenRecord {
            id: token.id.clone(),
            name: name.to_owned(),
            role,
            hash: token.hash(),
            created,
            last_used: None,
            expires: life.map(|life| created.plus(life)),
        }
    }

    /// What to answer. A token that was right once is no attempt to guess one.
    fn refused(&self, refused: Refused, address: IpAddr, now: UnixMillis, unknown: Error) -> Error {
        match refused {
            Refused::Expired(at) => Error::Expired(at),
            Refused::Unknown => self.count_failure(address, now, unknown),
        }
    }

    fn count_failure(&self, address: IpAddr, now: UnixMillis, error: Error) -> Error {
        if self.inner.failures.count(address, now) { error } else { Error::TooManyFailures }
    }

    fn lifetimes(&self) -> Lifetimes {
        Lifetimes { idle: self.inner.config.session_idle, most: self.inner.config.session_max }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.inner.book.lock().expect("no holder panics")
    }

    async fn flush(&self) -> Result<(), Error> {
        let ended = self.book().sweep(self.lifetimes(), self.inner.clock.now());
        if !ended.is_empty() {
            self.inner.store.delete_sessions(ended).await?;
        }
        let (tokens, sessions) = self.book().take_touched();
        if !tokens.is_empty() || !sessions.is_empty() {
            self.inner.store.touch(tokens, sessions).await?;
        }
        Ok(())
    }
}

impl RegistryAccess for Handle {
    fn check(&self, user: &str, password: &str) -> Option<RegistryUser> {
        self.check_registry(user, password)
    }
}

fn view(record: &TokenRecord) -> TokenView {
    TokenView {
        id: record.id.clone(),
        name: record.name.clone(),
        role: record.role,
        created: record.created,
        last_used: record.last_used,
        expires: record.expires,
    }
}

async fn flush_loop(handle: Handle) {
    let shutdown = handle.shutdown();
    let mut ticks = tokio::time::interval(FLUSH_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = shutdown.cancelled() => true,
        };
        if let Err(error) = handle.flush().await {
            tracing::warn!(%error, "cannot write when tokens were last used");
        }
        if is_last {
            return;
        }
    }
}
