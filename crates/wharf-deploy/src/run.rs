//! One deploy that runs in this process.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_util::sync::CancellationToken;
use wharf_base::{Digest, UnixMillis};
use wharf_model::Name;

use crate::Error;
use crate::api::{DeployState, DeployView, What};
use crate::journal::Journal;

/// A deploy and what others may do to it.
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) app: Name,
    pub(crate) what: What,
    pub(crate) by: String,
    pub(crate) started: UnixMillis,
    pub(crate) journal: Journal,
    /// Uploads that must not be removed meanwhile.
    pub(crate) uploads: BTreeSet<Digest>,
    /// Fingerprints of secrets that must not be removed meanwhile.
    pub(crate) secrets: BTreeSet<String>,
    release: AtomicU32,
    gate: Mutex<Gate>,
    cancel: CancellationToken,
}

/// Whether the deploy may still be ended from outside.
enum Gate {
    Open,
    Aborted(String),
    /// Requests are being switched.
    Closed,
}

/// What a run is made with.
pub(crate) struct NewRun {
    pub(crate) id: u64,
    pub(crate) app: Name,
    pub(crate) release: u32,
    pub(crate) what: What,
    pub(crate) by: String,
    pub(crate) started: UnixMillis,
    pub(crate) journal: Journal,
    pub(crate) uploads: BTreeSet<Digest>,
    pub(crate) secrets: BTreeSet<String>,
}

impl Run {
    pub(crate) fn new(new: NewRun) -> Run {
        Run {
            id: new.id,
            app: new.app,
            what: new.what,
            by: new.by,
            started: new.started,
            journal: new.journal,
            uploads: new.uploads,
            secrets: new.secrets,
            release: AtomicU32::new(new.release),
            gate: Mutex::new(Gate::Open),
            cancel: CancellationToken::new(),
        }
    }

    /// Release that it leads to.
    pub(crate) fn release(&self) -> u32 {
        self.release.load(Ordering::Relaxed)
    }

    /// Says that it leads to another release than was thought: the active one, when nothing has changed.
    pub(crate) fn set_release(&self, release: u32) {
        self.release.store(release, Ordering::Relaxed);
    }

    /// Asks it to end and to undo.
    ///
    /// Errors: `TooLate` once requests are being switched.
    pub(crate) fn abort(&self, by: &str) -> Result<(), Error> {
        let mut gate = self.gate.lock().expect("no holder panics");
        match *gate {
            Gate::Closed => return Err(Error::TooLate(self.id)),
            Gate::Aborted(_) => {}
            Gate::Open => *gate = Gate::Aborted(by.to_owned()),
        }
        self.cancel.cancel();
        Ok(())
    }

    /// Who asked it to end.
    pub(crate) fn aborted_by(&self) -> Option<String> {
        match &*self.gate.lock().expect("no holder panics") {
            Gate::Aborted(by) => Some(by.clone()),
            Gate::Open | Gate::Closed => None,
        }
    }

    /// From now on it can't be ended from outside. False: somebody was faster.
    pub(crate) fn close_gate(&self) -> bool {
        let mut gate = self.gate.lock().expect("no holder panics");
        let is_open = !matches!(*gate, Gate::Aborted(_));
        if is_open {
            *gate = Gate::Closed;
        }
        is_open
    }

    /// Lets it be ended again: the next round of a restart begins.
    pub(crate) fn open_gate(&self) {
        let mut gate = self.gate.lock().expect("no holder panics");
        if matches!(*gate, Gate::Closed) {
            *gate = Gate::Open;
        }
    }

    /// Comes when somebody asks it to end.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    pub(crate) fn view(&self) -> DeployView {
        DeployView {
            id: self.id,
            app: self.app.clone(),
            release: self.release(),
            what: self.what,
            by: self.by.clone(),
            state: DeployState::Running,
            steps: self.journal.steps(),
            error: None,
            log_tail: Vec::new(),
            started: self.started,
            ended: None,
        }
    }
}
