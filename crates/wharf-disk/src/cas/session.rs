//! Upload sessions: files that grow until they are committed or cancelled.
//!
//! One request at a time may write to a session; a second one gets `SessionBusy`. The lock is held by the blocking
//! work itself, so a request that is dropped half-way (its client went away) leaves the session whole.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use wharf_base::{Digest, UnixMillis};

use super::hash::{Algorithm, Hasher, digest_of};
use super::layout::{Layout, modified_ms};
use super::{Inner, Writer};
use crate::{Error, atomic};

/// An open upload session.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
    shared: Arc<Shared>,
    id: String,
}

/// What all handles of one session share.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Bytes that have arrived, for those who only ask.
    pub(super) size: AtomicU64,
    /// When bytes arrived last.
    pub(super) touched_ms: AtomicI64,
    pub(super) state: Arc<Mutex<State>>,
}

/// What a writer owns while it writes.
pub(super) struct State {
    /// Open while there is a writer.
    pub(super) file: Option<File>,
    pub(super) size: u64,
    /// Hash of the first `size` bytes; `None` after a restart, when the file must be read again.
    pub(super) hasher: Option<Hasher>,
    /// Committed or cancelled.
    pub(super) ended: bool,
}

impl Session {
    pub(super) fn create(inner: Arc<Inner>, scope: &str, algorithm: Algorithm) -> Result<Session, Error> {
        inner.check_writable(0)?;
        let id = uuid::Uuid::new_v4().to_string();
        let name = file_name(scope, &id);
        let path = inner.upload_path(&name);
        let shared = Arc::new(Shared {
            name: name.clone(),
            path: path.clone(),
            size: AtomicU64::new(0),
            touched_ms: AtomicI64::new(inner.clock.now().0),
            state: Arc::new(Mutex::new(State {
                file: None,
                size: 0,
                hasher: Some(Hasher::new(algorithm)),
                ended: false,
            })),
        });
        {
            // LIMIT: sessions_max. Counted under the lock that inserts, so that it holds exactly.
            let mut sessions = inner.sessions.lock().expect("no holder panics");
            if sessions.len() >= inner.limits.sessions_max {
                inner.sessions_refused.fetch_add(1, Ordering::Relaxed);
                return Err(Error::TooManySessions { open: sessions.len() });
            }
            sessions.insert(name.clone(), Arc::clone(&shared));
        }
        if let Err(source) = File::create_new(&path) {
            inner.forget(&name);
            return Err(inner.counted(Error::io("create", &path)(source)));
        }
        Ok(Session { inner, shared, id })
    }

    pub(super) fn find(inner: &Arc<Inner>, scope: &str, id: &str) -> Result<Session, Error> {
        let name = file_name(scope, id);
        let sessions = inner.sessions.lock().expect("no holder panics");
        let shared = Arc::clone(sessions.get(&name).ok_or(Error::SessionUnknown)?);
        Ok(Session { inner: Arc::clone(inner), shared, id: id.to_owned() })
    }

    /// Its name, a UUID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes that have arrived.
    pub fn size(&self) -> u64 {
        self.shared.size.load(Ordering::Acquire)
    }

    /// Starts to append.
    ///
    /// Errors: `SessionBusy` while another request writes, `SessionUnknown` when it has ended.
    pub fn writer(&self) -> Result<Writer, Error> {
        Ok(Writer::new(Arc::clone(&self.inner), Arc::clone(&self.shared), self.lock()?))
    }

    /// Ends the session: its bytes become the blob `expected`. Durable once it returns; the bytes' count is
    /// returned.
    ///
    /// Errors: `DigestMismatch` when the bytes are others, which ends the session too.
    pub async fn commit(&self, expected: &Digest) -> Result<u64, Error> {
        let (inner, shared, expected) = (Arc::clone(&self.inner), Arc::clone(&self.shared), expected.clone());
        let state = self.lock()?;
        // As one piece of blocking work it goes on when the caller's future is dropped.
        atomic::blocking(move || commit(&inner, &shared, state, &expected)).await
    }

    /// Ends the session and removes its bytes.
    pub async fn cancel(&self) -> Result<(), Error> {
        let (inner, shared) = (Arc::clone(&self.inner), Arc::clone(&self.shared));
        let mut state = self.lock()?;
        atomic::blocking(move || end(&inner, &shared, &mut state)).await
    }

    /// As [`Session::cancel`], but waits for who writes now instead of refusing.
    pub async fn abandon(&self) -> Result<(), Error> {
        let (inner, shared) = (Arc::clone(&self.inner), Arc::clone(&self.shared));
        let mut state = Arc::clone(&self.shared.state).lock_owned().await;
        if state.ended {
            return Ok(());
        }
        atomic::blocking(move || end(&inner, &shared, &mut state)).await
    }

    fn lock(&self) -> Result<OwnedMutexGuard<State>, Error> {
        let state = Arc::clone(&self.shared.state).try_lock_owned().map_err(|_| Error::SessionBusy)?;
        if state.ended { Err(Error::SessionUnknown) } else { Ok(state) }
    }
}

impl State {
    /// The open file and the hash of what is in it, both made again if need be.
    pub(super) fn ready(&mut self, shared: &Shared) -> Result<(&mut File, &mut Hasher), Error> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let opened = OpenOptions::new().read(true).append(true).open(&shared.path);
                none.insert(opened.map_err(Error::io("open", &shared.path))?)
            }
        };
        let hasher = match &mut self.hasher {
            Some(hasher) => hasher,
            none => {
                let hasher = Hasher::of_file(Algorithm::default(), file, self.size);
                none.insert(hasher.map_err(Error::io("read", &shared.path))?)
            }
        };
        Ok((file, hasher))
    }
}

fn commit(
    inner: &Inner,
    shared: &Shared,
    mut state: OwnedMutexGuard<State>,
    expected: &Digest,
) -> Result<u64, Error> {
    let size = state.size;
    inner.check_writable(0)?;
    let algorithm = Algorithm::of(expected);
    let (file, hasher) = state.ready(shared)?;
    let found = if hasher.algorithm() == algorithm {
        hasher.digest()
    } else {
        Hasher::of_file(algorithm, file, size).map_err(Error::io("read", &shared.path))?.digest()
    };
    if found != *expected {
        end(inner, shared, &mut state)?;
        return Err(Error::DigestMismatch { expected: expected.clone(), found });
    }
    let target = inner.layout.blob(expected);
    if inner.has(&target, size) {
        // Whoever renamed it may not have synced the directory yet, and we are about to say that it is there.
        inner.sync_path(super::layout::parent(&target))?;
        end(inner, shared, &mut state)?;
    } else {
        inner.install(file, &shared.path, &target)?;
        state.ended = true;
        state.file = None;
        inner.forget(&shared.name);
    }
    Ok(size)
}

fn end(inner: &Inner, shared: &Shared, state: &mut State) -> Result<(), Error> {
    state.ended = true;
    state.file = None;
    inner.forget(&shared.name);
    match fs::remove_file(&shared.path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", &shared.path)(error)),
    }
}

/// The sessions that an earlier process left in `uploads/`.
pub(super) fn find(layout: &Layout) -> Result<HashMap<String, Arc<Shared>>, Error> {
    let mut sessions = HashMap::new();
    for name in layout.upload_names()? {
        let path = layout.upload(&name);
        let metadata = fs::metadata(&path).map_err(Error::io("stat", &path))?;
        let state = State { file: None, size: metadata.len(), hasher: None, ended: false };
        let shared = Shared {
            name: name.clone(),
            path,
            size: AtomicU64::new(metadata.len()),
            touched_ms: AtomicI64::new(modified_ms(&metadata)),
            state: Arc::new(Mutex::new(state)),
        };
        sessions.insert(name, Arc::new(shared));
    }
    Ok(sessions)
}

/// Ends the sessions that nobody has written to for `idle`; those in use are left.
pub(super) fn expire(inner: &Inner, idle: Duration) -> Result<usize, Error> {
    let now = inner.clock.now();
    let is_idle = |shared: &Shared| now.since(UnixMillis(shared.touched_ms.load(Ordering::Relaxed))) >= idle;
    let candidates: Vec<Arc<Shared>> = {
        let sessions = inner.sessions.lock().expect("no holder panics");
        sessions.values().filter(|shared| is_idle(shared)).cloned().collect()
    };
    let mut ended = 0;
    for shared in candidates {
        let Ok(mut state) = Arc::clone(&shared.state).try_lock_owned() else { continue };
        // Looked at again under the lock: a writer may have come and gone.
        if !state.ended && is_idle(&shared) {
            end(inner, &shared, &mut state)?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// The scope is part of the name, hashed because a repository's name is too long for one; so a session is found by
/// those who know both, and nothing else has to be stored about it.
fn file_name(scope: &str, id: &str) -> String {
    let scope = digest_of(Algorithm::Sha256, scope.as_bytes());
    // A stranger's id becomes part of a map key only: the file's path is made from names that are in the map.
    format!("{id}-{}", &scope.hex()[..16])
}
