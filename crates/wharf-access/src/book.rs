//! The tokens and sessions in memory: what a request is checked against, without the database.
//!
//! The database is changed first and this book then, so what it knows is on disk. Times of last use run the other way:
//! they are noted here and written once a minute.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use wharf_base::UnixMillis;
use wharf_http::Role;

use crate::secret::{SecretHash, Token};
use crate::store::{SessionRecord, TokenRecord};

/// Whom a token or session stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) token_id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) expires: Option<UnixMillis>,
}

/// Why nobody stands behind a token or session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not known.
    Unknown,
    /// It was right until then.
    Expired(UnixMillis),
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    tokens: BTreeMap<String, TokenRecord>,
    sessions: HashMap<SecretHash, SessionRecord>,
    touched_tokens: HashSet<String>,
    touched_sessions: HashSet<SecretHash>,
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) idle: Duration,
    pub(crate) most: Duration,
}

impl Lifetimes {
    fn has_ended(&self, session: &SessionRecord, now: UnixMillis) -> bool {
        now.since(session.last_used) >= self.idle || now.since(session.created) >= self.most
    }
}

impl Book {
    pub(crate) fn new(tokens: Vec<TokenRecord>, sessions: Vec<SessionRecord>) -> Book {
        Book {
            tokens: tokens.into_iter().map(|token| (token.id.clone(), token)).collect(),
            sessions: sessions.into_iter().map(|session| (session.hash, session)).collect(),
            ..Book::default()
        }
    }

    /// Whose token this is. Notes the use.
    pub(crate) fn by_token(&mut self, token: &Token, now: UnixMillis) -> Result<Identity, Refused> {
        let record = self.tokens.get_mut(&token.id).ok_or(Refused::Unknown)?;
        if !record.hash.matches(&token.hash()) {
            return Err(Refused::Unknown);
        }
        if let Some(at) = record.expired(now) {
            return Err(Refused::Expired(at));
        }
        record.last_used = Some(now);
        let identity = identity(record);
        self.touched_tokens.insert(token.id.clone());
        Ok(identity)
    }

    /// Whose session this is, if it has not ended. Notes the use.
    pub(crate) fn by_session(
        &mut self,
        hash: SecretHash,
        lifetimes: Lifetimes,
        now: UnixMillis,
    ) -> Result<Identity, Refused> {
        let session = self.sessions.get_mut(&hash).ok_or(Refused::Unknown)?;
        if lifetimes.has_ended(session, now) {
            return Err(Refused::Unknown);
        }
        let record = self.tokens.get_mut(&session.token).ok_or(Refused::Unknown)?;
        if let Some(at) = record.expired(now) {
            return Err(Refused::Expired(at));
        }
        session.last_used = now;
        record.last_used = Some(now);
        self.touched_sessions.insert(hash);
        self.touched_tokens.insert(record.id.clone());
        Ok(identity(record))
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = &TokenRecord> {
        self.tokens.values()
    }

    pub(crate) fn token(&self, id: &str) -> Option<&TokenRecord> {
        self.tokens.get(id)
    }

    pub(crate) fn insert_token(&mut self, record: TokenRecord) {
        self.tokens.insert(record.id.clone(), record);
    }

    /// Removes a token and its sessions.
    pub(crate) fn remove_token(&mut self, id: &str) {
        self.tokens.remove(id);
        self.sessions.retain(|_, session| session.token != id);
    }

    pub(crate) fn insert_session(&mut self, record: SessionRecord) {
        self.sessions.insert(record.hash, record);
    }

    pub(crate) fn remove_session(&mut self, hash: &SecretHash) -> bool {
        self.sessions.remove(hash).is_some()
    }

    /// The session that must go so that a further one fits in `most`.
    pub(crate) fn session_to_evict(&self, most: usize) -> Option<SecretHash> {
        if self.sessions.len() < most {
            return None;
        }
        self.sessions.values().min_by_key(|session| session.last_used).map(|session| session.hash)
    }

    /// Removes sessions that have ended and names them.
    pub(crate) fn sweep(&mut self, lifetimes: Lifetimes, now: UnixMillis) -> Vec<SecretHash> {
        let mut ended = Vec::new();
        self.sessions.retain(|hash, session| {
            let has_ended = lifetimes.has_ended(session, now);
            if has_ended {
                ended.push(*hash);
            }
            !has_ended
        });
        ended
    }

    /// Last uses that were not taken yet.
    #[expect(clippy::type_complexity, reason = "the two lists go straight into the two statements")]
    pub(crate) fn take_touched(&mut self) -> (Vec<(String, UnixMillis)>, Vec<(SecretHash, UnixMillis)>) {
        let tokens = std::mem::take(&mut self.touched_tokens)
            .into_iter()
            .filter_map(|id| self.tokens.get(&id)?.last_used.map(|at| (id, at)))
            .collect();
        let sessions = std::mem::take(&mut self.touched_sessions)
            .into_iter()
            .filter_map(|hash| Some((hash, self.sessions.get(&hash)?.last_used)))
            .collect();
        (tokens, sessions)
    }
}

fn identity(record: &TokenRecord) -> Identity {
    Identity {
        token_id: record.id.clone(),
        name: record.name.clone(),
        role: record.role,
        expires: record.expires,
    }
}
