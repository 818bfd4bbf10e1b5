//! Requests one after the other in the background, to see whether any fails while something happens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::pause;
use crate::web;

/// Load that runs until it is ended.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Outcome>>,
}

/// What the requests got.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How often each text came with status 200.
    pub(crate) texts: BTreeMap<String, u32>,
    /// Everything else.
    pub(crate) failures: Vec<String>,
}

impl Load {
    /// Begins about 100 requests a second to `host` at `127.0.0.1:port`.
    pub(crate) fn start(port: u16, host: &str) -> Load {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, host) = (Arc::clone(&is_over), host.to_owned());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let thread = std::thread::spawn(move || {
            let mut outcome = Outcome::default();
            while !over.load(Ordering::Relaxed) {
                match web::get_at(address, &host, "/slow?20") {
                    Ok((200, text)) => *outcome.texts.entry(text).or_default() += 1,
                    other => outcome.failures.push(format!("{other:?}")),
                }
                pause(Duration::from_millis(5));
            }
            outcome
        });
        Load { is_over, thread: Some(thread) }
    }

    /// Ends the load. Fails if a request failed or if there were none.
    #[track_caller]
    pub(crate) fn end_without_failure(mut self) -> Outcome {
        self.is_over.store(true, Ordering::Relaxed);
        let outcome = self.thread.take().expect("runs until here").join().unwrap();
        assert!(outcome.failures.is_empty(), "requests failed: {outcome:?}");
        assert!(!outcome.texts.is_empty(), "no request was made");
        outcome
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
