//! What runs, what waits, what was built: for the console and for counting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use wharf_base::{Clock, UnixMillis};

/// LIMIT: ended builds that are remembered.
const ENDED_MAX: usize = 50;

/// Builds of this server since it started.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct BuildsView {
    /// Builds that run now.
    pub running: Vec<BuildView>,
    /// How many wait for their turn.
    pub waiting: usize,
    /// How many ended well.
    pub succeeded: u64,
    /// How many failed, were ended or took too long.
    pub failed: u64,
    /// How many were refused because too many waited.
    pub refused: u64,
    /// The last 50 that ended, newest first.
    pub ended: VecDeque<BuildView>,
}

/// One build.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BuildView {
    /// Name and tag.
    pub reference: String,
    /// When it got its turn.
    pub started: UnixMillis,
    /// Milliseconds that it took, once it has ended.
    pub millis: Option<u64>,
    /// Reference by digest, if it ended well.
    pub image: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Records {
    view: Arc<Mutex<BuildsView>>,
    clock: Arc<dyn Clock>,
}

impl Records {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Records {
        Records { view: Arc::default(), clock }
    }

    pub(crate) fn view(&self) -> BuildsView {
        self.lock().clone()
    }

    pub(crate) fn refused(&self) {
        self.lock().refused += 1;
    }

    /// Counts a build as waiting until the value is dropped; `None` when `most` wait already.
    pub(crate) fn waiting(&self, most: usize) -> Option<Waiting> {
        let mut view = self.lock();
        if view.waiting >= most {
            return None;
        }
        view.waiting += 1;
        Some(Waiting(self.clone()))
    }

    /// Counts a build as running until it is told how it ended, or dropped.
    pub(crate) fn running(&self, reference: &str) -> Running {
        let build = BuildView {
            reference: reference.to_owned(),
            started: self.clock.now(),
            millis: None,
            image: None,
            error: None,
        };
        self.lock().running.push(build.clone());
        Running { records: self.clone(), build, outcome: Err("it was ended".to_owned()) }
    }

    fn lock(&self) -> MutexGuard<'_, BuildsView> {
        self.view.lock().expect("no holder panics")
    }
}

pub(crate) struct Waiting(Records);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

pub(crate) struct Running {
    records: Records,
    build: BuildView,
    outcome: Result<String, String>,
}

impl Running {
    pub(crate) fn end(mut self, outcome: Result<String, String>) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let took: Duration = self.records.clock.now().since(self.build.started);
        let mut view = self.records.lock();
        let place = view
            .running
            .iter()
            .position(|build| build.reference == self.build.reference && build.started == self.build.started);
        if let Some(index) = place {
            view.running.remove(index);
        }
        let mut build = self.build.clone();
        build.millis = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        match std::mem::replace(&mut self.outcome, Err(String::new())) {
            Ok(image) => {
                view.succeeded += 1;
                build.image = Some(image);
            }
            Err(error) => {
                view.failed += 1;
                build.error = Some(error);
            }
        }
        view.ended.push_front(build);
        view.ended.truncate(ENDED_MAX);
    }
}
